/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/id.h"
#include "codec/aead.h"
#include "tests/lib/prng.h"

enum { LEN_MAX = 5000 };

static struct aead *aead;

static int
open_aead(void **state)
{
	struct error err = ERROR_INIT;

	return aead_new(&aead, &err) == ERR_OK ? 0 : -1;
}

static int
close_aead(void **state)
{
	aead_free(aead);
	return 0;
}

static void
seal(const struct aead_args *args, const void *data, size_t len, void *out)
{
	struct error err = ERROR_INIT;

	assert_int_equal(aead_seal(aead, args, data, len, out, &err), ERR_OK);
}

static enum err
unseal(const struct aead_args *args, const void *data, size_t len, void *out)
{
	struct error err = ERROR_INIT;
	enum err rc = aead_open(aead, args, data, len, out, &err);

	assert_int_equal(rc, err.code);
	return rc;
}

static void
assert_bytes(const void *bytes, const char *hex)
{
	char have[2 * 100 + 1];
	size_t len = strlen(hex) / 2;

	assert_in_range(len, 1, 100);
	hex_encode(bytes, len, have);
	assert_string_equal(have, hex);
}

/* McGrew and Viega, The Galois/Counter Mode of Operation, cases 13 and 14. */
static void
published_vectors(void **state)
{
	struct secret zero = { { 0 } };
	struct aead_args args = { .key = &zero };
	uint8_t plain[16] = { 0 }, out[16 + AEAD_TAG];

	seal(&args, NULL, 0, out);
	assert_bytes(out, "530f8afbc74536b9a963b4f1c4cb738b");
	seal(&args, plain, sizeof(plain), out);
	assert_bytes(out, "cea7403d4d606b6e074ec5d3baf39d18"
			  "d0d1c8a799996bf0265b98b5d48ab919");
}

/* Nonce and additional data: computed with Python's cryptography. */
static void
nonce_is_a_big_endian_counter(void **state)
{
	struct secret key;
	struct aead_args args = { &key, UINT64_C(0x0102030405060708), "header",
		6 };
	uint8_t out[5 + AEAD_TAG];

	for (size_t i = 0; i < SECRET_LEN; i++)
		key.b[i] = (uint8_t)i;
	seal(&args, "plain", 5, out);
	assert_bytes(out, "743d0467b384dbc44b8e08cac471b2c37977d2cba7");
}

struct sample {
	struct secret key;
	struct aead_args args;
	uint8_t aad[64];
	size_t len;
	uint8_t plain[LEN_MAX];
	uint8_t sealed[LEN_MAX + AEAD_TAG];
};

static void
sample_make(struct sample *s, struct prng *rng, size_t len_max)
{
	prng_fill(rng, s->key.b, SECRET_LEN);
	prng_fill(rng, s->aad, sizeof(s->aad));
	s->len = prng_below(rng, len_max + 1);
	prng_fill(rng, s->plain, s->len);
	s->args = (struct aead_args){ &s->key, prng_next(rng), s->aad,
		prng_below(rng, sizeof(s->aad) + 1) };
	seal(&s->args, s->plain, s->len, s->sealed);
}

static void
assert_opens(const struct sample *s)
{
	uint8_t out[LEN_MAX];

	assert_int_equal(unseal(&s->args, s->sealed, s->len + AEAD_TAG, out),
		ERR_OK);
	assert_memory_equal(out, s->plain, s->len);
}

static void
round_trip(void **state)
{
	static struct sample s;

	for (uint64_t seed = 1; seed <= 300; seed++) {
		uint8_t work[LEN_MAX + AEAD_TAG];
		struct prng rng;

		prng_init(&rng, seed);
		sample_make(&s, &rng, LEN_MAX);
		assert_opens(&s);

		memcpy(work, s.plain, s.len);
		seal(&s.args, work, s.len, work);
		assert_memory_equal(work, s.sealed, s.len + AEAD_TAG);
		assert_int_equal(unseal(&s.args, work, s.len + AEAD_TAG, work),
			ERR_OK);
		assert_memory_equal(work, s.plain, s.len);
	}
}

/* The remembered key is never used in place of another. */
static void
keys_alternate(void **state)
{
	static struct sample s[3];
	struct prng rng;

	prng_init(&rng, 5);
	for (size_t i = 0; i < ARRAY_LEN(s); i++)
		sample_make(&s[i], &rng, 100);
	for (int i = 0; i < 1000; i++) {
		const struct sample *one = &s[prng_below(&rng, ARRAY_LEN(s))];
		uint8_t out[100 + AEAD_TAG];

		if (prng_below(&rng, 2) == 0) {
			assert_opens(one);
			continue;
		}
		seal(&one->args, one->plain, one->len, out);
		assert_memory_equal(out, one->sealed, one->len + AEAD_TAG);
	}
}

static void
assert_refused(const struct aead_args *args, const uint8_t *sealed, size_t len)
{
	static const uint8_t zero[LEN_MAX];
	uint8_t out[LEN_MAX + 1];

	memset(out, 0xee, sizeof(out));
	assert_int_equal(unseal(args, sealed, len, out), ERR_CORRUPT);
	assert_memory_equal(out, zero, len - AEAD_TAG);
	assert_int_equal(out[len - AEAD_TAG], 0xee);
}

static void
every_flipped_bit_is_refused(void **state)
{
	static struct sample s;

	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct prng rng;

		prng_init(&rng, seed);
		sample_make(&s, &rng, 200);
		for (size_t bit = 0; bit < 8 * (s.len + AEAD_TAG); bit++) {
			uint8_t *b = &s.sealed[bit / 8];

			*b ^= (uint8_t)(1 << bit % 8);
			assert_refused(&s.args, s.sealed, s.len + AEAD_TAG);
			*b ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t bit = 0; bit < 8 * s.args.aad_len; bit++) {
			s.aad[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_refused(&s.args, s.sealed, s.len + AEAD_TAG);
			s.aad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t bit = 0; bit < 8 * sizeof(s.key.b); bit++) {
			s.key.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_refused(&s.args, s.sealed, s.len + AEAD_TAG);
			s.key.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_opens(&s);
	}
}

static void
other_number_or_length_is_refused(void **state)
{
	static struct sample s;
	struct prng rng;
	struct aead_args args;
	uint8_t out[1] = { 0xee };

	prng_init(&rng, 9);
	do
		sample_make(&s, &rng, 200);
	while (s.len == 0 || s.args.aad_len == 0);
	for (unsigned bit = 0; bit < 64; bit++) {
		args = s.args;
		args.number ^= UINT64_C(1) << bit;
		assert_refused(&args, s.sealed, s.len + AEAD_TAG);
	}
	args = s.args;
	args.aad_len--;
	assert_refused(&args, s.sealed, s.len + AEAD_TAG);
	for (size_t len = AEAD_TAG; len < s.len + AEAD_TAG; len++)
		assert_refused(&s.args, s.sealed, len);
	for (size_t len = 0; len < AEAD_TAG; len++) {
		assert_int_equal(unseal(&s.args, s.sealed, len, out),
			ERR_CORRUPT);
		assert_int_equal(out[0], 0xee);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(nonce_is_a_big_endian_counter),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(keys_alternate),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(other_number_or_length_is_refused),
	};

	return cmocka_run_group_tests(tests, open_aead, close_aead);
}
