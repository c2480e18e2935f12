/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot: the record that describes one restore point, and its bytes
 * (docs/format.md, section 7).  A struct snapshot owns all its memory.
 */
#ifndef MODEL_SNAPSHOT_H
#define MODEL_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "base/time.h"

struct strings {
	char **v;
	size_t n;
};

struct snapshot_figures {
	uint64_t entries, files, bytes;
	uint64_t entries_new, entries_changed, entries_unchanged;
	uint64_t bytes_read, bytes_added, bytes_stored;
	uint64_t errors;
};

enum { SNAPSHOT_INCOMPLETE = 1 };

struct snapshot {
	/* Not in the bytes: the object's name, and what other objects say of
	 * it. */
	struct uid uid, ns;
	bool forgotten, held;

	struct id root;
	struct when begin, end;
	char *host, *user, *program;
	struct strings sources; /* "files:/etc" */
	struct strings tags;
	bool has_parent;
	struct uid parent;
	struct snapshot_figures figures;
	uint64_t flags;
};

void snapshot_init(struct snapshot *s);
void snapshot_fini(struct snapshot *s);

enum err strings_add(struct strings *s, const char *text,
	struct error *err) MUST_CHECK;
void strings_fini(struct strings *s);
bool strings_eq(const struct strings *a, const struct strings *b);
bool strings_have(const struct strings *s, const char *text);

enum err snapshot_encode(const struct snapshot *s, struct buf *out,
	struct error *err) MUST_CHECK;

/* s was initialised and loses what it held, but for what is not
 * in the bytes. */
enum err snapshot_decode(struct snapshot *s, const uint8_t *data, size_t len,
	struct error *err) MUST_CHECK;

#endif /* MODEL_SNAPSHOT_H */
