/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/id.h"
#include "codec/sign.h"
#include "tests/lib/prng.h"

static void
from_hex(void *out, const char *hex, size_t len)
{
	assert_true(hex_decode(hex, out, len));
}

struct vector {
	const char *seed, *pub, *context, *message, *signature;
};

/*
 * Seeds, public keys and messages of RFC 8032, section 7.1, tests 1 to 3; the
 * signatures are of the context before the message, by the code of section 6
 * of that RFC, which gives the RFC's own signatures for the messages alone.
 */
static const struct vector vectors[] = {
	{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
		"d75a980182b10ab7d54bfed3c964073a"
		"0ee172f3daa62325af021a68f707511a",
		"", "",
		"fb6665a8e278a0d6a80450b95d4c4ef7e4bc78694db766e16c8b754f8589"
		"e1f3b39709e7d714f8173023cf7d4f46330b216cbf4e95274b22bbd6125a"
		"a14c8f0a" },
	{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
		"3d4017c3e843895a92b70aa74d1b7ebc"
		"9c982ccf2ec4968cc0cd55f12af4660c",
		"a context", "72",
		"a5b625ca8687e63bae5db07fbbce12c3b118b93fb7dd6e212791f353bae2"
		"92bbca04c3eda601f32b2343e6cd2b42ffdaa2a2b1370ad56465e9f03e54"
		"61e8b800" },
	{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
		"fc51cd8e6218a1a38da47ed00230f058"
		"0816ed13ba3303ac5deb911548908025",
		"coffer 1 grant", "af82",
		"4d2fb276f545aa1feaa8ad523c469b96e2e7325fc629f8161be68cc3bbba"
		"c88a17c5f37120bec4035dd2b660bfd395d106703db39257a2b157964e6c"
		"37ce780e" },
};

static void
rfc_vectors(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		const struct vector *v = &vectors[i];
		size_t len = strlen(v->message) / 2;
		uint8_t message[16], want[SIGN_LEN], made[SIGN_LEN];
		struct sign_part part = { message, len };
		struct error err = ERROR_INIT;
		struct sign_public pub, want_pub;
		struct secret seed;

		from_hex(seed.b, v->seed, SECRET_LEN);
		from_hex(want_pub.b, v->pub, SIGN_PUBLIC);
		from_hex(message, v->message, len);
		from_hex(want, v->signature, SIGN_LEN);
		assert_int_equal(sign_public_of(&pub, &seed, &err), ERR_OK);
		assert_memory_equal(&pub, &want_pub, SIGN_PUBLIC);
		assert_int_equal(sign_make(made, &seed, v->context, &part, 1,
					 &err),
			ERR_OK);
		assert_memory_equal(made, want, SIGN_LEN);
		assert_int_equal(sign_check(want, &pub, v->context, &part, 1,
					 &err),
			ERR_OK);
	}
}

/* Where the parts end does not matter; where the context does, it does. */
static void
parts_are_one_text(void **state)
{
	enum { LEN = 3000 };
	struct error err = ERROR_INIT;
	uint8_t data[LEN], whole[SIGN_LEN], cut[SIGN_LEN];
	struct sign_public pub;
	struct secret seed;
	struct prng p;

	prng_init(&p, 7);
	assert_int_equal(sign_keypair(&pub, &seed, &err), ERR_OK);
	for (int i = 0; i < 100; i++) {
		size_t len = prng_below(&p, LEN) + 1;
		size_t a = prng_below(&p, len), b = prng_below(&p, len - a);
		struct sign_part one = { data, len };
		struct sign_part three[] = { { data, a }, { data + a, b },
			{ data + a + b, len - a - b } };

		prng_fill(&p, data, len);
		assert_int_equal(sign_make(whole, &seed, "ctx", &one, 1, &err),
			ERR_OK);
		assert_int_equal(sign_make(cut, &seed, "ctx", three, 3, &err),
			ERR_OK);
		assert_memory_equal(whole, cut, SIGN_LEN);
		assert_int_equal(sign_check(whole, &pub, "ctx", three, 3, &err),
			ERR_OK);
		assert_int_equal(sign_check(whole, &pub, "ct", three, 3, &err),
			ERR_CORRUPT);
	}
}

/* A bit flipped in the signature, the key, the context or the text. */
static void
every_bit_counts(void **state)
{
	struct error err = ERROR_INIT;
	uint8_t sig[SIGN_LEN], text[40];
	char context[] = "some context";
	struct sign_part part = { text, sizeof(text) };
	struct sign_public pub;
	struct secret seed;
	struct {
		void *data;
		size_t len;
	} of[] = { { sig, SIGN_LEN }, { pub.b, SIGN_PUBLIC },
		{ context, strlen(context) }, { text, sizeof(text) } };

	memset(text, 'x', sizeof(text));
	assert_int_equal(sign_keypair(&pub, &seed, &err), ERR_OK);
	assert_int_equal(sign_make(sig, &seed, context, &part, 1, &err),
		ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		for (size_t bit = 0; bit < 8 * of[i].len; bit++) {
			uint8_t *at = (uint8_t *)of[i].data + bit / 8;

			*at ^= (uint8_t)(1u << bit % 8);
			assert_int_equal(sign_check(sig, &pub, context, &part,
						 1, &err),
				ERR_CORRUPT);
			*at ^= (uint8_t)(1u << bit % 8);
		}
	}
	part.len--;
	assert_int_equal(sign_check(sig, &pub, context, &part, 1, &err),
		ERR_CORRUPT);
	part.len++;
	assert_int_equal(sign_check(sig, &pub, context, &part, 1, &err),
		ERR_OK);
}

static void
limits(void **state)
{
	struct error err = ERROR_INIT;
	uint8_t sig[SIGN_LEN];
	struct sign_part huge[] = { { sig, SIGN_TEXT_MAX }, { sig, SIZE_MAX } };
	struct sign_public pub;
	struct secret seed;

	assert_int_equal(sign_keypair(&pub, &seed, &err), ERR_OK);
	assert_int_equal(sign_make(sig, &seed, "c", huge, 1, &err), ERR_USAGE);
	assert_int_equal(sign_check(sig, &pub, "c", huge + 1, 1, &err),
		ERR_USAGE);
	assert_int_equal(sign_make(sig, &seed, "c", NULL, 0, &err), ERR_OK);
	assert_int_equal(sign_check(sig, &pub, "c", NULL, 0, &err), ERR_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_vectors),
		cmocka_unit_test(parts_are_one_text),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
