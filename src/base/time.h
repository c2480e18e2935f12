/* SPDX-License-Identifier: Apache-2.0 */
/* time: a moment in nanoseconds, and its text. */
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

struct when {
	int64_t sec; /* since 1970-01-01 UTC, may be negative */
	uint32_t nsec; /* 0 .. 999,999,999 */
};

struct when when_now(void);
double mono_sec(void); /* CLOCK_MONOTONIC, for durations */

/* < 0, 0, > 0 */
int when_cmp(const struct when *a, const struct when *b);

/* RFC 3339 in UTC, "2026-11-21T08:13:28.123456789Z". */
void when_rfc3339(const struct when *t, char out[40]);
/* "2026-11-21 08:13:28", local time. */
void when_local(const struct when *t, char out[40]);
/* RFC 3339, or "YYYY-MM-DD[ HH:MM[:SS]]" in local time; else ERR_USAGE. */
enum err when_parse(struct when *out, const char *text,
	struct error *err) MUST_CHECK;

#endif /* BASE_TIME_H */
