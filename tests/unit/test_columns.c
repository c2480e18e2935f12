/* SPDX-License-Identifier: Apache-2.0 */
/*
 * columns: whatever the bytes are, they come back; a log gets shorter; and
 * what is damaged neither writes too far nor gives something else silently.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/columns.h"
#include "tests/lib/lines_made.h"
#include "tests/lib/prng.h"
#include "tests/lib/scale.h"

enum { GUARD = 64 };

static enum err
decode(const void *data, size_t len, uint8_t **out, size_t plain_len)
{
	struct error err = ERROR_INIT;
	uint8_t *back = malloc(plain_len + GUARD);
	enum err rc;

	assert_non_null(back);
	memset(back + plain_len, 0xee, GUARD);
	rc = columns_decode(data, len, back, plain_len, &err);
	for (size_t i = 0; i < GUARD; i++)
		assert_int_equal(back[plain_len + i], 0xee);
	assert_true(rc == ERR_OK || rc == ERR_CORRUPT);
	*out = back;
	return rc;
}

static void
assert_parts(const struct columns *c)
{
	size_t before = 0;

	for (size_t i = 0; i < c->n; i++) {
		assert_true(c->ends[i] > before);
		before = c->ends[i];
	}
	assert_int_equal(before, c->bytes.len);
}

/* Whether they fit; then they come back. */
static bool
round_trip(struct columns *c, const void *data, size_t len)
{
	struct error err = ERROR_INIT;
	uint8_t *back;
	bool fit;

	columns_init(c, len);
	assert_int_equal(columns_encode(c, data, len, &fit, &err), ERR_OK);
	if (!fit)
		return false;
	assert_true(c->bytes.len <= len);
	assert_parts(c);
	assert_int_equal(decode(c->bytes.data, c->bytes.len, &back, len),
		ERR_OK);
	assert_memory_equal(back, data, len);
	free(back);
	return true;
}

static void
lines_come_back(void **state)
{
	size_t fitted = 0, all = test_scale(400);

	for (uint64_t seed = 1; seed <= all; seed++) {
		struct lines_made l;
		struct columns c;
		struct prng rng;

		prng_init(&rng, seed);
		lines_made_init(&l, seed, 2000 + prng_below(&rng, 200000));
		print_message("seed %" PRIu64 "\n", seed);
		fitted += round_trip(&c, l.text, l.len);
		columns_fini(&c);
		free(l.text);
	}
	/* Some have too many values, or their widest one is too wide. */
	assert_in_range(fitted, all / 2, all);
}

/* What is drawn for the hash tables has no part in it. */
static void
the_same_text_gives_the_same_columns(void **state)
{
	struct lines_made l;
	struct columns a, b;

	lines_made_init(&l, 4, 100000);
	assert_true(round_trip(&a, l.text, l.len));
	assert_true(round_trip(&b, l.text, l.len));
	assert_int_equal(a.bytes.len, b.bytes.len);
	assert_memory_equal(a.bytes.data, b.bytes.data, a.bytes.len);
	columns_fini(&a);
	columns_fini(&b);
	free(l.text);
}

static void
what_is_no_log_does_not_fit(void **state)
{
	enum { LEN = 100000 };
	uint8_t *data = malloc(LEN);
	struct columns c;
	struct prng rng;

	assert_non_null(data);
	prng_init(&rng, 1);
	prng_fill(&rng, data, LEN);
	assert_false(round_trip(&c, data, LEN));
	columns_fini(&c);
	memset(data, '\n', LEN);
	assert_false(round_trip(&c, data, LEN));
	columns_fini(&c);
	for (size_t i = 0; i < LEN; i++)
		data[i] = i % 2 == 0 ? '1' : ',';
	assert_false(round_trip(&c, data, LEN));
	columns_fini(&c);
	assert_false(round_trip(&c, data, 0));
	columns_fini(&c);
	free(data);
}

/* ---- limits ---- */

struct text {
	char *p;
	size_t len;
};

static void PRINTF_LIKE(2, 3) say(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->p + t->len, 4096, format, args);
	va_end(args);
	assert_in_range(n, 0, 4095);
	t->len += (size_t)n;
}

static void
assert_comes_back(struct text *t)
{
	struct columns c;

	assert_true(round_trip(&c, t->p, t->len));
	columns_fini(&c);
	t->len = 0;
}

static void
limits(void **state)
{
	struct text t = { .p = malloc(8 << 20) };

	assert_non_null(t.p);
	/* More shapes, and then columns, than may be told. */
	for (unsigned i = 0; i < 4 * 5000; i++)
		say(&t, "%.*s %u %.*s\n", (int)(i / 4 % 70),
			";;;;;;;;;;;;;;;;"
			";;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;"
			";",
			i, (int)(i / 4 / 70),
			"((((((((((((((((((((((((((((((("
			"(((((((((((((((((((((((((((((((((((((((((((((((((((("
			"(");
	assert_comes_back(&t);
	/* Places in a line, up to one more than may be. */
	for (unsigned i = 0; i < 4 * (COLUMNS_PLACES + 1); i++) {
		for (unsigned k = 0; k <= i / 4; k++)
			say(&t, "a place and %u, ", i * k);
		say(&t, "\n");
	}
	assert_comes_back(&t);
	/* Bytes between them. */
	for (unsigned i = 0; i < 400; i++)
		say(&t, "%u %0*u %u\n", i, 0, i, i);
	for (unsigned i = 0; i < 40; i++)
		say(&t, "%*s%u\n", COLUMNS_LITERAL - 3 + (int)(i % 8), "", i);
	assert_comes_back(&t);
	/* Numbers that wrap around, and such as are none. */
	for (unsigned i = 0; i < 400; i++)
		say(&t, "what is here: %s and there: %s\n",
			i % 2 == 0 ? "9999999999999999999" : "0",
			i % 3 == 0 ? "18446744073709551615" : "007");
	assert_comes_back(&t);
	free(t.p);
}

/* ---- by hand, after docs/format.md ---- */

/* Two columns of numbers, the second told by the first, and one of texts. */
static const uint8_t by_hand[] = { 4, 1, /* lines; width of their shapes */
	3, /* columns */
	0, 1, 1, /* 0: numbers, from its own last one */
	0, 1, 1, /* 1: numbers, from column 0 */
	1, 1, 6, /* 2: texts, 6 bytes */
	2, /* shapes */
	2, 0, 0, 2, ':', ' ', 1, 1, '.', /* "" 0 ": " 1 "." */
	1, 1, '<', 2, 1, '>', /* "<" 2 ">" */
	0, 1, 1, 0, /* shapes of the lines */
	14, 1, /* column 0: 7, 6 */
	0, 3, /* column 1: 7, 4 */
	0, 1, /* column 2: new, the same again */
	'a', 'b', ' ', 'c', 'd', '\n' };
static const char by_hand_plain[] = "7: 7.\n<ab cd>\n<ab cd>\n6: 4.";

static void
made_by_hand(void **state)
{
	const size_t len = sizeof(by_hand_plain) - 1;
	uint8_t *back;

	assert_int_equal(decode(by_hand, sizeof(by_hand), &back, len), ERR_OK);
	assert_memory_equal(back, by_hand_plain, len);
	free(back);
	for (size_t other = 0; other < 2 * len; other++) {
		if (other != len)
			assert_int_equal(decode(by_hand, sizeof(by_hand), &back,
						 other),
				ERR_CORRUPT);
		if (other != len)
			free(back);
	}
}

/* Each byte with each value, and every length. */
static void
damage_by_hand(void **state)
{
	const size_t len = sizeof(by_hand_plain) - 1;
	uint8_t bad[sizeof(by_hand) + 1];
	uint8_t *back;

	for (size_t i = 0; i < sizeof(by_hand); i++) {
		memcpy(bad, by_hand, sizeof(by_hand));
		for (unsigned v = 0; v < 256; v++) {
			bad[i] = (uint8_t)v;
			(void)decode(bad, sizeof(by_hand), &back, len);
			free(back);
		}
		assert_int_equal(decode(by_hand, i, &back, len), ERR_CORRUPT);
		free(back);
	}
	memcpy(bad, by_hand, sizeof(by_hand));
	bad[sizeof(by_hand)] = 0;
	assert_int_equal(decode(bad, sizeof(bad), &back, len), ERR_CORRUPT);
	free(back);
}

static void
refused(const uint8_t *data, size_t len, size_t plain_len)
{
	uint8_t *back;

	assert_int_equal(decode(data, len, &back, plain_len), ERR_CORRUPT);
	free(back);
}
#define REFUSED(plain_len, ...)                                 \
	do {                                                    \
		static const uint8_t bytes[] = { __VA_ARGS__ }; \
		refused(bytes, sizeof(bytes), (plain_len));     \
	} while (0)

static void
wrong_by_hand(void **state)
{
	/* A guess that is no column of numbers; a kind, a width too many. */
	REFUSED(1, 1, 0, 2, 0, 1, 2, 1, 0, 0, 1, 1, 0, 0, 0, 7);
	REFUSED(1, 1, 0, 1, 2, 1, 0, 1, 1, 0, 0, 0, 7);
	REFUSED(1, 1, 0, 1, 0, 9, 0, 1, 1, 0, 0, 0, 7);
	REFUSED(1, 1, 9, 1, 0, 1, 0, 1, 1, 0, 0, 0, 7);
	/* A column, a shape that is not there; none at all. */
	REFUSED(1, 1, 0, 1, 0, 1, 0, 1, 1, 0, 1, 0, 7);
	REFUSED(1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 0, 0, 1, 7);
	REFUSED(1, 1, 0, 1, 0, 1, 0, 0, 7);
	REFUSED(1, 1, 0, 0, 1, 0, 1, 'a');
	/* Texts that are not there, and one that nobody asks for. */
	REFUSED(1, 1, 0, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0);
	REFUSED(1, 1, 0, 1, 1, 1, 2, 1, 1, 0, 0, 0, 1, 'a', '\n');
	REFUSED(1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 'a');
	REFUSED(1, 1, 0, 1, 1, 1, 4, 1, 1, 0, 0, 0, 0, 'a', '\n', 'b', '\n');
	/* The last one without what is wrong. */
	{
		static const uint8_t good[] = { 1, 0, 1, 1, 1, 2, 1, 1, 0, 0, 0,
			0, 'a', '\n' };
		uint8_t *back;

		assert_int_equal(decode(good, sizeof(good), &back, 1), ERR_OK);
		assert_int_equal(back[0], 'a');
		free(back);
	}
}

/* Values that take no bytes, neither here nor there, again and again. */
static void
empty_texts_do_not_take_for_ever(void **state)
{
	struct error err = ERROR_INIT;
	struct buf b = BUF_INIT(1 << 20);
	const size_t len = 100000;

	assert_int_equal(buf_put_varint(&b, len + 1, &err), ERR_OK);
	/* One column of texts, all of them new ones and empty. */
	assert_int_equal(buf_put(&b, (uint8_t[]){ 0, 1, 1, 0 }, 4, &err),
		ERR_OK);
	assert_int_equal(buf_put_varint(&b, len, &err), ERR_OK);
	assert_int_equal(buf_put(&b, (uint8_t[]){ 1, COLUMNS_PLACES }, 2, &err),
		ERR_OK);
	assert_int_equal(buf_put_zero(&b, 2 * COLUMNS_PLACES + 1, &err),
		ERR_OK);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(buf_put_u8(&b, '\n', &err), ERR_OK);
	refused(b.data, b.len, len);
	buf_fini(&b);
}

static void
damage_stays_inside(void **state)
{
	for (uint64_t seed = 1; seed <= test_scale(60); seed++) {
		struct lines_made l;
		struct columns c;
		struct prng rng;
		uint8_t *back;

		prng_init(&rng, seed);
		lines_made_init(&l, seed, 5000 + prng_below(&rng, 5000));
		for (size_t i = 0; round_trip(&c, l.text, l.len) && i < 60;
			i++) {
			size_t cut = prng_below(&rng, c.bytes.len);

			refused(c.bytes.data, cut, l.len);
			for (uint64_t n = 1 + prng_below(&rng, 3); n > 0; n--)
				c.bytes.data[prng_below(&rng,
					prng_below(&rng, 2) == 0 ||
							c.bytes.len < 200
						? c.bytes.len
						: 200)] =
					(uint8_t)prng_next(&rng);
			(void)decode(c.bytes.data, c.bytes.len, &back, l.len);
			free(back);
			columns_fini(&c);
		}
		columns_fini(&c);
		free(l.text);
	}
}

static void
likely_is_said_of_logs(void **state)
{
	struct lines_made l;
	uint8_t other[10000];
	struct prng rng;

	lines_made_init(&l, 4, 10000);
	assert_true(columns_likely(l.text, l.len));
	assert_false(columns_likely(l.text, COLUMNS_MIN - 1));
	free(l.text);
	prng_init(&rng, 1);
	prng_fill(&rng, other, sizeof(other));
	assert_false(columns_likely(other, sizeof(other)));
	memset(other, '1', sizeof(other));
	assert_false(columns_likely(other, sizeof(other)));
	memset(other, '\n', sizeof(other));
	assert_false(columns_likely(other, sizeof(other)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_back),
		cmocka_unit_test(the_same_text_gives_the_same_columns),
		cmocka_unit_test(what_is_no_log_does_not_fit),
		cmocka_unit_test(limits),
		cmocka_unit_test(made_by_hand),
		cmocka_unit_test(damage_by_hand),
		cmocka_unit_test(wrong_by_hand),
		cmocka_unit_test(empty_texts_do_not_take_for_ever),
		cmocka_unit_test(damage_stays_inside),
		cmocka_unit_test(likely_is_said_of_logs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
