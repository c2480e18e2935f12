/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list: the names in one directory, in order, without what is left out by
 * name.  Some 25 bytes per entry, so that a directory of millions fits.
 */
#ifndef SOURCE_FILES_LIST_H
#define SOURCE_FILES_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "source/files/rules.h"
#include "source/files/stamp.h"

struct dir;

/* Each name lies in the arena behind its length, and ends with a NUL. */
struct list {
	char *arena;
	uint32_t *at; /* of the names, ascending */
	size_t n;
	size_t size; /* memory that it takes */
	size_t n_bad; /* names that no key can hold, and are left out */
};

static inline const char *
list_name(const struct list *l, size_t i, size_t *len)
{
	const char *name = l->arena + l->at[i];

	*len = (uint8_t)name[-1];
	return name;
}

/* Memory to work with; each thread has its own. */
struct lister {
	uint8_t *dents;
	struct name_head *heads;
	size_t heads_cap;
	struct buf key;
};

void lister_init(struct lister *ls);
void lister_fini(struct lister *ls);

/* The names in d, which is open as fd. */
enum err list_read(struct list *out, struct lister *ls, const struct dir *d,
	int fd, const struct rules *rules, struct error *err) MUST_CHECK;
void list_fini(struct list *l);

/* Stamps of n entries from first on. */
void list_stat(const struct list *l, size_t first, size_t n,
	struct stamp *stamps, int fd, const struct rules *rules);

#endif /* SOURCE_FILES_LIST_H */
