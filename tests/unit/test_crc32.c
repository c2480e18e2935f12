/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/crc32.h"
#include "tests/lib/prng.h"

enum { LEN = 300, ROUNDS = 200 };

/* The definition, a bit at a time. */
static uint32_t
by_bits(const uint8_t *p, size_t len)
{
	uint32_t v = ~UINT32_C(0);

	for (size_t i = 0; i < len * 8; i++) {
		uint32_t bit = (v ^ (uint32_t)(p[i / 8] >> (i % 8))) & 1;

		v = (v >> 1) ^ (bit != 0 ? 0xedb88320u : 0);
	}
	return ~v;
}

/* The check value of the catalogues of CRCs; what zlib says of zeros and
 * ones. */
static void
known(void **state)
{
	(void)state;
	assert_int_equal(crc32_add(0, "123456789", 9), 0xcbf43926u);
	assert_int_equal(crc32_add(0, "", 0), 0);
	assert_int_equal(crc32_add(0, "\0\0\0\0", 4), 0x2144df1cu);
	assert_int_equal(crc32_add(0, "\xff\xff\xff\xff", 4), 0xffffffffu);
}

static void
parts(void **state)
{
	uint8_t data[LEN + 8];
	struct prng p;
	uint64_t seed = 20261121;

	(void)state;
	prng_init(&p, seed);
	for (unsigned i = 0; i < ROUNDS; i++) {
		size_t at = prng_below(&p, 8), len = prng_below(&p, LEN + 1);
		size_t cut = prng_below(&p, len + 1);
		uint32_t want, got;

		prng_fill(&p, data, sizeof(data));
		want = by_bits(data + at, len);
		got = crc32_add(0, data + at, cut);
		got = crc32_add(got, data + at + cut, len - cut);
		if (got != want)
			fail_msg("seed %llu, round %u: %08x, %08x expected",
				(unsigned long long)seed, i, (unsigned)got,
				(unsigned)want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known),
		cmocka_unit_test(parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
