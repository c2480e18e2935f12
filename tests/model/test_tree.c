/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees edited at random, beside a sorted array edited in the same way.  After
 * each batch the tree must be the one that is built from the array, to the
 * id: then it does not matter in what order, or how, it came about.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/scale.h"
#include "tests/lib/tree_tools.h"
#include "tree/diff.h"
#include "tree/edit.h"

enum { BATCHES = 12, BATCH_MAX = 40 };

static struct error err;

struct model {
	struct tree_io_mem *mem;
	struct tree_io *io;
	struct prng p;
	enum gen kind;
	struct tree_set set;
	struct id root;
};

static void
model_init(struct model *m, uint64_t seed, size_t n, enum gen kind)
{
	*m = (struct model){ .kind = kind };
	prng_init(&m->p, seed);
	sure(tree_io_mem_new(&m->mem, &err));
	m->io = tree_io_mem_io(m->mem);
	tree_set_random(&m->set, &m->p, n, kind);
	m->root = tools_build(m->io, &m->set).id;
}

static void
model_fini(struct model *m)
{
	tree_set_fini(&m->set);
	tree_io_mem_free(m->mem);
}

/* One change: the old items with from <= key < to go, then item comes. */
struct change {
	struct bytes from, to; /* to.data NULL: no end; from.data NULL: none */
	struct item item;
	bool put;
};

static int
bytes_cmp(struct bytes a, struct bytes b)
{
	return key_cmp(a.data, a.len, b.data, b.len);
}

/* A key that is there, or any other; owned by the caller. */
static struct bytes
some_key(struct model *m)
{
	struct item item;
	struct bytes key;

	if (m->set.n > 0 && prng_below(&m->p, 2) == 0) {
		key = m->set.v[prng_below(&m->p, m->set.n)].key;
		return gen_copy(key.data, key.len);
	}
	item = gen_item(&m->p, m->kind);
	key = item.key;
	item.key = gen_copy(NULL, 0);
	gen_item_free(&item);
	return key;
}

static int
sort_keys(const void *a, const void *b)
{
	const struct bytes *x = a, *y = b;

	return bytes_cmp(*x, *y);
}

/* Ascending keys cut the order into places; each gets a put, a removal up to
 * the next one, or both.  Some removals are short, some empty. */
static size_t
random_changes(struct model *m, struct bytes *keys, struct change *out)
{
	size_t n = prng_below(&m->p, BATCH_MAX), have = 0;

	for (size_t i = 0; i < n; i++)
		keys[i] = some_key(m);
	if (n > 1)
		qsort(keys, n, sizeof(*keys), sort_keys);
	for (size_t i = 0; i < n; i++) {
		struct change *c = &out[have];
		uint64_t dice = prng_below(&m->p, 6);

		if (i > 0 && bytes_cmp(keys[i - 1], keys[i]) == 0)
			continue;
		*c = (struct change){ .put = dice < 4 };
		if (c->put) {
			c->item = gen_item(&m->p, m->kind);
			gen_free_const(c->item.key.data);
			c->item.key = gen_copy(keys[i].data, keys[i].len);
		}
		if (dice >= 4) {
			c->from = keys[i];
			c->to = i + 1 < n ? keys[i + 1]
					  : (struct bytes){ NULL, 0 };
			if (i + 1 < n && dice == 4)
				c->to = keys[i];
		}
		have++;
	}
	return have;
}

/* Whether a change takes the old item out. */
static bool
goes(const struct change *c, const struct item *old)
{
	if (c->put && bytes_cmp(c->item.key, old->key) == 0)
		return true;
	return c->from.data != NULL && bytes_cmp(c->from, old->key) <= 0 &&
	       (c->to.data == NULL || bytes_cmp(old->key, c->to) < 0);
}

static void
change_set(struct model *m, struct change *changes, size_t n)
{
	struct tree_set out = { .n = 0 };

	for (size_t i = 0; i < m->set.n; i++) {
		bool gone = false;

		for (size_t k = 0; k < n && !gone; k++)
			gone = goes(&changes[k], &m->set.v[i]);
		if (!gone)
			tree_set_push(&out, gen_dup(&m->set.v[i]));
	}
	for (size_t k = 0; k < n; k++)
		if (changes[k].put)
			tree_set_push(&out, gen_dup(&changes[k].item));
	tree_set_sort(&out);
	tree_set_fini(&m->set);
	m->set = out;
}

static enum err
try_edit(struct tree_io *io, const struct id *old, const struct change *changes,
	size_t n, struct tree_root *root)
{
	struct edit *e = NULL;
	enum err rc;

	rc = edit_open(&e, io, TREE_ENTRIES, old, &err);
	for (size_t i = 0; rc == ERR_OK && i < n; i++) {
		const struct change *c = &changes[i];

		if (c->from.data != NULL)
			rc = edit_remove(e, c->from, c->to, &err);
		if (rc == ERR_OK && c->put)
			rc = edit_put(e, &c->item, &err);
	}
	if (rc == ERR_OK)
		rc = edit_finish(e, root, &err);
	edit_free(e);
	return rc;
}

static void
batch(struct model *m)
{
	struct bytes keys[BATCH_MAX] = { { NULL, 0 } };
	struct change changes[BATCH_MAX];
	struct tree_root root, want;
	size_t n;

	n = random_changes(m, keys, changes);
	assert_int_equal(try_edit(m->io, &m->root, changes, n, &root), ERR_OK);
	change_set(m, changes, n);
	want = tools_build(m->io, &m->set);
	assert_true(id_eq(&root.id, &want.id));
	assert_int_equal(root.count, m->set.n);
	assert_int_equal(root.weight, want.weight);
	m->root = root.id;
	for (size_t i = 0; i < n; i++)
		if (changes[i].put)
			gen_item_free(&changes[i].item);
	for (size_t i = 0; i < BATCH_MAX; i++)
		gen_free_const(keys[i].data);
}

static void
edits_make_the_tree_of_their_result(void **state)
{
	uint64_t rounds = test_scale(30);

	for (uint64_t seed = 1; seed <= rounds; seed++) {
		enum gen kind = (enum gen)(seed % GEN_KINDS);
		struct model m;

		print_message("seed %lu\n", (unsigned long)seed);
		model_init(&m, seed, seed % 7 == 0 ? 0 : 500, kind);
		for (unsigned i = 0; i < BATCHES; i++)
			batch(&m);
		model_fini(&m);
	}
}

/* The set, put in random portions, each into the tree of those before. */
static void
order_of_insertion_does_not_matter(void **state)
{
	uint64_t rounds = test_scale(10);

	for (uint64_t seed = 1; seed <= rounds; seed++) {
		struct tree_root root = { .count = 0 };
		struct model m;
		size_t portions;

		print_message("seed %lu\n", (unsigned long)seed);
		model_init(&m, seed, 3000, (enum gen)(seed % GEN_KINDS));
		portions = 1 + prng_below(&m.p, 12);
		for (size_t k = 0; k < portions; k++) {
			const struct id *old = k > 0 ? &root.id : NULL;
			struct edit *e = NULL;
			struct prng who;

			sure(edit_open(&e, m.io, TREE_ENTRIES, old, &err));
			prng_init(&who, seed);
			for (size_t i = 0; i < m.set.n; i++)
				if (prng_below(&who, portions) == k)
					sure(edit_put(e, &m.set.v[i], &err));
			sure(edit_finish(e, &root, &err));
			edit_free(e);
		}
		assert_int_equal(root.count, m.set.n);
		assert_true(id_eq(&root.id, &m.root));
		model_fini(&m);
	}
}

/* Subtrees taken wherever chance and the boundaries allow it, items between:
 * the same tree. */
static struct tree_root
copy_by_chance(struct model *m, size_t *taken)
{
	struct bytes no_end = { NULL, 0 };
	struct builder *b = NULL;
	struct cursor *c = NULL;
	struct tree_root root;
	struct item item;

	sure(builder_new(&b, m->io, TREE_ENTRIES, &err));
	sure(cursor_open(&c, m->io, TREE_ENTRIES, &m->root, &err));
	for (;;) {
		unsigned level = (unsigned)prng_below(&m->p, 3);
		struct child child;
		bool have = false;

		while (level > 0 && !builder_at_boundary(b, level))
			level--;
		if (builder_at_boundary(b, level) && prng_below(&m->p, 3) > 0)
			sure(cursor_take_below(c, level, no_end, &level, &child,
				&have, &err));
		if (have) {
			sure(builder_take(b, level, &child, &err));
			++*taken;
			continue;
		}
		sure(cursor_next(c, &item, &err));
		if (item.key.data == NULL)
			break;
		sure(builder_add(b, &item, &err));
	}
	sure(builder_finish(b, &root, &err));
	builder_free(b);
	cursor_close(c);
	return root;
}

static void
taken_subtrees_make_the_same_tree(void **state)
{
	uint64_t rounds = test_scale(30);
	size_t taken = 0;

	for (uint64_t seed = 1; seed <= rounds; seed++) {
		struct tree_root root;
		struct model m;

		model_init(&m, seed, 2500, (enum gen)(seed % GEN_KINDS));
		for (unsigned i = 0; i < 4; i++) {
			root = copy_by_chance(&m, &taken);
			assert_true(id_eq(&root.id, &m.root));
			assert_int_equal(root.count, m.set.n);
		}
		model_fini(&m);
	}
	print_message("%zu subtrees taken\n", taken);
	assert_true(taken > rounds * 10);
}

/* k scattered changes in a tree of n items: reads and stores. */
static void
cost_of(struct model *m, size_t k, uint64_t *gets, uint64_t *puts)
{
	uint64_t gets_before, puts_before;
	struct tree_root root, want;
	struct edit *e = NULL;

	for (size_t i = 0; i < k; i++)
		m->set.v[i * m->set.n / k].weight ^= 1;
	gets_before = tools_gets(m->mem);
	puts_before = tools_puts(m->mem);
	sure(edit_open(&e, m->io, TREE_ENTRIES, &m->root, &err));
	for (size_t i = 0; i < k; i++)
		sure(edit_put(e, &m->set.v[i * m->set.n / k], &err));
	sure(edit_finish(e, &root, &err));
	edit_free(e);
	*gets = tools_gets(m->mem) - gets_before;
	*puts = tools_puts(m->mem) - puts_before;
	want = tools_build(m->io, &m->set);
	assert_true(id_eq(&root.id, &want.id));
	m->root = root.id;
}

static void
edits_cost_the_changes_times_the_height(void **state)
{
	struct model m;
	unsigned height;

	model_init(&m, 5, 60000, GEN_PATHS);
	height = tools_height(m.io, &m.root);
	for (size_t k = 0; k <= 27; k = k * 3 + (k == 0)) {
		uint64_t gets, puts;

		cost_of(&m, k, &gets, &puts);
		print_message("%zu changes of %zu items, height %u: %lu nodes "
			      "read, %lu stored\n",
			k, m.set.n, height, (unsigned long)gets,
			(unsigned long)puts);
		assert_true(gets <= (2 * k + 1) * height);
		assert_true(puts <= (2 * k + 1) * height);
	}
	model_fini(&m);
}

static void
changes_must_ascend(void **state)
{
	struct item a = { .key = text_key("a") }, b = { .key = text_key("b") };
	struct bytes empty = { NULL, 0 };
	struct tree_root root;
	struct edit *e = NULL;
	struct model m;

	model_init(&m, 1, 200, GEN_PATHS);
	sure(edit_open(&e, m.io, TREE_ENTRIES, &m.root, &err));
	assert_int_equal(edit_put(e, &b, &err), ERR_OK);
	assert_int_equal(edit_put(e, &a, &err), ERR_CORRUPT);
	edit_free(e);

	sure(edit_open(&e, m.io, TREE_ENTRIES, &m.root, &err));
	assert_int_equal(edit_put(e, &b, &err), ERR_OK);
	assert_int_equal(edit_put(e, &b, &err), ERR_CORRUPT);
	edit_free(e);

	sure(edit_open(&e, m.io, TREE_ENTRIES, &m.root, &err));
	assert_int_equal(edit_remove(e, a.key, b.key, &err), ERR_OK);
	assert_int_equal(edit_remove(e, empty, a.key, &err), ERR_CORRUPT);
	edit_free(e);

	/* A key that was given away by a removal. */
	sure(edit_open(&e, m.io, TREE_ENTRIES, &m.root, &err));
	assert_int_equal(edit_remove(e, empty, b.key, &err), ERR_OK);
	assert_int_equal(edit_put(e, &a, &err), ERR_CORRUPT);
	edit_free(e);

	/* All that there is, by the empty key. */
	sure(edit_open(&e, m.io, TREE_ENTRIES, &m.root, &err));
	assert_int_equal(edit_remove(e, empty, empty, &err), ERR_OK);
	assert_int_equal(edit_finish(e, &root, &err), ERR_OK);
	assert_int_equal(root.count, 0);
	edit_free(e);
	model_fini(&m);
}

/* An io that fails at its nth use. */
struct failing {
	struct tree_io io;
	struct tree_io *below;
	uint64_t left;
};

static enum err
use(struct failing *f, struct error *e)
{
	if (f->left == 0)
		return err_set(e, ERR_IO, "broken");
	f->left--;
	return ERR_OK;
}

static enum err
failing_get(struct tree_io *io, const struct id *id, struct buf *out,
	size_t *head_len, struct error *e)
{
	struct failing *f = container_of(io, struct failing, io);
	enum err rc = use(f, e);

	if (rc != ERR_OK)
		return rc;
	return f->below->ops->get_node(f->below, id, out, head_len, e);
}

static enum err
failing_put(struct tree_io *io, const struct node_bytes *node, struct id *id,
	struct error *e)
{
	struct failing *f = container_of(io, struct failing, io);
	enum err rc = use(f, e);

	if (rc != ERR_OK)
		return rc;
	return f->below->ops->put_node(f->below, node, id, e);
}

static enum err
no_matter(void *arg, const struct item *a, const struct item *b,
	struct error *e)
{
	return ERR_OK;
}

/* Returned as it is, and nothing is lost or used afterwards (sanitizers). */
static void
any_use_of_io_may_fail(void **state)
{
	static const struct tree_io_ops ops = { .get_node = failing_get,
		.put_node = failing_put };
	struct change changes[20];
	struct tree_root root;
	struct model m;
	enum err rc = ERR_IO;
	uint64_t i;

	model_init(&m, 8, 4000, GEN_PATHS);
	for (size_t k = 0; k < ARRAY_LEN(changes); k++)
		changes[k] = (struct change){ .put = true,
			.item = m.set.v[k * m.set.n / ARRAY_LEN(changes)] };
	for (size_t k = 0; k < ARRAY_LEN(changes); k++)
		changes[k].item.weight ^= 1;
	for (i = 0; rc != ERR_OK; i++) {
		struct failing f = { .below = m.io, .left = i };

		f.io = (struct tree_io){ &ops, m.io->boundary };
		rc = try_edit(&f.io, &m.root, changes, ARRAY_LEN(changes),
			&root);
		assert_true(rc == ERR_OK || rc == ERR_IO);
	}
	assert_true(i > 10);
	rc = ERR_IO;
	for (i = 0; rc != ERR_OK; i++) {
		struct failing f = { .below = m.io, .left = i };
		struct tree_side one = { &f.io, m.root };
		struct tree_side two = { &f.io, root.id };

		f.io = (struct tree_io){ &ops, m.io->boundary };
		rc = tree_diff(&one, &two, TREE_ENTRIES, no_matter, NULL, &err);
		assert_true(rc == ERR_OK || rc == ERR_IO);
	}
	assert_true(i > 10);
	model_fini(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edits_make_the_tree_of_their_result),
		cmocka_unit_test(order_of_insertion_does_not_matter),
		cmocka_unit_test(taken_subtrees_make_the_same_tree),
		cmocka_unit_test(edits_cost_the_changes_times_the_height),
		cmocka_unit_test(changes_must_ascend),
		cmocka_unit_test(any_use_of_io_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
