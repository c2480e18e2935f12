/* SPDX-License-Identifier: Apache-2.0 */
/* What a writer can produce comes back; a length that cannot be, does not. */
#include "tests/lib/repo_tools.h"

#include <stdlib.h>

#include "codec/aead.h"
#include "codec/compress.h"
#include "repo/record.h"

static struct record
some_record(struct prng *p)
{
	struct record r = {
		.type = prng_below(p, 2) != 0 ? CHUNK_NODE : CHUNK_DATA,
		.codec = (uint8_t)prng_below(p, CODEC_COLUMNS + 1),
		.envelope = (uint16_t)prng_next(p),
		.number = (uint32_t)(prng_next(p) >> prng_below(p, 64)),
		.plain_len = 2 + (uint32_t)prng_below(p, CHUNK_MAX - 1),
	};

	if (r.type == CHUNK_NODE)
		r.head_len = (uint32_t)prng_below(p, CHUNK_MAX + 1);
	r.stored_len = r.head_len + r.plain_len +
		       (r.type == CHUNK_NODE ? 2u : 1u) * AEAD_TAG;
	if (r.codec != CODEC_RAW)
		r.stored_len -= 1 + (uint32_t)prng_below(p, r.plain_len - 1);
	prng_fill(p, r.id.b, ID_LEN);
	return r;
}

static bool
decodes(const struct buf *b, size_t len, struct record *out)
{
	struct rd rd;

	memset(out, 0xee, sizeof(*out));
	rd_init(&rd, b->data, len);
	record_get(&rd, out);
	return rd_done(&rd);
}

static bool
passes(struct record r)
{
	struct error err = ERROR_INIT;
	struct buf b = BUF_INIT(128);
	struct record got;
	bool ok;

	must(record_put(&b, &r, &err), &err);
	ok = decodes(&b, b.len, &got);
	buf_fini(&b);
	return ok;
}

static void
test_round_trip(void **state)
{
	struct error err = ERROR_INIT;
	struct record r, got;
	struct prng p;

	prng_init(&p, 1);
	for (int i = 0; i < 20000; i++) {
		struct buf b = BUF_INIT(128);

		memset(&r, 0, sizeof(r));
		r = some_record(&p);
		must(record_put(&b, &r, &err), &err);
		assert_true(decodes(&b, b.len, &got));
		assert_memory_equal(&got, &r, sizeof(r));
		assert_false(decodes(&b, prng_below(&p, b.len), &got));
		assert_int_equal(got.stored_len, 0);
		buf_fini(&b);
	}
}

static void
test_impossible(void **state)
{
	struct record r;
	struct prng p;

	prng_init(&p, 2);
	for (int i = 0; i < 2000; i++) {
		struct record bad = r = some_record(&p);

		assert_true(passes(r));
		bad.type = (uint8_t)(3 + prng_below(&p, 250));
		assert_false(passes(bad));
		bad = r;
		bad.codec = (uint8_t)(CODEC_COLUMNS + 1 + prng_below(&p, 250));
		assert_false(passes(bad));
		bad = r;
		bad.plain_len += CHUNK_MAX;
		assert_false(passes(bad));
		bad = r;
		bad.stored_len = r.head_len + r.plain_len + 2 * AEAD_TAG + 1;
		assert_false(passes(bad));
		bad = r;
		/* nothing left for the body */
		bad.stored_len = (uint32_t)prng_below(&p,
			(uint64_t)r.head_len + AEAD_TAG + 1);
		assert_false(passes(bad));
		bad = r;
		bad.type = CHUNK_DATA;
		bad.head_len = 1;
		bad.stored_len = r.plain_len + AEAD_TAG + 1;
		assert_false(passes(bad));
	}
}

/* The bytes that docs/format.md gives for A. */
static void
test_aad(void **state)
{
	struct record r = { .type = CHUNK_NODE,
		.codec = CODEC_ZSTD,
		.plain_len = 0x030201,
		.head_len = 0x060504 };
	uint8_t aad[RECORD_AAD];
	const uint8_t expect[10] = { 2, 1, 1, 2, 3, 0, 4, 5, 6, 0 };

	memset(r.id.b, 7, ID_LEN);
	record_aad(&r, aad);
	assert_memory_equal(aad, expect, 10);
	assert_memory_equal(aad + 10, r.id.b, ID_LEN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_impossible),
		cmocka_unit_test(test_aad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
