/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/scale.h"
#include "tests/lib/tree_tools.h"

static struct error err;

/* Decode what stands in n; NULL where it is refused. */
static struct node *
decode(const struct oracle_node *n)
{
	struct buf all = BUF_INIT(4 * (size_t)NODE_MAX);
	struct node *out = NULL;
	uint8_t *exact;
	enum err rc;

	sure(buf_put(&all, n->head.data, n->head.len, &err));
	sure(buf_put(&all, n->body.data, n->body.len, &err));
	/* In a block of its own, so that a sanitizer sees its end. */
	exact = malloc(all.len);
	assert_non_null(exact);
	memcpy(exact, all.data, all.len);
	rc = node_decode(&out, exact, all.len, n->head.len, &err);
	free(exact);
	buf_fini(&all);
	assert_true(rc == ERR_OK || rc == ERR_CORRUPT);
	assert_int_equal(rc == ERR_OK, out != NULL);
	return out;
}

static void
refused(const struct oracle_node *n)
{
	assert_null(decode(n));
	assert_int_equal(err.code, ERR_CORRUPT);
}

static void
accepted(const struct oracle_node *n)
{
	struct node *out = decode(n);

	assert_non_null(out);
	node_free(out);
}

static void
same_items(const struct node *n, const struct item *items, size_t count)
{
	uint64_t weight = 0;

	assert_int_equal(node_count(n), count);
	for (size_t i = 0; i < count; i++) {
		struct item item;

		node_item(n, i, &item);
		assert_true(gen_item_eq(&item, &items[i]));
		weight += item.weight;
	}
	assert_int_equal(node_items_below(n), count);
	assert_int_equal(node_weight_below(n), weight);
}

static void
leaves_come_back(void **state)
{
	uint64_t rounds = test_scale(60);

	for (uint64_t seed = 1; seed <= rounds; seed++) {
		enum gen kind = (enum gen)(seed % GEN_KINDS);
		struct oracle_node node;
		struct tree_set set;
		struct prng p;
		struct node *n;

		print_message("seed %lu\n", (unsigned long)seed);
		prng_init(&p, seed);
		oracle_node_init(&node);
		tree_set_random(&set, &p, prng_below(&p, 60), kind);
		oracle_leaf(&node, TREE_EXTENTS, set.v, set.n);
		n = decode(&node);
		assert_non_null(n);
		assert_int_equal(node_level(n), 0);
		assert_int_equal(node_kind(n), TREE_EXTENTS);
		same_items(n, set.v, set.n);
		node_free(n);
		tree_set_fini(&set);
		oracle_node_fini(&node);
	}
}

static void
inner_nodes_come_back(void **state)
{
	struct child children[50];
	struct oracle_node node;
	struct tree_set set;
	struct prng p;
	struct node *n;

	prng_init(&p, 7);
	oracle_node_init(&node);
	tree_set_random(&set, &p, ARRAY_LEN(children), GEN_PATHS);
	for (size_t i = 0; i < set.n; i++) {
		children[i] = (struct child){ .key = set.v[i].key,
			.count = 1 + prng_below(&p, 1000),
			.weight = prng_next(&p) >> 8 };
		prng_fill(&p, children[i].id.b, ID_LEN);
	}
	oracle_inner(&node, 31, TREE_ENTRIES, children, set.n);
	n = decode(&node);
	assert_non_null(n);
	assert_int_equal(node_level(n), 31);
	assert_int_equal(node_count(n), set.n);
	for (size_t i = 0; i < set.n; i++) {
		struct child c;

		node_child(n, i, &c);
		assert_true(id_eq(&c.id, &children[i].id));
		assert_int_equal(c.count, children[i].count);
		assert_int_equal(c.weight, children[i].weight);
		assert_memory_equal(c.key.data, children[i].key.data,
			c.key.len);
	}
	node_free(n);
	tree_set_fini(&set);
	oracle_node_fini(&node);
}

static void
lower_bound_is_the_first_not_below(void **state)
{
	struct oracle_node node;
	struct tree_set set;
	struct prng p;
	struct node *n;

	prng_init(&p, 11);
	oracle_node_init(&node);
	tree_set_random(&set, &p, 300, GEN_PATHS);
	oracle_leaf(&node, TREE_ENTRIES, set.v, set.n);
	n = decode(&node);
	assert_non_null(n);
	for (unsigned i = 0; i < 2000; i++) {
		struct bytes key = gen_path(&p);

		assert_int_equal(node_lower_bound(n, key),
			tree_set_lower(&set, key));
		gen_free_const(key.data);
	}
	for (size_t i = 0; i < set.n; i++)
		assert_int_equal(node_lower_bound(n, set.v[i].key), i);
	node_free(n);
	tree_set_fini(&set);
	oracle_node_fini(&node);
}

static void
put_numbers(struct buf *b, const uint64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sure(buf_put_varint(b, v[i], &err));
}

#define NUMBERS(...)                       \
	(const uint64_t[]){ __VA_ARGS__ }, \
		sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t)

/* A node of numbers below 128, each a byte; one node and two chunks in the
 * head of a leaf, n_nodes and nothing else above. */
static void
raw_node(struct oracle_node *n, uint32_t n_nodes, uint32_t n_data,
	const uint64_t *body, size_t len)
{
	buf_clear(&n->head);
	buf_clear(&n->body);
	sure(buf_put_u32(&n->head, n_nodes, &err));
	sure(buf_put_u32(&n->head, n_data, &err));
	sure(buf_put_zero(&n->head, (size_t)ID_LEN * (n_nodes + n_data), &err));
	put_numbers(&n->body, body, len);
}

/* Leaf: level kind n, then: shared len rest, refs, value, weight. */
static void
only_the_canonical_form_is_read(void **state)
{
	struct oracle_node n;

	oracle_node_init(&n);
	raw_node(&n, 0, 0, NUMBERS(0, 1, 0));
	accepted(&n);
	raw_node(&n, 1, 2,
		NUMBERS(0, 1, 2, 0, 2, 'a', 'b', 2, 0, 2, 1, 9, 5, 1, 1, 'c', 0,
			0, 0));
	accepted(&n);
	/* a prefix that could be longer: ab, ac with nothing shared */
	raw_node(&n, 1, 2,
		NUMBERS(0, 1, 2, 0, 2, 'a', 'b', 0, 0, 0, 0, 2, 'a', 'c', 0, 0,
			0));
	refused(&n);
	/* descending; equal; shares more than there is */
	raw_node(&n, 0, 0,
		NUMBERS(0, 1, 2, 0, 1, 'b', 0, 0, 0, 0, 1, 'a', 0, 0, 0));
	refused(&n);
	raw_node(&n, 0, 0, NUMBERS(0, 1, 2, 0, 1, 'b', 0, 0, 0, 1, 0, 0, 0, 0));
	refused(&n);
	raw_node(&n, 0, 0,
		NUMBERS(0, 1, 2, 0, 1, 'b', 0, 0, 0, 2, 1, 'c', 0, 0, 0));
	refused(&n);
	/* the first key shares with nothing */
	raw_node(&n, 0, 0, NUMBERS(0, 1, 1, 1, 1, 'b', 0, 0, 0));
	refused(&n);
	/* a reference beyond the head */
	raw_node(&n, 1, 2, NUMBERS(0, 1, 1, 0, 1, 'b', 1, 3, 0, 0));
	refused(&n);
	raw_node(&n, 1, 2, NUMBERS(0, 1, 1, 0, 1, 'b', 1, 2, 0, 0));
	accepted(&n);
	/* levels and kinds that are not */
	raw_node(&n, 0, 0, NUMBERS(32, 1, 0));
	refused(&n);
	raw_node(&n, 0, 0, NUMBERS(0, 0, 0));
	refused(&n);
	raw_node(&n, 0, 0, NUMBERS(0, 3, 0));
	refused(&n);
	/* more or fewer items than it says */
	raw_node(&n, 0, 0, NUMBERS(0, 1, 2, 0, 1, 'b', 0, 0, 0));
	refused(&n);
	raw_node(&n, 0, 0, NUMBERS(0, 1, 0, 0, 1, 'b', 0, 0, 0));
	refused(&n);
	/* a number in two bytes that fits into one */
	raw_node(&n, 0, 0, NUMBERS(0, 1, 1, 0, 1, 'b', 0, 0, 0));
	n.body.data[n.body.len - 1] = 0x80;
	sure(buf_put_u8(&n.body, 0, &err));
	refused(&n);
	oracle_node_fini(&n);
}

/* Inner: level kind n, then: shared len rest, count, weight. */
static void
inner_nodes_match_their_head(void **state)
{
	struct oracle_node n;
	struct node *out;

	oracle_node_init(&n);
	raw_node(&n, 1, 0, NUMBERS(1, 1, 1, 0, 1, 'b', 1, 0));
	accepted(&n);
	raw_node(&n, 0, 0, NUMBERS(1, 1, 0));
	refused(&n);
	raw_node(&n, 2, 0, NUMBERS(1, 1, 1, 0, 1, 'b', 1, 0));
	refused(&n);
	raw_node(&n, 1, 1, NUMBERS(1, 1, 1, 0, 1, 'b', 1, 0));
	refused(&n);
	/* nothing below a child */
	raw_node(&n, 1, 0, NUMBERS(1, 1, 1, 0, 1, 'b', 0, 0));
	refused(&n);
	/* more items than can be counted */
	raw_node(&n, 2, 0,
		NUMBERS(1, 1, 2, 0, 1, 'b', UINT64_MAX, 0, 0, 1, 'c', 1, 0));
	refused(&n);
	/* a sum of weights stays at the largest number */
	raw_node(&n, 2, 0,
		NUMBERS(1, 1, 2, 0, 1, 'b', 1, UINT64_MAX, 0, 1, 'c', 1, 5));
	out = decode(&n);
	assert_non_null(out);
	assert_true(node_weight_below(out) == UINT64_MAX);
	node_free(out);
	oracle_node_fini(&n);
}

/* Few bytes that stand for many: n keys of 64 KiB that share all but one. */
static void
key_bomb(struct oracle_node *n, uint8_t items)
{
	uint8_t big[KEY_MAX - 1];

	memset(big, 'x', sizeof(big));
	raw_node(n, 0, 0, NUMBERS(0, 1));
	put_numbers(&n->body, NUMBERS(items, 0));
	sure(buf_put_bytes(&n->body, big, sizeof(big), &err));
	put_numbers(&n->body, NUMBERS(0, 0, 0));
	for (uint8_t i = 1; i < items; i++) {
		put_numbers(&n->body, NUMBERS(KEY_MAX - 1, 1));
		sure(buf_put_u8(&n->body, i, &err));
		put_numbers(&n->body, NUMBERS(0, 0, 0));
	}
}

/* The same with references, of which the head has one. */
static void
ref_bomb(struct oracle_node *n, uint8_t items)
{
	raw_node(n, 0, 1, NUMBERS(0, 1, items));
	for (uint8_t i = 0; i < items; i++) {
		put_numbers(&n->body, NUMBERS(0, 1, i, REFS_MAX));
		sure(buf_put_zero(&n->body, REFS_MAX, &err));
		put_numbers(&n->body, NUMBERS(0, 0));
	}
}

static void
bombs_are_refused(void **state)
{
	struct oracle_node n;

	oracle_node_init(&n);
	key_bomb(&n, 100);
	accepted(&n);
	key_bomb(&n, 200);
	refused(&n);
	assert_non_null(strstr(err.msg, "too large"));
	ref_bomb(&n, 3);
	accepted(&n);
	ref_bomb(&n, 5);
	refused(&n);
	assert_non_null(strstr(err.msg, "too large"));

	/* counts that nothing stands behind */
	raw_node(&n, 0, 0, NUMBERS(0, 1, UINT64_MAX));
	refused(&n);
	raw_node(&n, 0, 0, NUMBERS(0, 1, 100000));
	refused(&n);
	oracle_node_fini(&n);
}

static void
limits_hold(void **state)
{
	struct item item = { .key = { NULL, 0 } };
	uint8_t *big = calloc(1, VALUE_MAX + 1);
	struct ref *refs = calloc(REFS_MAX + 1, sizeof(*refs));
	struct oracle_node n;

	assert_non_null(big);
	assert_non_null(refs);
	oracle_node_init(&n);
	item = (struct item){ .key = { big, KEY_MAX },
		.val = { big, VALUE_MAX },
		.refs = refs,
		.n_refs = REFS_MAX };
	oracle_leaf(&n, TREE_ENTRIES, &item, 1);
	accepted(&n);
	item.n_refs++;
	oracle_leaf(&n, TREE_ENTRIES, &item, 1);
	refused(&n);
	item.n_refs = 0;
	item.key.len++;
	oracle_leaf(&n, TREE_ENTRIES, &item, 1);
	refused(&n);
	item.key.len = 1;
	item.val.len++;
	oracle_leaf(&n, TREE_ENTRIES, &item, 1);
	refused(&n);
	oracle_node_fini(&n);
	free(big);
	free(refs);
}

static void
cut_short_is_refused(void **state)
{
	struct oracle_node node;
	struct tree_set set;
	struct prng p;
	size_t body_len, head_len;

	prng_init(&p, 3);
	oracle_node_init(&node);
	tree_set_random(&set, &p, 20, GEN_PATHS);
	oracle_leaf(&node, TREE_ENTRIES, set.v, set.n);
	body_len = node.body.len;
	for (node.body.len = 0; node.body.len < body_len; node.body.len++)
		refused(&node);
	accepted(&node);
	head_len = node.head.len;
	for (node.head.len = 0; node.head.len < head_len; node.head.len++)
		refused(&node);
	accepted(&node);
	tree_set_fini(&set);
	oracle_node_fini(&node);
}

/* What is accepted has one form only: written again it is the same. */
static void
damage_is_refused_or_consistent(void **state)
{
	uint64_t rounds = test_scale(40000), ok = 0;
	struct oracle_node node, again;
	struct tree_set set;
	struct prng p;

	prng_init(&p, 5);
	oracle_node_init(&node);
	oracle_node_init(&again);
	tree_set_random(&set, &p, 20, GEN_PATHS);
	oracle_leaf(&node, TREE_ENTRIES, set.v, set.n);
	for (uint64_t i = 0; i < rounds; i++) {
		size_t at = prng_below(&p, node.body.len);
		uint8_t before = node.body.data[at];
		struct item items[64];
		struct node *n;

		node.body.data[at] = (uint8_t)prng_next(&p);
		n = decode(&node);
		if (n != NULL && node_count(n) <= ARRAY_LEN(items) &&
			node_level(n) == 0) {
			for (size_t k = 0; k < node_count(n); k++)
				node_item(n, k, &items[k]);
			ok++;
			for (size_t k = 1; k < node_count(n); k++)
				assert_true(gen_key_cmp(&items[k - 1],
						    &items[k]) < 0);
			/* The head may have more than the items refer to. */
			oracle_leaf(&again, node_kind(n), items, node_count(n));
			if (again.head.len == node.head.len &&
				memcmp(again.head.data, node.head.data,
					again.head.len) == 0) {
				assert_int_equal(again.body.len, node.body.len);
				assert_memory_equal(again.body.data,
					node.body.data, again.body.len);
			}
		}
		node_free(n);
		node.body.data[at] = before;
	}
	assert_true(ok > rounds / 10);
	tree_set_fini(&set);
	oracle_node_fini(&node);
	oracle_node_fini(&again);
}

static enum err
collect(void *arg, const struct ref *ref, struct error *e)
{
	struct tools_ids *ids = arg;
	struct id id = ref->id;

	id.b[0] = ref->node;
	if (ids->n == 5)
		return err_set(e, ERR_CANCELLED, "enough");
	tools_push(ids, &id);
	return ERR_OK;
}

static void
head_is_read_alone(void **state)
{
	struct tools_ids ids = { .n = 0 };
	struct buf head = BUF_INIT(NODE_MAX);

	sure(buf_put_u32(&head, 2, &err));
	sure(buf_put_u32(&head, 3, &err));
	for (uint8_t i = 0; i < 5; i++) {
		struct id id = { { 0, i } };

		sure(buf_put(&head, id.b, ID_LEN, &err));
	}
	assert_int_equal(node_each_ref(head.data, head.len, collect, &ids,
				 &err),
		ERR_OK);
	assert_int_equal(ids.n, 5);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(ids.v[i].b[0], i < 2);
		assert_int_equal(ids.v[i].b[1], i);
	}
	/* The result of the callback ends it. */
	assert_int_equal(node_each_ref(head.data, head.len, collect, &ids,
				 &err),
		ERR_CANCELLED);
	for (size_t len = 0; len < head.len; len++)
		assert_int_equal(node_each_ref(head.data, len, collect, &ids,
					 &err),
			ERR_CORRUPT);
	/* Counts whose sum, or size, is beyond 32 bits. */
	memset(head.data, 0xff, 8);
	assert_int_equal(node_each_ref(head.data, head.len, collect, &ids,
				 &err),
		ERR_CORRUPT);
	buf_fini(&head);
	free(ids.v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_come_back),
		cmocka_unit_test(inner_nodes_come_back),
		cmocka_unit_test(lower_bound_is_the_first_not_below),
		cmocka_unit_test(only_the_canonical_form_is_read),
		cmocka_unit_test(inner_nodes_match_their_head),
		cmocka_unit_test(bombs_are_refused),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(cut_short_is_refused),
		cmocka_unit_test(damage_is_refused_or_consistent),
		cmocka_unit_test(head_is_read_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
