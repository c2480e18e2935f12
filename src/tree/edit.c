/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit: a cursor on the old tree feeds a builder of the new one.  Between two
 * changes the builder comes, within a few nodes, to a boundary that the old
 * tree has too; from there on whole subtrees are taken over.
 */
#include "tree/edit.h"

#include <stdlib.h>
#include <string.h>

#include "model/path.h"
#include "tree/walk.h"

struct edit {
	struct builder *builder;
	struct cursor *old; /* NULL: nothing is left of it */
	struct buf floor; /* what comes below this key is settled */
};

enum err
edit_open(struct edit **out, struct tree_io *io, enum tree_kind kind,
	const struct id *old_root, struct error *err)
{
	struct edit *e = calloc(1, sizeof(*e));
	enum err rc = ERR_OK;

	if (e == NULL)
		return err_set(err, ERR_NOMEM, "no memory for an edit");
	e->floor = BUF_INIT(KEY_MAX);
	rc = builder_new(&e->builder, io, kind, err);
	if (rc != ERR_OK)
		goto out;
	if (old_root != NULL)
		rc = cursor_open(&e->old, io, kind, old_root, err);
	if (rc != ERR_OK)
		goto out;
	*out = e;
	e = NULL;

out:
	edit_free(e);
	return rc;
}

void
edit_free(struct edit *e)
{
	if (e == NULL)
		return;
	builder_free(e->builder);
	cursor_close(e->old);
	buf_fini(&e->floor);
	free(e);
}

/* data NULL means no key at all, which the empty key is not. */
static struct bytes
some(struct bytes key)
{
	static const uint8_t none[1];

	if (key.data == NULL)
		key.data = none;
	return key;
}

/* Move the floor up to key. */
static enum err
raise_floor(struct edit *e, struct bytes key, struct error *err)
{
	if (key_cmp(key.data, key.len, e->floor.data, e->floor.len) < 0)
		return err_set(err, ERR_CORRUPT,
			"the changes to a tree are not in order");
	buf_clear(&e->floor);
	return buf_put(&e->floor, key.data, key.len, err);
}

/* Take over one subtree or one item below end, unless there is none. */
static enum err
copy_some(struct edit *e, struct bytes end, bool *more, struct error *err)
{
	unsigned level = 0;
	struct child child;
	struct item item;
	enum err rc;

	*more = false;
	while (builder_at_boundary(e->builder, level))
		level++;
	if (level > 0) {
		rc = cursor_take_below(e->old, level - 1, end, &level, &child,
			more, err);
		if (rc != ERR_OK)
			return rc;
		if (*more)
			return builder_take(e->builder, level, &child, err);
	}
	rc = cursor_peek(e->old, &item, err);
	if (rc != ERR_OK)
		return rc;
	*more = item.key.data != NULL &&
		(end.data == NULL || key_cmp(item.key.data, item.key.len,
					     end.data, end.len) < 0);
	if (!*more)
		return ERR_OK;
	rc = builder_add(e->builder, &item, err);
	if (rc != ERR_OK)
		return rc;
	return cursor_next(e->old, &item, err);
}

static enum err
copy_until(struct edit *e, struct bytes end, struct error *err)
{
	bool more = e->old != NULL;

	while (more) {
		enum err rc = copy_some(e, end, &more, err);

		if (rc != ERR_OK)
			return rc;
	}
	return ERR_OK;
}

/* Leave out the old item with exactly this key, where the cursor has come. */
static enum err
drop_equal(struct edit *e, struct bytes key, struct error *err)
{
	struct item old;
	enum err rc;

	if (e->old == NULL)
		return ERR_OK;
	rc = cursor_peek(e->old, &old, err);
	if (rc != ERR_OK || old.key.data == NULL ||
		key_cmp(old.key.data, old.key.len, key.data, key.len) != 0)
		return rc;
	return cursor_next(e->old, &old, err);
}

enum err
edit_put(struct edit *e, const struct item *item, struct error *err)
{
	struct bytes key = some(item->key);
	enum err rc;

	rc = raise_floor(e, key, err);
	if (rc != ERR_OK)
		return rc;
	rc = copy_until(e, key, err);
	if (rc != ERR_OK)
		return rc;
	rc = drop_equal(e, key, err);
	if (rc != ERR_OK)
		return rc;
	return builder_add(e->builder, item, err);
}

enum err
edit_remove(struct edit *e, struct bytes from, struct bytes to,
	struct error *err)
{
	struct item next;
	enum err rc;

	from = some(from);
	rc = raise_floor(e, from, err);
	if (rc != ERR_OK)
		return rc;
	if (to.data != NULL &&
		key_cmp(to.data, to.len, from.data, from.len) <= 0)
		return ERR_OK;
	rc = copy_until(e, from, err);
	if (rc != ERR_OK)
		return rc;
	if (to.data == NULL) {
		cursor_close(e->old);
		e->old = NULL;
		return ERR_OK;
	}
	rc = raise_floor(e, to, err);
	if (rc != ERR_OK || e->old == NULL)
		return rc;
	/* To seek where the cursor is, between two nodes, would read the one
	 * that it has left, each time anew. */
	rc = cursor_peek(e->old, &next, err);
	if (rc != ERR_OK || next.key.data == NULL ||
		key_cmp(next.key.data, next.key.len, to.data, to.len) >= 0)
		return rc;
	return cursor_seek(e->old, to, err);
}

enum err
edit_finish(struct edit *e, struct tree_root *root, struct error *err)
{
	static const struct bytes no_end;
	enum err rc;

	rc = copy_until(e, no_end, err);
	if (rc != ERR_OK)
		return rc;
	return builder_finish(e->builder, root, err);
}
