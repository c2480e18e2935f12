/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit: a tree made from another one by changes in ascending order of keys.
 * Costs the changed items times the height; untouched subtrees are taken over
 * unread, and the result is the tree that builder makes of the same items.
 */
#ifndef TREE_EDIT_H
#define TREE_EDIT_H

#include "base/compiler.h"
#include "base/err.h"
#include "tree/builder.h"
#include "tree/cursor.h"

struct edit;

enum err edit_open(struct edit **out, struct tree_io *io, enum tree_kind kind,
	const struct id *old_root, struct error *err) MUST_CHECK;
void edit_free(struct edit *e);

/* Add the item, or put it in the place of the one with its key. */
enum err edit_put(struct edit *e, const struct item *item,
	struct error *err) MUST_CHECK;

/* Leave out every old item with from <= key < to (to.data NULL: to the end).
 * Keys put later must be >= to. */
enum err edit_remove(struct edit *e, struct bytes from, struct bytes to,
	struct error *err) MUST_CHECK;

enum err edit_finish(struct edit *e, struct tree_root *root,
	struct error *err) MUST_CHECK;

#endif /* TREE_EDIT_H */
