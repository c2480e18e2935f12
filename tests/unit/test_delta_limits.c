/* SPDX-License-Identifier: Apache-2.0 */
/* delta: whatever the two files are, time, memory and reads have limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/delta.h"
#include "tests/lib/delta_tools.h"
#include "tests/lib/prng.h"

enum hostile {
	ZEROES,
	ZEROES_MARKED,
	PERIOD_BROKEN,
	UNRELATED,
	BYTES_REVERSED,
	RECORDS_REVERSED,
	BLOCKS_REVERSED,
	GRAMS_ALIKE,
	SMALL_AND_FAR,
	HALVES_SWAPPED_AGAIN,
	SEARCHES_WORN_OUT,
	HOSTILES
};

static void
add_zeroes(struct bytes *b, size_t len, size_t each)
{
	uint8_t *data = calloc(len, 1);

	assert_non_null(data);
	for (size_t i = each; each > 0 && i < len; i += each)
		data[i] = 1;
	add(b, data, len);
	free(data);
}

static void
reverse(struct bytes *new, const struct bytes *old, size_t unit)
{
	for (size_t end = old->len / unit * unit; end > 0; end -= unit)
		add_part(new, old, end - unit, unit);
}

/* As deep as it goes: the one half behind the other, in either of them, too. */
static void
swap_halves(struct bytes *new, const struct bytes *old)
{
	size_t n = 1;

	while (old->len / n > 300)
		n *= 2;
	for (size_t i = 0; i < n; i++) {
		size_t at = 0;

		for (size_t bit = 1; bit < n; bit *= 2)
			at = at * 2 + ((i & bit) != 0);
		add_part(new, old, at * (old->len / n), old->len / n);
	}
}

/* 64 bytes that are alike everywhere, and 40 to 60 that are not. */
static void
add_grams_alike(struct bytes *b, struct prng *rng, size_t len)
{
	uint8_t same[64];

	memset(same, 7, sizeof(same));
	for (size_t end = b->len + len; b->len < end;) {
		add(b, same, sizeof(same));
		add_kind(b, rng, RANDOM, 40 + prng_below(rng, 20));
	}
}

/*
 * Zeroes that are alike but for one byte too few each time, at so many places
 * that the small searches give up, and what the large one finds is small.
 */
static void
wear_out(struct bytes *old, struct bytes *new, struct prng *rng, size_t n)
{
	while (new->len < n) {
		size_t at = old->len;

		add_zeroes(old, 300, 0);
		add_kind(old, rng, RANDOM, DELTA_MIN + 2);
		for (size_t i = 0; i < 8; i++) {
			add_zeroes(new, DELTA_MIN - 1, 0);
			add(new, "m", 1);
		}
		add_part(new, old, at + 300, DELTA_MIN + 2);
	}
}

static void
make_hostile(struct bytes *old, struct bytes *new, enum hostile what, size_t n)
{
	struct prng rng;

	prng_init(&rng, 1);
	if (what == SEARCHES_WORN_OUT) {
		wear_out(old, new, &rng, n);
		return;
	}
	if (what == ZEROES || what == ZEROES_MARKED)
		add_zeroes(old, n, 0);
	else if (what == GRAMS_ALIKE)
		add_grams_alike(old, &rng, n);
	else if (what == RECORDS_REVERSED)
		add_records(old, &rng, n / RECORD);
	else
		add_kind(old, &rng, RANDOM, n);
	for (size_t i = 97; what == PERIOD_BROKEN && i < n; i++)
		old->data[i] = old->data[i - 97];
	switch (what) {
	case ZEROES:
		add_zeroes(new, n + n / 3, 0);
		break;
	case ZEROES_MARKED:
		add_zeroes(new, n, 2 * DELTA_MIN - 130);
		break;
	case PERIOD_BROKEN:
		for (size_t i = 0; i < n / 301; i++)
			add_part(new, old, i * 301 % 97, 300);
		break;
	case GRAMS_ALIKE:
		add_grams_alike(new, &rng, n);
		break;
	case SMALL_AND_FAR:
		for (size_t at = 0; at + 20 * KIB < n; at += 20 * KIB) {
			add_part(new, old, at, DELTA_MIN + 2);
			add_kind(new, &rng, RANDOM, 3);
		}
		break;
	case HALVES_SWAPPED_AGAIN:
		swap_halves(new, old);
		break;
	case UNRELATED:
		add_kind(new, &rng, RANDOM, n);
		break;
	default:
		reverse(new, old,
			what == BYTES_REVERSED     ? 1
			: what == RECORDS_REVERSED ? RECORD
						   : KIB);
	}
}

static double
seconds_of(enum hostile what, size_t n)
{
	struct bytes old = { 0 }, new = { 0 };
	struct timespec from, to;

	make_hostile(&old, &new, what, n);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	compare(&old, &new);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	drop(&old);
	drop(&new);
	return (double)(to.tv_sec - from.tv_sec) +
	       (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
}

/* Sixteen times the bytes, and not 256 times the time; nor much more of that
 * than files take which are alike. */
static void
nothing_takes_long(void **state)
{
	double most = seconds_of(ZEROES, 16 * MIB);

	for (size_t i = 0; i < 3; i++) {
		double again = seconds_of(ZEROES, 16 * MIB);

		most = again < most ? again : most;
	}
	for (enum hostile what = 0; what < HOSTILES; what++) {
		double one = seconds_of(what, MIB);
		double more = seconds_of(what, 16 * MIB);

		print_message("kind %d: %.1f ms, %.1f ms\n", (int)what,
			one * 1e3, more * 1e3);
		assert_true(more < 64 * (one + 0.005));
		assert_true(more < 40 * (most + 0.002));
	}
}

/* Files that nobody has in memory: the byte at off is one of a hash of off, but
 * that from at on others come first. */
struct made_up {
	uint64_t at, len;
	size_t used; /* bytes allocated, at most */
	uint64_t read;
};

static size_t
bytes_used(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static enum err
make_up(void *arg, uint64_t off, void *data, size_t len, struct error *err)
{
	struct made_up *m = arg;
	uint8_t *b = data;

	for (size_t i = 0; i < len; i++) {
		uint64_t from = off + i;

		if (from >= m->at)
			from += from - m->at < m->len ? UINT64_C(1) << 40
						      : -m->len;
		from = (from + 1) * UINT64_C(0x9e3779b97f4a7c15);
		b[i] = (uint8_t)((from ^ from >> 29) *
					 UINT64_C(0xbf58476d1ce4e5b9) >>
				 56);
	}
	m->read += len;
	if (bytes_used() > m->used)
		m->used = bytes_used();
	return ERR_OK;
}

static enum err
ignore_take(void *arg, uint64_t off, uint64_t old_off, uint64_t len,
	struct error *err)
{
	return ERR_OK;
}

static enum err
count_put(void *arg, uint64_t off, const void *data, size_t len,
	struct error *err)
{
	*(uint64_t *)arg += len;
	return ERR_OK;
}

/* Bytes put of the old file with b->len bytes more. */
static uint64_t
compare_made_up(struct made_up *a, struct made_up *b, uint64_t size)
{
	uint64_t put = 0;
	struct delta_file old = { size, make_up, a };
	struct delta_file new = { size + b->len, make_up, b };
	struct delta_fn fn = { ignore_take, count_put, &put };
	struct error err = ERROR_INIT;

	assert_int_equal(delta_run(&old, &new, &fn, &err), ERR_OK);
	return put;
}

/* Also where all of both had to be sampled.  (Of an allocator that is not
 * glibc's nothing is known.) */
static void
memory_is_bounded(void **state)
{
	struct made_up a = { .at = UINT64_MAX };
	struct made_up b = { .at = 5 * MIB, .len = 66 * MIB };
	size_t before = bytes_used();
	uint64_t put = compare_made_up(&a, &b, 80 * MIB);

	assert_in_range(put, b.len, b.len + DELTA_MIN);
	print_message("%zu bytes\n", b.used - before);
	assert_in_range(a.used - before, 0, DELTA_MEMORY);
	assert_in_range(b.used - before, 0, DELTA_MEMORY);
	assert_int_equal(bytes_used(), before);
}

/* What was put in is found by sampling a few megabytes. */
static void
little_is_read_again(void **state)
{
	struct made_up a = { .at = UINT64_MAX };
	struct made_up b = { .at = 5 * MIB, .len = MIB };
	uint64_t size = 60 * MIB, put = compare_made_up(&a, &b, size);

	assert_in_range(put, b.len, b.len + DELTA_MIN);
	assert_in_range(a.read, size, size + 6 * MIB);
	assert_in_range(b.read, size + b.len, size + b.len + 6 * MIB);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_takes_long),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(little_is_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
