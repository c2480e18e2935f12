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

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/delta.h"
#include "codec/delta_window.h"
#include "tests/lib/prng.h"

enum { KIB = 1 << 10, MIB = 1 << 20, RECORD = 44 };

struct bytes {
	uint8_t *data;
	size_t len, cap;
};

/* What was told, checked as it comes. */
struct told {
	const struct bytes *old, *new;
	uint64_t end, old_end, put, takes, calls;
	uint64_t fail_at; /* this call of any kind; 0: none */
};

struct in {
	const struct bytes *of;
	struct told *told;
};

static void
add(struct bytes *b, const void *data, size_t len)
{
	if (len == 0)
		return;
	if (b->len + len > b->cap) {
		b->cap = 2 * (b->len + len);
		b->data = realloc(b->data, b->cap);
		assert_non_null(b->data);
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static void
add_part(struct bytes *b, const struct bytes *from, size_t off, size_t len)
{
	assert_true(off <= from->len && len <= from->len - off);
	if (len > 0)
		add(b, from->data + off, len);
}

static void
drop(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){ NULL, 0, 0 };
}

static enum err
count_call(struct told *t, struct error *err)
{
	assert_true(t->fail_at == 0 || t->calls < t->fail_at);
	if (++t->calls == t->fail_at)
		return err_set(err, ERR_DENIED, "call %" PRIu64, t->calls);
	return ERR_OK;
}

static enum err
read_bytes(void *arg, uint64_t off, void *data, size_t len, struct error *err)
{
	struct in *in = arg;

	assert_true(len > 0 && off <= in->of->len && len <= in->of->len - off);
	memcpy(data, in->of->data + off, len);
	return count_call(in->told, err);
}

static enum err
check_take(void *arg, uint64_t off, uint64_t old_off, uint64_t len,
	struct error *err)
{
	struct told *t = arg;

	assert_int_equal(off, t->end);
	assert_true(len >= DELTA_MIN && len <= t->new->len - off);
	assert_true(old_off >= t->old_end && old_off <= t->old->len);
	assert_true(len <= t->old->len - old_off);
	assert_memory_equal(t->old->data + old_off, t->new->data + off, len);
	t->end = off + len;
	t->old_end = old_off + len;
	t->takes++;
	return count_call(t, err);
}

static enum err
check_put(void *arg, uint64_t off, const void *data, size_t len,
	struct error *err)
{
	struct told *t = arg;

	assert_int_equal(off, t->end);
	assert_true(len > 0 && len <= t->new->len - off);
	assert_memory_equal(t->new->data + off, data, len);
	t->end = off + len;
	t->put += len;
	return count_call(t, err);
}

static enum err
run(struct told *t, const struct bytes *old, const struct bytes *new,
	uint64_t fail_at, struct error *err)
{
	struct in in_old = { old, t }, in_new = { new, t };
	struct delta_file files[2] = {
		{ old->len, read_bytes, &in_old },
		{ new->len, read_bytes, &in_new },
	};
	struct delta_fn fn = { check_take, check_put, t };

	*t = (struct told){ .old = old, .new = new, .fail_at = fail_at };
	return delta_run(&files[0], &files[1], &fn, err);
}

/* Bytes put. */
static uint64_t
compare(const struct bytes *old, const struct bytes *new)
{
	struct error err = ERROR_INIT;
	struct told t;

	assert_int_equal(run(&t, old, new, 0, &err), ERR_OK);
	assert_int_equal(t.end, new->len);
	return t.put;
}

enum kind { RANDOM, RECORDS, PERIODIC, RUNS, KINDS };

/* As a node of a MooseFS image: little but its number tells it from others. */
static void
add_records(struct bytes *b, struct prng *rng, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t r[RECORD] = { 1 };
		uint32_t number = (uint32_t)prng_next(rng);
		uint32_t sec = (uint32_t)(1700000000 + prng_below(rng, 4));

		memcpy(r + 1, &number, sizeof(number));
		for (size_t k = 0; k < 3; k++)
			memcpy(r + 18 + 4 * k, &sec, sizeof(sec));
		r[8] = 0644 & 0xff;
		add(b, r, sizeof(r));
	}
}

static void
add_kind(struct bytes *b, struct prng *rng, enum kind kind, size_t len)
{
	uint8_t *data = malloc(len + 1);
	size_t period = 1 + prng_below(rng, 300);

	assert_non_null(data);
	if (kind == RECORDS) {
		add_records(b, rng, len / RECORD);
		free(data);
		return;
	}
	prng_fill(rng, data, len);
	for (size_t i = period; kind == PERIODIC && i < len; i++)
		data[i] = data[i - period];
	for (size_t i = 0, n; kind == RUNS && i < len; i += n) {
		n = 1 + prng_below(rng, 400);
		if (n > len - i)
			n = len - i;
		memset(data + i, (int)prng_below(rng, 3), n);
	}
	add(b, data, len);
	free(data);
}

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
	for (uint64_t seed = 1; seed <= 60; seed++) {
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

	for (uint64_t seed = 1; seed <= 12; seed++) {
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
		cmocka_unit_test(told_is_new),
		cmocka_unit_test(ends_are_ends),
		cmocka_unit_test(islands_cost_what_they_are),
		cmocka_unit_test(large_events_cost_what_they_are),
		cmocka_unit_test(moves_cost_what_moved),
		cmocka_unit_test(short_moves_mislead_nobody),
		cmocka_unit_test(windows_have_no_edges),
		cmocka_unit_test(errors_end_it),
		cmocka_unit_test(nothing_takes_long),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(little_is_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
