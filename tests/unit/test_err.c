/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tests/lib/prng.h"

enum { TEXT_MAX = 2000, MSG_LEN = sizeof(((struct error *)0)->msg) };

/* An error between two fences that must stay as they are. */
struct fenced {
	uint64_t before;
	struct error err;
	uint64_t after;
};

static const uint64_t fence = 0xfeedfacecafebeefu;

static void
random_text(struct prng *p, char out[TEXT_MAX])
{
	size_t len = prng_below(p, TEXT_MAX);

	for (size_t i = 0; i < len; i++)
		out[i] = (char)(1 + prng_below(p, 255));
	out[len] = '\0';
}

/* err.msg is want, or as much of its beginning as there is room for. */
static void
check(const struct fenced *f, const char *want)
{
	size_t len = strlen(want);

	if (len > MSG_LEN - 1)
		len = MSG_LEN - 1;
	assert_true(f->before == fence && f->after == fence);
	assert_int_equal(strlen(f->err.msg), len);
	assert_memory_equal(f->err.msg, want, len);
}

static void
messages_are_cut_and_never_overrun(void **state)
{
	struct fenced f = { .before = fence, .after = fence };
	char text[TEXT_MAX], context[TEXT_MAX], before[MSG_LEN];
	char want[3 * TEXT_MAX];
	struct prng p;

	(void)state;
	prng_init(&p, 1);
	for (int i = 0; i < 3000; i++) {
		random_text(&p, text);
		random_text(&p, context);

		assert_int_equal(err_set(&f.err, ERR_CORRUPT, "%s", text),
			ERR_CORRUPT);
		assert_int_equal(f.err.code, ERR_CORRUPT);
		assert_int_equal(f.err.sys_errno, 0);
		check(&f, text);

		memcpy(before, f.err.msg, sizeof(before));
		assert_int_equal(err_wrap(&f.err, "%s", context), ERR_CORRUPT);
		(void)snprintf(want, sizeof(want), "%s: %s", context, before);
		check(&f, want);

		assert_int_equal(err_sys(&f.err, EIO, "%s", text), ERR_IO);
		assert_int_equal(f.err.sys_errno, EIO);
		(void)snprintf(want, sizeof(want), "%s: %s", text,
			strerrordesc_np(EIO));
		check(&f, want);
	}
}

/* Wrapping often is what long call chains do. */
static void
a_message_may_be_its_own_argument(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	(void)err_set(&err, ERR_IO, "disk");
	for (int i = 0; i < 200; i++) {
		(void)err_set(&err, ERR_IO, "<%s>", err.msg);
		(void)err_wrap(&err, "%s", err.msg);
	}
	assert_int_equal(strlen(err.msg), MSG_LEN - 1);
	(void)err_set(&err, ERR_IO, "disk");
	(void)err_set(&err, ERR_IO, "<%s>", err.msg);
	(void)err_wrap(&err, "%s", err.msg);
	assert_string_equal(err.msg, "<disk>: <disk>");
}

static void
system_errors_have_codes(void **state)
{
	static const struct {
		int errnum;
		enum err code;
	} cases[] = {
		{ ENOENT, ERR_NOTFOUND },
		{ EEXIST, ERR_EXISTS },
		{ ENOSPC, ERR_NOSPACE },
		{ EDQUOT, ERR_NOSPACE },
		{ EACCES, ERR_DENIED },
		{ EPERM, ERR_DENIED },
		{ ENOMEM, ERR_NOMEM },
		{ EAGAIN, ERR_AGAIN },
		{ ETIMEDOUT, ERR_AGAIN },
		{ ECONNRESET, ERR_AGAIN },
		{ EIO, ERR_IO },
		{ EROFS, ERR_IO },
		{ 123456, ERR_IO },
	};
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(err_sys(&err, cases[i].errnum, "thing"),
			cases[i].code);
		assert_int_equal(err.sys_errno, cases[i].errnum);
		assert_memory_equal(err.msg, "thing: ", 7);
	}
	assert_string_equal(err.msg, "thing: error 123456");
}

static void
every_code_has_its_name(void **state)
{
	static const struct {
		enum err code;
		const char *name;
	} table[] = {
#define X(name, value) { ERR_##name, #name },
		ERR_TABLE(X)
#undef X
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *name = err_name(table[i].code);

		assert_int_equal(strlen(name), strlen(table[i].name));
		for (size_t k = 0; name[k] != '\0'; k++)
			assert_int_equal(name[k], tolower(table[i].name[k]));
	}
	assert_string_equal(err_name((enum err)1), "unknown");
	assert_string_equal(err_name((enum err) - 1000), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_cut_and_never_overrun),
		cmocka_unit_test(a_message_may_be_its_own_argument),
		cmocka_unit_test(system_errors_have_codes),
		cmocka_unit_test(every_code_has_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
