/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err: the one error value of this program.
 *
 * A function that can fail returns enum err and takes a struct error * as
 * its last argument.  On success it returns ERR_OK and leaves *err alone; on
 * failure it returns a negative code and *err holds that code and a message
 * fit to be shown to an operator as it stands.  err is never NULL.
 *
 * struct error owns no memory, so it may live on the stack, be copied to
 * another thread, and reports ERR_NOMEM without allocating.
 *
 * A code exists only where some caller reacts to it in its own way; the
 * message carries everything else.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

/* clang-format off */
/*      name    value      who reacts, and how */
#define ERR_TABLE(X)                                                          \
	X(OK,           0) /* -                                           */  \
	X(IO,          -1) /* nobody: give up, report                     */  \
	X(NOMEM,       -2) /* job: fail the job, keep the daemon          */  \
	X(NOTFOUND,    -3) /* repo: look elsewhere; cli: name what lacks  */  \
	X(EXISTS,      -4) /* repo: the object is there already, go on    */  \
	X(CORRUPT,     -5) /* check, restore: note it, try another copy   */  \
	X(VERSION,     -6) /* cli: ask for a newer program                */  \
	X(DENIED,      -7) /* cli: credentials; never retried             */  \
	X(NOSPACE,     -8) /* backup: stop writing, keep what is durable  */  \
	X(AGAIN,       -9) /* store/retry: back off and call again        */  \
	X(CANCELLED,  -10) /* engine: unwind quietly                      */  \
	X(USAGE,      -11) /* cli: exit 2                                 */
/* clang-format on */

enum err {
#define X(name, value) ERR_##name = (value),
	ERR_TABLE(X)
#undef X
};

struct error {
	enum err code;
	int sys_errno; /* 0 where no system call was to blame */
	char msg[480];
};

#define ERROR_INIT ((struct error){ .code = ERR_OK })

/* Set *err and return code, so that callers can "return err_set(...)". */
enum err err_set(struct error *err, enum err code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As err_set, with the code that fits errnum and ": <strerror>" appended. */
enum err err_sys(struct error *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "<context>: " before the message; return the code unchanged. */
enum err err_wrap(struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * An analyzer sees one file at a time and so takes "return err_sys(...)" for a
 * possible success, with outputs that were never set.  This tells it.
 */
#ifdef __clang_analyzer__
static inline enum err
err_failed(enum err code)
{
	if (code == ERR_OK)
		__builtin_unreachable();
	return code;
}
#define err_set(...)  err_failed(err_set(__VA_ARGS__))
#define err_sys(...)  err_failed(err_sys(__VA_ARGS__))
#define err_wrap(...) err_failed(err_wrap(__VA_ARGS__))
#endif

/* Short stable name of a code ("corrupt"), for JSON output and metrics. */
const char *err_name(enum err code);

#endif /* BASE_ERR_H */
