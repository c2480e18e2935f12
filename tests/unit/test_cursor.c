/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/scale.h"
#include "tests/lib/tree_tools.h"

static struct error err;

struct fixture {
	struct tree_io_mem *mem;
	struct tree_io *io;
	struct tree_set set;
	struct tree_root root;
	struct cursor *c;
};

static void
fixture_init(struct fixture *f, struct prng *p, size_t n, enum gen kind)
{
	f->mem = NULL;
	f->c = NULL;
	sure(tree_io_mem_new(&f->mem, &err));
	f->io = tree_io_mem_io(f->mem);
	tree_set_random(&f->set, p, n, kind);
	f->root = tools_build(f->io, &f->set);
	sure(cursor_open(&f->c, f->io, TREE_ENTRIES, &f->root.id, &err));
}

static void
fixture_fini(struct fixture *f)
{
	cursor_close(f->c);
	tree_set_fini(&f->set);
	tree_io_mem_free(f->mem);
}

/* The cursor gives item i of the set next. */
static void
next_is(struct fixture *f, size_t i)
{
	struct item peeked, item;

	assert_int_equal(cursor_peek(f->c, &peeked, &err), ERR_OK);
	assert_int_equal(cursor_next(f->c, &item, &err), ERR_OK);
	if (i >= f->set.n) {
		assert_null(peeked.key.data);
		assert_null(item.key.data);
		return;
	}
	assert_non_null(item.key.data);
	assert_ptr_equal(item.key.data, peeked.key.data);
	assert_true(gen_item_eq(&item, &f->set.v[i]));
}

static void
all_items_in_order(void **state)
{
	uint64_t rounds = test_scale(30);

	for (uint64_t seed = 1; seed <= rounds; seed++) {
		struct fixture f;
		struct prng p;

		print_message("seed %lu\n", (unsigned long)seed);
		prng_init(&p, seed);
		fixture_init(&f, &p, prng_below(&p, 800),
			(enum gen)(seed % GEN_KINDS));
		assert_int_equal(cursor_total_items(f.c), f.set.n);
		assert_int_equal(cursor_total_weight(f.c), f.root.weight);
		for (size_t i = 0; i < f.set.n + 2; i++)
			next_is(&f, i);
		fixture_fini(&f);
	}
}

/* A key of the set, one right behind or before it, or any other. */
static struct bytes
some_key(struct fixture *f, struct prng *p, enum gen kind)
{
	uint8_t *key = gen_alloc(KEY_MAX);
	uint64_t dice = prng_below(p, 4);
	struct item any;
	size_t len;

	if (f->set.n == 0 || dice == 0)
		any = gen_item(p, kind);
	else
		any = gen_dup(&f->set.v[prng_below(p, f->set.n)]);
	len = any.key.len;
	memset(key, 0, KEY_MAX);
	memcpy(key, any.key.data, len);
	gen_item_free(&any);
	if (dice == 2 && len < KEY_MAX)
		len++;
	if (dice == 3 && len > 0)
		len--;
	return (struct bytes){ key, len };
}

static void
check_seek(struct fixture *f, struct bytes key)
{
	size_t i = tree_set_lower(&f->set, key);
	bool exact = i < f->set.n &&
		     key_cmp(f->set.v[i].key.data, f->set.v[i].key.len,
			     key.data, key.len) == 0;
	struct item item;
	bool found;

	assert_int_equal(cursor_seek(f->c, key, &err), ERR_OK);
	next_is(f, i);
	next_is(f, i + 1);
	assert_int_equal(cursor_seek_le(f->c, key, &err), ERR_OK);
	next_is(f, exact || i == 0 ? i : i - 1);
	assert_int_equal(cursor_find(f->c, key, &item, &found, &err), ERR_OK);
	assert_int_equal(found, exact);
	if (exact)
		assert_true(gen_item_eq(&item, &f->set.v[i]));
	else
		next_is(f, i);
}

static void
seek_is_that_of_a_sorted_array(void **state)
{
	uint64_t rounds = test_scale(20);

	for (uint64_t seed = 1; seed <= rounds; seed++) {
		enum gen kind = (enum gen)(seed % GEN_KINDS);
		struct fixture f;
		struct prng p;

		print_message("seed %lu\n", (unsigned long)seed);
		prng_init(&p, seed);
		fixture_init(&f, &p, prng_below(&p, 1500), kind);
		for (unsigned i = 0; i < 300; i++) {
			struct bytes key = some_key(&f, &p, kind);

			check_seek(&f, key);
			gen_free_const(key.data);
		}
		fixture_fini(&f);
	}
}

static void
seek_costs_the_height(void **state)
{
	struct fixture f;
	struct prng p;
	unsigned height;

	prng_init(&p, 1);
	fixture_init(&f, &p, 20000, GEN_PATHS);
	height = tools_height(f.io, &f.root.id);
	assert_true(height >= 2);
	for (unsigned i = 0; i < 1000; i++) {
		const struct item *it = &f.set.v[prng_below(&p, f.set.n)];
		uint64_t before = tools_gets(f.mem);
		struct item item;
		bool found;

		sure(cursor_find(f.c, it->key, &item, &found, &err));
		assert_true(found);
		assert_true(tools_gets(f.mem) - before <= height - 1);
		/* A second time it is all there. */
		before = tools_gets(f.mem);
		sure(cursor_find(f.c, it->key, &item, &found, &err));
		assert_int_equal(tools_gets(f.mem), before);
	}
	fixture_fini(&f);
}

/* One pass that takes what can be taken and steps over the rest. */
static void
take_pass(struct fixture *f, struct prng *p)
{
	size_t at = 0, taken = 0, end_at = f->set.n;
	struct bytes end = { NULL, 0 };

	if (f->set.n > 0 && prng_below(p, 4) > 0) {
		end_at = prng_below(p, f->set.n);
		end = f->set.v[end_at].key;
	}
	if (f->set.n > 0)
		at = prng_below(p, end_at + 1);
	sure(cursor_seek(f->c,
		at < f->set.n ? f->set.v[at].key : text_key("\xff"), &err));
	while (at < end_at) {
		struct child child;
		unsigned level;
		bool have;

		assert_int_equal(cursor_take(f->c, end, &level, &child, &have,
					 &err),
			ERR_OK);
		if (!have) {
			next_is(f, at++);
			continue;
		}
		assert_int_equal(tools_height(f->io, &child.id), level + 1);
		assert_int_equal(key_cmp(child.key.data, child.key.len,
					 f->set.v[at].key.data,
					 f->set.v[at].key.len),
			0);
		at += child.count;
		taken++;
		/* Never the last of a level. */
		assert_true(at <= end_at && at < f->set.n);
	}
	next_is(f, at);
	print_message("%zu of %zu items: %zu subtrees taken\n", end_at,
		f->set.n, taken);
}

static void
taken_subtrees_are_aligned(void **state)
{
	uint64_t rounds = test_scale(60);

	for (uint64_t seed = 1; seed <= rounds; seed++) {
		struct fixture f;
		struct prng p;

		print_message("seed %lu: ", (unsigned long)seed);
		prng_init(&p, seed);
		fixture_init(&f, &p, prng_below(&p, 3000),
			(enum gen)(seed % GEN_KINDS));
		take_pass(&f, &p);
		fixture_fini(&f);
	}
}

/* From the beginning and without an end, all of a large tree but its last
 * nodes can be taken, without reading a leaf of it. */
static void
taking_reads_little(void **state)
{
	struct fixture f;
	struct prng p;
	struct bytes end = { NULL, 0 };
	uint64_t before, items = 0;
	bool have = true;

	prng_init(&p, 2);
	fixture_init(&f, &p, 20000, GEN_PATHS);
	before = tools_gets(f.mem);
	while (have) {
		struct child child;
		unsigned level;

		sure(cursor_take(f.c, end, &level, &child, &have, &err));
		if (have)
			items += child.count;
	}
	assert_true(items > f.set.n * 9 / 10);
	assert_true(
		tools_gets(f.mem) - before < tools_height(f.io, &f.root.id));
	fixture_fini(&f);
}

/* An end exactly where a subtree ends does not break it. */
static void
taking_goes_to_the_end(void **state)
{
	struct child first, second, child;
	unsigned level = 0;
	struct node *root;
	struct fixture f;
	struct prng p;
	bool have;

	prng_init(&p, 3);
	fixture_init(&f, &p, 20000, GEN_PATHS);
	root = tools_node(f.io, &f.root.id);
	node_child(root, 0, &first);
	node_child(root, 1, &second);
	sure(cursor_take(f.c, second.key, &level, &child, &have, &err));
	assert_true(have);
	assert_int_equal(level, node_level(root) - 1);
	assert_true(id_eq(&child.id, &first.id));
	next_is(&f, first.count);
	node_free(root);
	fixture_fini(&f);
}

static void
other_kind_is_refused(void **state)
{
	struct cursor *c = NULL;
	struct fixture f;
	struct prng p;

	prng_init(&p, 2);
	fixture_init(&f, &p, 10, GEN_PATHS);
	assert_int_equal(cursor_open(&c, f.io, TREE_EXTENTS, &f.root.id, &err),
		ERR_CORRUPT);
	f.root.id.b[0] ^= 1;
	assert_int_equal(cursor_open(&c, f.io, TREE_ENTRIES, &f.root.id, &err),
		ERR_NOTFOUND);
	assert_null(c);
	fixture_fini(&f);
}

/* A tree of two leaves whose root lies in one way or another. */
enum lie {
	NO_LIE,
	FIRST_KEY,
	COUNT,
	WEIGHT,
	OVERLAP, /* a key of the first leaf lies behind the second's first */
	NO_ITEMS,
	LEVEL, /* the child is an inner node as high as the root */
	KIND,
	MISSING,
	LIES
};

static struct id
put_leaf(struct tree_io *io, enum tree_kind kind, const char *keys)
{
	struct oracle_node n;
	struct item items[8];
	struct id id;
	size_t len = strlen(keys);

	for (size_t i = 0; i < len; i++)
		items[i] =
			(struct item){ .key = { (const uint8_t *)keys + i, 1 },
				.weight = 10 };
	oracle_node_init(&n);
	oracle_leaf(&n, kind, items, len);
	id = oracle_put(io, &n);
	oracle_node_fini(&n);
	return id;
}

static struct id
put_root(struct tree_io *io, const struct child *children, size_t n)
{
	struct oracle_node node;
	struct id id;

	oracle_node_init(&node);
	oracle_inner(&node, 1, TREE_ENTRIES, children, n);
	id = oracle_put(io, &node);
	oracle_node_fini(&node);
	return id;
}

static struct id
lying_tree(struct tree_io *io, enum lie lie)
{
	struct child c[2] = {
		{ .key = text_key("b"), .count = 3, .weight = 30 },
		{ .key = text_key("m"), .count = 2, .weight = 20 }
	};

	c[0].id = put_leaf(io, lie == KIND ? TREE_EXTENTS : TREE_ENTRIES,
		lie == OVERLAP ? "bcn" : "bcd");
	c[1].id = put_leaf(io, TREE_ENTRIES, "mn");
	if (lie == FIRST_KEY)
		c[0].key = text_key("a");
	if (lie == COUNT)
		c[0].count++;
	if (lie == WEIGHT)
		c[0].weight--;
	if (lie == NO_ITEMS)
		c[0].id = put_leaf(io, TREE_ENTRIES, "");
	if (lie == LEVEL)
		c[0].id = put_root(io, c, 1);
	if (lie == MISSING)
		c[0].id.b[0] ^= 1;
	return put_root(io, c, 2);
}

static void
lies_are_found(void **state)
{
	struct tree_io_mem *mem = NULL;

	sure(tree_io_mem_new(&mem, &err));
	for (int lie = NO_LIE; lie < LIES; lie++) {
		enum err want = lie == NO_LIE    ? ERR_OK
				: lie == MISSING ? ERR_NOTFOUND
						 : ERR_CORRUPT;
		struct cursor *c = NULL;
		struct item item;
		struct id root = lying_tree(tree_io_mem_io(mem), (enum lie)lie);

		sure(cursor_open(&c, tree_io_mem_io(mem), TREE_ENTRIES, &root,
			&err));
		assert_int_equal(cursor_next(c, &item, &err), want);
		/* It stays so, and the rest can still be read. */
		if (lie != NO_LIE)
			assert_int_equal(cursor_next(c, &item, &err), want);
		assert_int_equal(cursor_seek(c, text_key("n"), &err), ERR_OK);
		assert_int_equal(cursor_next(c, &item, &err), ERR_OK);
		assert_int_equal(item.key.data[0], 'n');
		cursor_close(c);
	}
	tree_io_mem_free(mem);
}

/* The bound of a leaf's last key may stand two levels up. */
static void
overlap_is_found_over_two_levels(void **state)
{
	struct child low[2] = {
		{ .key = text_key("a"), .count = 1, .weight = 10 },
		{ .key = text_key("b"), .count = 2, .weight = 20 }
	};
	struct child high[2] = {
		{ .key = text_key("a"), .count = 3, .weight = 30 },
		{ .key = text_key("m"), .count = 1, .weight = 10 }
	};
	struct tree_io_mem *mem = NULL;
	struct cursor *c = NULL;
	struct oracle_node node;
	struct tree_io *io;
	struct item item;
	struct id root;

	sure(tree_io_mem_new(&mem, &err));
	io = tree_io_mem_io(mem);
	low[0].id = put_leaf(io, TREE_ENTRIES, "a");
	low[1].id = put_leaf(io, TREE_ENTRIES, "bz");
	high[0].id = put_root(io, low, 2);
	low[0] = high[1];
	low[0].id = put_leaf(io, TREE_ENTRIES, "m");
	high[1].id = put_root(io, low, 1);
	oracle_node_init(&node);
	oracle_inner(&node, 2, TREE_ENTRIES, high, 2);
	root = oracle_put(io, &node);
	oracle_node_fini(&node);

	sure(cursor_open(&c, io, TREE_ENTRIES, &root, &err));
	assert_int_equal(cursor_next(c, &item, &err), ERR_OK);
	assert_int_equal(cursor_next(c, &item, &err), ERR_CORRUPT);
	cursor_close(c);
	tree_io_mem_free(mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_items_in_order),
		cmocka_unit_test(seek_is_that_of_a_sorted_array),
		cmocka_unit_test(seek_costs_the_height),
		cmocka_unit_test(taken_subtrees_are_aligned),
		cmocka_unit_test(taking_reads_little),
		cmocka_unit_test(taking_goes_to_the_end),
		cmocka_unit_test(other_kind_is_refused),
		cmocka_unit_test(lies_are_found),
		cmocka_unit_test(overlap_is_found_over_two_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
