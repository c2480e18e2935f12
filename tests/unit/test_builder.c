/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/scale.h"
#include "tests/lib/tree_tools.h"

static struct error err;

static struct item
item_of(struct bytes key)
{
	return (struct item){ .key = key };
}

/* The oracle puts every node; what the builder puts must be there already. */
static void
tree_is_that_of_the_page(void **state)
{
	uint64_t rounds = test_scale(24);

	for (uint64_t seed = 1; seed <= rounds; seed++) {
		enum gen kind = (enum gen)(seed % GEN_KINDS);
		struct tree_io_mem *mem = NULL;
		struct child want;
		struct tree_root root;
		struct tree_set set;
		struct tree_io *io;
		unsigned height;
		struct prng p;

		prng_init(&p, seed);
		sure(tree_io_mem_new(&mem, &err));
		io = tree_io_mem_io(mem);
		tree_set_random(&set, &p,
			prng_below(&p, kind == GEN_PATHS ? 6000 : 400), kind);
		want = oracle_tree(io, TREE_ENTRIES, set.v, set.n, &height);
		root = tools_build(io, &set);
		print_message("seed %lu: %zu items, height %u\n",
			(unsigned long)seed, set.n, height);
		assert_true(id_eq(&root.id, &want.id));
		assert_int_equal(root.count, set.n);
		assert_int_equal(root.weight, want.weight);
		assert_int_equal(tools_height(io, &root.id), height);
		tree_set_fini(&set);
		tree_io_mem_free(mem);
	}
}

/* A key above the last one whose hash would end a node behind an item of that
 * size, or would not. */
static void
find_key(struct tree_io *io, uint8_t key[8], uint64_t size, bool ends)
{
	for (;;) {
		struct bytes b = { key, 8 };

		for (size_t i = 8; ++key[--i] == 0;)
			;
		if (oracle_ends(io, 0, &b, size, NODE_CUT_MIN, 1) == ends)
			return;
	}
}

/* n items of that size in one node, the last one with a key that ends it if
 * it may, the others with keys that do not; whether it ended. */
static bool
ended(struct tree_io *io, size_t n, uint64_t size, bool hit)
{
	uint8_t val[NODE_CUT_MIN] = { 0 }, key[8] = { 0 };
	struct item item = { .key = { key, sizeof(key) },
		.val = { val, size - 32 - sizeof(key) } };
	struct builder *b = NULL;
	bool at_boundary;

	sure(builder_new(&b, io, TREE_ENTRIES, &err));
	for (size_t i = 0; i < n; i++) {
		assert_true(i == 0 || !builder_at_boundary(b, 0));
		find_key(io, key, size, hit && i + 1 == n);
		sure(builder_add(b, &item, &err));
	}
	at_boundary = builder_at_boundary(b, 0);
	builder_free(b);
	return at_boundary;
}

static void
boundaries_are_exact(void **state)
{
	const size_t most = NODE_CUT_MAX / NODE_CUT_MIN;
	struct tree_io_mem *mem = NULL;
	struct tree_io *io;

	sure(tree_io_mem_new(&mem, &err));
	io = tree_io_mem_io(mem);
	assert_true(ended(io, 1, NODE_CUT_MIN, true));
	assert_false(ended(io, 1, NODE_CUT_MIN - 1, true));
	assert_false(ended(io, 1, NODE_CUT_MIN, false));
	assert_true(ended(io, 2, NODE_CUT_MIN / 2, true));
	assert_true(ended(io, most, NODE_CUT_MIN, false));
	assert_false(ended(io, most, NODE_CUT_MIN - 1, false));
	assert_true(ended(io, most + 1, NODE_CUT_MIN - 1, false));
	tree_io_mem_free(mem);
}

static void
empty_tree_is_one_leaf(void **state)
{
	static const uint8_t bytes[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0 };
	struct tree_set none = { .n = 0 };
	struct buf out = BUF_INIT(100);
	struct tree_io_mem *mem = NULL;
	struct tree_root root;
	size_t head_len;

	sure(tree_io_mem_new(&mem, &err));
	root = tools_build(tree_io_mem_io(mem), &none);
	assert_int_equal(root.count, 0);
	assert_int_equal(root.weight, 0);
	sure(tree_io_mem_io(mem)->ops->get_node(tree_io_mem_io(mem), &root.id,
		&out, &head_len, &err));
	assert_int_equal(head_len, 8);
	assert_int_equal(out.len, sizeof(bytes));
	assert_memory_equal(out.data, bytes, sizeof(bytes));
	buf_fini(&out);
	tree_io_mem_free(mem);
}

static void
keys_must_ascend(void **state)
{
	static const char *const bad[][2] = { { "b", "a" }, { "b", "b" },
		{ "ab", "a" }, { "b", "" }, { "", "" }, { "bc", "bb" } };
	static const char *const good[][2] = { { "", "a" }, { "a", "ab" },
		{ "ab", "b" }, { "a", "b" } };
	struct tree_io_mem *mem = NULL;

	sure(tree_io_mem_new(&mem, &err));
	for (size_t i = 0; i < ARRAY_LEN(bad) + ARRAY_LEN(good); i++) {
		bool is_bad = i < ARRAY_LEN(bad);
		const char *const *pair =
			is_bad ? bad[i] : good[i - ARRAY_LEN(bad)];
		struct item one = item_of(text_key(pair[0]));
		struct item two = item_of(text_key(pair[1]));
		struct builder *b = NULL;

		sure(builder_new(&b, tree_io_mem_io(mem), TREE_ENTRIES, &err));
		assert_int_equal(builder_add(b, &one, &err), ERR_OK);
		assert_int_equal(builder_add(b, &two, &err),
			is_bad ? ERR_CORRUPT : ERR_OK);
		builder_free(b);
	}
	tree_io_mem_free(mem);
}

/* Also across the end of a node, where no prefix is shared any more. */
static void
keys_must_ascend_over_nodes(void **state)
{
	uint8_t val[VALUE_MAX] = { 0 };
	struct item one = item_of(text_key("m"));
	struct item two = item_of(text_key("l"));
	struct tree_io_mem *mem = NULL;
	struct builder *b = NULL;

	one.val = (struct bytes){ val, sizeof(val) };
	sure(tree_io_mem_new(&mem, &err));
	sure(builder_new(&b, tree_io_mem_io(mem), TREE_ENTRIES, &err));
	assert_int_equal(builder_add(b, &one, &err), ERR_OK);
	assert_true(builder_at_boundary(b, 0));
	assert_int_equal(builder_add(b, &two, &err), ERR_CORRUPT);
	builder_free(b);
	tree_io_mem_free(mem);
}

static void
limits_are_refused(void **state)
{
	uint8_t *big = calloc(1, VALUE_MAX + 1);
	struct ref *refs = calloc(REFS_MAX + 1, sizeof(*refs));
	struct tree_io_mem *mem = NULL;

	assert_non_null(big);
	assert_non_null(refs);
	sure(tree_io_mem_new(&mem, &err));
	for (int i = 0; i < 4; i++) {
		struct item item = { .key = { big, KEY_MAX },
			.val = { big, VALUE_MAX },
			.refs = refs,
			.n_refs = REFS_MAX };
		struct builder *b = NULL;

		item.key.len += i == 1;
		item.val.len += i == 2;
		item.n_refs += i == 3;
		sure(builder_new(&b, tree_io_mem_io(mem), TREE_ENTRIES, &err));
		assert_int_equal(builder_add(b, &item, &err),
			i == 0 ? ERR_OK : ERR_USAGE);
		builder_free(b);
	}
	free(big);
	free(refs);
	tree_io_mem_free(mem);
}

/* The largest number of different references, nodes among them, and again in
 * the next item; with ids that somebody chose so that they are alike. */
static void
many_references_come_back(void **state)
{
	struct tree_io_mem *mem = NULL;
	struct cursor *c = NULL;
	struct tree_root root;
	struct tree_set set = { .n = 0 };
	struct ref *refs = calloc(REFS_MAX, sizeof(*refs));
	struct item item;

	assert_non_null(refs);
	for (uint32_t i = 0; i < REFS_MAX; i++) {
		memcpy(refs[i].id.b + 4, &i, sizeof(i));
		refs[i].node = i % 3 == 0;
	}
	item = (struct item){ .key = text_key("a"),
		.refs = refs,
		.n_refs = REFS_MAX };
	tree_set_push(&set, gen_dup(&item));
	item.key = text_key("b");
	tree_set_push(&set, gen_dup(&item));
	sure(tree_io_mem_new(&mem, &err));
	root = tools_build(tree_io_mem_io(mem), &set);
	sure(cursor_open(&c, tree_io_mem_io(mem), TREE_ENTRIES, &root.id,
		&err));
	for (size_t i = 0; i < set.n; i++) {
		sure(cursor_next(c, &item, &err));
		assert_true(gen_item_eq(&item, &set.v[i]));
	}
	cursor_close(c);
	tree_set_fini(&set);
	free(refs);
	tree_io_mem_free(mem);
}

/* Every key ends a node on every level; yet the levels must become fewer. */
static void
long_keys_make_low_trees(void **state)
{
	struct tree_io_mem *mem = NULL;
	struct tree_set set = { .n = 0 };
	struct tree_root root;
	uint8_t key[60000];

	memset(key, 'k', sizeof(key));
	for (uint32_t i = 0; i < 300; i++) {
		struct item item = item_of((struct bytes){ key, sizeof(key) });

		key[50000] = (uint8_t)(i / 256);
		key[50001] = (uint8_t)i;
		tree_set_push(&set, gen_dup(&item));
	}
	sure(tree_io_mem_new(&mem, &err));
	root = tools_build(tree_io_mem_io(mem), &set);
	assert_int_equal(root.count, set.n);
	assert_true(tools_height(tree_io_mem_io(mem), &root.id) <= 10);
	tree_set_fini(&set);
	tree_io_mem_free(mem);
}

/* Weights whose sum is beyond 64 bits. */
static void
weights_saturate(void **state)
{
	struct tree_io_mem *mem = NULL;
	struct tree_set set = { .n = 0 };
	struct cursor *c = NULL;
	struct tree_root root;
	uint8_t val[9000] = { 0 };
	struct item got;
	size_t n = 0;

	for (uint8_t i = 0; i < 40; i++) {
		struct item item = { .key = { &i, 1 },
			.val = { val, sizeof(val) },
			.weight = INT64_MAX };

		tree_set_push(&set, gen_dup(&item));
	}
	sure(tree_io_mem_new(&mem, &err));
	root = tools_build(tree_io_mem_io(mem), &set);
	assert_true(root.weight == UINT64_MAX);
	sure(cursor_open(&c, tree_io_mem_io(mem), TREE_ENTRIES, &root.id,
		&err));
	assert_true(cursor_total_weight(c) == UINT64_MAX);
	for (;; n++) {
		assert_int_equal(cursor_next(c, &got, &err), ERR_OK);
		if (got.key.data == NULL)
			break;
		assert_int_equal(got.weight, INT64_MAX);
	}
	assert_int_equal(n, set.n);
	cursor_close(c);
	tree_set_fini(&set);
	tree_io_mem_free(mem);
}

/* An io whose nth put fails. */
struct failing {
	struct tree_io io;
	struct tree_io *below;
	uint64_t left;
};

static enum err
failing_put(struct tree_io *io, const struct node_bytes *node, struct id *id,
	struct error *e)
{
	struct failing *f = container_of(io, struct failing, io);

	if (f->left == 0)
		return err_set(e, ERR_NOSPACE, "full");
	f->left--;
	return f->below->ops->put_node(f->below, node, id, e);
}

static enum err
try_build(struct tree_io *io, const struct tree_set *set)
{
	struct builder *b = NULL;
	struct tree_root root;
	enum err rc;

	sure(builder_new(&b, io, TREE_ENTRIES, &err));
	rc = ERR_OK;
	for (size_t i = 0; rc == ERR_OK && i < set->n; i++)
		rc = builder_add(b, &set->v[i], &err);
	if (rc == ERR_OK)
		rc = builder_finish(b, &root, &err);
	builder_free(b);
	return rc;
}

static void
any_put_may_fail(void **state)
{
	static const struct tree_io_ops ops = { .put_node = failing_put };
	struct tree_io_mem *mem = NULL;
	struct failing f;
	struct tree_set set;
	struct prng p;
	uint64_t puts;

	prng_init(&p, 9);
	sure(tree_io_mem_new(&mem, &err));
	tree_set_random(&set, &p, 3000, GEN_PATHS);
	tools_build(tree_io_mem_io(mem), &set);
	puts = tools_puts(mem);
	assert_true(puts > 5);
	for (uint64_t i = 0; i <= puts; i++) {
		f = (struct failing){ .below = tree_io_mem_io(mem), .left = i };
		f.io = (struct tree_io){ &ops, f.below->boundary };
		assert_int_equal(try_build(&f.io, &set),
			i < puts ? ERR_NOSPACE : ERR_OK);
	}
	tree_set_fini(&set);
	tree_io_mem_free(mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tree_is_that_of_the_page),
		cmocka_unit_test(boundaries_are_exact),
		cmocka_unit_test(empty_tree_is_one_leaf),
		cmocka_unit_test(keys_must_ascend),
		cmocka_unit_test(keys_must_ascend_over_nodes),
		cmocka_unit_test(limits_are_refused),
		cmocka_unit_test(many_references_come_back),
		cmocka_unit_test(long_keys_make_low_trees),
		cmocka_unit_test(weights_saturate),
		cmocka_unit_test(any_put_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
