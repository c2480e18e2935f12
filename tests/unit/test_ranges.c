/* SPDX-License-Identifier: Apache-2.0 */
/* A set of ranges against a map of bytes: nothing that was added is missing,
 * nothing else is there while there is room, and there never are too many.
 * Nothing is zero that was not added as that alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/ranges.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"

enum { SPACE = 20000, SEEDS = 3000, ROOM = 4096 };

enum { NOTHING, ZERO, DATA };

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
		struct ranges r = { 0 };
		bool map[SPACE] = { false };
		struct prng dice;

		prng_init(&dice, seed);
		fill(&r, map, &dice, 1 + prng_below(&dice, 2000));
		check_shape(&r, &dice);
		assert_int_equal(count_more(&r, map), 0);
		ranges_fini(&r);
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
	/* As far apart as can be, and no room for two. */
	r.max = 2;
	add(&r, map, 0, 1);
	must(ranges_add(&r, UINT64_MAX - 1, 1, &err), &err);
	must(ranges_add(&r, UINT64_MAX, 1, &err), &err);
	must(ranges_put(&r, (struct range){ .off = 9, .end = 9 }, &err), &err);
	assert_int_equal(r.n, 2);
	must(ranges_add(&r, UINT64_MAX - 1, 1, &err), &err);
	assert_int_equal(r.n, 1);
	ranges_fini(&r);
}

/* ---- of two kinds ---- */

static void
draw(const struct ranges *r, uint8_t out[ROOM])
{
	uint64_t end = 0;

	memset(out, NOTHING, ROOM);
	for (size_t i = 0; i < r->n; i++) {
		const struct range *one = &r->v[i];

		assert_true(one->off < one->end && one->off >= end);
		end = one->end;
		assert_true(end <= ROOM);
		memset(out + one->off, one->zero ? ZERO : DATA,
			(size_t)(end - one->off));
	}
}

/* Random ascending ranges, also drawn into want; some overlap. */
static void
make(struct prng *p, struct ranges *r, uint8_t want[ROOM])
{
	struct error err = ERROR_INIT;
	uint64_t off = 0, n = prng_below(p, 60);

	memset(want, NOTHING, ROOM);
	for (uint64_t i = 0; i < n; i++) {
		struct range one = { .off = off + prng_below(p, 60) };

		one.end = one.off + 1 + prng_below(p, 40);
		one.zero = prng_below(p, 2) == 0;
		if (one.end > ROOM)
			break;
		must(ranges_put(r, one, &err), &err);
		for (uint64_t k = one.off; k < one.end; k++)
			if (want[k] != DATA)
				want[k] = one.zero ? ZERO : DATA;
		off = prng_below(p, 4) == 0 ? one.off : one.end;
	}
}

/* What is more, or is data instead of zeroes, is so by an overlap, or for want
 * of room. */
static void
test_kinds(void **state)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		uint8_t want[ROOM], have[ROOM];
		struct ranges r = { .max = 100 };
		struct prng p;
		bool tight;

		prng_init(&p, seed);
		tight = prng_below(&p, 2) == 0;
		if (tight)
			r.max = 2 + prng_below(&p, 9);
		make(&p, &r, want);
		assert_true(r.n <= r.max);
		draw(&r, have);
		for (size_t i = 0; i < ROOM; i++) {
			if (want[i] == DATA)
				assert_int_equal(have[i], DATA);
			else if (want[i] == ZERO)
				assert_true(have[i] != NOTHING);
			else
				assert_true(have[i] == NOTHING ||
					    (tight && have[i] == DATA));
		}
		ranges_fini(&r);
	}
}

/* Zeroes stay what they are where nothing else is. */
static void
test_zeroes_stay(void **state)
{
	struct ranges r = { 0 };
	struct error err = ERROR_INIT;

	for (uint64_t i = 0; i < 100; i++)
		must(ranges_put(&r, (struct range){ i * 4, i * 4 + 4, i % 2 },
			     &err),
			&err);
	assert_int_equal(r.n, 100);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(r.v[i].zero, i % 2);
	ranges_fini(&r);
}

static void
test_overlay(void **state)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		uint8_t lower[ROOM], upper[ROOM], have[ROOM];
		struct ranges a = { 0 }, b = { 0 }, out = { 0 };
		struct error err = ERROR_INIT;
		uint64_t off, end;
		struct prng p;

		prng_init(&p, seed);
		make(&p, &a, lower);
		make(&p, &b, upper);
		draw(&a, lower);
		draw(&b, upper);
		off = prng_below(&p, ROOM);
		end = off + prng_below(&p, ROOM - off + 1);
		must(ranges_overlay(&out, &a, &b, off, end, &err), &err);
		draw(&out, have);
		for (uint64_t i = 0; i < ROOM; i++) {
			uint8_t want =
				upper[i] != NOTHING ? upper[i] : lower[i];

			assert_int_equal(have[i],
				i >= off && i < end ? want : NOTHING);
		}
		ranges_fini(&a);
		ranges_fini(&b);
		ranges_fini(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_odd),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_zeroes_stay),
		cmocka_unit_test(test_overlay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
