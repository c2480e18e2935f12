/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "codec/shorthash.h"

/* Appendix A of the paper, and its reference implementation's first ones:
 * key 00 01 .. 0f, input 00 01 .. of so many bytes. */
static void
published_vectors(void **state)
{
	static const struct {
		size_t len;
		uint64_t hash;
	} vectors[] = {
		{ 0, UINT64_C(0x726fdb47dd0e0e31) },
		{ 1, UINT64_C(0x74f839c593dc67fd) },
		{ 2, UINT64_C(0x0d6c8009d9a94f5a) },
		{ 3, UINT64_C(0x85676696d7fb7e2d) },
		{ 8, UINT64_C(0x93f5f5799a932462) },
		{ 15, UINT64_C(0xa129ca6149be45e5) },
	};
	struct shorthash_key key;
	uint8_t input[16];

	for (uint8_t i = 0; i < 16; i++)
		key.b[i] = input[i] = i;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
		assert_int_equal(shorthash(&key, input, vectors[i].len),
			vectors[i].hash);
}

static void
other_key_other_hash(void **state)
{
	struct shorthash_key key = { { 0 } };
	uint64_t base = shorthash(&key, "name", 4);

	for (unsigned bit = 0; bit < 128; bit++) {
		key.b[bit / 8] = (uint8_t)(1 << bit % 8);
		assert_int_not_equal(shorthash(&key, "name", 4), base);
		key.b[bit / 8] = 0;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(other_key_other_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
