/* SPDX-License-Identifier: Apache-2.0 */
#include "base/time.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

enum { TEXT_LEN = 40, NSEC_DIGITS = 9 };

struct when
when_now(void)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (struct when){ .sec = ts.tv_sec, .nsec = (uint32_t)ts.tv_nsec };
}

double
mono_sec(void)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

int
when_cmp(const struct when *a, const struct when *b)
{
	if (a->sec != b->sec)
		return a->sec < b->sec ? -1 : 1;
	if (a->nsec != b->nsec)
		return a->nsec < b->nsec ? -1 : 1;
	return 0;
}

/* A moment whose year an int cannot hold has no date; seconds say it. */
static void
put_seconds(const struct when *t, char out[TEXT_LEN])
{
	(void)snprintf(out, TEXT_LEN, "@%lld", (long long)t->sec);
}

void
when_rfc3339(const struct when *t, char out[40])
{
	time_t sec = t->sec;
	struct tm tm;

	if (gmtime_r(&sec, &tm) == NULL ||
		snprintf(out, TEXT_LEN, "%04lld-%02d-%02dT%02d:%02d:%02d.%09uZ",
			tm.tm_year + 1900LL, tm.tm_mon + 1, tm.tm_mday,
			tm.tm_hour, tm.tm_min, tm.tm_sec, t->nsec) >= TEXT_LEN)
		put_seconds(t, out);
}

void
when_local(const struct when *t, char out[40])
{
	time_t sec = t->sec;
	struct tm tm;

	if (localtime_r(&sec, &tm) == NULL ||
		snprintf(out, TEXT_LEN, "%04lld-%02d-%02d %02d:%02d:%02d",
			tm.tm_year + 1900LL, tm.tm_mon + 1, tm.tm_mday,
			tm.tm_hour, tm.tm_min, tm.tm_sec) >= TEXT_LEN)
		put_seconds(t, out);
}

/* Exactly n digits, of a number between min and max. */
static bool
take_number(const char **at, int n, int min, int max, int *out)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		char c = (*at)[i];

		if (c < '0' || c > '9')
			return false;
		v = v * 10 + (c - '0');
	}
	if (v < min || v > max)
		return false;
	*at += n;
	*out = v;
	return true;
}

static bool
take_char(const char **at, char c)
{
	if (**at != c)
		return false;
	++*at;
	return true;
}

static bool
take_date(const char **at, struct tm *tm)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30,
		31 };
	int year, mon, most;

	if (!take_number(at, 4, 0, 9999, &year) || !take_char(at, '-') ||
		!take_number(at, 2, 1, 12, &mon) || !take_char(at, '-'))
		return false;
	most = days[mon - 1];
	if (mon == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		most++;
	tm->tm_year = year - 1900;
	tm->tm_mon = mon - 1;
	return take_number(at, 2, 1, most, &tm->tm_mday);
}

/* Digits after the point; those below a nanosecond are dropped. */
static bool
take_fraction(const char **at, uint32_t *nsec)
{
	uint32_t v = 0;
	int n = 0;

	while (**at >= '0' && **at <= '9') {
		if (n < NSEC_DIGITS)
			v = v * 10 + (uint32_t)(**at - '0');
		n++;
		++*at;
	}
	for (int i = n; i < NSEC_DIGITS; i++)
		v *= 10;
	*nsec = v;
	return n > 0;
}

/* "Z" or "+hh:mm": seconds east of UTC. */
static bool
take_zone(const char **at, int *east_sec)
{
	int hour, min, sign;

	*east_sec = 0;
	if (take_char(at, 'Z') || take_char(at, 'z'))
		return true;
	if (take_char(at, '+'))
		sign = 1;
	else if (take_char(at, '-'))
		sign = -1;
	else
		return false;
	if (!take_number(at, 2, 0, 23, &hour) || !take_char(at, ':') ||
		!take_number(at, 2, 0, 59, &min))
		return false;
	*east_sec = sign * (hour * 3600 + min * 60);
	return true;
}

/* RFC 3339 section 5.6, "date-time". */
static bool
parse_rfc3339(const char *at, struct when *out)
{
	struct tm tm = { 0 };
	uint32_t nsec = 0;
	int east_sec;

	if (!take_date(&at, &tm) ||
		!(take_char(&at, 'T') || take_char(&at, 't') ||
			take_char(&at, ' ')))
		return false;
	if (!take_number(&at, 2, 0, 23, &tm.tm_hour) || !take_char(&at, ':') ||
		!take_number(&at, 2, 0, 59, &tm.tm_min) ||
		!take_char(&at, ':') || !take_number(&at, 2, 0, 60, &tm.tm_sec))
		return false;
	if (take_char(&at, '.') && !take_fraction(&at, &nsec))
		return false;
	if (!take_zone(&at, &east_sec) || *at != '\0')
		return false;
	*out = (struct when){ .sec = timegm(&tm) - east_sec, .nsec = nsec };
	return true;
}

static bool
parse_local(const char *at, struct when *out)
{
	struct tm tm = { .tm_isdst = -1 };

	if (!take_date(&at, &tm))
		return false;
	if (take_char(&at, ' ')) {
		if (!take_number(&at, 2, 0, 23, &tm.tm_hour) ||
			!take_char(&at, ':') ||
			!take_number(&at, 2, 0, 59, &tm.tm_min))
			return false;
		if (take_char(&at, ':') &&
			!take_number(&at, 2, 0, 59, &tm.tm_sec))
			return false;
	}
	if (*at != '\0')
		return false;
	/* It fails only for years that four digits cannot write. */
	*out = (struct when){ .sec = mktime(&tm) };
	return true;
}

enum err
when_parse(struct when *out, const char *text, struct error *err)
{
	struct when t;

	if (!parse_rfc3339(text, &t) && !parse_local(text, &t))
		return err_set(err, ERR_USAGE,
			"'%s' is not a time: YYYY-MM-DD[ HH:MM[:SS]] or "
			"RFC 3339 is expected",
			text);
	*out = t;
	return ERR_OK;
}
