/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_cached: what a node refers to was put before it, or is of the previous
 * trees, from which whole subtrees may have been taken over unread.  Those are
 * followed here, each node once, without recursion.
 */
#include "tree/io_cached.h"

#include <string.h>

#include "tree/node.h"

enum { TODO_MAX = 64 << 20 };

static struct tree_io_cached *
to_cached(struct tree_io *io)
{
	return container_of(io, struct tree_io_cached, io);
}

static enum err
cached_get_node(struct tree_io *io, const struct id *id, struct buf *out,
	size_t *head_len, struct error *err)
{
	return nodecache_get(to_cached(io)->nodes, id, out, head_len, err);
}

static enum err
cached_get_data(struct tree_io *io, const struct id *id, struct buf *out,
	struct error *err)
{
	struct tree_io *inner = to_cached(io)->inner;

	return inner->ops->get_data(inner, id, out, err);
}

static enum err
cached_put_data(struct tree_io *io, const void *data, size_t len,
	struct ticket *t, struct error *err)
{
	struct tree_io *inner = to_cached(io)->inner;

	return inner->ops->put_data(inner, data, len, t, err);
}

static enum err
add_todo(void *arg, const struct ref *ref, struct error *err)
{
	struct tree_io_cached *t = arg;

	if (!ref->node || nodecache_keeps(t->nodes, &ref->id))
		return ERR_OK;
	return buf_put(&t->todo, ref->id.b, ID_LEN, err);
}

/* A leaf's references to nodes are to those of contents. */
static enum err
follow(struct tree_io_cached *t, const struct node_bytes *node,
	struct error *err)
{
	if (!t->extents && node_sort(node->body, node->body_len).level == 0)
		return ERR_OK;
	return node_each_ref(node->head, node->head_len, add_todo, t, err);
}

static enum err
carry(struct tree_io_cached *t, const struct id *id, struct error *err)
{
	struct node_bytes node;
	enum err rc;

	if (nodecache_keeps(t->nodes, id))
		return ERR_OK;
	if (!nodecache_carry(t->nodes, id))
		return err_set(err, ERR_NOTFOUND,
			"a node that is still needed is not in the local "
			"cache");
	buf_clear(&t->node);
	rc = nodecache_get(t->nodes, id, &t->node, &node.head_len, err);
	if (rc != ERR_OK)
		return rc;
	node.head = t->node.data;
	node.body = t->node.data + node.head_len;
	node.body_len = t->node.len - node.head_len;
	return follow(t, &node, err);
}

static enum err
carry_all(struct tree_io_cached *t, struct error *err)
{
	struct id id;
	enum err rc = ERR_OK;

	while (t->todo.len > 0 && rc == ERR_OK) {
		t->todo.len -= ID_LEN;
		memcpy(id.b, t->todo.data + t->todo.len, ID_LEN);
		rc = carry(t, &id, err);
	}
	return rc;
}

static void
keep(struct tree_io_cached *t, const struct id *id,
	const struct node_bytes *node)
{
	struct error why = ERROR_INIT;
	enum err rc;

	if (!t->extents &&
		node_sort(node->body, node->body_len).kind != TREE_ENTRIES)
		return;
	nodecache_keep(t->nodes, id, node);
	if (!nodecache_keeps(t->nodes, id))
		return;
	t->todo.len = 0;
	rc = follow(t, node, &why);
	if (rc == ERR_OK)
		rc = carry_all(t, &why);
	if (rc != ERR_OK)
		nodecache_give_up(t->nodes, &why);
}

static enum err
cached_put_node(struct tree_io *io, const struct node_bytes *node,
	struct id *id, struct error *err)
{
	struct tree_io_cached *t = to_cached(io);
	enum err rc = t->inner->ops->put_node(t->inner, node, id, err);

	if (rc == ERR_OK && !t->reads_only)
		keep(t, id, node);
	return rc;
}

static const struct tree_io_ops cached_ops = {
	.get_node = cached_get_node,
	.get_data = cached_get_data,
	.put_node = cached_put_node,
	.put_data = cached_put_data,
};

void
tree_io_cached_init(struct tree_io_cached *t, struct tree_io *inner,
	struct nodecache *nodes, bool extents, bool reads_only)
{
	*t = (struct tree_io_cached){
		.io = { .ops = &cached_ops, .boundary = inner->boundary },
		.inner = inner,
		.nodes = nodes,
		.extents = extents,
		.reads_only = reads_only,
		.todo = BUF_INIT(TODO_MAX),
		.node = BUF_INIT(2 * (size_t)NODE_MAX),
	};
}

void
tree_io_cached_fini(struct tree_io_cached *t)
{
	buf_fini(&t->todo);
	buf_wipe(&t->node);
}
