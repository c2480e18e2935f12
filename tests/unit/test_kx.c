/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/id.h"
#include "codec/kx.h"

static void
assert_bytes(const uint8_t *bytes, const char *hex)
{
	char have[2 * KX_PUBLIC + 1];

	hex_encode(bytes, KX_PUBLIC, have);
	assert_string_equal(have, hex);
}

static void
from_hex(uint8_t *out, const char *hex)
{
	assert_true(hex_decode(hex, out, KX_PUBLIC));
}

static enum err
shared(struct secret *out, const struct secret *sec,
	const struct kx_public *pub)
{
	struct error err = ERROR_INIT;
	enum err rc = kx_shared(out, sec, pub, &err);

	assert_int_equal(rc, err.code);
	return rc;
}

/* RFC 7748, section 5.2. */
static void
rfc_scalar_times_point(void **state)
{
	static const char *const vectors[][3] = {
		{ "a546e36bf0527c9d3b16154b82465edd"
		  "62144c0ac1fc5a18506a2244ba449ac4",
			"e6db6867583030db3594c1a424b15f7c"
			"726624ec26b3353b10a903a6d0ab1c4c",
			"c3da55379de9c6908e94ea4df28d084f"
			"32eccf03491c71f754b4075577a28552" },
		{ "4b66e9d4d1b4673c5ad22691957d6af5"
		  "c11b6421e0ea01d42ca4169e7918ba0d",
			"e5210f12786811d3f4b7959d0538ae2c"
			"31dbe7106fc03c3efc4cd549c715a493",
			"95cbde9476e8907d7aade45cb4b873f8"
			"8b595a68799fa152e6f8f7647aac7957" },
	};

	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		struct secret sec, out;
		struct kx_public pub;

		from_hex(sec.b, vectors[i][0]);
		from_hex(pub.b, vectors[i][1]);
		assert_int_equal(shared(&out, &sec, &pub), ERR_OK);
		assert_bytes(out.b, vectors[i][2]);
	}
}

/* RFC 7748, section 6.1: Alice and Bob. */
static void
rfc_key_exchange(void **state)
{
	static const char *const sec_hex[2] = {
		"77076d0a7318a57d3c16c17251b26645"
		"df4c2f87ebc0992ab177fba51db92c2a",
		"5dab087e624a8a4b79e17f8b83800ee6"
		"6f3bb1292618b6fd1c2f8b27ff88e0eb",
	};
	static const char *const pub_hex[2] = {
		"8520f0098930a754748b7ddcb43ef75a"
		"0dbf3a0d26381af4eba4a98eaa9b4e6a",
		"de9edb7d7b7dc1b4d35b61c2ece43537"
		"3f8343c85b78674dadfc7e146f882b4f",
	};
	struct error err = ERROR_INIT;
	struct secret sec[2], out;
	struct kx_public pub[2];

	for (size_t i = 0; i < 2; i++) {
		from_hex(sec[i].b, sec_hex[i]);
		assert_int_equal(kx_public_of(&pub[i], &sec[i], &err), ERR_OK);
		assert_bytes(pub[i].b, pub_hex[i]);
	}
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(shared(&out, &sec[i], &pub[1 - i]), ERR_OK);
		assert_bytes(out.b, "4a5d9d5ba4ce2de1728e3bf480350f25"
				    "e07e21c947d19e3376f09b3c1e161742");
	}
}

static void
both_sides_agree(void **state)
{
	struct error err = ERROR_INIT;
	struct kx_public pub[2], again;
	struct secret sec[2], out[2];

	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < 2; i++) {
			assert_int_equal(kx_keypair(&pub[i], &sec[i], &err),
				ERR_OK);
			assert_int_equal(kx_public_of(&again, &sec[i], &err),
				ERR_OK);
			assert_memory_equal(&again, &pub[i], sizeof(again));
		}
		assert_false(secret_eq(&sec[0], &sec[1]));
		for (size_t i = 0; i < 2; i++)
			assert_int_equal(shared(&out[i], &sec[i], &pub[1 - i]),
				ERR_OK);
		assert_true(secret_eq(&out[0], &out[1]));
	}
}

/* Who sends one of these would know the secret without a secret half. */
static void
small_order_is_refused(void **state)
{
	static const char *const points[] = {
		"00000000000000000000000000000000"
		"00000000000000000000000000000000",
		"01000000000000000000000000000000"
		"00000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46a"
		"da098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b"
		"04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffff"
		"ffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffff"
		"ffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffff"
		"ffffffffffffffffffffffffffffff7f",
	};
	struct error err = ERROR_INIT;
	struct kx_public pub, small;
	struct secret sec, out, before;

	assert_int_equal(kx_keypair(&pub, &sec, &err), ERR_OK);
	memset(&out, 0x5a, sizeof(out));
	before = out;
	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		from_hex(small.b, points[i]);
		assert_int_equal(shared(&out, &sec, &small), ERR_CORRUPT);
		assert_true(secret_eq(&out, &before));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_scalar_times_point),
		cmocka_unit_test(rfc_key_exchange),
		cmocka_unit_test(both_sides_agree),
		cmocka_unit_test(small_order_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
