/* SPDX-License-Identifier: Apache-2.0 */
#include "base/units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_LEN = 24 };

void
units_bytes(uint64_t n, char out[24])
{
	static const char prefix[] = "KMGTPE";
	double v = (double)n / 1024;
	size_t i = 0;

	if (n < 1024) {
		(void)snprintf(out, TEXT_LEN, "%u B", (unsigned)n);
		return;
	}
	/* What three decimals would round up to 1024 is 1 of the next unit. */
	while (v >= 1023.9995 && prefix[i + 1] != '\0') {
		v /= 1024;
		i++;
	}
	(void)snprintf(out, TEXT_LEN, "%.3f %ciB", v, prefix[i]);
}

void
units_duration(double sec, char out[24])
{
	const double longest = 1e12;
	uint64_t s = 0;

	if (sec >= longest)
		s = (uint64_t)longest;
	else if (sec > 0)
		s = (uint64_t)sec;
	if (s >= 3600)
		(void)snprintf(out, TEXT_LEN, "%" PRIu64 ":%02u:%02u", s / 3600,
			(unsigned)(s / 60 % 60), (unsigned)(s % 60));
	else
		(void)snprintf(out, TEXT_LEN, "%u:%02u", (unsigned)(s / 60),
			(unsigned)(s % 60));
}

enum err
units_parse_bytes(uint64_t *out, const char *text, struct error *err)
{
	static const char suffixes[] = "KMGT";
	const char *at = text, *suffix;
	uint64_t v = 0, factor = 1;
	bool fits = true;

	for (; *at >= '0' && *at <= '9'; at++)
		fits = fits && !__builtin_mul_overflow(v, 10, &v) &&
		       !__builtin_add_overflow(v, (uint64_t)(*at - '0'), &v);
	if (at == text)
		return err_set(err, ERR_USAGE, "'%s' is not a size", text);
	if (*at != '\0') {
		suffix = strchr(suffixes, *at++);
		if (suffix == NULL || *at != '\0')
			return err_set(err, ERR_USAGE,
				"'%s' is not a size: a whole number with an "
				"optional K, M, G or T is expected",
				text);
		factor = UINT64_C(1) << (10 * (suffix - suffixes + 1));
	}
	if (!fits || __builtin_mul_overflow(v, factor, &v))
		return err_set(err, ERR_USAGE, "size '%s' is too large", text);
	*out = v;
	return ERR_OK;
}
