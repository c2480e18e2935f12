/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk: what diff and edit ask of a cursor beyond cursor.h.  Private to
 * src/tree; the functions are in cursor.c.
 */
#ifndef TREE_WALK_H
#define TREE_WALK_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"
#include "tree/cursor.h"

/* What stands at the place of the cursor and was not read yet. */
struct place {
	int level; /* of a subtree; -1: an item, already in memory */
	int level_max; /* the largest subtree that begins here; -1: none */
	struct bytes key; /* data NULL: the end */
};

/* Nothing is read for it. */
void cursor_place(struct cursor *c, struct place *p);

/* Read the node of the subtree at the place; its level is not -1. */
enum err cursor_descend(struct cursor *c, struct error *err) MUST_CHECK;

/* The subtree of that level, -1 < level <= level_max, that begins here. */
void cursor_subtree(const struct cursor *c, unsigned level,
	struct child *child);
void cursor_skip(struct cursor *c, unsigned level);

#endif /* TREE_WALK_H */
