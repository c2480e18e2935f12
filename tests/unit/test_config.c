/* SPDX-License-Identifier: Apache-2.0 */
/* A config comes back; no changed bit of it goes unnoticed. */
#include "tests/lib/repo_tools.h"

#include "repo/config.h"

static const struct secret key = { { 9, 8, 7 } };

static const struct config sample = {
	.repo = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } },
	.chunker = { 512 << 10, 1 << 20, 8 << 20 },
	.pack_target = 16 << 20,
};

static enum err
accept(const uint8_t *data, size_t len, struct error *err)
{
	struct config c;
	enum err rc = config_decode(&c, data, len, err);

	return rc == ERR_OK ? config_verify(data, len, &key, err) : rc;
}

static void
test_round_trip(void **state)
{
	struct error err = ERROR_INIT;
	uint8_t bytes[CONFIG_LEN];
	struct prng p;

	prng_init(&p, 1);
	for (int i = 0; i < 1000; i++) {
		struct config c = sample, got;

		prng_fill(&p, c.repo.b, UID_LEN);
		c.chunker.target = 1u << (12 + prng_below(&p, 10));
		c.chunker.min = c.chunker.target / 4;
		c.chunker.max = c.chunker.target * 4;
		c.pack_target =
			(1 << 20) + (uint32_t)prng_below(&p, (63 << 20) + 1);
		config_encode(bytes, &c, &key);
		must(accept(bytes, CONFIG_LEN, &err), &err);
		must(config_decode(&got, bytes, CONFIG_LEN, &err), &err);
		assert_memory_equal(&got, &c, sizeof(c));
	}
}

static void
test_every_bit_and_length(void **state)
{
	static const struct secret other = { { 9, 8, 6 } };
	struct error err = ERROR_INIT;
	uint8_t bytes[CONFIG_LEN + 1] = { 0 };

	config_encode(bytes, &sample, &key);
	for (size_t bit = 0; bit < 8 * CONFIG_LEN; bit++) {
		enum err rc;

		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		rc = accept(bytes, CONFIG_LEN, &err);
		assert_true(
			rc == ERR_CORRUPT ||
			(rc == ERR_VERSION && bit / 8 >= 8 && bit / 8 < 16));
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t len = 0; len <= CONFIG_LEN + 1; len++)
		if (len != CONFIG_LEN)
			must_fail(accept(bytes, len, &err), ERR_CORRUPT, &err,
				"config: ");
	must_fail(config_verify(bytes, CONFIG_LEN, &other, &err), ERR_CORRUPT,
		&err, "belongs to the key");
}

static void
test_newer_and_foreign(void **state)
{
	static const unsigned newer[] = { 8, 10, 12, 13, 15 };
	struct error err = ERROR_INIT;
	uint8_t bytes[CONFIG_LEN], longer[200] = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(newer); i++) {
		config_encode(bytes, &sample, &key);
		bytes[newer[i]] += 2;
		must_fail(accept(bytes, CONFIG_LEN, &err), ERR_VERSION, &err,
			"a newer one is needed");
	}
	/* A later version may well be longer. */
	config_encode(bytes, &sample, &key);
	memcpy(longer, bytes, CONFIG_LEN);
	longer[8] = 2;
	must_fail(accept(longer, sizeof(longer), &err), ERR_VERSION, &err,
		"format version 2");
	must_fail(accept((const uint8_t *)"hello, world", 12, &err),
		ERR_CORRUPT, &err, "not that of a coffer repository");
}

/* Optional features are somebody else's: ignored, but proven. */
static void
test_optional_features(void **state)
{
	struct error err = ERROR_INIT;
	uint8_t bytes[CONFIG_LEN];
	struct config c;

	config_encode(bytes, &sample, &key);
	bytes[16] = 1;
	must(config_decode(&c, bytes, CONFIG_LEN, &err), &err);
	assert_int_equal(config_verify(bytes, CONFIG_LEN, &key, &err),
		ERR_CORRUPT);
}

static void
test_limits(void **state)
{
	struct error err = ERROR_INIT;
	uint8_t bytes[CONFIG_LEN];
	struct config c = sample;

	c.pack_target = (64 << 20) + 1;
	config_encode(bytes, &c, &key);
	assert_int_equal(accept(bytes, CONFIG_LEN, &err), ERR_CORRUPT);
	c.pack_target = (1 << 20) - 1;
	config_encode(bytes, &c, &key);
	assert_int_equal(accept(bytes, CONFIG_LEN, &err), ERR_CORRUPT);
	c = sample;
	c.chunker.max = (8 << 20) + 1;
	config_encode(bytes, &c, &key);
	assert_int_equal(accept(bytes, CONFIG_LEN, &err), ERR_CORRUPT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_bit_and_length),
		cmocka_unit_test(test_newer_and_foreign),
		cmocka_unit_test(test_optional_features),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
