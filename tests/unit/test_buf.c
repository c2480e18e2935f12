/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/rd.h"
#include "tests/lib/prng.h"

enum { SEEDS = 300, STEPS = 200, MODEL_LEN = 1 << 16 };

/* What a buf should hold, in memory that never moves. */
struct model {
	uint8_t data[MODEL_LEN];
	size_t len;
};

static void
model_put(struct model *m, const void *data, size_t len)
{
	assert_true(len <= sizeof(m->data) - m->len);
	if (len > 0)
		memcpy(m->data + m->len, data, len);
	m->len += len;
}

static void
check_same(const struct buf *b, const struct model *m, uint64_t seed)
{
	if (b->len != m->len || b->len > b->cap || b->cap > b->max ||
		(b->len > 0 && memcmp(b->data, m->data, m->len) != 0))
		fail_msg("seed %llu: not what was put",
			(unsigned long long)seed);
}

/* One random put; both have it afterwards, or neither. */
static void
step(struct buf *b, struct model *m, struct prng *p)
{
	struct error err = ERROR_INIT;
	uint8_t raw[512], zeroes[512] = { 0 };
	size_t len = prng_below(p, sizeof(raw));
	enum err rc;

	prng_fill(p, raw, len);
	switch (prng_below(p, 4)) {
	case 0:
		rc = buf_put(b, raw, len, &err);
		if (rc == ERR_OK)
			model_put(m, raw, len);
		break;
	case 1:
		rc = buf_put_zero(b, len, &err);
		if (rc == ERR_OK)
			model_put(m, zeroes, len);
		break;
	case 2:
		rc = buf_reserve(b, len, &err);
		if (rc == ERR_OK)
			assert_true(b->cap - b->len >= len);
		break;
	default:
		buf_clear(b);
		m->len = 0;
		rc = ERR_OK;
		break;
	}
	if (rc != ERR_OK) {
		assert_int_equal(rc, ERR_NOMEM);
		assert_int_equal(err.code, ERR_NOMEM);
		assert_true(len > b->max - b->len);
	}
}

static void
holds_what_was_put_up_to_its_maximum(void **state)
{
	struct model *m = malloc(sizeof(*m));

	(void)state;
	assert_non_null(m);
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct prng p;
		struct buf b;

		prng_init(&p, seed);
		m->len = 0;
		buf_init(&b, prng_below(&p, 4096));
		for (int i = 0; i < STEPS; i++) {
			step(&b, m, &p);
			check_same(&b, m, seed);
		}
		buf_fini(&b);
		assert_int_equal(b.len, 0);
	}
	free(m);
}

/* Sizes near SIZE_MAX must not wrap around the comparison with the limit. */
static void
huge_sizes_are_refused(void **state)
{
	struct buf b = BUF_INIT(SIZE_MAX);
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(buf_put(&b, "x", 1, &err), ERR_OK);
	assert_int_equal(buf_reserve(&b, SIZE_MAX, &err), ERR_NOMEM);
	b.max = 1000;
	assert_int_equal(buf_put_zero(&b, SIZE_MAX - 1, &err), ERR_NOMEM);
	assert_int_equal(b.len, 1);
	buf_wipe(&b);
	assert_null(b.data);
}

/* A number with a random count of bits, so that every length occurs. */
static uint64_t
any_number(struct prng *p)
{
	return prng_next(p) >> prng_below(p, 64);
}

static void
numbers_come_back(void **state)
{
	struct buf b = BUF_INIT(1 << 20);
	struct error err = ERROR_INIT;
	struct prng p;

	(void)state;
	prng_init(&p, 7);
	for (int i = 0; i < 20000; i++) {
		uint64_t v = any_number(&p);
		int64_t s = (int64_t)(any_number(&p) ^ (0 - (v & 1)));
		struct rd r;

		buf_clear(&b);
		assert_int_equal(buf_put_u8(&b, (uint8_t)v, &err), ERR_OK);
		assert_int_equal(buf_put_u16(&b, (uint16_t)v, &err), ERR_OK);
		assert_int_equal(buf_put_u32(&b, (uint32_t)v, &err), ERR_OK);
		assert_int_equal(buf_put_u64(&b, v, &err), ERR_OK);
		assert_int_equal(buf_put_varint(&b, v, &err), ERR_OK);
		assert_int_equal(buf_put_svarint(&b, s, &err), ERR_OK);
		rd_init(&r, b.data, b.len);
		assert_int_equal(rd_u8(&r), (uint8_t)v);
		assert_int_equal(rd_u16(&r), (uint16_t)v);
		assert_int_equal(rd_u32(&r), (uint32_t)v);
		assert_true(rd_u64(&r) == v);
		assert_true(rd_varint(&r) == v);
		assert_true(rd_svarint(&r) == s);
		assert_true(rd_done(&r));
	}
	buf_fini(&b);
}

/* Fixed once, or repositories of other machines cannot be read. */
static void
layout_is_little_endian(void **state)
{
	static const uint8_t want[] = { 1, 3, 2, 7, 6, 5, 4, 0xac, 0x02, 3, 2,
		'h', 'i' };
	struct buf b = BUF_INIT(sizeof(want));
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(buf_put_u8(&b, 1, &err), ERR_OK);
	assert_int_equal(buf_put_u16(&b, 0x0203, &err), ERR_OK);
	assert_int_equal(buf_put_u32(&b, 0x04050607, &err), ERR_OK);
	assert_int_equal(buf_put_varint(&b, 300, &err), ERR_OK);
	assert_int_equal(buf_put_svarint(&b, -2, &err), ERR_OK);
	assert_int_equal(buf_put_str(&b, "hi", &err), ERR_OK);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
	buf_fini(&b);
}

/* A length whose bytes do not fit must not stay behind. */
static void
bytes_are_put_whole_or_not(void **state)
{
	uint8_t raw[300] = { 0 };

	(void)state;
	for (size_t max = 0; max < 310; max++) {
		struct buf b = BUF_INIT(max);
		struct error err = ERROR_INIT;
		enum err rc = buf_put_bytes(&b, raw, sizeof(raw), &err);

		assert_int_equal(rc, max < 302 ? ERR_NOMEM : ERR_OK);
		assert_int_equal(b.len, max < 302 ? 0 : 302);
		buf_fini(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_what_was_put_up_to_its_maximum),
		cmocka_unit_test(huge_sizes_are_refused),
		cmocka_unit_test(numbers_come_back),
		cmocka_unit_test(layout_is_little_endian),
		cmocka_unit_test(bytes_are_put_whole_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
