/* SPDX-License-Identifier: Apache-2.0 */
/* The live set against a sorted array of the same prefixes. */
#include <stdlib.h>

#include "engine/live.h"
#include "tests/lib/prng.h"
#include "tests/lib/repo_tools.h"
#include "tests/lib/scale.h"

struct naive {
	uint64_t *v;
	size_t n;
};

static int
cmp_u64(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void
naive_sort(struct naive *s)
{
	size_t n = 0;

	qsort(s->v, s->n, sizeof(*s->v), cmp_u64);
	for (size_t i = 0; i < s->n; i++)
		if (n == 0 || s->v[n - 1] != s->v[i])
			s->v[n++] = s->v[i];
	s->n = n;
}

static bool
naive_has(const struct naive *s, uint64_t fp)
{
	return bsearch(&fp, s->v, s->n, sizeof(fp), cmp_u64) != NULL;
}

static int
cmp_id(const void *a, const void *b)
{
	return id_cmp(a, b);
}

/* How ids are spread over the range of their first bytes. */
enum spread { EVEN, ONE_CHAIN, NARROW, FEW, SPREADS };

static void
make_id(struct prng *p, enum spread spread, struct id *id)
{
	prng_fill(p, id->b, ID_LEN);
	if (spread == ONE_CHAIN)
		id->b[0] = 0x42;
	if (spread == NARROW)
		memset(id->b, 0xff, 4);
	if (spread == FEW) {
		memset(id->b, 0, ID_LEN);
		id->b[0] = (uint8_t)(prng_below(p, 3) * 0x7f);
		id->b[7] = (uint8_t)prng_below(p, 5);
	}
}

struct asked {
	struct id *v;
	size_t n;
};

/* Ask for each in order, and compare; leave the rest to live_end. */
static void
walk(struct live *l, const struct naive *naive, const struct asked *ask)
{
	struct error err = ERROR_INIT;
	struct live_missed missed;
	uint64_t met = 0, last = 0, first = 0;
	bool has, any = false;

	live_rewind(l);
	for (size_t i = 0; i < ask->n; i++) {
		uint64_t fp = id_prefix(&ask->v[i]);

		must(live_has(l, &ask->v[i], &has, &err), &err);
		assert_int_equal(has, naive_has(naive, fp));
		met += has && (!any || fp != last);
		any = any || has;
		last = has ? fp : last;
	}
	must(live_end(l, &missed, &err), &err);
	assert_int_equal(missed.n, naive->n - met);
	for (size_t i = 0, k = 0; i < naive->n && missed.n > 0; i++) {
		while (k < ask->n && id_prefix(&ask->v[k]) < naive->v[i])
			k++;
		first = naive->v[i];
		if (k == ask->n || id_prefix(&ask->v[k]) != first)
			break;
	}
	if (missed.n > 0)
		assert_true(missed.first == first);
}

static void
one_round(uint64_t seed, enum spread spread, size_t n_max, size_t room)
{
	struct error err = ERROR_INIT;
	struct naive naive;
	struct asked ask;
	struct live *l;
	struct prng p;
	size_t n;

	prng_init(&p, seed);
	n = (size_t)prng_below(&p, n_max);
	naive = (struct naive){ calloc(n + 1, sizeof(uint64_t)), 0 };
	ask = (struct asked){ calloc(2 * n + 1, sizeof(struct id)), 0 };
	must(live_new(&l, NULL, room, &err), &err);
	for (size_t i = 0; i < n; i++) {
		struct id id;

		make_id(&p, spread, &id);
		for (uint64_t k = prng_below(&p, 3); k-- > 0;)
			must(live_add(l, &id, &err), &err);
		must(live_add(l, &id, &err), &err);
		naive.v[naive.n++] = id_prefix(&id);
		if (prng_below(&p, 3) > 0)
			ask.v[ask.n++] = id;
		make_id(&p, spread, &id);
		if (prng_below(&p, 2) > 0)
			ask.v[ask.n++] = id;
	}
	naive_sort(&naive);
	qsort(ask.v, ask.n, sizeof(*ask.v), cmp_id);
	walk(l, &naive, &ask);
	walk(l, &naive, &ask);
	ask.n = 0;
	walk(l, &naive, &ask);
	live_free(l);
	free(naive.v);
	free(ask.v);
}

static void
test_against_naive(void **state)
{
	for (unsigned i = 0; i < test_scale(40); i++) {
		enum spread spread = i % SPREADS;

		print_message("seed %u\n", i);
		one_round(i, spread, 300, 64);
		one_round(i, spread, 9000, 64u << i % 10);
		if (i % 8 < SPREADS)
			one_round(i, spread, 400000, 8192u << i % 10);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_naive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
