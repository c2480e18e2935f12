/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "store/store_fault.h"
#include "store/store_mem.h"
#include "store/store_retry.h"
#include "tests/lib/prng.h"

/* What becomes of the calls that follow: one letter each, the last one for
 * ever.  '.' NONE, 'b' BEFORE, 'a' AFTER, 't' TORN */
static const char *script;
static struct store *mem, *faulty, *st;
static struct error err;

static enum fault
from_script(void *arg, uint64_t n, enum store_op op, const char *name)
{
	char c = *script;

	if (script[1] != '\0')
		script++;
	return c == 'b'   ? FAULT_BEFORE
	       : c == 'a' ? FAULT_AFTER
	       : c == 't' ? FAULT_TORN
			  : FAULT_NONE;
}

static void
begin(enum err code, unsigned attempts_max)
{
	struct fault_plan plan = { .decide = from_script, .code = code };
	struct retry_policy policy = { .attempts_max = attempts_max };

	err = ERROR_INIT;
	script = ".";
	assert_int_equal(store_mem_new(&mem, &err), ERR_OK);
	assert_int_equal(store_fault_new(&faulty, mem, &plan, &err), ERR_OK);
	assert_int_equal(store_retry_new(&st, faulty, &policy, &err), ERR_OK);
}

static int
end(void **state)
{
	store_close(st);
	st = NULL;
	return 0;
}

static enum err
put(const char *how, const char *data)
{
	script = how;
	return store_put(st, "x", data, strlen(data), &err);
}

static void
holds(const char *data)
{
	struct buf out = BUF_INIT(100);
	struct error e = ERROR_INIT;

	assert_int_equal(store_get_all(mem, "x", 100, &out, &e), ERR_OK);
	assert_int_equal(out.len, strlen(data));
	assert_memory_equal(out.data, data, out.len);
	buf_fini(&out);
}

static void
del(void)
{
	struct error e = ERROR_INIT;

	assert_int_equal(store_del(mem, "x", &e), ERR_OK);
}

static void
test_put(void **state)
{
	static const char *const fine[] = { ".", "b.", "bbb.", "a.", "aa.",
		"ba.", "ab.", "aba.", /* reading back fails too: */ "a.b.",
		"a.a.", "a..b.", "a..ba." };

	begin(ERR_AGAIN, 8);
	for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
		assert_int_equal(put(fine[i], "mine"), ERR_OK);
		assert_int_equal(err.code, ERR_OK);
		holds("mine");
		del();
	}
	/* Somebody else was first, with other bytes, of whatever length. */
	assert_int_equal(put(".", "other"), ERR_OK);
	assert_int_equal(put("b.", "mine!"), ERR_EXISTS);
	assert_int_equal(put("b.", "mine"), ERR_EXISTS);
	assert_int_equal(put("a.", "other2"), ERR_EXISTS);
	assert_int_equal(put("b.", ""), ERR_EXISTS);
	/* No reply was lost, so this cannot be an earlier attempt's. */
	assert_int_equal(put(".", "other"), ERR_EXISTS);
	holds("other");
	del();
	/* Nobody takes half an object for its own. */
	assert_int_equal(put("t.", "mine"), ERR_EXISTS);
	holds("mi");
	del();
	assert_int_equal(put("a.", ""), ERR_OK);
	assert_int_equal(st->n_put, ARRAY_LEN(fine) + 2);
}

/* Larger than the piece in which objects are compared; different in one byte,
 * wherever it is. */
static void
test_put_large(void **state)
{
	enum { LEN = (2 << 20) + 5 };
	uint8_t *data = malloc(LEN);
	struct prng p;

	assert_non_null(data);
	begin(ERR_AGAIN, 3);
	prng_init(&p, 1);
	prng_fill(&p, data, LEN);
	script = "a.";
	assert_int_equal(store_put(st, "x", data, LEN, &err), ERR_OK);
	for (unsigned n = 0; n < 20; n++) {
		size_t at = n == 0 ? LEN - 1 : prng_below(&p, LEN);

		data[at] ^= 1;
		script = "b.";
		assert_int_equal(store_put(st, "x", data, LEN, &err),
			ERR_EXISTS);
		data[at] ^= 1;
	}
	free(data);
}

static void
test_attempts(void **state)
{
	struct buf out = BUF_INIT(10);
	uint64_t size, before;
	struct when t;

	for (unsigned max = 1; max < 5; max++) {
		begin(ERR_AGAIN, max);
		assert_int_equal(put(".", "1"), ERR_OK);
		before = store_fault_count(faulty);
		script = "b";
		assert_int_equal(store_size(st, "x", &size, &err), ERR_AGAIN);
		assert_int_equal(store_get(st, "x", 0, 1, &out, &err),
			ERR_AGAIN);
		assert_int_equal(store_time(st, "x", &t, &err), ERR_AGAIN);
		assert_int_equal(store_del(st, "x", &err), ERR_AGAIN);
		assert_int_equal(put("b", "2"), ERR_AGAIN);
		assert_int_equal(err.code, ERR_AGAIN);
		assert_int_equal(store_fault_count(faulty) - before, 5 * max);
		(void)end(NULL);
	}
}

static void
test_other_errors_are_final(void **state)
{
	static const enum err codes[] = { ERR_IO, ERR_NOSPACE, ERR_DENIED,
		ERR_CORRUPT, ERR_NOMEM };

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		begin(codes[i], 5);
		assert_int_equal(put("b.", "1"), codes[i]);
		assert_int_equal(put("a.", "1"), codes[i]);
		assert_int_equal(put(".", "1"), ERR_EXISTS);
		assert_int_equal(store_fault_count(faulty), 3);
		(void)end(NULL);
	}
}

static void
test_del(void **state)
{
	begin(ERR_AGAIN, 4);
	for (const char *const *how = (const char *const[]){ ".", "b.", "a.",
		     "aa.", "ba.", NULL };
		*how != NULL; how++) {
		assert_int_equal(put(".", "1"), ERR_OK);
		script = *how;
		assert_int_equal(store_del(st, "x", &err), ERR_OK);
	}
	assert_int_equal(store_del(st, "x", &err), ERR_NOTFOUND);
}

static enum err
count_one(void *arg, const char *name, uint64_t size, struct error *e)
{
	assert_int_equal(size, 3);
	++((unsigned *)arg)[name[0] - 'a'];
	return name[0] == 'q' ? err_set(e, ERR_AGAIN, "from the caller")
			      : ERR_OK;
}

/* Once each, though the first listing came whole and was called a failure;
 * and what the caller's function returns is not retried. */
static void
test_list(void **state)
{
	unsigned n[26] = { 0 };
	char name[2] = "a";

	begin(ERR_AGAIN, 4);
	for (; name[0] <= 'p'; name[0]++)
		assert_int_equal(store_put(st, name, "123", 3, &err), ERR_OK);
	script = "aba.";
	assert_int_equal(store_list(st, "", count_one, n, &err), ERR_OK);
	for (unsigned i = 0; i < 26; i++)
		assert_int_equal(n[i], i <= 'p' - 'a');
	memset(n, 0, sizeof(n));
	script = "a";
	assert_int_equal(store_list(st, "", count_one, n, &err), ERR_AGAIN);
	assert_int_equal(n[0], 0);
	script = ".";
	assert_int_equal(store_put(st, "q", "123", 3, &err), ERR_OK);
	assert_int_equal(store_list(st, "", count_one, n, &err), ERR_AGAIN);
	assert_string_equal(err.msg, "from the caller");
	assert_int_equal(n['q' - 'a'], 1);
}

/* The pauses double (so 3 of them last at least half of 4 + 8 + 16 ms), up to
 * a maximum (so 20 of them do not last for minutes). */
static void
test_pauses(void **state)
{
	struct retry_policy policy = { 4, 4, 1000 };
	struct fault_plan plan = { .decide = from_script, .code = ERR_AGAIN };
	uint64_t size;
	double start;

	for (unsigned n = 0; n < 2; n++) {
		assert_int_equal(store_mem_new(&mem, &err), ERR_OK);
		assert_int_equal(store_fault_new(&faulty, mem, &plan, &err),
			ERR_OK);
		assert_int_equal(store_retry_new(&st, faulty, &policy, &err),
			ERR_OK);
		script = "b";
		start = mono_sec();
		assert_int_equal(store_size(st, "x", &size, &err), ERR_AGAIN);
		assert_true(n > 0 || mono_sec() - start >= 0.014);
		assert_true(mono_sec() - start < 60);
		policy = (struct retry_policy){ 20, 1, 2 };
		(void)end(NULL);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_put, end),
		cmocka_unit_test_teardown(test_put_large, end),
		cmocka_unit_test(test_attempts),
		cmocka_unit_test(test_other_errors_are_final),
		cmocka_unit_test_teardown(test_del, end),
		cmocka_unit_test_teardown(test_list, end),
		cmocka_unit_test(test_pauses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
