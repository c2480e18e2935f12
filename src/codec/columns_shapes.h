/* SPDX-License-Identifier: Apache-2.0 */
/*
 * columns_shapes: which shapes the lines of a text have, and which column each
 * of their places belongs to.
 *
 * Places whose lines are alike up to there share a column, however the lines
 * go on: the time that all of them begin with is one column.  Shape 0 is the
 * whole line as one text, for lines whose shape is rare or that have none, and
 * column 0 is its place.  Used by columns only.
 */
#ifndef CODEC_COLUMNS_SHAPES_H
#define CODEC_COLUMNS_SHAPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "codec/columns_line.h"
#include "codec/texts.h"

struct columns_shape {
	uint32_t times; /* lines that have it */
	uint32_t number; /* under which it is told; 0: as whole lines */
	uint32_t n_places;
	size_t places; /* the first one's in columns_shapes.places */
};

struct columns_shapes {
	struct columns_words words;
	struct texts texts; /* of the shapes */
	struct columns_shape *v; /* of each text */
	size_t cap;
	size_t told; /* so many shapes have a number */
	uint32_t *of_line; /* a place in v */
	size_t lines, lines_cap;
	size_t values; /* in all lines */
	struct texts columns; /* a shape up to the column's place */
	uint32_t *places; /* their columns */
	size_t n_places, places_cap;
};

/* *fit false: it is no text that is worth it. */
enum err columns_shapes_init(struct columns_shapes *s, const uint8_t *data,
	size_t len, bool *fit, struct error *err) MUST_CHECK;
void columns_shapes_fini(struct columns_shapes *s);

/* How lines of that shape are told: under it, or whole. */
static inline const struct columns_shape *
columns_shapes_told(const struct columns_shapes *s, size_t shape)
{
	return &s->v[s->v[shape].number > 0 ? shape : 0];
}

/* Lines one after the other: at begins at the first byte, and is NULL behind
 * the last line.  What follows the last LF is a line, too. */
const uint8_t *columns_next_line(const uint8_t **at, const uint8_t *end,
	size_t *len);

/* The i-th line as it is told. */
const struct columns_shape *columns_shapes_line(const struct columns_shapes *s,
	size_t i, const uint8_t *text, size_t len, struct columns_line *out);

#endif /* CODEC_COLUMNS_SHAPES_H */
