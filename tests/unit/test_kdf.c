/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/id.h"
#include "codec/kdf.h"

static const char pass[] = "correct horse battery staple";
static const uint8_t salt[KDF_SALT + 1] = "0123456789abcdef";

static enum err
derive(struct secret *out, const struct kdf_cost *cost)
{
	struct error err = ERROR_INIT;
	enum err rc = kdf_argon2id(out, pass, strlen(pass), salt, cost, &err);

	assert_int_equal(rc, err.code);
	return rc;
}

/* Computed by argon2(1), the reference implementation of RFC 9106's authors:
 * argon2 0123456789abcdef -id -t 3 -k 65536 -p 1 -l 32 -r */
static void
agrees_with_the_reference(void **state)
{
	static const struct {
		struct kdf_cost cost;
		const char *hex;
	} vectors[] = {
		{ KDF_COST_DEFAULT, "94c86f541abdb3d9aabfea59aa039635"
				    "49483e9c0b1a79336e76b54cee6c917e" },
		{ { 1, 8 }, "5dd4c928fbd5a4474236ef76d9d83041"
			    "78fe5df3884d2d383e91b7703327e6c1" },
	};

	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		struct secret key;
		char hex[2 * SECRET_LEN + 1];

		assert_int_equal(derive(&key, &vectors[i].cost), ERR_OK);
		hex_encode(key.b, SECRET_LEN, hex);
		assert_string_equal(hex, vectors[i].hex);
	}
}

static void
empty_passphrase_is_one(void **state)
{
	struct kdf_cost cost = { 1, 8 };
	struct secret some, none;
	struct error err = ERROR_INIT;

	assert_int_equal(kdf_argon2id(&none, "", 0, salt, &cost, &err), ERR_OK);
	assert_int_equal(derive(&some, &cost), ERR_OK);
	assert_false(secret_eq(&some, &none));
}

/* A hostile key object must not make us work for hours or take all memory. */
static void
limits_hold(void **state)
{
	static const struct kdf_cost bad[] = {
		{ 0, 64 },
		{ 65, 64 },
		{ UINT32_MAX, 64 },
		{ 1, 0 },
		{ 1, 7 },
		{ 1, (4 << 20) + 1 },
		{ 1, UINT32_MAX },
	};
	static const struct kdf_cost most_passes = { 64, 8 };
	struct secret key, before;

	memset(&key, 0x5a, sizeof(key));
	before = key;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(derive(&key, &bad[i]), ERR_CORRUPT);
		assert_true(secret_eq(&key, &before));
	}
	assert_int_equal(derive(&key, &most_passes), ERR_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_reference),
		cmocka_unit_test(empty_passphrase_is_one),
		cmocka_unit_test(limits_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
