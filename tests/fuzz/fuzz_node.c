/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: the length of the head in two bytes, the head, the body.  What is
 * accepted keeps what node.h promises; the items of a leaf make a tree, and
 * come back from it as they were.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/path.h"
#include "tree/builder.h"
#include "tree/cursor.h"

enum { LENGTH = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What must not fail. */
static void
must(enum err rc)
{
	if (rc != ERR_OK)
		abort();
}

static void
same_bytes(struct bytes a, struct bytes b)
{
	assert(a.len == b.len);
	assert(a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void
same_item(const struct item *a, const struct item *b)
{
	same_bytes(a->key, b->key);
	same_bytes(a->val, b->val);
	assert(a->weight == b->weight && a->n_refs == b->n_refs);
	for (size_t i = 0; i < a->n_refs; i++)
		assert(a->refs[i].node == b->refs[i].node &&
			id_eq(&a->refs[i].id, &b->refs[i].id));
}

static void
rebuild(const struct node *n)
{
	struct tree_io_mem *mem = NULL;
	struct builder *b = NULL;
	struct cursor *c = NULL;
	struct tree_root root;
	struct item item, back;
	struct error err;

	must(tree_io_mem_new(&mem, &err));
	must(builder_new(&b, tree_io_mem_io(mem), node_kind(n), &err));
	for (size_t i = 0; i < node_count(n); i++) {
		node_item(n, i, &item);
		must(builder_add(b, &item, &err));
	}
	must(builder_finish(b, &root, &err));
	assert(root.count == node_count(n));
	assert(root.weight == node_weight_below(n));
	must(cursor_open(&c, tree_io_mem_io(mem), node_kind(n), &root.id,
		&err));
	for (size_t i = 0; i < node_count(n); i++) {
		node_item(n, i, &item);
		must(cursor_next(c, &back, &err));
		same_item(&item, &back);
	}
	must(cursor_next(c, &back, &err));
	assert(back.key.data == NULL);
	cursor_close(c);
	builder_free(b);
	tree_io_mem_free(mem);
}

static void
walk_inner(const struct node *n)
{
	struct child child, before = { .count = 0 };
	uint64_t count = 0;

	assert(node_count(n) > 0);
	for (size_t i = 0; i < node_count(n); i++) {
		node_child(n, i, &child);
		assert(i == 0 || key_cmp(before.key.data, before.key.len,
					 child.key.data, child.key.len) < 0);
		assert(node_lower_bound(n, child.key) == i);
		count += child.count;
		before = child;
	}
	assert(count == node_items_below(n));
}

static enum err
count_ref(void *arg, const struct ref *ref, struct error *err)
{
	size_t *n = arg;

	++*n;
	return ERR_OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct node *n = NULL;
	struct error err;
	size_t head_len, refs = 0;

	if (len < LENGTH)
		return 0;
	head_len = (size_t)(data[0] | data[1] << 8);
	if (node_decode(&n, data + LENGTH, len - LENGTH, head_len, &err) !=
		ERR_OK) {
		assert(err.code == ERR_CORRUPT);
		return 0;
	}
	must(node_each_ref(data + LENGTH, head_len, count_ref, &refs, &err));
	assert(node_level(n) == 0 || refs == node_count(n));
	if (node_level(n) == 0)
		rebuild(n);
	else
		walk_inner(n);
	node_free(n);
	return 0;
}
