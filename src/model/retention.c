/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention: each rule walks from the newest snapshot to the oldest and keeps
 * the first one that it meets of each period.
 *
 * Periods are those of the calendar in local time, but an hour is one of the
 * hours that pass: the one that is repeated when summer time ends is two.
 * Dates are computed here and only the offset is asked of the system, so that
 * every moment has a date, also those that localtime(3) refuses.
 */
#include "model/retention.h"

#include <assert.h>
#include <string.h>
#include <time.h>

enum { DAY_SEC = 86400, HOUR_SEC = 3600, SPAN_NUMBER_MAX = 100000 };

struct date {
	int64_t year;
	unsigned month; /* 1 to 12 */
	unsigned day; /* from 1 */
};

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

/* "chrono-Compatible Low-Level Date Algorithms", H. Hinnant 2013. */
static struct date
date_of_days(int64_t days)
{
	int64_t z = days + 719468, era = floor_div(z, 146097);
	unsigned doe = (unsigned)(z - era * 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;
	unsigned month = mp < 10 ? mp + 3 : mp - 9;

	return (struct date){
		.year = era * 400 + yoe + (month <= 2 ? 1 : 0),
		.month = month,
		.day = doy - (153 * mp + 2) / 5 + 1,
	};
}

static int64_t
days_of_date(const struct date *d)
{
	int64_t y = d->year - (d->month <= 2 ? 1 : 0);
	int64_t era = floor_div(y, 400);
	int64_t yoe = y - era * 400;
	int64_t mp = d->month > 2 ? d->month - 3 : d->month + 9;
	int64_t doy = (153 * mp + 2) / 5 + d->day - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* Seconds east of UTC. */
static int64_t
offset_at(int64_t sec)
{
	time_t t = sec;
	struct tm tm;

	return localtime_r(&t, &tm) == NULL ? 0 : tm.tm_gmtoff;
}

/* Far from the ends of int64_t, so that what is added to it cannot overflow;
 * the years out there are all the same. */
static int64_t
tame(int64_t sec)
{
	const int64_t most = INT64_MAX / 4;

	return sec > most ? most : sec < -most ? -most : sec;
}

/* A number that two moments share just when they lie in the same period. */
static int64_t
period_of(enum period period, int64_t sec)
{
	int64_t at = tame(sec), east = offset_at(at), days;
	struct date d;

	if (period == PERIOD_HOURLY)
		return floor_div(at + east, HOUR_SEC) * HOUR_SEC - east;
	days = floor_div(at + east, DAY_SEC);
	if (period == PERIOD_DAILY)
		return days;
	if (period == PERIOD_WEEKLY)
		return floor_div(days + 3, 7); /* 1970 began on a Thursday */
	d = date_of_days(days);
	assert(period == PERIOD_MONTHLY || period == PERIOD_YEARLY);
	return period == PERIOD_YEARLY ? d.year : d.year * 12 + d.month;
}

/* The moment when local clocks show these seconds since 1970. */
static int64_t
from_local(int64_t local, int64_t east_guess)
{
	int64_t at = local - east_guess;

	/* The second round settles where the first crossed a change. */
	at = local - offset_at(at);
	return local - offset_at(at);
}

/*
 * The beginning of a span that ends at now: so many years and months back, on
 * the same day of the month or its last, then so many days, at the same time
 * of the day; then so many hours that pass.
 */
static struct when
span_begin(const struct span *span, const struct when *now)
{
	static const unsigned lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30,
		31, 30, 31 };
	int64_t at = tame(now->sec), east = offset_at(at);
	int64_t days = floor_div(at + east, DAY_SEC);
	int64_t of_day = at + east - days * DAY_SEC, months;
	struct date d = date_of_days(days);
	unsigned most;

	months = d.year * 12 + d.month - 1 - (int64_t)span->years * 12 -
		 (int64_t)span->months;
	d.year = floor_div(months, 12);
	d.month = (unsigned)(months - d.year * 12) + 1;
	most = lengths[d.month - 1];
	if (d.month == 2 && d.year % 4 == 0 &&
		(d.year % 100 != 0 || d.year % 400 == 0))
		most = 29;
	if (d.day > most)
		d.day = most;
	days = days_of_date(&d) - (int64_t)span->days;
	return (struct when){
		.sec = from_local(days * DAY_SEC + of_day, east) -
		       (int64_t)span->hours * HOUR_SEC,
		.nsec = now->nsec,
	};
}

static bool
is_before(const struct when *t, const struct when *from)
{
	struct when at = { tame(t->sec), t->nsec };

	return when_cmp(&at, from) < 0;
}

/* One rule: of the newest n periods, and not before from, where given. */
static void
keep_periods(enum period period, uint32_t n, const struct when *from,
	struct retained *v, size_t len)
{
	int64_t oldest = INT64_MAX, number;

	for (size_t i = len; i-- > 0 && n > 0;) {
		if (from != NULL && is_before(&v[i].received, from))
			return;
		if (period != PERIOD_LAST) {
			number = period_of(period, v[i].received.sec);
			/* Not "differs": a clock that is set back over
			 * midnight has two days twice. */
			if (number >= oldest)
				continue;
			oldest = number;
		}
		v[i].keep = true;
		*(from != NULL ? &v[i].why_within : &v[i].why) |= 1u << period;
		if (n != UINT32_MAX)
			n--;
	}
}

/* The newest good one stays, whatever the rules say. */
static void
keep_last_good(struct retained *v, size_t n)
{
	for (size_t i = n; i-- > 0;) {
		if (!v[i].good)
			continue;
		v[i].last_good = !v[i].keep;
		v[i].keep = true;
		return;
	}
}

bool
retention_is_empty(const struct retention *policy)
{
	for (size_t i = 0; i < PERIODS; i++)
		if (policy->keep[i] > 0 || policy->has_within[i])
			return false;
	return true;
}

void
retention_apply(const struct retention *policy, struct retained *v, size_t n)
{
	bool all = retention_is_empty(policy);
	struct when from;

	for (size_t i = 0; i < n; i++) {
		assert(i == 0 ||
			when_cmp(&v[i - 1].received, &v[i].received) <= 0);
		v[i].keep = all || v[i].pinned;
		v[i].why = v[i].why_within = 0;
		v[i].last_good = false;
	}
	if (n == 0 || all)
		return;
	for (enum period p = 0; p < PERIODS; p++) {
		keep_periods(p, policy->keep[p], NULL, v, n);
		if (!policy->has_within[p])
			continue;
		from = span_begin(&policy->within[p], &v[n - 1].received);
		keep_periods(p, UINT32_MAX, &from, v, n);
	}
	keep_last_good(v, n);
}

static enum err
bad_span(const char *text, struct error *err)
{
	return err_set(err, ERR_USAGE,
		"'%.100s' is no span of time: years, months, days and hours "
		"are expected in this order, as in 1y6m or 14d12h",
		text);
}

enum err
span_parse(struct span *out, const char *text, struct error *err)
{
	static const char units[] = "ymdh";
	unsigned found[sizeof(units) - 1] = { 0 }, number, sum = 0;
	const char *at = text, *unit = units, *digits;

	while (*at != '\0') {
		digits = at;
		for (number = 0; *at >= '0' && *at <= '9'; at++) {
			number = number * 10 + (unsigned)(*at - '0');
			if (number > SPAN_NUMBER_MAX)
				return bad_span(text, err);
		}
		if (at == digits || *at == '\0')
			return bad_span(text, err);
		unit = strchr(unit, *at++);
		if (unit == NULL)
			return bad_span(text, err);
		found[unit++ - units] = number;
		sum += number;
	}
	if (sum == 0)
		return bad_span(text, err);
	*out = (struct span){ found[0], found[1], found[2], found[3] };
	return ERR_OK;
}
