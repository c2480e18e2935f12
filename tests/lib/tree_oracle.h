/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree_oracle: trees once more, written from docs/format.md, section 8, in
 * the plainest way: all items at hand, one level after the other.
 */
#ifndef TESTS_LIB_TREE_ORACLE_H
#define TESTS_LIB_TREE_ORACLE_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "codec/shorthash.h"
#include "tree/io.h"
#include "tree/node.h"

struct oracle_node {
	struct buf head, body;
};

/* What cannot fail in a test. */
static inline void
sure(enum err rc)
{
	if (rc == ERR_OK)
		return;
	(void)fprintf(stderr, "error: %s\n", err_name(rc));
	abort();
}

static inline void
oracle_node_init(struct oracle_node *n)
{
	buf_init(&n->head, NODE_MAX);
	buf_init(&n->body, NODE_MAX);
}

static inline void
oracle_node_fini(struct oracle_node *n)
{
	buf_fini(&n->head);
	buf_fini(&n->body);
}

static inline void
oracle_key(struct buf *body, const struct bytes *key, const struct bytes *prev)
{
	struct error err;
	size_t shared = 0;

	while (prev != NULL && shared < key->len && shared < prev->len &&
		key->data[shared] == prev->data[shared])
		shared++;
	sure(buf_put_varint(body, shared, &err));
	sure(buf_put_varint(body, key->len - shared, &err));
	for (size_t i = shared; i < key->len; i++)
		sure(buf_put_u8(body, key->data[i], &err));
}

static inline void
oracle_start(struct oracle_node *n, unsigned level, unsigned kind, size_t items)
{
	struct error err;

	buf_clear(&n->head);
	buf_clear(&n->body);
	sure(buf_put_u8(&n->body, (uint8_t)level, &err));
	sure(buf_put_u8(&n->body, (uint8_t)kind, &err));
	sure(buf_put_varint(&n->body, items, &err));
}

/* All different references of the items of one sort, in order of first use. */
static inline size_t
oracle_refs(const struct item *items, size_t n, bool nodes, struct id **out)
{
	size_t max = 0, have = 0;

	for (size_t i = 0; i < n; i++)
		max += items[i].n_refs;
	*out = malloc((max + 1) * sizeof(**out));
	assert(*out != NULL);
	for (size_t i = 0; i < n; i++)
		for (size_t r = 0; r < items[i].n_refs; r++) {
			const struct ref *ref = &items[i].refs[r];
			size_t k = 0;

			if (ref->node != nodes)
				continue;
			while (k < have && !id_eq(&(*out)[k], &ref->id))
				k++;
			if (k == have)
				(*out)[have++] = ref->id;
		}
	return have;
}

static inline size_t
oracle_number(const struct ref *ref, const struct id *nodes, size_t n_nodes,
	const struct id *data)
{
	size_t i = 0;

	if (ref->node) {
		while (!id_eq(&nodes[i], &ref->id))
			i++;
		return i;
	}
	while (!id_eq(&data[i], &ref->id))
		i++;
	return n_nodes + i;
}

static inline void
oracle_leaf(struct oracle_node *n, unsigned kind, const struct item *items,
	size_t count)
{
	struct id *nodes, *data;
	size_t n_nodes = oracle_refs(items, count, true, &nodes);
	size_t n_data = oracle_refs(items, count, false, &data);
	struct error err;

	oracle_start(n, 0, kind, count);
	sure(buf_put_u32(&n->head, (uint32_t)n_nodes, &err));
	sure(buf_put_u32(&n->head, (uint32_t)n_data, &err));
	sure(buf_put(&n->head, nodes, n_nodes * ID_LEN, &err));
	sure(buf_put(&n->head, data, n_data * ID_LEN, &err));
	for (size_t i = 0; i < count; i++) {
		const struct item *it = &items[i];

		oracle_key(&n->body, &it->key,
			i > 0 ? &items[i - 1].key : NULL);
		sure(buf_put_varint(&n->body, it->n_refs, &err));
		for (size_t r = 0; r < it->n_refs; r++)
			sure(buf_put_varint(&n->body,
				oracle_number(&it->refs[r], nodes, n_nodes,
					data),
				&err));
		sure(buf_put_bytes(&n->body, it->val.data, it->val.len, &err));
		sure(buf_put_varint(&n->body, it->weight, &err));
	}
	free(nodes);
	free(data);
}

static inline void
oracle_inner(struct oracle_node *n, unsigned level, unsigned kind,
	const struct child *children, size_t count)
{
	struct error err;

	oracle_start(n, level, kind, count);
	sure(buf_put_u32(&n->head, (uint32_t)count, &err));
	sure(buf_put_u32(&n->head, 0, &err));
	for (size_t i = 0; i < count; i++) {
		const struct child *c = &children[i];

		sure(buf_put(&n->head, c->id.b, ID_LEN, &err));
		oracle_key(&n->body, &c->key,
			i > 0 ? &children[i - 1].key : NULL);
		sure(buf_put_varint(&n->body, c->count, &err));
		sure(buf_put_varint(&n->body, c->weight, &err));
	}
}

static inline struct id
oracle_put(struct tree_io *io, const struct oracle_node *n)
{
	struct node_bytes bytes = { n->head.data, n->head.len, n->body.data,
		n->body.len };
	struct error err;
	struct id id;

	sure(io->ops->put_node(io, &bytes, &id, &err));
	return id;
}

/* Whether a node ends behind an item of this size, the sum being what the
 * node has with it. */
static inline bool
oracle_ends(const struct tree_io *io, unsigned level, const struct bytes *key,
	uint64_t size, uint64_t sum, size_t count)
{
	uint8_t *in = malloc(1 + key->len);
	unsigned __int128 below = ((unsigned __int128)1 << 64) / 32768 * size;
	uint64_t s;

	assert(in != NULL);
	in[0] = (uint8_t)level;
	if (key->len > 0)
		memcpy(in + 1, key->data, key->len);
	s = shorthash(io->boundary, in, 1 + key->len);
	free(in);
	if (level > 0 && count < 2)
		return false;
	return (sum >= 8192 && s < below) || sum >= 131072;
}

/* The nodes of one level; *n_out of them. */
static inline struct child *
oracle_leaves(struct tree_io *io, unsigned kind, const struct item *v, size_t n,
	size_t *n_out)
{
	struct child *out = calloc(n + 1, sizeof(*out));
	struct oracle_node node;
	size_t from = 0, have = 0;
	uint64_t sum = 0;

	assert(out != NULL);
	oracle_node_init(&node);
	for (size_t i = 0; i < n; i++) {
		uint64_t size =
			32 + v[i].key.len + v[i].val.len + 32 * v[i].n_refs;

		sum += size;
		out[have].count++;
		if (__builtin_add_overflow(out[have].weight, v[i].weight,
			    &out[have].weight))
			out[have].weight = UINT64_MAX;
		if (i + 1 < n &&
			!oracle_ends(io, 0, &v[i].key, size, sum, i + 1 - from))
			continue;
		oracle_leaf(&node, kind, v + from, i + 1 - from);
		out[have].key = v[from].key;
		out[have++].id = oracle_put(io, &node);
		from = i + 1;
		sum = 0;
	}
	if (n == 0) {
		oracle_leaf(&node, kind, v, 0);
		out[have++].id = oracle_put(io, &node);
	}
	oracle_node_fini(&node);
	*n_out = have;
	return out;
}

static inline struct child *
oracle_level(struct tree_io *io, unsigned kind, unsigned level,
	const struct child *v, size_t n, size_t *n_out)
{
	struct child *out = calloc(n + 1, sizeof(*out));
	struct oracle_node node;
	size_t from = 0, have = 0;
	uint64_t sum = 0;

	assert(out != NULL);
	oracle_node_init(&node);
	for (size_t i = 0; i < n; i++) {
		uint64_t size = 64 + v[i].key.len;

		sum += size;
		out[have].count += v[i].count;
		if (__builtin_add_overflow(out[have].weight, v[i].weight,
			    &out[have].weight))
			out[have].weight = UINT64_MAX;
		if (i + 1 < n && !oracle_ends(io, level, &v[i].key, size, sum,
					 i + 1 - from))
			continue;
		oracle_inner(&node, level, kind, v + from, i + 1 - from);
		out[have].key = v[from].key;
		out[have++].id = oracle_put(io, &node);
		from = i + 1;
		sum = 0;
	}
	oracle_node_fini(&node);
	*n_out = have;
	return out;
}

/* The root of the tree of n sorted items, and its height. */
static inline struct child
oracle_tree(struct tree_io *io, unsigned kind, const struct item *items,
	size_t n, unsigned *height)
{
	struct child *level, root;
	size_t have;

	level = oracle_leaves(io, kind, items, n, &have);
	for (*height = 1; have > 1; (*height)++) {
		struct child *up =
			oracle_level(io, kind, *height, level, have, &have);

		free(level);
		level = up;
	}
	root = level[0];
	free(level);
	return root;
}

#endif /* TESTS_LIB_TREE_ORACLE_H */
