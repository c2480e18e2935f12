/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edited: an entry whose content is an edit of what the previous snapshot has.
 *
 *   edited_init -> (edited_open or edited_open_again -> edited_begin
 *     -> edited_take, edited_replace, edited_punch ... -> edited_end) ...
 *     -> edited_fini
 *
 * What a sink does for its image calls (source/source.h), which say what the
 * operations are.  One thread, the walker's.
 */
#ifndef ENGINE_EDITED_H
#define ENGINE_EDITED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "engine/ingest.h"
#include "engine/outbox.h"
#include "model/entry.h"
#include "model/origin.h"
#include "tree/cursor.h"
#include "tree/image.h"

struct edited {
	struct ingest *in;
	struct cursor *lookup; /* the previous tree, borrowed; NULL: none */
	struct image *image;
	struct slot *slot;
	struct entry entry;
	uint8_t *strings; /* what it borrows */
};

/* In place; lookup is for the owner to set. */
void edited_init(struct edited *ed, struct ingest *in);
void edited_fini(struct edited *ed);

/* An image of size bytes, an edit of base (data NULL: of nothing). */
enum err edited_open(struct edited *ed, struct bytes base, uint64_t size,
	const struct origin *origin, struct error *err) MUST_CHECK;

/* The same of what has this key, if that is what was describes. */
enum err edited_open_again(struct edited *ed, struct bytes key,
	const struct entry *was, uint64_t size, const struct origin *origin,
	bool *begun, struct error *err) MUST_CHECK;

/* It becomes the content of e, whose slot is filled in by edited_end. */
enum err edited_begin(struct edited *ed, struct slot *slot,
	const struct entry *e, struct error *err) MUST_CHECK;

enum err edited_take(struct edited *ed, uint64_t off, uint64_t old_off,
	uint64_t len, struct error *err) MUST_CHECK;
enum err edited_replace(struct edited *ed, uint64_t off, const void *data,
	size_t len, struct error *err) MUST_CHECK;
enum err edited_punch(struct edited *ed, uint64_t off, uint64_t len,
	struct error *err) MUST_CHECK;
enum err edited_end(struct edited *ed, struct error *err) MUST_CHECK;

#endif /* ENGINE_EDITED_H */
