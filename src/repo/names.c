/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/names.h"

#include <string.h>

#include "base/id.h"

bool
names_number(const char **at, uint64_t *out)
{
	size_t n = strspn(*at, "0123456789");
	uint64_t v = 0;

	if (n == 0 || n > NUMBER_DIGITS || ((*at)[0] == '0' && n > 1))
		return false;
	for (size_t i = 0; i < n; i++)
		v = v * 10 + (uint64_t)((*at)[i] - '0');
	*at += n;
	*out = v;
	return true;
}

bool
names_text(const char **at, const char *text)
{
	size_t len = strlen(text);

	if (strncmp(*at, text, len) != 0)
		return false;
	*at += len;
	return true;
}

bool
names_hex(const char **at, uint8_t *out, size_t len)
{
	if (!hex_decode(*at, out, len))
		return false;
	*at += 2 * len;
	return true;
}
