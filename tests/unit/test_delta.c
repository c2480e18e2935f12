/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta: whatever the two files are, old and what is told make new again; and
 * of files that are alike little is put.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "codec/delta.h"
#include "codec/delta_window.h"
#include "tests/lib/delta_tools.h"
#include "tests/lib/prng.h"

/* Parts of old in any order, most of them in order, and others between. */
static void
edit(struct bytes *new, const struct bytes *old, struct prng *rng)
{
	size_t mean = (size_t)1 << (4 + prng_below(rng, 14)), at = 0;

	while (at < old->len) {
		size_t len = 1 + prng_below(rng, 2 * mean), from = at;
		uint64_t what = prng_below(rng, 8);

		if (len > old->len - at)
			len = old->len - at;
		if (what == 0)
			from = prng_below(rng, old->len - len + 1);
		if (what == 1)
			add_kind(new, rng, (enum kind)prng_below(rng, KINDS),
				prng_below(rng, 2 * mean));
		if (what != 2)
			add_part(new, old, from, len);
		if (what == 3)
			new->data[new->len - 1] ^= 1;
		at += len;
	}
}

static void
told_is_new(void **state)
{
	for (uint64_t seed = 1; seed <= 400; seed++) {
		struct bytes old = { 0 }, new = { 0 };
		struct prng rng;

		prng_init(&rng, seed);
		for (uint64_t n = prng_below(&rng, 4); n > 0; n--)
			add_kind(&old, &rng, (enum kind)prng_below(&rng, KINDS),
				prng_below(&rng, 150000));
		edit(&new, &old, &rng);
		print_message("seed %" PRIu64 "\n", seed);
		compare(&old, &new);
		compare(&new, &old);
		drop(&old);
		drop(&new);
	}
}

static void
ends_are_ends(void **state)
{
	static const size_t lens[] = { 0, 1, 63, DELTA_MIN - 1, DELTA_MIN,
		DELTA_MIN + 1, KIB, DELTA_NEAR, DELTA_WINDOW };
	struct bytes all = { 0 };
	struct prng rng;

	prng_init(&rng, 1);
	add_kind(&all, &rng, RANDOM, DELTA_WINDOW);
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		for (size_t k = 0; k < ARRAY_LEN(lens); k++) {
			struct bytes old = all, new = all;
			uint64_t alike;

			old.len = lens[i];
			new.len = lens[k];
			alike = lens[i] < lens[k] ? lens[i] : lens[k];
			if (alike < DELTA_MIN)
				alike = 0;
			assert_int_equal(compare(&old, &new), lens[k] - alike);
		}
	}
	drop(&all);
}

/*
 * One change to the record at off.  Bytes of the new file that are not of the
 * old one are returned, and what is left out of the old one goes to *gone.
 */
static size_t
change_record(struct bytes *new, const struct bytes *old, size_t off,
	uint64_t what, struct prng *rng, size_t *gone)
{
	size_t was = new->len;

	*gone = 0;
	if (what == 0) {
		add_part(new, old, off, RECORD);
		prng_fill(rng, new->data + was + 18, 8);
		return 8;
	}
	if (what == 1) {
		*gone = RECORD;
		return 0;
	}
	add_records(new, rng, 1 + prng_below(rng, 3));
	was = new->len - was;
	add_part(new, old, off, RECORD);
	return was;
}

struct islands {
	size_t n, changed;
};

/* Records of old, one of each few of them changed; at least apart bytes lie
 * between two changes. */
static struct islands
make_islands(struct bytes *new, const struct bytes *old, size_t few,
	size_t apart, struct prng *rng)
{
	struct islands is = { 0, 0 };
	size_t last = 0, gone;

	for (size_t off = 0; off < old->len; off += RECORD) {
		if (off - last < apart || prng_below(rng, few) != 0) {
			add_part(new, old, off, RECORD);
			continue;
		}
		is.changed += change_record(new, old, off, prng_below(rng, 3),
			rng, &gone);
		is.n++;
		last = off;
	}
	return is;
}

/*
 * Islands that lie apart cost what changed and no byte more.  Of two that do
 * not, the bytes between them are put, which are fewer than DELTA_MIN.
 */
static void
islands_cost_what_they_are(void **state)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct bytes old = { 0 }, new = { 0 };
		size_t few = seed % 2 == 0 ? 2 + seed : 100;
		size_t apart = seed % 2 == 0 ? 0 : 4 * DELTA_MIN;
		struct islands is;
		struct prng rng;
		uint64_t put;

		prng_init(&rng, seed);
		add_records(&old, &rng, 60000);
		is = make_islands(&new, &old, few, apart, &rng);
		put = compare(&old, &new);
		print_message("seed %" PRIu64 ": %zu islands, %zu bytes, "
			      "%" PRIu64 " put\n",
			seed, is.n, is.changed, put);
		if (apart == 0)
			is.changed += DELTA_MIN * is.n;
		assert_true(put <= is.changed);
		drop(&old);
		drop(&new);
	}
}

/* Parts of whole kinds of files, with an island in one record of 100. */
static size_t
add_changed(struct bytes *new, const struct bytes *old, size_t off, size_t len,
	struct prng *rng)
{
	struct bytes part = { old->data + off, len / RECORD * RECORD, 0 };
	struct islands is = make_islands(new, &part, 100, 4 * DELTA_MIN, rng);

	add_part(new, old, off + part.len, len - part.len);
	return is.changed;
}

/*
 * Megabytes are put in, left out, replaced and moved, with islands in what
 * stays.  Between two such events lies a megabyte or more; where that begins,
 * the way has to be found again.
 */
static void
large_events_cost_what_they_are(void **state)
{
	enum { EVENTS = 6 };

	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct bytes old = { 0 }, new = { 0 };
		uint64_t may = 0, put;
		struct prng rng;

		prng_init(&rng, seed);
		for (size_t i = 0; i < EVENTS; i++) {
			size_t stays = MIB + prng_below(&rng, 2 * MIB);
			size_t len = 10 * KIB + prng_below(&rng, 3 * MIB);
			enum kind kind = seed % 2 == 0 ? RECORDS : RANDOM;
			uint64_t what = prng_below(&rng, 3);

			stays -= stays % RECORD;
			add_kind(&old, &rng, kind, stays);
			may += DELTA_MIN + add_changed(&new, &old,
						   old.len - stays, stays,
						   &rng);
			if (what != 0)
				add_kind(&old, &rng, kind, len);
			if (what == 1)
				continue;
			add_kind(&new, &rng, kind, len);
			may += len;
		}
		put = compare(&old, &new);
		print_message("seed %" PRIu64 ": %" PRIu64 " of %zu put, may "
			      "be %" PRIu64 "\n",
			seed, put, new.len, may);
		assert_true(put <= may);
		drop(&old);
		drop(&new);
	}
}

/* What was moved is put; what lies between stays, whichever of the two it was
 * moved to. */
static void
moves_cost_what_moved(void **state)
{
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct bytes old = { 0 }, new = { 0 };
		size_t len = (size_t)(20 * KIB) << seed % 7;
		size_t from, to;
		struct prng rng;

		prng_init(&rng, seed);
		add_kind(&old, &rng, RANDOM, 8 * MIB);
		from = prng_below(&rng, 3 * MIB);
		to = 5 * MIB + prng_below(&rng, 3 * MIB - len);
		add_part(&new, &old, 0, from);
		if (seed % 2 == 0) {
			add_part(&new, &old, from + len, to - from);
			add_part(&new, &old, from, len);
			add_part(&new, &old, to + len, old.len - to - len);
		} else {
			add_part(&new, &old, to, len);
			add_part(&new, &old, from, to - from);
			add_part(&new, &old, to + len, old.len - to - len);
		}
		print_message("seed %" PRIu64 ": %zu moved\n", seed, len);
		assert_true(compare(&old, &new) <= len + DELTA_MIN);
		drop(&old);
		drop(&new);
	}
}

/* Where little of what comes next is known, that is not gone after: it would
 * cost all that lies before it in the old file. */
static void
short_moves_mislead_nobody(void **state)
{
	size_t from = 3 * MIB, len = 100 * KIB, more = 5 * MIB;
	struct bytes old = { 0 }, new = { 0 };
	struct prng rng;

	prng_init(&rng, 1);
	add_kind(&old, &rng, RANDOM, 8 * MIB);
	add_part(&new, &old, from, len);
	add_kind(&new, &rng, RANDOM, more);
	add_part(&new, &old, 0, from);
	add_part(&new, &old, from + len, old.len - from - len);
	assert_in_range(compare(&old, &new), more, more + len + DELTA_MIN);
	drop(&old);
	drop(&new);
}

/* A byte changed, some put in, some left out, around where windows end. */
static void
windows_have_no_edges(void **state)
{
	static const size_t ends[] = { DELTA_NEAR, DELTA_WINDOW - DELTA_NEAR,
		DELTA_WINDOW, 2 * DELTA_WINDOW };
	struct bytes old = { 0 };
	struct prng rng;

	prng_init(&rng, 1);
	add_kind(&old, &rng, RANDOM, 2 * DELTA_WINDOW + 4 * KIB);
	for (size_t i = 0; i < 4 * 3 * 20; i++) {
		size_t at = ends[i % 4] + i / 12 * 15 - 150, what = i / 4 % 3;
		struct bytes new = { 0 };

		add_part(&new, &old, 0, at);
		if (what == 0) {
			add_part(&new, &old, at, 1);
			new.data[at] ^= 1;
		}
		if (what == 1)
			add_kind(&new, &rng, RANDOM, RECORD);
		at += what == 0 ? 1 : what == 1 ? 0 : RECORD;
		add_part(&new, &old, at, old.len - at);
		assert_in_range(compare(&old, &new), what == 0,
			what == 0   ? 1
			: what == 1 ? RECORD
				    : 0);
		drop(&new);
	}
	drop(&old);
}

/* Whichever call fails: its error is the result, and it was the last one. */
static void
errors_end_it(void **state)
{
	struct bytes old = { 0 }, new = { 0 };
	struct prng rng;
	struct told t;
	uint64_t calls;
	struct error err = ERROR_INIT;

	prng_init(&rng, 1);
	add_kind(&old, &rng, RECORDS, 700 * KIB);
	add_changed(&new, &old, 0, 200 * KIB, &rng);
	add_kind(&new, &rng, RECORDS, 300 * KIB);
	add_part(&new, &old, 300 * KIB, 50 * KIB);
	add_part(&new, &old, 500 * KIB, 150 * KIB);
	assert_int_equal(run(&t, &old, &new, 0, &err), ERR_OK);
	calls = t.calls;
	assert_in_range(calls, 50, 1000);
	for (uint64_t i = 1; i <= calls; i++) {
		char want[32];

		snprintf(want, sizeof(want), "call %" PRIu64, i);
		assert_int_equal(run(&t, &old, &new, i, &err), ERR_DENIED);
		assert_string_equal(err.msg, want);
		assert_int_equal(t.calls, i);
	}
	drop(&old);
	drop(&new);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(told_is_new),
		cmocka_unit_test(ends_are_ends),
		cmocka_unit_test(islands_cost_what_they_are),
		cmocka_unit_test(large_events_cost_what_they_are),
		cmocka_unit_test(moves_cost_what_moved),
		cmocka_unit_test(short_moves_mislead_nobody),
		cmocka_unit_test(windows_have_no_edges),
		cmocka_unit_test(errors_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
