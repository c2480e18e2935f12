/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention against an oracle that names periods by strftime(3) and picks the
 * newest of each by comparing everything with everything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "model/retention.h"
#include "tests/lib/prng.h"
#include "tests/lib/scale.h"

enum { N_MAX = 60, LABEL = 48 };

/* By rule, so that no database of zones is needed: none; Berlin; New York;
 * Lord Howe, half an hour; Brasilia, at midnight; Kathmandu. */
static const char *const zones[] = { "UTC0", "CET-1CEST,M3.5.0,M10.5.0/3",
	"EST5EDT,M3.2.0,M11.1.0", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
	"<-03>3<-02>,M10.3.0/0,M2.3.0/0", "<+0545>-5:45" };

static void
set_zone(const char *zone)
{
	assert_int_equal(setenv("TZ", zone, 1), 0);
	tzset();
}

static void
make_label(enum period p, size_t i, const struct when *t, char out[LABEL])
{
	time_t sec = t->sec;
	size_t len = 0;
	struct tm tm;

	assert_non_null(localtime_r(&sec, &tm));
	switch (p) {
	case PERIOD_HOURLY:
		len = strftime(out, LABEL, "%F %H %z", &tm);
		break;
	case PERIOD_DAILY:
		len = strftime(out, LABEL, "%F", &tm);
		break;
	case PERIOD_WEEKLY:
		len = strftime(out, LABEL, "%G-%V", &tm);
		break;
	case PERIOD_MONTHLY:
		len = strftime(out, LABEL, "%Y-%m", &tm);
		break;
	case PERIOD_YEARLY:
		len = strftime(out, LABEL, "%Y", &tm);
		break;
	case PERIOD_LAST:
	case PERIODS:
		len = (size_t)snprintf(out, LABEL, "%zu", i);
		break;
	}
	assert_true(len > 0);
}

/* of the snapshots from first on */
static void
oracle(enum period p, uint32_t n, size_t first, const struct retained *v,
	size_t len, bool keep[N_MAX])
{
	static char labels[N_MAX][LABEL];
	uint32_t taken = 0;

	memset(keep, 0, N_MAX);
	for (size_t i = 0; i < len; i++)
		make_label(p, i, &v[i].received, labels[i]);
	for (size_t i = len; i-- > first && taken < n;) {
		bool newest = true;

		for (size_t k = i + 1; k < len; k++)
			newest = newest && strcmp(labels[i], labels[k]) != 0;
		keep[i] = newest;
		taken += newest;
	}
}

/* Around these something happens, somewhere. */
static int64_t
interesting(struct prng *p)
{
	static const int64_t at[] = {
		1774746000, /* 2026-03-29, summer time begins in Europe */
		1792890000, /* 2026-10-25, and ends */
		1793512800, /* 2026-11-01, and in America */
		1775401200, /* 2026-04-05, on Lord Howe */
		1771124400, /* 2026-02-15, in the rule of Brasilia */
		1609459200, /* 2021-01-01, in week 53 of 2020 */
		1419811200, /* 2014-12-29, in week 1 of 2015 */
		1709164800, /* 2024-02-29 */
		951782400, /* 2000-02-29 */
		-2203891200, /* 1900-03-01, no leap year */
		0, 4070908800, /* 2099 */
		253402300799 /* 9999 */
	};

	return at[prng_below(p, ARRAY_LEN(at))];
}

static int
by_received(const void *a, const void *b)
{
	return when_cmp(&((const struct retained *)a)->received,
		&((const struct retained *)b)->received);
}

static size_t
make_group(struct prng *p, struct retained *v)
{
	static const int64_t steps[] = { 1, 60, 1800, 3600, 6 * 3600, 86400,
		7 * 86400, 30 * 86400, 366 * 86400 };
	size_t n = 1 + prng_below(p, N_MAX);
	int64_t step = steps[prng_below(p, ARRAY_LEN(steps))];
	struct when at = { interesting(p), 0 };

	at.sec -= step * (int64_t)prng_below(p, n);
	for (size_t i = 0; i < n; i++) {
		v[i] = (struct retained){
			.received = at,
			.pinned = prng_below(p, 12) == 0,
			.good = prng_below(p, 4) != 0,
			/* what was there before must not matter */
			.keep = prng_below(p, 2),
			.why = (uint32_t)prng_next(p),
			.why_within = (uint32_t)prng_next(p),
			.last_good = prng_below(p, 2),
		};
		if (prng_below(p, 8) == 0)
			step = steps[prng_below(p, ARRAY_LEN(steps))];
		if (prng_below(p, 6) != 0) /* else an equal time */
			at.sec +=
				1 + (int64_t)prng_below(p, (uint64_t)step * 2);
		at.nsec = prng_below(p, 2) ? (uint32_t)prng_below(p, 1000) : 0;
	}
	qsort(v, n, sizeof(*v), by_received);
	return n;
}

static struct span
make_span(struct prng *p)
{
	struct span s = { 0 };

	if (prng_below(p, 3) == 0)
		s.years = (unsigned)prng_below(p, 3);
	if (prng_below(p, 2) == 0)
		s.months = (unsigned)prng_below(p, 30);
	if (prng_below(p, 2) == 0)
		s.days = (unsigned)prng_below(p, 40);
	if (prng_below(p, 2) == 0)
		s.hours = (unsigned)prng_below(p, 60);
	return s;
}

static struct retention
make_policy(struct prng *p)
{
	struct retention r = { 0 };

	for (size_t i = 0; i < PERIODS; i++) {
		if (prng_below(p, 3) == 0)
			r.keep[i] = (uint32_t)prng_below(p, 9);
		if (prng_below(p, 20) == 0)
			r.keep[i] = UINT32_MAX;
		r.has_within[i] = prng_below(p, 5) == 0;
		r.within[i] = make_span(p);
	}
	return r;
}

/* Property: a rule keeps what the oracle keeps. */
static void
test_keep(void **state)
{
	struct retained v[N_MAX];
	bool want[N_MAX];
	struct prng p;

	for (uint64_t seed = 1; seed <= test_scale(6000); seed++) {
		struct retention r = { 0 };
		enum period period = (enum period)(seed % PERIODS);
		size_t n;

		prng_init(&p, seed);
		set_zone(zones[prng_below(&p, ARRAY_LEN(zones))]);
		n = make_group(&p, v);
		r.keep[period] = prng_below(&p, 10) == 0
					 ? UINT32_MAX
					 : 1 + (uint32_t)prng_below(&p, 12);
		retention_apply(&r, v, n);
		oracle(period, r.keep[period], 0, v, n, want);
		for (size_t i = 0; i < n; i++)
			if (v[i].why != (want[i] ? 1u << period : 0) ||
				v[i].why_within != 0 ||
				v[i].keep != (want[i] || v[i].pinned ||
						     v[i].last_good))
				fail_msg("seed %llu, period %d, snapshot %zu "
					 "of %zu",
					(unsigned long long)seed, period, i, n);
	}
}

/* What a local clock may show where the span begins: one moment; two of them
 * where summer time ends; none where it begins, then what is nearest. */
static size_t
begin_of_span(const struct span *s, const struct when *now, int64_t out[2])
{
	static const int offsets[] = { 0, 3600, 7200, -18000, -14400, 37800,
		39600, -10800, -7200, 20700 };
	time_t t = now->sec;
	struct tm tm, shown;
	int64_t local;
	size_t n = 0;
	int month;

	assert_non_null(localtime_r(&t, &tm));
	tm.tm_year -= (int)s->years;
	tm.tm_mon -= (int)s->months;
	for (; tm.tm_mon < 0; tm.tm_year--)
		tm.tm_mon += 12;
	for (month = tm.tm_mon;; tm.tm_mday--) {
		shown = tm;
		local = timegm(&shown);
		if (shown.tm_mon == month)
			break;
	}
	local -= (int64_t)s->days * 86400;
	for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
		t = local - offsets[i];
		assert_non_null(localtime_r(&t, &shown));
		if (shown.tm_gmtoff == offsets[i])
			out[n++] = t - (int64_t)s->hours * 3600;
		assert_true(n <= 2);
	}
	return n;
}

/* Twice a day up to the end of a month that is longer than those before. */
static size_t
make_month_end(struct prng *p, struct retained *v)
{
	struct tm tm = { .tm_year = 120 + (int)prng_below(p, 8),
		.tm_mon = (int)prng_below(p, 12),
		.tm_mday = 29 + (int)prng_below(p, 3),
		.tm_hour = 12 };
	int64_t end = timegm(&tm);

	for (size_t i = 0; i < N_MAX; i++)
		v[N_MAX - 1 - i] = (struct retained){
			.received = { end - (int64_t)i * 43200, 0 },
			.good = true,
		};
	return N_MAX;
}

static size_t
first_since(const struct retained *v, size_t n, struct when at)
{
	size_t i = 0;

	while (i < n && when_cmp(&v[i].received, &at) < 0)
		i++;
	return i;
}

static void
test_within(void **state)
{
	struct retained v[N_MAX];
	bool want[N_MAX], found;
	unsigned skipped = 0;
	struct prng p;

	for (uint64_t seed = 1; seed <= test_scale(6000); seed++) {
		struct retention r = { 0 };
		enum period period = (enum period)(seed % PERIODS);
		int64_t begin[2];
		size_t n, n_begin;

		prng_init(&p, seed);
		set_zone(zones[prng_below(&p, ARRAY_LEN(zones))]);
		r.has_within[period] = true;
		r.within[period] = make_span(&p);
		if (prng_below(&p, 4) == 0) {
			r.within[period] = (struct span){ .months = 1 };
			n = make_month_end(&p, v);
		} else {
			n = make_group(&p, v);
		}
		retention_apply(&r, v, n);
		assert_int_equal(v[n - 1].why_within, 1u << period);
		n_begin = begin_of_span(&r.within[period], &v[n - 1].received,
			begin);
		skipped += n_begin == 0;
		found = n_begin == 0;
		for (size_t b = 0; b < n_begin && !found; b++) {
			struct when at = { begin[b], v[n - 1].received.nsec };

			oracle(period, UINT32_MAX, first_since(v, n, at), v, n,
				want);
			found = true;
			for (size_t i = 0; i < n; i++)
				found = found &&
					v[i].why_within ==
						(want[i] ? 1u << period : 0);
		}
		if (!found)
			fail_msg("seed %llu, period %d",
				(unsigned long long)seed, period);
	}
	assert_in_range(skipped, 0, test_scale(6000) / 50);
}

/* Property: rules do not know of each other, and what they keep is kept; of
 * the rest only what is pinned, and the newest good one. */
static void
test_union(void **state)
{
	struct retained v[N_MAX], one[N_MAX];
	struct prng p;

	for (uint64_t seed = 1; seed <= test_scale(3000); seed++) {
		struct retention r, single;
		size_t n, newest_good = SIZE_MAX;

		prng_init(&p, seed);
		set_zone(zones[prng_below(&p, ARRAY_LEN(zones))]);
		n = make_group(&p, v);
		r = make_policy(&p);
		retention_apply(&r, v, n);
		for (size_t i = 0; i < n; i++)
			if (v[i].good)
				newest_good = i;
		for (size_t k = 0; k < PERIODS; k++) {
			single = (struct retention){ 0 };
			single.keep[k] = r.keep[k];
			single.has_within[k] = r.has_within[k];
			single.within[k] = r.within[k];
			memcpy(one, v, sizeof(one));
			retention_apply(&single, one, n);
			for (size_t i = 0; i < n; i++) {
				assert_int_equal(one[i].why,
					v[i].why & (1u << k));
				assert_int_equal(one[i].why_within,
					v[i].why_within & (1u << k));
			}
		}
		for (size_t i = 0; i < n; i++) {
			bool by_rule = v[i].why != 0 || v[i].why_within != 0 ||
				       v[i].pinned || retention_is_empty(&r);

			assert_int_equal(v[i].last_good,
				i == newest_good && !by_rule);
			assert_int_equal(v[i].keep, by_rule || v[i].last_good);
		}
	}
}

/* Property: applied to what it kept, a policy keeps all of it, for the same
 * reasons. */
static void
test_idempotent(void **state)
{
	struct retained v[N_MAX], kept[N_MAX];
	struct prng p;

	for (uint64_t seed = 1; seed <= test_scale(3000); seed++) {
		struct retention r;
		size_t n, m = 0;

		prng_init(&p, seed);
		set_zone(zones[prng_below(&p, ARRAY_LEN(zones))]);
		n = make_group(&p, v);
		r = make_policy(&p);
		retention_apply(&r, v, n);
		for (size_t i = 0; i < n; i++)
			if (v[i].keep)
				kept[m++] = v[i];
		memcpy(v, kept, m * sizeof(*v));
		retention_apply(&r, v, m);
		for (size_t i = 0; i < m; i++) {
			if (!v[i].keep || v[i].why != kept[i].why ||
				v[i].why_within != kept[i].why_within ||
				v[i].last_good != kept[i].last_good)
				fail_msg("seed %llu, snapshot %zu",
					(unsigned long long)seed, i);
		}
	}
}

static void
make_generous(struct prng *p, struct retention *r)
{
	for (size_t i = 0; i < PERIODS; i++) {
		uint64_t most = UINT32_MAX - r->keep[i];
		struct span *s = &r->within[i];

		if (prng_below(p, 2) == 0)
			r->keep[i] +=
				(uint32_t)(most < 3 ? most : prng_below(p, 4));
		if (!r->has_within[i]) {
			r->has_within[i] = prng_below(p, 8) == 0;
			continue;
		}
		s->years += prng_below(p, 4) == 0;
		s->months += (unsigned)prng_below(p, 2);
		s->days += (unsigned)prng_below(p, 3);
		s->hours += (unsigned)prng_below(p, 9);
	}
}

/* Property: a more generous policy keeps at least as much. */
static void
test_monotone(void **state)
{
	struct retained v[N_MAX], more[N_MAX];
	struct prng p;

	for (uint64_t seed = 1; seed <= test_scale(6000); seed++) {
		struct retention r;
		size_t n;

		prng_init(&p, seed);
		set_zone(zones[prng_below(&p, ARRAY_LEN(zones))]);
		n = make_group(&p, v);
		r = make_policy(&p);
		if (retention_is_empty(&r))
			r.keep[PERIOD_DAILY] = 1;
		memcpy(more, v, sizeof(more));
		retention_apply(&r, v, n);
		make_generous(&p, &r);
		retention_apply(&r, more, n);
		for (size_t i = 0; i < n; i++)
			if (v[i].keep && !more[i].keep)
				fail_msg("seed %llu, snapshot %zu of %zu",
					(unsigned long long)seed, i, n);
	}
}

/* A clock that goes back over midnight has two days twice; each is a day. */
static void
test_midnight_twice(void **state)
{
	struct retention r = { .keep = { [PERIOD_DAILY] = UINT32_MAX } };
	struct retained v[8];
	time_t change;
	struct tm tm = { .tm_year = 110,
		.tm_mon = 9,
		.tm_mday = 31,
		.tm_isdst = 1 };
	unsigned kept = 0;

	set_zone("NST3:30NDT,M4.1.0/0:01,M10.5.0/0:01");
	change = mktime(&tm) + 60;
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		v[i] = (struct retained){
			.received = { change + ((int)i - 4) * 20, 0 },
		};
	retention_apply(&r, v, ARRAY_LEN(v));
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		kept += v[i].keep;
	assert_true(v[ARRAY_LEN(v) - 1].keep);
	assert_in_range(kept, 1, 2);
}

/* Moments that no calendar of the system reaches are moments nevertheless. */
static void
test_extremes(void **state)
{
	static const int64_t ends[] = { INT64_MIN, INT64_MIN + 1, -(1ll << 62),
		-1, 0, 1ll << 62, INT64_MAX - 1, INT64_MAX };
	struct retained v[ARRAY_LEN(ends)];
	struct prng p;

	for (uint64_t seed = 1; seed <= 2000; seed++) {
		struct retention r;
		size_t n = 0;

		prng_init(&p, seed);
		set_zone(zones[prng_below(&p, ARRAY_LEN(zones))]);
		r = make_policy(&p);
		r.has_within[PERIOD_LAST] = true;
		r.within[PERIOD_LAST] =
			(struct span){ 100000, 100000, 100000, 100000 };
		r.keep[PERIOD_YEARLY] = 1;
		for (size_t i = 0; i < ARRAY_LEN(ends); i++)
			if (prng_below(&p, 2))
				v[n++] = (struct retained){
					.received = { ends[i], 999999999 }
				};
		retention_apply(&r, v, n);
		if (n > 0)
			assert_true(v[n - 1].why & (1u << PERIOD_YEARLY));
		if (n > 0)
			assert_true(v[n - 1].why_within & 1u);
	}
}

static void
test_empty(void **state)
{
	struct retention r = { 0 };
	struct retained v[3] = { 0 };

	assert_true(retention_is_empty(&r));
	retention_apply(&r, v, 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(v[i].keep && v[i].why == 0 && !v[i].last_good);
	retention_apply(&r, v, 0);
	r.has_within[PERIOD_YEARLY] = true;
	assert_false(retention_is_empty(&r));
	r.has_within[PERIOD_YEARLY] = false;
	r.keep[PERIOD_LAST] = 1;
	assert_false(retention_is_empty(&r));
}

static void
test_span(void **state)
{
	static const char *const bad[] = { "", "1", "d", "1x", "1d1d", "1h1d",
		"-1d", "+1d", " 1d", "1d ", "1 d", "0d", "0y0m", "100001h",
		"99999999999999999999d", "1.5d", "1D", "d1" };
	struct error err = ERROR_INIT;
	struct prng p;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct span s = { 7, 7, 7, 7 };

		assert_int_equal(span_parse(&s, bad[i], &err), ERR_USAGE);
		assert_true(s.years == 7 && s.hours == 7);
	}
	prng_init(&p, 1);
	for (unsigned n = 0; n < 2000; n++) {
		unsigned v[4], back[4];
		char text[64] = "";
		struct span s;

		for (size_t i = 0; i < 4; i++) {
			v[i] = (unsigned)prng_below(&p, 3) == 0
				       ? 0
				       : 1 + (unsigned)prng_below(&p, 100000);
			if (v[i] > 0 || (i == 0 && v[0] == 0))
				(void)snprintf(text + strlen(text), 12, "%u%c",
					v[i], "ymdh"[i]);
		}
		if (v[0] + v[1] + v[2] + v[3] == 0)
			continue;
		assert_int_equal(span_parse(&s, text, &err), ERR_OK);
		memcpy(back, (unsigned[]){ s.years, s.months, s.days, s.hours },
			sizeof(back));
		assert_memory_equal(back, v, sizeof(v));
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keep),
		cmocka_unit_test(test_within),
		cmocka_unit_test(test_union),
		cmocka_unit_test(test_idempotent),
		cmocka_unit_test(test_monotone),
		cmocka_unit_test(test_midnight_twice),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_span),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
