/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "tests/lib/prng.h"

static void
sizes_come_back(void **state)
{
	static const char *const suffixes[] = { "", "K", "M", "G", "T" };
	struct error err = ERROR_INIT;
	struct prng p;

	(void)state;
	prng_init(&p, 1);
	for (int i = 0; i < 20000; i++) {
		uint64_t v = prng_next(&p) >> prng_below(&p, 64), have;
		unsigned step = (unsigned)prng_below(&p, 5);
		uint64_t want;
		char text[40];
		bool fits;

		(void)snprintf(text, sizeof(text), "%" PRIu64 "%s", v,
			suffixes[step]);
		fits = !__builtin_mul_overflow(v, UINT64_C(1) << (10 * step),
			&want);
		assert_int_equal(units_parse_bytes(&have, text, &err),
			fits ? ERR_OK : ERR_USAGE);
		if (fits)
			assert_true(have == want);
	}
}

static void
what_is_no_size_is_refused(void **state)
{
	static const char *const cases[] = { "", "K", "-1", "+1", " 1", "1 ",
		"1.5G", "1KB", "1X", "0x10", "18446744073709551616",
		"16777216T" };
	uint64_t v = 5;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(units_parse_bytes(&v, cases[i], &err),
			ERR_USAGE);
		assert_true(v == 5);
	}
}

/* Property: the text is within half of its last digit of the number. */
static void
sizes_are_shown_to_three_decimals(void **state)
{
	static const char prefixes[] = "KMGTPE";
	char text[24], *unit;
	struct prng p;

	(void)state;
	prng_init(&p, 2);
	for (int i = 0; i < 20000; i++) {
		uint64_t v = prng_next(&p) >> prng_below(&p, 64);
		double shown, one = 1;

		units_bytes(v, text);
		shown = strtod(text, &unit);
		if (strcmp(unit, " B") != 0) {
			assert_string_equal(unit + 2, "iB");
			for (const char *u = prefixes; *u != unit[1]; u++)
				one *= 1024;
			one *= 1024;
			assert_true(v >= 1023);
		}
		assert_true(shown < 1024);
		assert_true(shown * one - (double)v <= one * 0.000501 &&
			    (double)v - shown * one <= one * 0.000501);
	}
	units_bytes(1023, text);
	assert_string_equal(text, "1023 B");
	units_bytes((1 << 30) - 1, text);
	assert_string_equal(text, "1.000 GiB");
	units_bytes(UINT64_MAX, text);
	assert_string_equal(text, "16.000 EiB");
}

static void
durations_are_shown(void **state)
{
	static const struct {
		double sec;
		const char *text;
	} cases[] = { { 0, "0:00" }, { 7.9, "0:07" }, { 59.999, "0:59" },
		{ 60, "1:00" }, { 3599, "59:59" }, { 3723, "1:02:03" },
		{ 360000, "100:00:00" }, { -1, "0:00" },
		{ __builtin_nan(""), "0:00" } };
	char text[24];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		units_duration(cases[i].sec, text);
		assert_string_equal(text, cases[i].text);
	}
	units_duration(__builtin_inf(), text);
	assert_true(strlen(text) < sizeof(text));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_come_back),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(sizes_are_shown_to_three_decimals),
		cmocka_unit_test(durations_are_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
