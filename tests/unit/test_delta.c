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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(told_is_new),
		cmocka_unit_test(ends_are_ends),
		cmocka_unit_test(islands_cost_what_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
