/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/lib/prng.h"
#include "view/streams.h"

enum { PLACES = 4, READS = 2000, DISORDER = 8, WINDOW = 64 };
enum { STRIDE = READS + 2 * WINDOW };

static const uint64_t unit = 4096;

/* What was told to be fetched, in units; read: what was read before. */
struct told {
	uint8_t told[PLACES * STRIDE];
	uint8_t read[PLACES * STRIDE];
	uint64_t n;
};

static void
note(struct streams *s, struct told *t, uint64_t at)
{
	uint64_t from, to;

	t->read[at] = 1;
	if (!streams_note(s, at * unit, unit, &from, &to))
		return;
	assert_true(from < to && to - from <= WINDOW * unit);
	for (uint64_t i = from / unit; i < to / unit; i++) {
		assert_int_equal(t->told[i]++, 0);
		t->n++;
	}
}

/*
 * Four programs read front to back, each with requests in slight disorder:
 * all but the first few units are told before they are read, and none twice.
 */
static void
several_streams_are_followed(void **state)
{
	uint64_t next[PLACES] = { 0 }, order[DISORDER] = { 0 }, early = 0;
	struct told *t = calloc(1, sizeof(*t));
	struct streams s;
	struct prng p;

	assert_non_null(t);
	prng_init(&p, 7);
	streams_init(&s, WINDOW * unit);
	for (uint64_t done = 0; done < PLACES * READS / DISORDER; done++) {
		uint64_t place = done % PLACES;

		for (uint64_t i = 0; i < DISORDER; i++) {
			uint64_t k = prng_below(&p, i + 1);

			order[i] = order[k];
			order[k] = place * STRIDE + next[place] + i;
		}
		for (uint64_t i = 0; i < DISORDER; i++) {
			early += t->told[order[i]];
			note(&s, t, order[i]);
		}
		next[place] += DISORDER;
	}
	assert_true(early >= PLACES * READS * 95 / 100);
	streams_fini(&s);
	free(t);
}

static void
random_reads_are_no_stream(void **state)
{
	struct streams s;
	struct prng p;
	uint64_t from, to;
	unsigned told = 0;

	prng_init(&p, 8);
	streams_init(&s, 1 << 20);
	for (int i = 0; i < 20000; i++) {
		uint64_t off = prng_below(&p, UINT64_C(1) << 40);

		told += streams_note(&s, off, unit, &from, &to) ? 1 : 0;
	}
	assert_true(told < 20);
	streams_fini(&s);
}

/* What there was no room for is told again; the way begins short. */
static void
a_stream_goes_on_where_it_was_stopped(void **state)
{
	uint64_t from = 0, to = 0, off = 0;
	struct streams s;

	streams_init(&s, WINDOW * unit);
	while (!streams_note(&s, off, unit, &from, &to))
		off += unit;
	assert_int_equal(from, off + unit);
	assert_true(to - from <= 8 * unit);
	streams_stop(&s, from, to);
	off += unit;
	assert_true(streams_note(&s, off, unit, &from, &to));
	assert_int_equal(from, off + unit);
	streams_fini(&s);
}

static void
ends_of_the_range_are_no_trouble(void **state)
{
	uint64_t from, to;
	struct streams s;

	streams_init(&s, 1 << 20);
	assert_false(streams_note(&s, 0, 0, &from, &to));
	for (uint64_t i = 64; i > 0; i--)
		if (streams_note(&s, UINT64_MAX - i, 1, &from, &to))
			assert_true(UINT64_MAX - i < from && from < to);
	for (int i = 0; i < 8; i++)
		assert_false(streams_note(&s, 5, UINT64_MAX, &from, &to));
	streams_fini(&s);
	streams_init(&s, 0);
	for (uint64_t i = 0; i < 8; i++)
		assert_false(streams_note(&s, i * unit, unit, &from, &to));
	streams_fini(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_streams_are_followed),
		cmocka_unit_test(random_reads_are_no_stream),
		cmocka_unit_test(a_stream_goes_on_where_it_was_stopped),
		cmocka_unit_test(ends_of_the_range_are_no_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
