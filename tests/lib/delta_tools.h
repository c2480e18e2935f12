/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta_tools: versions of a file made up, and delta run over two of them with
 * each call checked as it comes.
 */
#ifndef TESTS_LIB_DELTA_TOOLS_H
#define TESTS_LIB_DELTA_TOOLS_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "codec/delta.h"
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

#endif /* TESTS_LIB_DELTA_TOOLS_H */
