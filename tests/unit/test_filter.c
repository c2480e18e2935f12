/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "repo/filter.h"
#include "tests/lib/prng.h"

static uint8_t *
filter_of(uint64_t seed, uint64_t n, uint64_t *n_blocks)
{
	struct prng p;
	struct filter_key key;
	struct id id;
	uint8_t *f;

	*n_blocks = filter_blocks(n);
	f = calloc(*n_blocks, FILTER_BLOCK);
	assert_non_null(f);
	prng_init(&p, seed);
	for (uint64_t i = 0; i < n; i++) {
		prng_fill(&p, id.b, ID_LEN);
		filter_key(&key, &id);
		filter_add(f + filter_place(&key, *n_blocks) * FILTER_BLOCK,
			&key);
	}
	return f;
}

/* Of n ids made from seed, how many the filter lets through. */
static uint64_t
passed(const uint8_t *f, uint64_t n_blocks, uint64_t seed, uint64_t n)
{
	struct prng p;
	struct filter_key key;
	struct id id;
	uint64_t hits = 0;

	prng_init(&p, seed);
	for (uint64_t i = 0; i < n; i++) {
		prng_fill(&p, id.b, ID_LEN);
		filter_key(&key, &id);
		hits += filter_test(f + filter_place(&key, n_blocks) *
						    FILTER_BLOCK,
			&key);
	}
	return hits;
}

static void
test_no_false_negatives_few_false_positives(void **state)
{
	static const uint64_t sizes[] = { 1, 21, 1000, 30000, 300000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t n = sizes[i], n_blocks, seed = 17 + i;
		uint8_t *f = filter_of(seed, n, &n_blocks);

		assert_true(n_blocks * FILTER_BLOCK <= n * 3 / 2 + 32);
		assert_int_equal(passed(f, n_blocks, seed, n), n);
		if (n >= 1000)
			assert_in_range(passed(f, n_blocks, seed + 99, 200000),
				1, 200000 / 100);
		free(f);
	}
}

static void
test_places_ascend(void **state)
{
	static const uint64_t sizes[] = { 1, 2, 7, 127, 1u << 31 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct filter_key key;
		struct id id;
		uint64_t last = 0;

		for (unsigned k = 0; k < 65536; k++) {
			uint64_t at;

			for (size_t b = 0; b < ID_LEN; b += 2) {
				id.b[b] = (uint8_t)(k >> 8);
				id.b[b + 1] = (uint8_t)k;
			}
			filter_key(&key, &id);
			at = filter_place(&key, sizes[i]);
			assert_in_range(at, last, sizes[i] - 1);
			last = at;
		}
		assert_int_equal(last, sizes[i] - 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_false_negatives_few_false_positives),
		cmocka_unit_test(test_places_ascend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
