/* SPDX-License-Identifier: Apache-2.0 */
/* A box opens as it was sealed, where it was sealed for, and in no other way.
 */
#include "tests/lib/repo_tools.h"

#include <stdlib.h>

#include "codec/aead.h"
#include "repo/box.h"

enum { PLAIN_MAX = 5000 };

static const struct secret key = { { 1, 2, 3 } };

static struct buf
sealed(enum box_kind kind, const char *name, const void *data, size_t len)
{
	struct error err = ERROR_INIT;
	struct buf box = BUF_INIT(1 << 20);

	must(box_seal(&box, kind, name, &key, data, len, &err), &err);
	assert_int_equal(box.len, BOX_HEADER + len + AEAD_TAG);
	return box;
}

static void
test_round_trip(void **state)
{
	uint8_t data[PLAIN_MAX];
	struct error err = ERROR_INIT;
	struct prng p;

	prng_init(&p, 1);
	for (int i = 0; i < 500; i++) {
		enum box_kind kind = (enum box_kind)prng_below(&p, BOX_KINDS);
		size_t len = prng_below(&p, PLAIN_MAX);
		struct buf out = BUF_INIT(1 << 20), box;

		prng_fill(&p, data, len);
		box = sealed(kind, "x/y", data, len);
		must(buf_put(&out, "before", 6, &err), &err);
		must(box_open(&out, kind, "x/y", &key, box.data, box.len, &err),
			&err);
		assert_int_equal(out.len, 6 + len);
		assert_memory_equal(out.data, "before", 6);
		assert_memory_equal(out.data + 6, data, len);
		buf_fini(&out);
		buf_fini(&box);
	}
}

static enum err
open_bytes(const uint8_t *data, size_t len, struct error *err)
{
	struct buf out = BUF_INIT(1 << 20);
	enum err rc = box_open(&out, BOX_SNAPSHOT, "n", &key, data, len, err);

	if (rc != ERR_OK)
		assert_int_equal(out.len, 0);
	buf_fini(&out);
	return rc;
}

static void
test_every_bit_and_length(void **state)
{
	struct error err = ERROR_INIT;
	struct buf box = sealed(BOX_SNAPSHOT, "n", "some text", 9);

	must(open_bytes(box.data, box.len, &err), &err);
	for (size_t bit = 0; bit < 8 * box.len; bit++) {
		bool version = bit / 8 == 8 || bit / 8 == 9;
		enum err rc;

		box.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		rc = open_bytes(box.data, box.len, &err);
		assert_true(
			rc == ERR_CORRUPT || (rc == ERR_VERSION && version));
		box.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t len = 0; len < box.len; len++)
		must_fail(open_bytes(box.data, len, &err), ERR_CORRUPT, &err,
			"snapshot");
	must(buf_put_zero(&box, 1, &err), &err);
	must_fail(open_bytes(box.data, box.len, &err), ERR_CORRUPT, &err,
		"n: damaged snapshot");
	box.data[8] = 2;
	must_fail(open_bytes(box.data, box.len, &err), ERR_VERSION, &err,
		"newer");
	buf_fini(&box);
}

static void
test_bound(void **state)
{
	static const struct secret other = { { 1, 2, 4 } };
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(1 << 20);
	struct buf box = sealed(BOX_SESSION, "a/b", "x", 1);

	must_fail(box_open(&out, BOX_SESSION, "a/c", &key, box.data, box.len,
			  &err),
		ERR_CORRUPT, &err, "a/c");
	must_fail(box_open(&out, BOX_INDEX, "a/b", &key, box.data, box.len,
			  &err),
		ERR_CORRUPT, &err, "not a coffer index segment");
	must_fail(box_open(&out, BOX_SESSION, "a/b", &other, box.data, box.len,
			  &err),
		ERR_CORRUPT, &err, "another repository");
	buf_fini(&box);
	buf_fini(&out);
}

/* Keys are never shared: equal bytes under an equal name differ. */
static void
test_fresh(void **state)
{
	struct buf a = sealed(BOX_SESSION, "a", "x", 1);
	struct buf b = sealed(BOX_SESSION, "a", "x", 1);

	assert_memory_not_equal(a.data + 16, b.data + 16, 32);
	buf_fini(&a);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_bit_and_length),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
