/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/time.h"
#include "tests/lib/prng.h"

enum { ROUNDS = 20000 };

/* The moments that four digits of a year can write: 0000 .. 9999. */
static const int64_t first_sec = -62167219200, last_sec = 253402300799;

static struct when
any_when(struct prng *p)
{
	uint64_t span = (uint64_t)(last_sec - first_sec) + 1;

	return (struct when){
		.sec = first_sec + (int64_t)prng_below(p, span),
		.nsec = (uint32_t)prng_below(p, 1000000000),
	};
}

static void
set_zone(const char *zone)
{
	assert_int_equal(setenv("TZ", zone, 1), 0);
	tzset();
}

static void
check_parse(const char *text, const struct when *want)
{
	struct error err = ERROR_INIT;
	struct when have;

	if (when_parse(&have, text, &err) != ERR_OK)
		fail_msg("%s", err.msg);
	if (when_cmp(&have, want) != 0)
		fail_msg("'%s' was read as %lld.%09u, not %lld.%09u", text,
			(long long)have.sec, have.nsec, (long long)want->sec,
			want->nsec);
}

static void
rfc3339_comes_back(void **state)
{
	struct when last = { .sec = last_sec, .nsec = 999999999 };
	struct when first = { .sec = first_sec };
	char text[40];
	struct prng p;

	(void)state;
	prng_init(&p, 1);
	for (int i = 0; i < ROUNDS; i++) {
		struct when t = any_when(&p);

		when_rfc3339(&t, text);
		assert_int_equal(strlen(text), 30);
		check_parse(text, &t);
	}
	when_rfc3339(&first, text);
	assert_string_equal(text, "0000-01-01T00:00:00.000000000Z");
	check_parse(text, &first);
	when_rfc3339(&last, text);
	assert_string_equal(text, "9999-12-31T23:59:59.999999999Z");
	check_parse(text, &last);
	check_parse("1996-12-19T16:39:57-08:00",
		&(struct when){ .sec = 851042397 });
}

/* Property: the text of t in a zone east of UTC by some minutes is t. */
static void
zones_are_subtracted(void **state)
{
	char text[60], date[40];
	struct prng p;

	(void)state;
	prng_init(&p, 2);
	for (int i = 0; i < ROUNDS; i++) {
		int min = (int)prng_below(&p, 24 * 60);
		int sign = prng_below(&p, 2) == 0 ? 1 : -1;
		struct when t = any_when(&p), shifted = t;

		shifted.sec += sign * min * 60;
		if (shifted.sec < first_sec || shifted.sec > last_sec)
			continue;
		when_rfc3339(&shifted, date);
		(void)snprintf(text, sizeof(text), "%.29s%c%02d:%02d", date,
			sign > 0 ? '+' : '-', min / 60, min % 60);
		check_parse(text, &t);
	}
}

static void
fractions_have_any_length(void **state)
{
	(void)state;
	check_parse("1970-01-01T00:00:00.5Z",
		&(struct when){ .nsec = 500000000 });
	check_parse("1970-01-01 00:00:00.000000001z",
		&(struct when){ .nsec = 1 });
	check_parse("1970-01-01t00:00:01.9999999999999Z",
		&(struct when){ .sec = 1, .nsec = 999999999 });
}

/* Property: what local time shows is read as the second it was made from. */
static void
local_comes_back(void **state)
{
	static const char *const zones[] = { "UTC0", "XXX-5:30", "YYY11" };
	char text[40];
	struct prng p;

	(void)state;
	prng_init(&p, 3);
	for (int i = 0; i < ROUNDS; i++) {
		struct when t = any_when(&p);

		if (i % 1000 == 0)
			set_zone(zones[i / 1000 % 3]);
		t.nsec = 0;
		when_local(&t, text);
		if (text[0] == '-' || strlen(text) != 19)
			continue;
		check_parse(text, &t);
		t.sec -= (t.sec % 60 + 60) % 60;
		text[16] = '\0';
		check_parse(text, &t);
	}
	set_zone("XXX-5:30");
	check_parse("1970-01-02", &(struct when){ .sec = 86400 - 19800 });
}

/* With summer time, what was accepted is shown again as it was typed. */
static void
summer_time_is_found(void **state)
{
	char text[40], shown[40];
	struct prng p;

	(void)state;
	set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
	check_parse("2026-07-01 12:00:00", &(struct when){ .sec = 1782900000 });
	check_parse("2026-01-01 12:00:00", &(struct when){ .sec = 1767265200 });
	prng_init(&p, 4);
	for (int i = 0; i < ROUNDS; i++) {
		struct error err = ERROR_INIT;
		struct when t;

		(void)snprintf(text, sizeof(text),
			"20%02d-%02d-%02d %02d:30:00", (int)prng_below(&p, 38),
			1 + (int)prng_below(&p, 12),
			1 + (int)prng_below(&p, 28), (int)prng_below(&p, 24));
		/* The hour that is left out in spring does not exist. */
		if (memcmp(text + 11, "02", 2) == 0)
			continue;
		assert_int_equal(when_parse(&t, text, &err), ERR_OK);
		when_local(&t, shown);
		assert_string_equal(shown, text);
	}
	set_zone("UTC0");
}

static void
what_is_no_time_is_refused(void **state)
{
	static const char *const cases[] = { "", "now", "2026", "2026-13-01",
		"2026-00-01", "2026-02-29", "2026-04-31", "1900-02-29",
		"2026-01-00", "2026-1-1", "2026-01-01 ", "2026-01-01 24:00",
		"2026-01-01 12", "2026-01-01 12:60", "2026-01-01 12:00:00.5",
		"2026-01-01T12:00:00", "2026-01-01T12:00Z",
		"2026-01-01T12:00:00.Z", "2026-01-01T12:00:00+0200",
		"2026-01-01T12:00:00+24:00", "2026-01-01T12:00:00Zx",
		"-026-01-01", "02026-01-01", "2026-01-01 12:00:61" };
	struct when t = { .sec = 5, .nsec = 6 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(when_parse(&t, cases[i], &err), ERR_USAGE);
		assert_int_equal(t.sec, 5);
		assert_int_equal(t.nsec, 6);
	}
	check_parse("2000-02-29T00:00:00Z", &(struct when){ .sec = 951782400 });
}

/* Metadata from a repository holds any numbers; the text has 39 places. */
static void
any_moment_can_be_shown(void **state)
{
	struct prng p;

	(void)state;
	prng_init(&p, 5);
	for (int i = 0; i < ROUNDS; i++) {
		struct when t = {
			.sec = (int64_t)(prng_next(&p) << prng_below(&p, 8)) >>
			       prng_below(&p, 40),
			.nsec = (uint32_t)prng_next(&p),
		};
		char text[41] = "";

		text[40] = '#';
		when_rfc3339(&t, text);
		assert_true(strnlen(text, 40) < 40);
		when_local(&t, text);
		assert_true(strnlen(text, 40) < 40);
		assert_int_equal(text[40], '#');
	}
}

static void
moments_are_ordered(void **state)
{
	struct when a = when_now(), b;
	double start = mono_sec();

	(void)state;
	assert_true(a.nsec < 1000000000 && a.sec > 1700000000);
	b = a;
	assert_int_equal(when_cmp(&a, &b), 0);
	b.sec++;
	b.nsec = 0;
	assert_true(when_cmp(&a, &b) < 0 && when_cmp(&b, &a) > 0);
	b = a;
	b.nsec++;
	assert_true(when_cmp(&a, &b) < 0 && when_cmp(&b, &a) > 0);
	assert_true(mono_sec() >= start);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc3339_comes_back),
		cmocka_unit_test(zones_are_subtracted),
		cmocka_unit_test(fractions_have_any_length),
		cmocka_unit_test(local_comes_back),
		cmocka_unit_test(summer_time_is_found),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(any_moment_can_be_shown),
		cmocka_unit_test(moments_are_ordered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
