/* SPDX-License-Identifier: Apache-2.0 */
/* tree_tools: what the tests of trees do again and again. */
#ifndef TESTS_LIB_TREE_TOOLS_H
#define TESTS_LIB_TREE_TOOLS_H

#include "tests/lib/tree_gen.h"
#include "tests/lib/tree_oracle.h"
#include "tree/builder.h"
#include "tree/cursor.h"

static inline struct bytes
text_key(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static inline struct tree_root
tools_build(struct tree_io *io, const struct tree_set *s)
{
	struct builder *b = NULL;
	struct tree_root root;
	struct error err;

	sure(builder_new(&b, io, TREE_ENTRIES, &err));
	for (size_t i = 0; i < s->n; i++)
		sure(builder_add(b, &s->v[i], &err));
	sure(builder_finish(b, &root, &err));
	builder_free(b);
	return root;
}

struct tools_ids {
	struct id *v;
	size_t n, cap;
};

static inline int
tools_id_cmp(const void *a, const void *b)
{
	return id_cmp(a, b);
}

static inline void
tools_push(struct tools_ids *ids, const struct id *id)
{
	if (ids->n == ids->cap) {
		ids->cap = ids->cap == 0 ? 64 : 2 * ids->cap;
		ids->v = realloc(ids->v, ids->cap * sizeof(*ids->v));
		assert(ids->v != NULL);
	}
	ids->v[ids->n++] = *id;
}

static inline struct node *
tools_node(struct tree_io *io, const struct id *id)
{
	struct buf buf = BUF_INIT(2 * (size_t)NODE_MAX);
	struct node *n = NULL;
	size_t head_len;
	struct error err;

	sure(io->ops->get_node(io, id, &buf, &head_len, &err));
	sure(node_decode(&n, buf.data, buf.len, head_len, &err));
	buf_fini(&buf);
	return n;
}

/* All nodes of a tree, sorted by id. */
static inline struct tools_ids
tools_nodes(struct tree_io *io, const struct id *root)
{
	struct tools_ids ids = { .n = 0 };

	tools_push(&ids, root);
	for (size_t done = 0; done < ids.n; done++) {
		struct node *n = tools_node(io, &ids.v[done]);

		for (size_t i = 0; node_level(n) > 0 && i < node_count(n);
			i++) {
			struct child child;

			node_child(n, i, &child);
			tools_push(&ids, &child.id);
		}
		node_free(n);
	}
	qsort(ids.v, ids.n, sizeof(*ids.v), tools_id_cmp);
	return ids;
}

/* How many of a are not in b. */
static inline size_t
tools_only(const struct tools_ids *a, const struct tools_ids *b)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n; i++)
		if (bsearch(&a->v[i], b->v, b->n, sizeof(*b->v),
			    tools_id_cmp) == NULL)
			n++;
	return n;
}

static inline unsigned
tools_height(struct tree_io *io, const struct id *root)
{
	struct node *n = tools_node(io, root);
	unsigned height = node_level(n) + 1;

	node_free(n);
	return height;
}

static inline uint64_t
tools_gets(struct tree_io_mem *m)
{
	return tree_io_mem_count(m).node_get;
}

static inline uint64_t
tools_puts(struct tree_io_mem *m)
{
	return tree_io_mem_count(m).node_put;
}

#endif /* TESTS_LIB_TREE_TOOLS_H */
