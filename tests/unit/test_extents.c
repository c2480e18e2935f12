/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "model/path.h"
#include "tests/lib/prng.h"
#include "tree/extents.h"

enum { ROUNDS = 20000, CHUNK = 16 << 20 };

static struct error err;

static struct extent
random_extent(struct prng *p)
{
	struct extent e = { .len = 1 + prng_below(p, CHUNK) };

	e.off = prng_next(p) >> prng_below(p, 64);
	if (e.off > UINT64_MAX - e.len)
		e.off -= e.len;
	e.chunk_off = (uint32_t)prng_below(p, CHUNK - e.len + 1);
	prng_fill(p, e.chunk.b, ID_LEN);
	return e;
}

/* Property: what was encoded decodes, and keys are in the order of offsets. */
static void
round_trip(void **state)
{
	struct extent_item a, b;
	struct prng p;

	prng_init(&p, 41);
	for (int i = 0; i < ROUNDS; i++) {
		struct extent e = random_extent(&p), f = random_extent(&p);
		struct extent back;
		int order = e.off < f.off ? -1 : e.off > f.off;
		int keys;

		extent_encode(&e, &a);
		extent_encode(&f, &b);
		keys = key_cmp(a.key, EXTENT_KEY, b.key, EXTENT_KEY);
		assert_int_equal((keys > 0) - (keys < 0), order);
		assert_int_equal(extent_decode(&a.item, &back, &err), ERR_OK);
		assert_int_equal(back.off, e.off);
		assert_int_equal(back.len, e.len);
		assert_int_equal(back.chunk_off, e.chunk_off);
		assert_true(id_eq(&back.chunk, &e.chunk));
	}
}

static void
what_cannot_be(void **state)
{
	const struct extent good = { .off = 5, .len = 7, .chunk_off = 3 };
	struct extent_item it;
	struct extent e;
	struct error why;

#define REFUSED(change)                                                      \
	do {                                                                 \
		extent_encode(&good, &it);                                   \
		assert_int_equal(extent_decode(&it.item, &e, &why), ERR_OK); \
		change;                                                      \
		assert_int_equal(extent_decode(&it.item, &e, &why),          \
			ERR_CORRUPT);                                        \
	} while (0)

	REFUSED(it.item.key.len = 7);
	REFUSED(it.item.n_refs = 0);
	REFUSED(it.ref.node = true);
	REFUSED(it.item.weight = 8);
	REFUSED(it.item.val.len = 1);
	REFUSED(it.item.val.len = 3);
	REFUSED(it.val[0] = 0; it.item.weight = 0);
	REFUSED(memset(it.key, 0xff, EXTENT_KEY));
	/* 16 MiB and one byte; an offset from which the end is behind that. */
	REFUSED(memcpy(it.val, "\x81\x80\x80\x08\x00", 5); it.item.val.len = 5;
		it.item.weight = CHUNK + 1);
	REFUSED(memcpy(it.val, "\x02\xff\xff\xff\x07", 5); it.item.val.len = 5;
		it.item.weight = 2);
#undef REFUSED
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(what_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
