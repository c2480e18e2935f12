/* SPDX-License-Identifier: Apache-2.0 */
/* A set of ranges against a map of bytes: nothing that was added is missing,
 * nothing else is there while there is room, and there never are too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine/ranges.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"

enum { SPACE = 20000 };

static void
add(struct ranges *r, bool map[SPACE], uint64_t off, uint64_t len)
{
	struct error err = ERROR_INIT;

	must(ranges_add(r, off, len, &err), &err);
	for (uint64_t i = off; i < off + len && i < SPACE; i++)
		map[i] = true;
}

/* Ascending and more than gap apart; ranges_next tells the same from any
 * offset. */
static void
check_shape(const struct ranges *r, struct prng *dice)
{
	struct range got;

	for (size_t i = 0; i < r->n; i++) {
		assert_true(r->v[i].off < r->v[i].end);
		if (i > 0)
			assert_true(r->v[i].off > r->v[i - 1].end + r->gap);
	}
	for (unsigned k = 0; k < 50; k++) {
		uint64_t off = prng_below(dice, SPACE + 10);
		size_t i = 0;

		while (i < r->n && r->v[i].end <= off)
			i++;
		assert_int_equal(ranges_next(r, off, &got), i < r->n);
		if (i == r->n)
			continue;
		assert_int_equal(got.end, r->v[i].end);
		assert_int_equal(got.off,
			off > r->v[i].off ? off : r->v[i].off);
	}
}

/* Bytes that are in r and not in map; those of map that lack fail. */
static uint64_t
count_more(const struct ranges *r, const bool map[SPACE])
{
	uint64_t more = 0;
	size_t i = 0;

	for (uint64_t at = 0; at < SPACE; at++) {
		bool in;

		while (i < r->n && r->v[i].end <= at)
			i++;
		in = i < r->n && r->v[i].off <= at;
		if (map[at])
			assert_true(in);
		more += in && !map[at] ? 1 : 0;
	}
	return more;
}

static void
fill(struct ranges *r, bool map[SPACE], struct prng *dice, uint64_t step)
{
	uint64_t off = 0;

	while (off < SPACE - 100) {
		add(r, map, off, prng_below(dice, 60));
		off += 1 + prng_below(dice, step);
	}
}

static void
test_exact(void **state)
{
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct ranges a = { 0 }, b = { 0 }, both = { 0 };
		bool map_a[SPACE] = { false }, map_b[SPACE] = { false };
		struct error err = ERROR_INIT;
		struct prng dice;

		prng_init(&dice, seed);
		fill(&a, map_a, &dice, 1 + prng_below(&dice, 2000));
		fill(&b, map_b, &dice, 1 + prng_below(&dice, 2000));
		check_shape(&a, &dice);
		assert_int_equal(count_more(&a, map_a), 0);
		must(ranges_union(&both, &a, &b, &err), &err);
		for (size_t i = 0; i < SPACE; i++)
			map_a[i] = map_a[i] || map_b[i];
		check_shape(&both, &dice);
		assert_int_equal(count_more(&both, map_a), 0);
		ranges_fini(&a);
		ranges_fini(&b);
		ranges_fini(&both);
	}
}

static void
test_bounded(void **state)
{
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct ranges r = { .max = 2 + seed % 20, .gap = seed % 3 };
		bool map[SPACE] = { false };
		struct prng dice;

		prng_init(&dice, seed);
		fill(&r, map, &dice, 200);
		assert_true(r.n <= r.max);
		check_shape(&r, &dice);
		(void)count_more(&r, map);
		ranges_fini(&r);
	}
}

static void
test_odd(void **state)
{
	struct ranges r = { 0 };
	bool map[SPACE] = { false };
	struct error err = ERROR_INIT;
	struct range got;

	assert_false(ranges_next(&r, 0, &got));
	add(&r, map, 5000, 10);
	add(&r, map, 6000, 10);
	add(&r, map, 5500, 10);
	add(&r, map, 100, 0);
	(void)count_more(&r, map);
	must(ranges_add(&r, UINT64_MAX - 5, 100, &err), &err);
	assert_true(ranges_next(&r, 10000, &got));
	assert_int_equal(got.end, UINT64_MAX);
	ranges_fini(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_odd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
