/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err: every message is composed in a scratch array and then copied, so that
 * an argument may point into the message that is being replaced.
 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

/* As the header dresses them for analyzers. */
#undef err_set
#undef err_sys
#undef err_wrap

enum { MSG_LEN = sizeof(((struct error *)0)->msg) };

/* Append to text, whose first *len bytes are in use; cut what is too long. */
static void append_va(char *text, size_t *len, const char *fmt, va_list args)
	__attribute__((format(printf, 3, 0)));
static void append(char *text, size_t *len, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

static void
append_va(char *text, size_t *len, const char *fmt, va_list args)
{
	size_t room = MSG_LEN - *len;
	int n = vsnprintf(text + *len, room, fmt, args);

	if (n < 0)
		text[*len] = '\0';
	else
		*len += (size_t)n < room ? (size_t)n : room - 1;
}

static void
append(char *text, size_t *len, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	append_va(text, len, fmt, args);
	va_end(args);
}

enum err
err_set(struct error *err, enum err code, const char *fmt, ...)
{
	char text[MSG_LEN];
	size_t len = 0;
	va_list args;

	va_start(args, fmt);
	append_va(text, &len, fmt, args);
	va_end(args);
	memcpy(err->msg, text, len + 1);
	err->code = code;
	err->sys_errno = 0;
	return code;
}

static enum err
code_of(int errnum)
{
	switch (errnum) {
	case ENOENT:
		return ERR_NOTFOUND;
	case EEXIST:
		return ERR_EXISTS;
	case ENOSPC:
	case EDQUOT:
		return ERR_NOSPACE;
	case EACCES:
	case EPERM:
		return ERR_DENIED;
	case ENOMEM:
		return ERR_NOMEM;
	case EAGAIN:
	case ETIMEDOUT:
	case ECONNRESET:
	case ECONNREFUSED:
	case ECONNABORTED:
	case ENETDOWN:
	case ENETRESET:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
		return ERR_AGAIN;
	default:
		return ERR_IO;
	}
}

enum err
err_sys(struct error *err, int errnum, const char *fmt, ...)
{
	const char *reason = strerrordesc_np(errnum);
	char text[MSG_LEN];
	size_t len = 0;
	va_list args;

	va_start(args, fmt);
	append_va(text, &len, fmt, args);
	va_end(args);
	if (reason != NULL)
		append(text, &len, ": %s", reason);
	else
		append(text, &len, ": error %d", errnum);
	memcpy(err->msg, text, len + 1);
	err->code = code_of(errnum);
	err->sys_errno = errnum;
	return err->code;
}

enum err
err_wrap(struct error *err, const char *fmt, ...)
{
	char text[MSG_LEN];
	size_t len = 0;
	va_list args;

	va_start(args, fmt);
	append_va(text, &len, fmt, args);
	va_end(args);
	append(text, &len, ": %s", err->msg);
	memcpy(err->msg, text, len + 1);
	return err->code;
}

const char *
err_name(enum err code)
{
	static const char *const names[] = {
		[-ERR_OK] = "ok",
		[-ERR_IO] = "io",
		[-ERR_NOMEM] = "nomem",
		[-ERR_NOTFOUND] = "notfound",
		[-ERR_EXISTS] = "exists",
		[-ERR_CORRUPT] = "corrupt",
		[-ERR_VERSION] = "version",
		[-ERR_DENIED] = "denied",
		[-ERR_NOSPACE] = "nospace",
		[-ERR_AGAIN] = "again",
		[-ERR_CANCELLED] = "cancelled",
		[-ERR_USAGE] = "usage",
	};
	int i = -(int)code;

	if (i < 0 || (size_t)i >= sizeof(names) / sizeof(names[0]))
		return "unknown";
	return names[i];
}
