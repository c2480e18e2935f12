/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roots: the paths that are to be backed up, as keys (model/path.h), ascending
 * and apart from those that lie below others.
 */
#ifndef SOURCE_FILES_ROOTS_H
#define SOURCE_FILES_ROOTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "model/entry.h"

struct root {
	size_t off;
	uint32_t len;
	uint32_t under; /* length of the key of that which it lies below */
};

struct roots {
	struct buf keys;
	struct root *v; /* n of them, then those that lie below these */
	size_t n, n_all, cap;
};

void roots_init(struct roots *r);
void roots_fini(struct roots *r);

/* A relative path starts at the working directory.  ERR_USAGE. */
enum err roots_add(struct roots *r, const char *path,
	struct error *err) MUST_CHECK;

/* Each piece of the file (or of standard input, "-") that ends with the
 * delimiter or the file; empty ones are skipped. */
enum err roots_add_file(struct roots *r, const char *file, char delimiter,
	struct error *err) MUST_CHECK;

/* Sort, and put aside what lies below others. */
void roots_settle(struct roots *r);

struct bytes roots_key(const struct roots *r, size_t i);

#endif /* SOURCE_FILES_ROOTS_H */
