/* SPDX-License-Identifier: Apache-2.0 */
/* must: what a call has to answer. */
#ifndef TESTS_LIB_MUST_H
#define TESTS_LIB_MUST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static inline void
must(enum err rc, const struct error *err)
{
	if (rc != ERR_OK)
		fail_msg("%s: %s", err_name(rc), err->msg);
}

/* rc is code, and the message holds text. */
static inline void
must_fail(enum err rc, enum err code, const struct error *err, const char *text)
{
	if (rc == ERR_OK)
		fail_msg("no failure, %s expected", text);
	if (rc != code || strstr(err->msg, text) == NULL)
		fail_msg("%s \"%s\", %s \"%s\" expected", err_name(rc),
			err->msg, err_name(code), text);
	assert_int_equal(err->code, code);
}

#endif /* TESTS_LIB_MUST_H */
