/* SPDX-License-Identifier: Apache-2.0 */
/* store_fault does as it is told, and store_mem's copy and damage with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/store_fault.h"
#include "store/store_mem.h"
#include "tests/lib/prng.h"

static struct store *mem, *st;
static struct error err;
static enum fault next;
static uint64_t asked;
static enum store_op asked_op;

static enum fault
decide(void *arg, uint64_t n, enum store_op op, const char *name)
{
	enum fault f = next;

	assert_ptr_equal(arg, &next);
	asked++;
	assert_int_equal(n, store_fault_count(st));
	asked_op = op;
	next = FAULT_NONE;
	return f;
}

static int
begin(void **state)
{
	struct fault_plan plan = { decide, &next, ERR_NOSPACE };

	err = ERROR_INIT;
	asked = 0;
	next = FAULT_NONE;
	assert_int_equal(store_mem_new(&mem, &err), ERR_OK);
	assert_int_equal(store_fault_new(&st, mem, &plan, &err), ERR_OK);
	assert_int_equal(store_put(mem, "there", "12345", 5, &err), ERR_OK);
	return 0;
}

static int
end(void **state)
{
	store_close(st);
	return 0;
}

/* The size of x in the store below; -1 where it is not there. */
static int
size_below(const char *name)
{
	struct error e = ERROR_INIT;
	uint64_t size;

	return store_size(mem, name, &size, &e) == ERR_OK ? (int)size : -1;
}

static void
test_put(void **state)
{
	static const struct {
		enum fault f;
		enum err rc;
		int size;
	} cases[] = {
		{ FAULT_NONE, ERR_OK, 5 },
		{ FAULT_BEFORE, ERR_NOSPACE, -1 },
		{ FAULT_AFTER, ERR_NOSPACE, 5 },
		{ FAULT_TWICE, ERR_OK, 5 },
		{ FAULT_TORN, ERR_NOSPACE, 2 },
		{ FAULT_DEAD, ERR_NOSPACE, -1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		next = cases[i].f;
		assert_int_equal(store_put(st, "x", "abcde", 5, &err),
			cases[i].rc);
		assert_int_equal(asked_op, STORE_PUT);
		assert_int_equal(size_below("x"), cases[i].size);
		if (cases[i].size >= 0)
			assert_int_equal(store_del(mem, "x", &err), ERR_OK);
	}
}

static enum err
count_one(void *arg, const char *name, uint64_t size, struct error *e)
{
	++*(unsigned *)arg;
	return ERR_OK;
}

static void
test_reads(void **state)
{
	struct buf out = BUF_INIT(100);
	uint64_t size;
	struct when t;
	unsigned n;

	for (enum fault f = FAULT_NONE; f <= FAULT_DEAD; f++) {
		bool fine = f == FAULT_NONE || f == FAULT_TWICE;
		enum err want = fine ? ERR_OK : ERR_NOSPACE;

		buf_clear(&out);
		next = f;
		assert_int_equal(store_get(st, "there", 1, 3, &out, &err),
			want);
		assert_int_equal(asked_op, STORE_GET);
		assert_int_equal(out.len, fine ? 3 : 0);
		next = f;
		size = 77;
		assert_int_equal(store_size(st, "there", &size, &err), want);
		assert_int_equal(size, fine ? 5 : 77);
		next = f;
		t = (struct when){ 77, 0 };
		assert_int_equal(store_time(st, "there", &t, &err), want);
		assert_int_equal(asked_op,
			f == FAULT_DEAD ? STORE_GET : STORE_TIME);
		assert_int_equal(t.sec == 77, !fine);
		next = f;
		n = 0;
		assert_int_equal(store_list(st, "", count_one, &n, &err), want);
		assert_int_equal(n,
			f == FAULT_BEFORE || f == FAULT_DEAD ? 0 : 1);
	}
	buf_fini(&out);
}

static void
test_del(void **state)
{
	for (enum fault f = FAULT_NONE; f < FAULT_DEAD; f++) {
		bool fine = f == FAULT_NONE || f == FAULT_TWICE;

		next = f;
		assert_int_equal(store_del(st, "there", &err),
			fine ? ERR_OK : ERR_NOSPACE);
		assert_int_equal(asked_op, STORE_DEL);
		assert_int_equal(size_below("there"),
			f == FAULT_BEFORE ? 5 : -1);
		if (f != FAULT_BEFORE)
			assert_int_equal(store_put(mem, "there", "12345", 5,
						 &err),
				ERR_OK);
	}
}

static void
test_dead_for_good(void **state)
{
	uint64_t size;

	assert_int_equal(store_size(st, "there", &size, &err), ERR_OK);
	next = FAULT_DEAD;
	for (unsigned n = 0; n < 5; n++)
		assert_int_equal(store_size(st, "there", &size, &err),
			ERR_NOSPACE);
	assert_int_equal(asked, 2);
	assert_int_equal(store_fault_count(st), 6);
}

static struct when
told(void *arg)
{
	return *(const struct when *)arg;
}

/* The clock that was set dates puts, in copies too; copies keep dates. */
static void
test_clock(void **state)
{
	struct when now = { -5, 3 }, t = { 0 };
	struct store *copy = NULL;

	store_mem_set_clock(mem, told, &now);
	assert_int_equal(store_put(st, "x", "1", 1, &err), ERR_OK);
	now = (struct when){ 9, 0 };
	assert_int_equal(store_mem_clone(&copy, mem, &err), ERR_OK);
	assert_int_equal(store_put(copy, "y", "1", 1, &err), ERR_OK);
	assert_int_equal(store_time(copy, "y", &t, &err), ERR_OK);
	assert_int_equal(t.sec, 9);
	assert_int_equal(store_time(copy, "x", &t, &err), ERR_OK);
	assert_true(t.sec == -5 && t.nsec == 3);
	store_close(copy);
}

/* A copy is what was there then, and neither changes with the other. */
static void
test_clone(void **state)
{
	struct store *copy = NULL;
	struct buf out = BUF_INIT(100);

	assert_int_equal(store_put(mem, "empty", NULL, 0, &err), ERR_OK);
	assert_int_equal(store_mem_clone(&copy, mem, &err), ERR_OK);
	assert_int_equal(store_put(mem, "later", "x", 1, &err), ERR_OK);
	assert_int_equal(store_mem_flip(mem, "there", 0, &err), ERR_OK);
	assert_int_equal(store_del(copy, "empty", &err), ERR_OK);
	assert_int_equal(size_below("empty"), 0);
	assert_int_equal(store_get_all(copy, "there", 9, &out, &err), ERR_OK);
	assert_memory_equal(out.data, "12345", 5);
	assert_int_equal(store_get_all(copy, "later", 9, &out, &err),
		ERR_NOTFOUND);
	buf_fini(&out);
	store_close(copy);
}

/* Each flip changes that bit and no other; the same again undoes it. */
static void
test_flip(void **state)
{
	struct buf out = BUF_INIT(5);

	for (unsigned bit = 0; bit < 40; bit++) {
		char want[] = "12345";

		want[bit / 8] = (char)(want[bit / 8] ^ (1 << (bit % 8)));
		for (unsigned n = 0; n < 2; n++) {
			assert_int_equal(store_mem_flip(mem, "there", bit,
						 &err),
				ERR_OK);
			buf_clear(&out);
			assert_int_equal(store_get_all(mem, "there", 5, &out,
						 &err),
				ERR_OK);
			assert_memory_equal(out.data, n == 0 ? want : "12345",
				5);
		}
	}
	assert_int_equal(store_mem_flip(mem, "there", 40, &err), ERR_USAGE);
	assert_int_equal(store_mem_flip(mem, "no", 0, &err), ERR_NOTFOUND);
	buf_fini(&out);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
		T(test_put),
		T(test_reads),
		T(test_del),
		T(test_dead_for_good),
		T(test_clock),
		T(test_clone),
		T(test_flip),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
