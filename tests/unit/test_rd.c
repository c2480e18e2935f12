/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/rd.h"
#include "tests/lib/prng.h"

enum { SEEDS = 3000, LEN_MAX = 200, STEPS = 60 };

/* Memory whose last byte lies before a page that cannot be read. */
struct guarded {
	uint8_t *end;
};

static int
set_up(void **state)
{
	static struct guarded g;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *at = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED || mprotect(at + page, page, PROT_NONE) != 0)
		return -1;
	g.end = at + page;
	*state = &g;
	return 0;
}

static bool
is_zero(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] != 0)
			return false;
	}
	return true;
}

/* One random call.  Everything that it hands out is read, so that a range
 * outside of the memory is an access that ends the test. */
static bool
read_something(struct rd *r, struct prng *p, uint64_t *v)
{
	static volatile uint8_t sink;
	uint8_t copy[64];
	size_t len = prng_below(p, sizeof(copy));
	size_t max = prng_below(p, 100), n = len;
	const uint8_t *at = NULL;

	*v = 0;
	switch (prng_below(p, 10)) {
	case 0:
		*v = rd_u8(r);
		return true;
	case 1:
		*v = rd_u16(r);
		return true;
	case 2:
		*v = rd_u32(r);
		return true;
	case 3:
		*v = rd_u64(r);
		return true;
	case 4:
		*v = rd_varint(r);
		return true;
	case 5:
		*v = (uint64_t)rd_svarint(r);
		return true;
	case 6:
		*v = rd_varint_max(r, max);
		return *v <= max;
	case 7:
		rd_copy(r, copy, len);
		*v = rd_ok(r) ? 0 : !is_zero(copy, len);
		return true;
	case 8:
		at = rd_raw(r, len);
		break;
	default:
		at = rd_bytes(r, max, &n);
		if (n > max || (at == NULL && n != 0))
			return false;
		break;
	}
	if ((at != NULL) != rd_ok(r))
		return false;
	for (size_t i = 0; at != NULL && i < n; i++)
		sink = at[i];
	(void)sink;
	return true;
}

static void
garbage_is_never_left(void **state)
{
	struct guarded *g = *state;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct prng p;
		struct rd r;
		size_t len, left;
		bool bad = false;

		prng_init(&p, seed);
		len = prng_below(&p, LEN_MAX);
		prng_fill(&p, g->end - len, len);
		/* Small lengths, so that ranges often fit. */
		for (size_t i = 0; i < len; i += 1 + prng_below(&p, 3))
			g->end[-(ptrdiff_t)len + (ptrdiff_t)i] &= 0x0f;
		rd_init(&r, g->end - len, len);
		left = len;
		for (int i = 0; i < STEPS; i++) {
			uint64_t v;

			if (!read_something(&r, &p, &v) || rd_left(&r) > left ||
				(bad && rd_ok(&r)) ||
				(!rd_ok(&r) && (v != 0 || rd_left(&r) != 0)) ||
				rd_done(&r) != (rd_ok(&r) && rd_left(&r) == 0))
				fail_msg("seed %llu step %d",
					(unsigned long long)seed, i);
			left = rd_left(&r);
			bad = !rd_ok(&r);
		}
	}
}

/* Property: what is accepted is exactly what buf_put_varint writes. */
static void
varint_has_one_spelling(void **state)
{
	struct error err = ERROR_INIT;
	struct buf b = BUF_INIT(16);
	struct prng p;
	unsigned accepted = 0;

	(void)state;
	prng_init(&p, 1);
	for (int i = 0; i < 200000; i++) {
		uint8_t raw[12];
		size_t n = 1 + prng_below(&p, sizeof(raw)), used;
		struct rd r;
		uint64_t v;

		prng_fill(&p, raw, n);
		for (size_t k = 0; k + 1 < n; k++)
			raw[k] |= 0x80;
		raw[n - 1] &= (uint8_t)prng_next(&p) & 0x7f;
		rd_init(&r, raw, n);
		v = rd_varint(&r);
		if (!rd_ok(&r))
			continue;
		accepted++;
		used = n - rd_left(&r);
		buf_clear(&b);
		assert_int_equal(buf_put_varint(&b, v, &err), ERR_OK);
		assert_int_equal(b.len, used);
		assert_memory_equal(b.data, raw, used);
	}
	assert_true(accepted > 1000);
	buf_fini(&b);
}

static bool
varint_ok(const char *raw, size_t len)
{
	struct rd r;

	rd_init(&r, raw, len);
	(void)rd_varint(&r);
	return rd_ok(&r);
}

static void
long_and_padded_varints_are_refused(void **state)
{
	(void)state;
	assert_true(varint_ok("\0", 1));
	assert_false(varint_ok("\x80\0", 2));
	assert_false(varint_ok("\xff\x80\0", 3));
	assert_true(varint_ok("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10));
	assert_false(varint_ok("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10));
	assert_false(
		varint_ok("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\0", 11));
	assert_false(varint_ok("\xff", 1));
	assert_false(varint_ok("", 0));
}

static void
limits_turn_the_reader_bad(void **state)
{
	static const uint8_t raw[] = { 5, 'h', 'e', 'l', 'l', 'o' };
	const uint8_t *at;
	struct rd r;
	size_t len;

	(void)state;
	rd_init(&r, raw, sizeof(raw));
	at = rd_bytes(&r, 5, &len);
	assert_ptr_equal(at, raw + 1);
	assert_int_equal(len, 5);
	assert_true(rd_done(&r));
	rd_init(&r, raw, sizeof(raw));
	assert_null(rd_bytes(&r, 4, &len));
	assert_int_equal(len, 0);
	assert_false(rd_ok(&r));
	rd_init(&r, raw, sizeof(raw));
	assert_int_equal(rd_varint_max(&r, 4), 0);
	assert_false(rd_ok(&r));
	rd_init(&r, NULL, 0);
	assert_true(rd_done(&r));
	assert_int_equal(rd_u8(&r), 0);
	assert_false(rd_done(&r));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(garbage_is_never_left),
		cmocka_unit_test(varint_has_one_spelling),
		cmocka_unit_test(long_and_padded_varints_are_refused),
		cmocka_unit_test(limits_turn_the_reader_bad),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
