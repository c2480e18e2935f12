/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links: which inode was met first under which key, for files with several
 * names.
 *
 * It lives in unlinked temporary files that are mapped: what the run does not
 * need at the moment the kernel may write out, so that ten million hard links
 * cost disk and not memory.  Without hard links there are none.
 */
#ifndef ENGINE_LINKS_H
#define ENGINE_LINKS_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "model/entry.h"

struct links;

enum err links_new(struct links **out, struct error *err) MUST_CHECK;
void links_free(struct links *l);

/* The key that was remembered for (dev, ino); data NULL where none was.  It is
 * valid until the next links_add. */
struct bytes links_find(const struct links *l, uint64_t dev, uint64_t ino);

/* Remember key for (dev, ino), for which there is none yet. */
enum err links_add(struct links *l, uint64_t dev, uint64_t ino,
	struct bytes key, struct error *err) MUST_CHECK;

/* Both: *first as from links_find, and where that is none, key is added. */
enum err links_meet(struct links *l, uint64_t dev, uint64_t ino,
	struct bytes key, struct bytes *first, struct error *err) MUST_CHECK;

#endif /* ENGINE_LINKS_H */
