/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cursor: a place in a tree.  It holds one decoded node per level and reads a
 * node when it comes to it, so that going to a key costs the height of the
 * tree.  One thread at a time.
 *
 *   cursor_open -> cursor_seek / cursor_next ... -> cursor_close
 */
#ifndef TREE_CURSOR_H
#define TREE_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "tree/io.h"
#include "tree/node.h"

struct cursor;

/* Before the first item.  A root of another kind is ERR_CORRUPT. */
enum err cursor_open(struct cursor **out, struct tree_io *io,
	enum tree_kind kind, const struct id *root,
	struct error *err) MUST_CHECK;
void cursor_close(struct cursor *c);

/* Items and weight of the whole tree. */
uint64_t cursor_total_items(const struct cursor *c);
uint64_t cursor_total_weight(const struct cursor *c);

/* So that cursor_next gives the first item with a key >= key. */
enum err cursor_seek(struct cursor *c, struct bytes key,
	struct error *err) MUST_CHECK;
/* The same for the last item with a key <= key, or the first item of all. */
enum err cursor_seek_le(struct cursor *c, struct bytes key,
	struct error *err) MUST_CHECK;

/* The next item; *item's key has data NULL after the last.  It is valid until
 * the cursor is used again. */
enum err cursor_next(struct cursor *c, struct item *item,
	struct error *err) MUST_CHECK;

/* The same without moving on. */
enum err cursor_peek(struct cursor *c, struct item *item,
	struct error *err) MUST_CHECK;

/* Seek and compare: *item with exactly this key, else *found false. */
enum err cursor_find(struct cursor *c, struct bytes key, struct item *item,
	bool *found, struct error *err) MUST_CHECK;

/*
 * The largest subtree that begins at the place of the cursor and holds no
 * key >= end (data NULL: no end): its level and description, and step over
 * it.  The last node of a level never qualifies: the tree's end closed it,
 * not the rule.  *have false where only single items qualify.
 */
enum err cursor_take(struct cursor *c, struct bytes end, unsigned *level,
	struct child *child, bool *have, struct error *err) MUST_CHECK;

/* As cursor_take, of no level above level_max: what a builder can take. */
enum err cursor_take_below(struct cursor *c, unsigned level_max,
	struct bytes end, unsigned *level, struct child *child, bool *have,
	struct error *err) MUST_CHECK;

#endif /* TREE_CURSOR_H */
