/* SPDX-License-Identifier: Apache-2.0 */
/*
 * columns: from lines to columns.  See columns.h.
 *
 * Three passes: the words and shapes (columns_shapes), which column tells most
 * about each (over the first lines), and the values.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "codec/columns.h"
#include "codec/columns_shapes.h"

enum {
	GLANCE = 2048,
	GLANCE_LINES = 8, /* in it, at least */
	GLANCE_DIGITS = 8, /* one of so many bytes */
	SAMPLE_LINES = 1024,
	PART_MIN = 512 /* bytes that are worth tables of their own */
};

/* What a number is told as the distance from: the last value of a column, of
 * which so many are tried for each. */
enum { GUESS_NONE = 0, GUESS_SELF = 1, GUESS_OTHERS = 2, GUESSES = 66 };

struct column {
	bool text;
	uint32_t guess; /* 0, or 1 + a column */
	uint64_t *v; /* as they are written */
	size_t n;
	uint64_t all; /* bits of any of v */
	uint64_t last;
	struct buf strings; /* each with its LF */
};

struct encoder {
	const uint8_t *data, *end;
	struct columns_shapes shapes;
	struct column *columns;
	size_t n;
	struct column lines; /* their shapes */
	uint64_t *values; /* memory of all v */
	struct texts strings; /* that were there already */
	struct columns_line line;
};

void
columns_init(struct columns *c, size_t max)
{
	*c = (struct columns){ .bytes = BUF_INIT(max) };
}

void
columns_fini(struct columns *c)
{
	buf_fini(&c->bytes);
	free(c->ends);
}

bool
columns_likely(const void *data, size_t len)
{
	const uint8_t *p = (const uint8_t *)data + len / 2;
	size_t n = len / 2 < GLANCE ? len / 2 : GLANCE;
	size_t lines = 0, digits = 0;

	if (len < COLUMNS_MIN)
		return false;
	for (size_t i = 0; i < n; i++) {
		lines += p[i] == '\n';
		digits += (uint8_t)(p[i] - '0') < 10;
	}
	return lines * GLANCE >= n * GLANCE_LINES &&
	       digits >= n / GLANCE_DIGITS;
}

/* ---- what a column is told by ---- */

static uint64_t
zigzag(uint64_t distance)
{
	return distance << 1 ^ (0 - (distance >> 63));
}

static unsigned
bits(uint64_t v)
{
	return v == 0 ? 0 : 64 - (unsigned)__builtin_clzll(v);
}

struct sample {
	uint32_t others[GUESSES - GUESS_OTHERS]; /* columns */
	size_t n_others;
	uint32_t (*costs)[GUESSES]; /* of each column, in bits */
};

static void
note_costs(struct encoder *e, struct sample *s, size_t c, uint64_t v)
{
	uint32_t *costs = s->costs[c];

	costs[GUESS_NONE] += bits(v);
	costs[GUESS_SELF] += bits(zigzag(v - e->columns[c].last));
	for (size_t i = 0; i < s->n_others; i++) {
		uint64_t last = e->columns[s->others[i]].last;

		costs[GUESS_OTHERS + i] += bits(zigzag(v - last));
	}
}

/* Of the best ones the first in the order of the list above. */
static void
choose_guess(struct encoder *e, const struct sample *s, size_t c)
{
	const uint32_t *costs = s->costs[c];
	size_t best = GUESS_SELF;

	if (costs[GUESS_NONE] < costs[best])
		best = GUESS_NONE;
	for (size_t i = GUESS_OTHERS; i < GUESS_OTHERS + s->n_others; i++)
		if (costs[i] < costs[best])
			best = i;
	if (best == GUESS_NONE)
		e->columns[c].guess = 0;
	else if (best == GUESS_SELF)
		e->columns[c].guess = (uint32_t)c + 1;
	else
		e->columns[c].guess = s->others[best - GUESS_OTHERS] + 1;
}

static void
sample_lines(struct encoder *e, struct sample *s)
{
	const uint8_t *at = e->data, *text;
	size_t len;

	for (size_t i = 0; i < SAMPLE_LINES; i++) {
		const struct columns_shape *shape;

		text = columns_next_line(&at, e->end, &len);
		if (text == NULL)
			break;
		shape = columns_shapes_line(&e->shapes, i, text, len, &e->line);
		for (size_t k = 0; k < e->line.n; k++) {
			size_t c = e->shapes.places[shape->places + k];
			uint64_t v = e->line.values[k].number;

			if (e->columns[c].text)
				continue;
			note_costs(e, s, c, v);
			e->columns[c].last = v;
		}
	}
}

static enum err
choose_guesses(struct encoder *e, struct error *err)
{
	struct sample s = { .costs = calloc(e->n, sizeof(*s.costs)) };

	if (s.costs == NULL)
		return err_set(err, ERR_NOMEM, "no memory for %zu columns",
			e->n);
	for (size_t c = 0; c < e->n && s.n_others < ARRAY_LEN(s.others); c++)
		if (!e->columns[c].text)
			s.others[s.n_others++] = (uint32_t)c;
	sample_lines(e, &s);
	for (size_t c = 0; c < e->n; c++) {
		if (!e->columns[c].text)
			choose_guess(e, &s, c);
		e->columns[c].last = 0;
	}
	free(s.costs);
	return ERR_OK;
}

/* ---- values ---- */

static void
add(struct column *c, uint64_t v)
{
	c->v[c->n++] = v;
	c->all |= v;
}

static void
add_number(struct encoder *e, struct column *c, uint64_t v)
{
	add(c, c->guess == 0 ? v : zigzag(v - e->columns[c->guess - 1].last));
	c->last = v;
}

static enum err
add_text(struct encoder *e, struct column *c, const struct columns_value *v,
	struct error *err)
{
	size_t n = e->strings.n;
	uint32_t i;
	enum err rc;

	rc = texts_add(&e->strings, v->text, v->len, &i, err);
	if (rc != ERR_OK)
		return rc;
	add(c, n - i);
	if (i < n)
		return ERR_OK;
	rc = buf_put(&c->strings, v->text, v->len, err);
	return rc == ERR_OK ? buf_put_u8(&c->strings, '\n', err) : rc;
}

static enum err
add_line(struct encoder *e, const struct columns_shape *shape,
	struct error *err)
{
	enum err rc = ERR_OK;

	add(&e->lines, shape->number);
	for (size_t k = 0; rc == ERR_OK && k < e->line.n; k++) {
		struct column *c =
			&e->columns[e->shapes.places[shape->places + k]];

		if (c->text)
			rc = add_text(e, c, &e->line.values[k], err);
		else
			add_number(e, c, e->line.values[k].number);
	}
	return rc;
}

static enum err
add_lines(struct encoder *e, struct error *err)
{
	const uint8_t *at = e->data, *text;
	enum err rc = ERR_OK;
	size_t len;

	for (size_t i = 0; rc == ERR_OK && (text = columns_next_line(&at,
						    e->end, &len)) != NULL;
		i++)
		rc = add_line(e,
			columns_shapes_line(&e->shapes, i, text, len, &e->line),
			err);
	return rc;
}

/* How many values each column gets. */
static void
count_values(struct encoder *e)
{
	const struct columns_shapes *s = &e->shapes;

	for (size_t i = 0; i < s->texts.n; i++) {
		const struct columns_shape *told = columns_shapes_told(s, i);

		for (size_t k = 0; k < told->n_places; k++)
			e->columns[s->places[told->places + k]].n +=
				s->v[i].times;
	}
}

static enum err
make_columns(struct encoder *e, struct error *err)
{
	const struct columns_shapes *s = &e->shapes;
	uint64_t *v;

	e->n = s->columns.n;
	e->columns = calloc(e->n, sizeof(*e->columns));
	/* A line that is told whole is a value, also where it had none. */
	e->values = calloc(2 * s->lines + s->values, sizeof(*e->values));
	if (e->columns == NULL || e->values == NULL)
		return err_set(err, ERR_NOMEM, "no memory for %zu values",
			s->values);
	count_values(e);
	e->lines.v = e->values;
	v = e->values + s->lines;
	for (size_t i = 0; i < e->n; i++) {
		struct column *c = &e->columns[i];
		const struct text *t = &s->columns.v[i];

		c->text = s->columns.bytes.data[t->off + t->len - 1] ==
			  COLUMNS_TEXT;
		buf_init(&c->strings, (size_t)(e->end - e->data) + 1);
		c->v = v;
		v += c->n;
		c->n = 0;
	}
	return ERR_OK;
}

/* ---- what is written ---- */

static unsigned
width(const struct column *c)
{
	return (bits(c->all) + 7) / 8;
}

static size_t
written(const struct column *c)
{
	return c->n * width(c) + c->strings.len;
}

static enum err
put_column(struct buf *out, const struct column *c, struct error *err)
{
	enum err rc =
		buf_put_u8(out, c->text ? COLUMNS_TEXT : COLUMNS_NUMBER, err);

	if (rc == ERR_OK)
		rc = buf_put_u8(out, (uint8_t)width(c), err);
	if (rc == ERR_OK)
		rc = buf_put_varint(out, c->text ? c->strings.len : c->guess,
			err);
	return rc;
}

static enum err
put_shape(struct buf *out, const struct columns_shapes *s, size_t i,
	struct error *err)
{
	const struct text *t = &s->texts.v[i];
	const uint8_t *shape = s->texts.bytes.data + t->off;
	const uint32_t *column = &s->places[s->v[i].places];
	size_t told = 0;
	enum err rc = buf_put_varint(out, s->v[i].n_places, err);

	for (size_t k = 0; rc == ERR_OK && k < t->len; k++) {
		if (shape[k] > COLUMNS_TEXT)
			continue;
		rc = buf_put_bytes(out, shape + told, k - told, err);
		if (rc == ERR_OK)
			rc = buf_put_varint(out, *column++, err);
		told = k + 1;
	}
	return rc == ERR_OK
		       ? buf_put_bytes(out, shape + told, t->len - told, err)
		       : rc;
}

static enum err
put_head(struct buf *out, const struct encoder *e, struct error *err)
{
	const struct columns_shapes *s = &e->shapes;
	enum err rc = buf_put_varint(out, e->lines.n, err);

	if (rc == ERR_OK)
		rc = buf_put_u8(out, (uint8_t)width(&e->lines), err);
	if (rc == ERR_OK)
		rc = buf_put_varint(out, e->n, err);
	for (size_t i = 0; rc == ERR_OK && i < e->n; i++)
		rc = put_column(out, &e->columns[i], err);
	if (rc == ERR_OK)
		rc = buf_put_varint(out, s->told, err);
	for (size_t i = 0; rc == ERR_OK && i < s->texts.n; i++)
		if (i == 0 || s->v[i].number > 0)
			rc = put_shape(out, s, i, err);
	return rc;
}

/* A part ends here, if it is not too short for that. */
static enum err
end_part(struct columns *out, size_t part_min, struct error *err)
{
	size_t before = out->n > 0 ? out->ends[out->n - 1] : 0;
	size_t *grown;

	if (out->bytes.len - before < part_min)
		return ERR_OK;
	grown = array_grow(out->ends, out->n, &out->cap, sizeof(*grown), err);
	if (grown == NULL)
		return ERR_NOMEM;
	out->ends = grown;
	out->ends[out->n++] = out->bytes.len;
	return ERR_OK;
}

static enum err
put_planes(struct columns *out, const struct column *c, struct error *err)
{
	enum err rc = ERR_OK;

	for (unsigned k = 0; rc == ERR_OK && k < width(c); k++) {
		uint8_t *p = out->bytes.data + out->bytes.len;

		for (size_t i = 0; i < c->n; i++)
			p[i] = (uint8_t)(c->v[i] >> 8 * k);
		out->bytes.len += c->n;
		rc = end_part(out, PART_MIN, err);
	}
	if (rc == ERR_OK && c->strings.len > 0)
		rc = buf_put(&out->bytes, c->strings.data, c->strings.len, err);
	return rc == ERR_OK ? end_part(out, PART_MIN, err) : rc;
}

static enum err
put_all(struct columns *out, const struct encoder *e, bool *fit,
	struct error *err)
{
	struct buf head = BUF_INIT(SIZE_MAX);
	size_t size = written(&e->lines);
	enum err rc = put_head(&head, e, err);

	for (size_t i = 0; i < e->n; i++)
		size += written(&e->columns[i]);
	*fit = head.len + size <= (size_t)(e->end - e->data);
	if (rc != ERR_OK || !*fit)
		goto out;
	rc = buf_reserve(&out->bytes, head.len + size, err);
	if (rc == ERR_OK)
		rc = buf_put(&out->bytes, head.data, head.len, err);
	if (rc == ERR_OK)
		rc = end_part(out, PART_MIN, err);
	if (rc == ERR_OK)
		rc = put_planes(out, &e->lines, err);
	for (size_t i = 0; rc == ERR_OK && i < e->n; i++)
		rc = put_planes(out, &e->columns[i], err);
	if (rc == ERR_OK)
		rc = end_part(out, 1, err);
out:
	buf_fini(&head);
	return rc;
}

/* ---- all of it ---- */

static void
encoder_fini(struct encoder *e)
{
	for (size_t i = 0; e->columns != NULL && i < e->n; i++)
		buf_fini(&e->columns[i].strings);
	free(e->columns);
	free(e->values);
	columns_shapes_fini(&e->shapes);
	texts_fini(&e->strings);
}

enum err
columns_encode(struct columns *out, const void *data, size_t len, bool *fit,
	struct error *err)
{
	struct encoder e = { .data = data };
	enum err rc;

	buf_clear(&out->bytes);
	out->n = 0;
	e.end = e.data + len;
	texts_init(&e.strings, len + 1);
	rc = columns_shapes_init(&e.shapes, data, len, fit, err);
	if (rc != ERR_OK || !*fit)
		goto out;
	rc = make_columns(&e, err);
	if (rc == ERR_OK)
		rc = choose_guesses(&e, err);
	if (rc == ERR_OK)
		rc = add_lines(&e, err);
	if (rc == ERR_OK)
		rc = put_all(out, &e, fit, err);
out:
	encoder_fini(&e);
	return rc;
}
