/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

size_t
id_find(const struct id *v, size_t n, const struct id *id)
{
	size_t from = 0, to = n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		int cmp = id_cmp(id, &v[mid]);

		if (cmp == 0)
			return mid;
		if (cmp < 0)
			to = mid;
		else
			from = mid + 1;
	}
	return SIZE_MAX;
}

uint64_t
id_prefix(const struct id *id)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 8; i++)
		v = v << 8 | id->b[i];
	return v;
}

void
hex_encode(const uint8_t *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[data[i] >> 4];
		*out++ = digits[data[i] & 15];
	}
	*out = '\0';
}

/* Its value; 16 where c is none. */
static unsigned
digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	return 16;
}

/* The text is checked before anything is written, digit by digit, so that a
 * text that ends early is never read behind its NUL. */
bool
hex_decode(const char *text, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < 2 * len; i++) {
		if (digit(text[i]) > 15)
			return false;
	}
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(digit(text[2 * i]) << 4 |
				   digit(text[2 * i + 1]));
	return true;
}
