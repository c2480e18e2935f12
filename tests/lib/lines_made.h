/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines_made: text of lines that resemble one another, as logs do, for tests.
 *
 * A few shapes are drawn, of words, separators and values; values are counters,
 * near a counter, anything, or names that may come again.  Now and then there
 * is a line that is none of them.
 */
#ifndef TESTS_LIB_LINES_MADE_H
#define TESTS_LIB_LINES_MADE_H

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/prng.h"

enum { LINES_MADE_SHAPES = 12, LINES_MADE_PARTS = 10 };

struct lines_made {
	struct prng rng;
	unsigned odd; /* one line in so many; 0: none */
	unsigned kinds[LINES_MADE_SHAPES][LINES_MADE_PARTS];
	size_t parts[LINES_MADE_SHAPES], shapes;
	uint64_t counters[4];
	char *text;
	size_t len, max;
};

static inline void
lines_made_add(struct lines_made *l, const void *data, size_t len)
{
	if (len > l->max - l->len)
		len = l->max - l->len;
	memcpy(l->text + l->len, data, len);
	l->len += len;
}

static inline void
lines_made_number(struct lines_made *l, uint64_t v)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRIu64, v);

	lines_made_add(l, text, (size_t)n);
}

static inline void
lines_made_value(struct lines_made *l, unsigned kind)
{
	uint64_t *counter = &l->counters[kind % 4];
	char name[48];
	int n;

	switch (kind / 4 % 5) {
	case 0:
		lines_made_number(l, (*counter)++);
		return;
	case 1:
		lines_made_number(l, *counter - prng_below(&l->rng, 300));
		return;
	case 2:
		lines_made_number(l,
			prng_next(&l->rng) >> prng_below(&l->rng, 64));
		return;
	case 3:
		n = snprintf(name, sizeof(name), "name-%" PRIx64 ".txt",
			prng_below(&l->rng, 200));
		break;
	default:
		n = snprintf(name, sizeof(name), "%0*" PRIu64,
			(int)prng_below(&l->rng, 24),
			prng_below(&l->rng, 1000));
	}
	lines_made_add(l, name, (size_t)n);
}

static inline void
lines_made_odd(struct lines_made *l)
{
	static const uint8_t bytes[] = { 0, 1, 2, '\r', 'a', '0', '9', ' ',
		0xc3, 0xa4, '(', 0xff };
	size_t n = prng_below(&l->rng, 8) == 0 ? prng_below(&l->rng, 3000)
					       : prng_below(&l->rng, 30);

	for (size_t i = 0; i < n; i++)
		lines_made_add(l, &bytes[prng_below(&l->rng, sizeof(bytes))],
			1);
}

/* Of a seed; the caller frees text.  The end may be in the middle of a line. */
static inline void
lines_made_init(struct lines_made *l, uint64_t seed, size_t len)
{
	static const char *const words[] = { "CREATE(", "UNLINK(", "|", ": ",
		",", "):", " opened by ", "" };

	*l = (struct lines_made){ .max = len };
	prng_init(&l->rng, seed);
	l->text = malloc(len + 1);
	assert(l->text != NULL);
	l->odd = (unsigned)prng_below(&l->rng, 3) * 40;
	l->shapes = 1 + prng_below(&l->rng, LINES_MADE_SHAPES);
	for (size_t i = 0; i < l->shapes; i++) {
		l->parts[i] = 1 + prng_below(&l->rng, LINES_MADE_PARTS);
		for (size_t k = 0; k < l->parts[i]; k++)
			l->kinds[i][k] = (unsigned)prng_below(&l->rng, 1000);
	}
	for (size_t i = 0; i < 4; i++)
		l->counters[i] = prng_next(&l->rng) >> prng_below(&l->rng, 64);
	while (l->len < len) {
		size_t i = prng_below(&l->rng, l->shapes);

		if (l->odd > 0 && prng_below(&l->rng, l->odd) == 0)
			lines_made_odd(l);
		for (size_t k = 0; k < l->parts[i]; k++) {
			const char *word = words[(i + k) % 8];

			lines_made_add(l, word, strlen(word));
			lines_made_value(l, l->kinds[i][k]);
		}
		lines_made_add(l, "\n", 1);
	}
}

#endif /* TESTS_LIB_LINES_MADE_H */
