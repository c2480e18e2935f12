/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree_gen: random items for tests of trees, sorted, each key once.
 *
 * GEN_PATHS looks like a file system; GEN_WILD has keys of any bytes and all
 * lengths up to the limit, values likewise, many references; GEN_LONG has keys
 * that differ only far behind their beginning, many of them longer than a
 * node should be.
 */
#ifndef TESTS_LIB_TREE_GEN_H
#define TESTS_LIB_TREE_GEN_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "model/path.h"
#include "tests/lib/prng.h"
#include "tree/node.h"

enum gen { GEN_PATHS, GEN_WILD, GEN_LONG, GEN_KINDS };

struct tree_set {
	struct item *v; /* each owns its bytes */
	size_t n, cap;
};

static inline void *
gen_alloc(size_t len)
{
	void *mem = malloc(len + 1);

	assert(mem != NULL);
	return mem;
}

static inline struct bytes
gen_copy(const void *data, size_t len)
{
	uint8_t *mem = gen_alloc(len);

	if (len > 0)
		memcpy(mem, data, len);
	return (struct bytes){ mem, len };
}

/* Mostly small, at times as large as max. */
static inline size_t
gen_len(struct prng *p, size_t small, size_t max)
{
	uint64_t dice = prng_below(p, 500);

	if (dice == 0)
		return max;
	if (dice < 5)
		return prng_below(p, max + 1);
	return prng_below(p, small + 1);
}

static inline struct bytes
gen_path(struct prng *p)
{
	size_t depth = prng_below(p, 6), at = 0;
	uint8_t *key = gen_alloc(8 * 24);

	for (size_t d = 0; d < depth; d++) {
		size_t len = 1 + prng_below(p, 10);

		if (d > 0)
			key[at++] = 0;
		for (size_t i = 0; i < len; i++)
			key[at++] =
				(uint8_t)('a' + prng_below(p, i == 0 ? 20 : 3));
	}
	return (struct bytes){ key, at };
}

static inline struct bytes
gen_wild_key(struct prng *p)
{
	size_t len = gen_len(p, 12, KEY_MAX);
	uint8_t *key = gen_alloc(len);
	uint8_t span = prng_below(p, 2) == 0 ? 3 : 255;

	for (size_t i = 0; i < len; i++)
		key[i] = (uint8_t)prng_below(p, span + 1u);
	return (struct bytes){ key, len };
}

static inline struct bytes
gen_long_key(struct prng *p)
{
	static const size_t lengths[] = { 500, 4000, 16000, 40000, 65500 };
	size_t len = lengths[prng_below(p, 5)];
	uint8_t *key = gen_alloc(len + 10);

	memset(key, 'x', len);
	prng_fill(p, key + len, 10);
	return (struct bytes){ key, len + 10 };
}

/* Ids from a small pool, so that items share references, or fresh ones. */
static inline struct ref *
gen_refs(struct prng *p, size_t n)
{
	struct ref *refs = gen_alloc(n * sizeof(*refs));

	for (size_t i = 0; i < n; i++) {
		struct prng pool;

		prng_init(&pool, prng_below(p, 2) == 0 ? prng_below(p, 50)
						       : prng_next(p));
		prng_fill(&pool, refs[i].id.b, ID_LEN);
		refs[i].node = prng_below(p, 8) == 0;
	}
	return refs;
}

static inline struct item
gen_item(struct prng *p, enum gen kind)
{
	bool wild = kind == GEN_WILD;
	struct item item = { .n_refs = gen_len(p, 2, wild ? 3000 : 20),
		.weight = prng_next(p) >> (8 + prng_below(p, 56)) };
	size_t val_len = gen_len(p, 100, wild ? VALUE_MAX : 2000);
	uint8_t *val = gen_alloc(val_len);

	switch (kind) {
	case GEN_WILD:
		item.key = gen_wild_key(p);
		break;
	case GEN_LONG:
		item.key = gen_long_key(p);
		break;
	default:
		item.key = gen_path(p);
	}
	for (size_t i = 0; i < val_len; i++)
		val[i] = (uint8_t)prng_next(p);
	item.val = (struct bytes){ val, val_len };
	item.refs = gen_refs(p, item.n_refs);
	return item;
}

static inline struct item
gen_dup(const struct item *item)
{
	struct item out = *item;
	struct bytes refs =
		gen_copy(item->refs, item->n_refs * sizeof(*item->refs));

	out.key = gen_copy(item->key.data, item->key.len);
	out.val = gen_copy(item->val.data, item->val.len);
	out.refs = (const struct ref *)(const void *)refs.data;
	return out;
}

static inline void
gen_free_const(const void *mem)
{
	void *p;

	memcpy(&p, &mem, sizeof(p));
	free(p);
}

static inline void
gen_item_free(struct item *item)
{
	gen_free_const(item->key.data);
	gen_free_const(item->val.data);
	gen_free_const(item->refs);
}

static inline int
gen_key_cmp(const struct item *a, const struct item *b)
{
	return key_cmp(a->key.data, a->key.len, b->key.data, b->key.len);
}

static inline int
gen_sort_cmp(const void *a, const void *b)
{
	return gen_key_cmp(a, b);
}

static inline bool
gen_item_eq(const struct item *a, const struct item *b)
{
	if (gen_key_cmp(a, b) != 0 || a->weight != b->weight ||
		a->n_refs != b->n_refs || a->val.len != b->val.len)
		return false;
	for (size_t i = 0; i < a->n_refs; i++)
		if (a->refs[i].node != b->refs[i].node ||
			!id_eq(&a->refs[i].id, &b->refs[i].id))
			return false;
	return a->val.len == 0 ||
	       memcmp(a->val.data, b->val.data, a->val.len) == 0;
}

/* The item becomes the set's; its place in the order is not looked for. */
static inline void
tree_set_push(struct tree_set *s, struct item item)
{
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 64 : 2 * s->cap;
		s->v = realloc(s->v, s->cap * sizeof(*s->v));
		assert(s->v != NULL);
	}
	s->v[s->n++] = item;
}

static inline void
tree_set_fini(struct tree_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		gen_item_free(&s->v[i]);
	free(s->v);
	*s = (struct tree_set){ .n = 0 };
}

/* Sorted; of items with the same key the first stays. */
static inline void
tree_set_sort(struct tree_set *s)
{
	size_t n = 0;

	if (s->n > 1)
		qsort(s->v, s->n, sizeof(*s->v), gen_sort_cmp);
	for (size_t i = 0; i < s->n; i++) {
		if (n > 0 && gen_key_cmp(&s->v[n - 1], &s->v[i]) == 0)
			gen_item_free(&s->v[i]);
		else
			s->v[n++] = s->v[i];
	}
	s->n = n;
}

/* Up to n items. */
static inline void
tree_set_random(struct tree_set *s, struct prng *p, size_t n, enum gen kind)
{
	*s = (struct tree_set){ .n = 0 };
	for (size_t i = 0; i < n; i++)
		tree_set_push(s, gen_item(p, kind));
	tree_set_sort(s);
}

/* A copy with about changes items left out, replaced or added. */
static inline void
tree_set_vary(struct tree_set *out, const struct tree_set *s, struct prng *p,
	size_t changes, enum gen kind)
{
	size_t every = s->n / (changes + 1) + 1;

	*out = (struct tree_set){ .n = 0 };
	for (size_t i = 0; i < s->n; i++) {
		struct item item = gen_dup(&s->v[i]);
		uint64_t dice = prng_below(p, 3 * every);

		if (changes > 0 && dice == 0) {
			gen_item_free(&item);
			continue;
		}
		if (changes > 0 && dice == 1)
			item.weight ^= 1;
		if (changes > 0 && dice == 2)
			tree_set_push(out, gen_item(p, kind));
		tree_set_push(out, item);
	}
	tree_set_sort(out);
}

/* The first one with a key >= key. */
static inline size_t
tree_set_lower(const struct tree_set *s, struct bytes key)
{
	size_t i = 0;

	while (i < s->n && key_cmp(s->v[i].key.data, s->v[i].key.len, key.data,
				   key.len) < 0)
		i++;
	return i;
}

#endif /* TESTS_LIB_TREE_GEN_H */
