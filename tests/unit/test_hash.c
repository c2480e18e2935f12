/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/hash.h"
#include "tests/lib/prng.h"

/* The key, the context, the input (0, 1, .. 250, 0, ..) and the outputs of
 * BLAKE3's official test_vectors.json. */
static const struct secret key = { "whats the Elvish word for friend" };
static const char context[] = "BLAKE3 2019-12-27 16:29:52 test vectors context";

enum { INPUT_MAX = 7169 };

static uint8_t input[INPUT_MAX];

static const struct vector {
	size_t len;
	const char *plain, *keyed, *derived;
} vectors[] = {
	{ 0,
		"af1349b9f5f9a1a6a0404dea36dcc949"
		"9bcb25c9adc112b7cc9a93cae41f3262",
		"92b2b75604ed3c761f9d6f62392c8a92"
		"27ad0ea3f09573e783f1498a4ed60d26",
		"2cc39783c223154fea8dfb7c1b1660f2"
		"ac2dcbd1c1de8277b0b0dd39b7e50d7d" },
	{ 1,
		"2d3adedff11b61f14c886e35afa03673"
		"6dcd87a74d27b5c1510225d0f592e213",
		"6d7878dfff2f485635d39013278ae14f"
		"1454b8c0a3a2d34bc1ab38228a80c95b",
		"b3e2e340a117a499c6cf2398a19ee0d2"
		"9cca2bb7404c73063382693bf66cb06c" },
	{ 1025,
		"d00278ae47eb27b34faecf67b4fe263f"
		"82d5412916c1ffd97c8cb7fb814b8444",
		"357dc55de0c7e382c900fd6e320acc04"
		"146be01db6a8ce7210b7189bd664ea69",
		"effaa245f065fbf82ac186839a249707"
		"c3bddf6d3fdda22d1b95a3c970379bcb" },
	{ 7169,
		"a003fc7a51754a9b3c7fae0367ab3d78"
		"2dccf28855a03d435f8cfe74605e7817",
		"ed9b1a922c046fdb3d423ae34e143b05"
		"ca1bf28b710432857bf738bcedbfa511",
		"554b0a5efea9ef183f2f9b931b749799"
		"5d9eb26f5c5c6dad2b97d62fc5ac31d9" },
};

static int
fill_input(void **state)
{
	for (size_t i = 0; i < INPUT_MAX; i++)
		input[i] = (uint8_t)(i % 251);
	return 0;
}

static void
assert_bytes(const void *bytes, const char *hex)
{
	char have[2 * 200 + 1];
	size_t len = strlen(hex) / 2;

	assert_in_range(len, 1, 200);
	hex_encode(bytes, len, have);
	assert_string_equal(have, hex);
}

static void
official_vectors(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		const struct vector *v = &vectors[i];
		struct secret derived;
		struct id id;

		hash_plain(&id, input, v->len);
		assert_bytes(id.b, v->plain);
		hash_keyed(&id, &key, input, v->len);
		assert_bytes(id.b, v->keyed);
		hash_derive(&derived, context, input, v->len, NULL, 0);
		assert_bytes(derived.b, v->derived);
	}
}

static void
two_parts_are_hashed_as_one(void **state)
{
	const struct vector *v = &vectors[ARRAY_LEN(vectors) - 1];
	struct prng rng;

	prng_init(&rng, 1);
	for (int i = 0; i < 200; i++) {
		size_t at = prng_below(&rng, v->len + 1);
		struct secret derived;
		struct id id;

		hash_keyed2(&id, &key, input, at, input + at, v->len - at);
		assert_bytes(id.b, v->keyed);
		hash_derive(&derived, context, input, at, input + at,
			v->len - at);
		assert_bytes(derived.b, v->derived);
	}
}

/* Taken at any point it is that of what came so far. */
static void
pieces_are_hashed_as_one(void **state)
{
	const struct vector *v = &vectors[ARRAY_LEN(vectors) - 1];
	struct prng rng;

	for (uint64_t seed = 1; seed <= 200; seed++) {
		size_t at = 0, len, room = 1 + (size_t)(1 << (seed % 17));
		struct hash_run run;
		struct id id, want;

		prng_init(&rng, seed);
		hash_run_init(&run);
		while (at < v->len) {
			len = prng_below(&rng, room);
			len = len < v->len - at ? len : v->len - at;
			hash_run_add(&run, input + at, len);
			at += len;
			if (prng_below(&rng, 4) != 0)
				continue;
			hash_run_get(&run, &id);
			hash_plain(&want, input, at);
			assert_memory_equal(id.b, want.b, ID_LEN);
		}
		hash_run_get(&run, &id);
		assert_bytes(id.b, v->plain);
	}
}

/* The official extended output of the keyed mode for the empty input. */
static void
expand_is_the_extended_output(void **state)
{
	uint8_t out[131 + 1];
	struct id id;

	for (size_t len = 0; len <= 131; len++) {
		memset(out, 0xee, sizeof(out));
		hash_expand(out, len, &key, "");
		assert_int_equal(out[len], 0xee);
	}
	assert_bytes(out, "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e7"
			  "83f1498a4ed60d26b18171a2f22a4b94822c701f107153db"
			  "a24918c4bae4d2945c20ece13387627d3b73cbf97b797d5e"
			  "59948c7ef788f54372df45e45e4293c7dc18c1d41144a975"
			  "8be58960856be1eabbe22c2653190de560ca3b2ac4aa692a"
			  "9210694254c371e851bc8f");
	hash_keyed(&id, &key, "gear", 4);
	hash_expand(out, ID_LEN, &key, "gear");
	assert_memory_equal(out, id.b, ID_LEN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(official_vectors),
		cmocka_unit_test(two_parts_are_hashed_as_one),
		cmocka_unit_test(pieces_are_hashed_as_one),
		cmocka_unit_test(expand_is_the_extended_output),
	};

	return cmocka_run_group_tests(tests, fill_input, NULL);
}
