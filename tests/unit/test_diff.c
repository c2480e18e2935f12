/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/scale.h"
#include "tests/lib/tree_tools.h"
#include "tree/diff.h"

static struct error err;

/* The two sets, and how far a merge of them has come. */
struct pair {
	struct tree_io_mem *mem;
	struct tree_side side[2];
	struct tree_set a, b;
	size_t ia, ib;
	size_t told, stop_at;
};

static void
pair_init(struct pair *p, struct prng *rng, size_t n, size_t changes,
	enum gen kind)
{
	struct tree_io *io;

	*p = (struct pair){ .stop_at = SIZE_MAX };
	sure(tree_io_mem_new(&p->mem, &err));
	io = tree_io_mem_io(p->mem);
	tree_set_random(&p->a, rng, n, kind);
	tree_set_vary(&p->b, &p->a, rng, changes, kind);
	p->side[0] = (struct tree_side){ io, tools_build(io, &p->a).id };
	p->side[1] = (struct tree_side){ io, tools_build(io, &p->b).id };
}

static void
pair_fini(struct pair *p)
{
	tree_set_fini(&p->a);
	tree_set_fini(&p->b);
	tree_io_mem_free(p->mem);
}

/* The next difference by a plain merge; false at the end. */
static bool
next_difference(struct pair *p, const struct item **a, const struct item **b)
{
	for (;;) {
		int cmp;

		*a = p->ia < p->a.n ? &p->a.v[p->ia] : NULL;
		*b = p->ib < p->b.n ? &p->b.v[p->ib] : NULL;
		if (*a == NULL && *b == NULL)
			return false;
		if (*a == NULL || *b == NULL)
			cmp = *a == NULL ? 1 : -1;
		else
			cmp = gen_key_cmp(*a, *b);
		p->ia += cmp <= 0;
		p->ib += cmp >= 0;
		if (cmp < 0)
			*b = NULL;
		if (cmp > 0)
			*a = NULL;
		if (cmp != 0 || !gen_item_eq(*a, *b))
			return true;
	}
}

static void
same_or_null(const struct item *have, const struct item *want)
{
	assert_int_equal(have == NULL, want == NULL);
	if (have != NULL)
		assert_true(gen_item_eq(have, want));
}

static enum err
told(void *arg, const struct item *a, const struct item *b, struct error *e)
{
	struct pair *p = arg;
	const struct item *want_a, *want_b;

	if (p->told == p->stop_at)
		return err_set(e, ERR_CANCELLED, "enough");
	assert_true(next_difference(p, &want_a, &want_b));
	same_or_null(a, want_a);
	same_or_null(b, want_b);
	p->told++;
	return ERR_OK;
}

static size_t
has(const struct tools_ids *ids, const struct id *id)
{
	return bsearch(id, ids->v, ids->n, sizeof(*id), tools_id_cmp) != NULL;
}

/* And nothing is read that both trees have, but for a root, which must be
 * looked at. */
static void
check_diff(struct pair *p)
{
	struct tools_ids a = tools_nodes(p->side[0].io, &p->side[0].root);
	struct tools_ids b = tools_nodes(p->side[1].io, &p->side[1].root);
	uint64_t before = tools_gets(p->mem), gets;
	size_t differ = tools_only(&a, &b) + tools_only(&b, &a);
	size_t shared_roots =
		has(&b, &p->side[0].root) + has(&a, &p->side[1].root);
	const struct item *x, *y;

	assert_int_equal(tree_diff(&p->side[0], &p->side[1], TREE_ENTRIES, told,
				 p, &err),
		ERR_OK);
	assert_false(next_difference(p, &x, &y));
	gets = tools_gets(p->mem) - before;
	print_message("%zu items, %zu differences, %lu of %zu nodes read\n",
		p->a.n, p->told, (unsigned long)gets, a.n + b.n);
	if (differ == 0)
		assert_int_equal(gets, 0);
	else
		assert_int_equal(gets, differ + shared_roots);
	free(a.v);
	free(b.v);
}

static void
diff_is_the_set_difference(void **state)
{
	uint64_t rounds = test_scale(45);

	for (uint64_t seed = 1; seed <= rounds; seed++) {
		enum gen kind = (enum gen)(seed % GEN_KINDS);
		struct prng rng;
		struct pair p;

		print_message("seed %lu: ", (unsigned long)seed);
		prng_init(&rng, seed);
		pair_init(&p, &rng, prng_below(&rng, 1500),
			prng_below(&rng, 2) * prng_below(&rng, 100), kind);
		check_diff(&p);
		pair_fini(&p);
	}
}

/* How many items the first of the root's children has. */
static uint64_t
first_child_count(const struct tree_side *side)
{
	struct node *n = tools_node(side->io, &side->root);
	struct child child;

	node_child(n, 0, &child);
	node_free(n);
	return child.count;
}

/* One tree is a subtree of the other, or a small part, or nothing, or has
 * nothing of it. */
static void
heights_may_differ(void **state)
{
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct tree_set part = { .n = 0 };
		struct prng rng;
		struct pair p;
		uint64_t n = 0;

		print_message("seed %lu: ", (unsigned long)seed);
		prng_init(&rng, seed);
		pair_init(&p, &rng, 8000, 0, GEN_PATHS);
		if (seed % 4 == 1)
			n = first_child_count(&p.side[0]);
		if (seed % 4 == 2)
			n = p.a.n / 50;
		for (size_t i = 0; i < n; i++)
			tree_set_push(&part, gen_dup(&p.a.v[i]));
		if (seed % 4 == 3)
			tree_set_random(&part, &rng, 10, GEN_PATHS);
		tree_set_fini(&p.b);
		p.b = part;
		p.side[1].root = tools_build(p.side[1].io, &p.b).id;
		check_diff(&p);
		pair_fini(&p);
	}
}

static void
few_changes_read_few_nodes(void **state)
{
	struct prng rng;
	struct pair p;
	uint64_t before;
	unsigned height;

	prng_init(&rng, 4);
	pair_init(&p, &rng, 60000, 0, GEN_PATHS);
	height = tools_height(p.side[0].io, &p.side[0].root);
	for (size_t i = 0; i < 5; i++)
		p.b.v[prng_below(&rng, p.b.n)].weight ^= 1;
	p.side[1].root = tools_build(p.side[1].io, &p.b).id;
	before = tools_gets(p.mem);
	sure(tree_diff(&p.side[0], &p.side[1], TREE_ENTRIES, told, &p, &err));
	assert_int_equal(p.told, 5);
	assert_true(tools_gets(p.mem) - before <= 2 * 5 * height);
	pair_fini(&p);
}

static void
callback_ends_it(void **state)
{
	struct prng rng;
	struct pair p;

	prng_init(&rng, 4);
	pair_init(&p, &rng, 1000, 50, GEN_PATHS);
	p.stop_at = 3;
	assert_int_equal(tree_diff(&p.side[0], &p.side[1], TREE_ENTRIES, told,
				 &p, &err),
		ERR_CANCELLED);
	assert_int_equal(p.told, 3);
	pair_fini(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(diff_is_the_set_difference),
		cmocka_unit_test(heights_may_differ),
		cmocka_unit_test(few_changes_read_few_nodes),
		cmocka_unit_test(callback_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
