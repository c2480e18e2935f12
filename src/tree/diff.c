/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff: two cursors side by side.  Where both stand before subtrees with the
 * same id, both step over; otherwise the one that stands before the larger
 * thing goes down.  A subtree that occurs in both trees begins with the same
 * key in both, so it is met by both at once, and only nodes that one tree has
 * and the other has not are read.
 */
#include "tree/diff.h"

#include <string.h>

#include "model/path.h"
#include "tree/cursor.h"
#include "tree/walk.h"

static bool
bytes_eq(struct bytes a, struct bytes b)
{
	return a.len == b.len &&
	       (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool
item_eq(const struct item *a, const struct item *b)
{
	if (a->weight != b->weight || a->n_refs != b->n_refs ||
		!bytes_eq(a->val, b->val))
		return false;
	for (size_t i = 0; i < a->n_refs; i++)
		if (a->refs[i].node != b->refs[i].node ||
			!id_eq(&a->refs[i].id, &b->refs[i].id))
			return false;
	return true;
}

/* Step over the largest subtree that begins at both places. */
static bool
skip_equal(struct cursor *a, const struct place *pa, struct cursor *b,
	const struct place *pb)
{
	int l = pa->level_max < pb->level_max ? pa->level_max : pb->level_max;
	struct child ca, cb;

	for (; l >= 0 && l >= pa->level && l >= pb->level; l--) {
		cursor_subtree(a, (unsigned)l, &ca);
		cursor_subtree(b, (unsigned)l, &cb);
		if (!id_eq(&ca.id, &cb.id))
			continue;
		cursor_skip(a, (unsigned)l);
		cursor_skip(b, (unsigned)l);
		return true;
	}
	return false;
}

/* Both stand at the same key. */
static enum err
step_both(struct cursor *a, const struct place *pa, struct cursor *b,
	const struct place *pb, tree_diff_fn *fn, void *arg, struct error *err)
{
	struct item ia, ib;
	enum err rc = ERR_OK;

	if (skip_equal(a, pa, b, pb))
		return ERR_OK;
	if (pa->level >= 0 || pb->level >= 0) {
		if (pa->level >= pb->level)
			rc = cursor_descend(a, err);
		if (rc == ERR_OK && pb->level >= pa->level)
			rc = cursor_descend(b, err);
		return rc;
	}
	rc = cursor_next(a, &ia, err);
	if (rc == ERR_OK)
		rc = cursor_next(b, &ib, err);
	if (rc == ERR_OK && !item_eq(&ia, &ib))
		rc = fn(arg, &ia, &ib, err);
	return rc;
}

/* What stands at c is not in the other tree, or comes before it. */
static enum err
step_one(struct cursor *c, const struct place *p, bool is_a, tree_diff_fn *fn,
	void *arg, struct error *err)
{
	struct item item;
	enum err rc;

	if (p->level >= 0)
		return cursor_descend(c, err);
	rc = cursor_next(c, &item, err);
	if (rc != ERR_OK)
		return rc;
	return fn(arg, is_a ? &item : NULL, is_a ? NULL : &item, err);
}

static enum err
walk(struct cursor *a, struct cursor *b, tree_diff_fn *fn, void *arg,
	struct error *err)
{
	for (;;) {
		struct place pa, pb;
		enum err rc;
		int cmp;

		cursor_place(a, &pa);
		cursor_place(b, &pb);
		if (pa.key.data == NULL && pb.key.data == NULL)
			return ERR_OK;
		if (pb.key.data == NULL)
			cmp = -1;
		else if (pa.key.data == NULL)
			cmp = 1;
		else
			cmp = key_cmp(pa.key.data, pa.key.len, pb.key.data,
				pb.key.len);
		if (cmp == 0)
			rc = step_both(a, &pa, b, &pb, fn, arg, err);
		else if (cmp < 0)
			rc = step_one(a, &pa, true, fn, arg, err);
		else
			rc = step_one(b, &pb, false, fn, arg, err);
		if (rc != ERR_OK)
			return rc;
	}
}

enum err
tree_diff(const struct tree_side *a, const struct tree_side *b,
	enum tree_kind kind, tree_diff_fn *fn, void *arg, struct error *err)
{
	struct cursor *ca = NULL, *cb = NULL;
	enum err rc = ERR_OK;

	if (id_eq(&a->root, &b->root))
		goto out;
	rc = cursor_open(&ca, a->io, kind, &a->root, err);
	if (rc != ERR_OK)
		goto out;
	rc = cursor_open(&cb, b->io, kind, &b->root, err);
	if (rc != ERR_OK)
		goto out;
	rc = walk(ca, cb, fn, arg, err);

out:
	cursor_close(ca);
	cursor_close(cb);
	return rc;
}
