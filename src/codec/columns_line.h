/* SPDX-License-Identifier: Apache-2.0 */
/*
 * columns_line: a line's shape, and what stands at its places.
 *
 * A word is as many letters, digits, bytes beyond ASCII and "_.%+~/@-" as come
 * together.  A decimal number and any other word is a value, but for words of
 * letters only that occur often: those belong to the shape, as does what is
 * between words.  Used by columns only.
 */
#ifndef CODEC_COLUMNS_LINE_H
#define CODEC_COLUMNS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "codec/columns.h"
#include "codec/texts.h"

/* In a shape they stand for a value. */
enum { COLUMNS_NUMBER = 0, COLUMNS_TEXT = 1 };

/* Words of letters, and how often. */
struct columns_words {
	struct texts texts;
	uint32_t *counts;
	size_t cap;
	uint32_t often;
};

enum err columns_words_init(struct columns_words *w, const uint8_t *data,
	size_t len, struct error *err) MUST_CHECK;
void columns_words_fini(struct columns_words *w);

struct columns_value {
	const uint8_t *text; /* borrowed from the line */
	size_t len;
	uint64_t number; /* of a COLUMNS_NUMBER */
};

struct columns_line {
	uint8_t shape[COLUMNS_LITERAL];
	size_t len;
	struct columns_value values[COLUMNS_PLACES];
	size_t n;
};

/* False where a line has none: it is too long, or has bytes that stand for
 * values.  All of it is then one value of the shape COLUMNS_TEXT. */
bool columns_line_read(struct columns_line *out, const struct columns_words *w,
	const uint8_t *line, size_t len);

/* The whole line as one value. */
void columns_line_odd(struct columns_line *out, const uint8_t *line,
	size_t len);

#endif /* CODEC_COLUMNS_LINE_H */
