/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builder: one open node per level.  A node that ends is stored and becomes
 * an item of the level above, which may end in turn.  Where a node ends
 * depends on nothing before its first item, so a whole subtree can be taken
 * over wherever the levels up to its own are at the beginning of a node.
 */
#include "tree/builder.h"

#include <assert.h>
#include <stdlib.h>

#include "tree/draft.h"

struct level {
	struct draft draft;
	uint64_t nodes; /* that ended, or were taken; 2 may mean more */
	struct id last; /* the last one of them */
};

struct builder {
	struct tree_io *io;
	enum tree_kind kind;
	struct buf head, body; /* of the node that is being stored */
	/* One above the highest: that holds the root's own description. */
	struct level levels[TREE_LEVELS_MAX + 1];
};

enum err
builder_new(struct builder **out, struct tree_io *io, enum tree_kind kind,
	struct error *err)
{
	struct builder *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a tree");
	b->io = io;
	b->kind = kind;
	b->head = BUF_INIT(NODE_MAX);
	b->body = BUF_INIT(NODE_MAX);
	for (unsigned l = 0; l <= TREE_LEVELS_MAX; l++)
		draft_init(&b->levels[l].draft, kind, l);
	*out = b;
	return ERR_OK;
}

void
builder_free(struct builder *b)
{
	if (b == NULL)
		return;
	for (unsigned l = 0; l <= TREE_LEVELS_MAX; l++)
		draft_fini(&b->levels[l].draft);
	buf_fini(&b->head);
	buf_fini(&b->body);
	free(b);
}

/* A node of that level is complete. */
static enum err
push(struct builder *b, unsigned level, const struct child *child,
	struct error *err)
{
	b->levels[level].nodes++;
	b->levels[level].last = child->id;
	return draft_put_child(&b->levels[level + 1].draft, child, err);
}

/* End the open node of a level, and store it. */
static enum err
end_node(struct builder *b, unsigned level, struct error *err)
{
	struct draft *d = &b->levels[level].draft;
	struct node_bytes bytes;
	struct child child;
	enum err rc;

	if (level == TREE_LEVELS_MAX)
		return err_set(err, ERR_CORRUPT,
			"a tree would get more than %d levels",
			TREE_LEVELS_MAX);
	rc = draft_encode(d, &b->head, &b->body, &bytes, err);
	if (rc != ERR_OK)
		return rc;
	rc = b->io->ops->put_node(b->io, &bytes, &child.id, err);
	if (rc != ERR_OK)
		return rc;
	child.key = (struct bytes){ d->first.data, d->first.len };
	child.count = d->count;
	child.weight = d->weight;
	rc = push(b, level, &child, err);
	if (rc != ERR_OK)
		return rc;
	draft_reset(d);
	return ERR_OK;
}

/* End what the rule ends, from a level that got an item upwards. */
static enum err
end_nodes(struct builder *b, unsigned level, struct error *err)
{
	while (draft_ended(&b->levels[level].draft, b->io->boundary)) {
		enum err rc = end_node(b, level, err);

		if (rc != ERR_OK)
			return rc;
		level++;
	}
	return ERR_OK;
}

enum err
builder_add(struct builder *b, const struct item *item, struct error *err)
{
	enum err rc;

	rc = draft_put_item(&b->levels[0].draft, item, err);
	if (rc != ERR_OK)
		return rc;
	return end_nodes(b, 0, err);
}

bool
builder_at_boundary(const struct builder *b, unsigned level)
{
	if (level >= TREE_LEVELS_MAX)
		return false;
	for (unsigned l = 0; l <= level; l++)
		if (b->levels[l].draft.n > 0)
			return false;
	return true;
}

enum err
builder_take(struct builder *b, unsigned level, const struct child *child,
	struct error *err)
{
	enum err rc;

	assert(builder_at_boundary(b, level));
	rc = draft_skip(&b->levels[0].draft, child->key, err);
	if (rc != ERR_OK)
		return rc;
	for (unsigned l = 0; l < level; l++)
		b->levels[l].nodes += 2;
	rc = push(b, level, child, err);
	if (rc != ERR_OK)
		return rc;
	return end_nodes(b, level + 1, err);
}

enum err
builder_finish(struct builder *b, struct tree_root *root, struct error *err)
{
	unsigned l = 0;

	for (;; l++) {
		struct level *at = &b->levels[l];

		if (at->draft.n > 0 || (l == 0 && at->nodes == 0)) {
			enum err rc = end_node(b, l, err);

			if (rc != ERR_OK)
				return rc;
		}
		if (at->nodes == 1)
			break;
	}
	root->id = b->levels[l].last;
	root->count = b->levels[l + 1].draft.count;
	root->weight = b->levels[l + 1].draft.weight;
	return ERR_OK;
}
