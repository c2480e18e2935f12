/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cursor: the nodes on the path from the root to a place.
 *
 * The place may be before a subtree whose node was not read: low is the
 * lowest level that has a node, and at[low].i the item where the cursor
 * stands.  On levels above, at[l].i is the item that leads down.  A level
 * that is through stays until the next move, because its last item was
 * handed out.
 */
#include "tree/cursor.h"

#include <assert.h>
#include <stdlib.h>

#include "model/path.h"
#include "tree/walk.h"

struct step {
	struct node *node;
	size_t i;
};

struct cursor {
	struct tree_io *io;
	enum tree_kind kind;
	struct id root;
	unsigned top; /* the root's level */
	unsigned low;
	struct step at[TREE_LEVELS_MAX];
	struct buf buf;
};

static int
bytes_cmp(struct bytes a, struct bytes b)
{
	return key_cmp(a.data, a.len, b.data, b.len);
}

/* The key of any node's item. */
static struct bytes
key_at(const struct node *n, size_t i)
{
	struct child child;
	struct item item;

	if (node_level(n) > 0) {
		node_child(n, i, &child);
		return child.key;
	}
	node_item(n, i, &item);
	return item.key;
}

/* The last item with a key <= key, or the first one. */
static size_t
index_le(const struct node *n, struct bytes key)
{
	size_t i = node_lower_bound(n, key);

	if (i < node_count(n) && bytes_cmp(key_at(n, i), key) == 0)
		return i;
	return i > 0 ? i - 1 : 0;
}

/* The first key behind the subtree at at[level].i; false: the end. */
static bool
key_behind(const struct cursor *c, unsigned level, struct bytes *key)
{
	for (unsigned l = level; l <= c->top; l++) {
		const struct step *s = &c->at[l];

		if (s->i + 1 < node_count(s->node)) {
			*key = key_at(s->node, s->i + 1);
			return true;
		}
	}
	return false;
}

static enum err
fetch(struct cursor *c, const struct id *id, struct node **out,
	struct error *err)
{
	char hex[ID_HEX + 1];
	size_t head_len = 0;
	struct node *n = NULL;
	enum err rc;

	buf_clear(&c->buf);
	rc = c->io->ops->get_node(c->io, id, &c->buf, &head_len, err);
	if (rc != ERR_OK)
		return rc;
	rc = node_decode(&n, c->buf.data, c->buf.len, head_len, err);
	if (rc == ERR_OK && node_kind(n) != c->kind)
		rc = err_set(err, ERR_CORRUPT, "a tree of kind %d, not %d",
			(int)node_kind(n), (int)c->kind);
	if (rc != ERR_OK) {
		node_free(n);
		hex_encode(id->b, ID_LEN, hex);
		return err_wrap(err, "node %s", hex);
	}
	*out = n;
	return ERR_OK;
}

/* Whether n is what its parent's item at at[low].i says. */
static bool
is_child(const struct cursor *c, const struct node *n,
	const struct child *child)
{
	struct bytes behind;

	if (node_level(n) != c->low - 1 || node_count(n) == 0 ||
		node_items_below(n) != child->count ||
		node_weight_below(n) != child->weight ||
		bytes_cmp(key_at(n, 0), child->key) != 0)
		return false;
	return !key_behind(c, c->low, &behind) ||
	       bytes_cmp(key_at(n, node_count(n) - 1), behind) < 0;
}

enum err
cursor_descend(struct cursor *c, struct error *err)
{
	const struct step *up = &c->at[c->low];
	struct node *n = NULL;
	char hex[ID_HEX + 1];
	struct child child;
	enum err rc;

	assert(c->low > 0);
	node_child(up->node, up->i, &child);
	rc = fetch(c, &child.id, &n, err);
	if (rc != ERR_OK)
		return rc;
	if (!is_child(c, n, &child)) {
		node_free(n);
		hex_encode(child.id.b, ID_LEN, hex);
		return err_set(err, ERR_CORRUPT,
			"node %s is not what the node above says", hex);
	}
	c->low--;
	c->at[c->low] = (struct step){ .node = n };
	return ERR_OK;
}

enum err
cursor_open(struct cursor **out, struct tree_io *io, enum tree_kind kind,
	const struct id *root, struct error *err)
{
	struct cursor *c = calloc(1, sizeof(*c));
	struct node *n = NULL;
	enum err rc;

	if (c == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a cursor");
	c->io = io;
	c->kind = kind;
	c->root = *root;
	c->buf = BUF_INIT(2 * (size_t)NODE_MAX);
	rc = fetch(c, root, &n, err);
	if (rc != ERR_OK) {
		cursor_close(c);
		return rc;
	}
	c->top = c->low = node_level(n);
	c->at[c->top].node = n;
	*out = c;
	return ERR_OK;
}

void
cursor_close(struct cursor *c)
{
	if (c == NULL)
		return;
	for (unsigned l = 0; l < TREE_LEVELS_MAX; l++)
		node_free(c->at[l].node);
	buf_fini(&c->buf);
	free(c);
}

uint64_t
cursor_total_items(const struct cursor *c)
{
	return node_items_below(c->at[c->top].node);
}

uint64_t
cursor_total_weight(const struct cursor *c)
{
	return node_weight_below(c->at[c->top].node);
}

/* Let go of what was read below a level. */
static void
rise(struct cursor *c, unsigned level)
{
	for (; c->low < level; c->low++) {
		node_free(c->at[c->low].node);
		c->at[c->low].node = NULL;
	}
}

static bool
through(const struct step *s)
{
	return s->i >= node_count(s->node);
}

/* Leave the levels that are through; false: the end. */
static bool
settle(struct cursor *c)
{
	while (through(&c->at[c->low])) {
		if (c->low == c->top)
			return false;
		rise(c, c->low + 1);
		c->at[c->low].i++;
	}
	return true;
}

/*
 * Go to the subtree or leaf item with the last key <= key, reading no more
 * than that needs: where a subtree begins with key, it is not entered.
 */
static enum err
go_to(struct cursor *c, struct bytes key, struct error *err)
{
	for (unsigned l = c->top; l > 0; l--) {
		struct step *s = &c->at[l];
		size_t i = index_le(s->node, key);
		enum err rc;

		if (l > c->low && s->i == i)
			continue;
		rise(c, l);
		s->i = i;
		if (bytes_cmp(key, key_at(s->node, i)) <= 0)
			return ERR_OK;
		rc = cursor_descend(c, err);
		if (rc != ERR_OK)
			return rc;
	}
	c->at[0].i = index_le(c->at[0].node, key);
	return ERR_OK;
}

enum err
cursor_seek(struct cursor *c, struct bytes key, struct error *err)
{
	const struct step *leaf = &c->at[0];
	enum err rc;

	rc = go_to(c, key, err);
	if (rc != ERR_OK)
		return rc;
	if (c->low == 0 && !through(leaf) &&
		bytes_cmp(key_at(leaf->node, leaf->i), key) < 0)
		c->at[0].i++;
	return ERR_OK;
}

enum err
cursor_seek_le(struct cursor *c, struct bytes key, struct error *err)
{
	return go_to(c, key, err);
}

enum err
cursor_peek(struct cursor *c, struct item *item, struct error *err)
{
	if (!settle(c)) {
		*item = (struct item){ .weight = 0 };
		return ERR_OK;
	}
	while (c->low > 0) {
		enum err rc = cursor_descend(c, err);

		if (rc != ERR_OK)
			return rc;
	}
	node_item(c->at[0].node, c->at[0].i, item);
	return ERR_OK;
}

enum err
cursor_next(struct cursor *c, struct item *item, struct error *err)
{
	enum err rc;

	rc = cursor_peek(c, item, err);
	if (rc == ERR_OK && item->key.data != NULL)
		c->at[0].i++;
	return rc;
}

enum err
cursor_find(struct cursor *c, struct bytes key, struct item *item, bool *found,
	struct error *err)
{
	struct item at;
	enum err rc;

	rc = cursor_seek(c, key, err);
	if (rc != ERR_OK)
		return rc;
	rc = cursor_peek(c, &at, err);
	if (rc != ERR_OK)
		return rc;
	*found = at.key.data != NULL && bytes_cmp(at.key, key) == 0;
	if (*found)
		*item = at;
	return ERR_OK;
}

void
cursor_place(struct cursor *c, struct place *p)
{
	unsigned l;

	*p = (struct place){ .level = -1, .level_max = -1 };
	if (!settle(c))
		return;
	p->key = key_at(c->at[c->low].node, c->at[c->low].i);
	p->level = p->level_max = (int)c->low - 1;
	for (l = c->low; l <= c->top && c->at[l].i == 0; l++)
		p->level_max = (int)l;
}

void
cursor_subtree(const struct cursor *c, unsigned level, struct child *child)
{
	const struct node *root = c->at[c->top].node;

	if (level < c->top) {
		node_child(c->at[level + 1].node, c->at[level + 1].i, child);
		return;
	}
	assert(level == c->top);
	*child = (struct child){ .id = c->root,
		.count = node_items_below(root),
		.weight = node_weight_below(root) };
	if (node_count(root) > 0)
		child->key = key_at(root, 0);
}

void
cursor_skip(struct cursor *c, unsigned level)
{
	if (level < c->top) {
		rise(c, level + 1);
		c->at[level + 1].i++;
		return;
	}
	rise(c, c->top);
	c->at[c->top].i = node_count(c->at[c->top].node);
}

/* Whether the rule closed the subtree of that level at the place, and all its
 * keys are below end: both show in the key that comes next. */
static bool
is_closed(const struct cursor *c, unsigned level, struct bytes end)
{
	struct bytes behind;

	return level < c->top && key_behind(c, level + 1, &behind) &&
	       (end.data == NULL || bytes_cmp(behind, end) <= 0);
}

enum err
cursor_take_below(struct cursor *c, unsigned level_max, struct bytes end,
	unsigned *level, struct child *child, bool *have, struct error *err)
{
	struct place p;
	enum err rc;

	*have = false;
	for (;;) {
		cursor_place(c, &p);
		if (p.key.data == NULL)
			return ERR_OK;
		if (p.level_max > (int)level_max)
			p.level_max = (int)level_max;
		for (int l = p.level_max; l >= 0 && l >= p.level; l--) {
			if (!is_closed(c, (unsigned)l, end))
				continue;
			cursor_subtree(c, (unsigned)l, child);
			cursor_skip(c, (unsigned)l);
			*level = (unsigned)l;
			*have = true;
			return ERR_OK;
		}
		if (p.level < 0)
			return ERR_OK;
		rc = cursor_descend(c, err);
		if (rc != ERR_OK)
			return rc;
	}
}

enum err
cursor_take(struct cursor *c, struct bytes end, unsigned *level,
	struct child *child, bool *have, struct error *err)
{
	return cursor_take_below(c, TREE_LEVELS_MAX - 1, end, level, child,
		have, err);
}
