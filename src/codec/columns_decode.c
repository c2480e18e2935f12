/* SPDX-License-Identifier: Apache-2.0 */
/*
 * columns: from columns to lines.  See columns.h.
 *
 * Hostile bytes: the counts of values are known before any is read, and there
 * are no more of them than bytes to be made, so that both the memory and the
 * time are bounded by plain_len.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/rd.h"
#include "codec/columns.h"
#include "codec/columns_line.h"

enum { DIGITS = 20, WIDTH_MAX = 8 };

/* Values are read from planes of n bytes each. */
struct column {
	uint8_t kind, width;
	uint32_t guess; /* 0, or 1 + a column of numbers */
	const uint8_t *planes;
	size_t n, at;
	uint64_t last;
	struct rd strings;
	size_t strings_len;
};

struct place {
	const uint8_t *literal; /* before it */
	size_t len;
	struct column *column; /* NULL: the end of the line */
};

struct decoder {
	struct rd in;
	struct column *columns;
	size_t n_columns;
	struct column lines; /* their shapes */
	size_t shapes[COLUMNS_MAX]; /* their first places */
	size_t n_shapes;
	struct place *places;
	size_t n_places, places_cap;
	struct text *texts; /* in what was made */
	size_t n_texts, texts_cap;
	uint8_t *out;
	size_t len, max;
};

static enum err
corrupt(struct error *err, const char *what)
{
	return err_set(err, ERR_CORRUPT, "damaged columns: %s", what);
}

/* ---- the head ---- */

static void
read_column(struct decoder *d, struct column *c)
{
	c->kind = rd_u8(&d->in);
	c->width = rd_u8(&d->in);
	if (c->kind == COLUMNS_NUMBER)
		c->guess = (uint32_t)rd_varint_max(&d->in, d->n_columns);
	else
		c->strings_len = rd_varint_max(&d->in, d->max + 1);
	if (c->kind > COLUMNS_TEXT || c->width > WIDTH_MAX)
		d->in.bad = true;
}

static enum err
read_columns(struct decoder *d, struct error *err)
{
	d->lines.n = rd_varint_max(&d->in, d->max + 1);
	d->lines.width = rd_u8(&d->in);
	d->n_columns = rd_varint_max(&d->in, COLUMNS_MAX);
	if (!rd_ok(&d->in) || d->lines.width > WIDTH_MAX || d->n_columns == 0)
		return corrupt(err, "the head");
	d->columns = calloc(d->n_columns, sizeof(*d->columns));
	if (d->columns == NULL)
		return err_set(err, ERR_NOMEM, "no memory for %zu columns",
			d->n_columns);
	for (size_t i = 0; i < d->n_columns; i++)
		read_column(d, &d->columns[i]);
	for (size_t i = 0; i < d->n_columns; i++) {
		uint32_t guess = d->columns[i].guess;

		if (guess > 0 && d->columns[guess - 1].kind != COLUMNS_NUMBER)
			d->in.bad = true;
	}
	return rd_ok(&d->in) ? ERR_OK : corrupt(err, "a column");
}

static enum err
read_place(struct decoder *d, bool is_end, struct error *err)
{
	struct place *grown;
	struct place p = { .column = NULL };

	grown = array_grow(d->places, d->n_places, &d->places_cap,
		sizeof(*grown), err);
	if (grown == NULL)
		return ERR_NOMEM;
	d->places = grown;
	p.literal = rd_bytes(&d->in, COLUMNS_LITERAL, &p.len);
	if (!is_end)
		p.column = &d->columns[rd_varint_max(&d->in, d->n_columns - 1)];
	d->places[d->n_places++] = p;
	return ERR_OK;
}

static enum err
read_shapes(struct decoder *d, struct error *err)
{
	enum err rc = ERR_OK;

	d->n_shapes = rd_varint_max(&d->in, COLUMNS_MAX);
	for (size_t i = 0; rc == ERR_OK && i < d->n_shapes; i++) {
		size_t n = rd_varint_max(&d->in, COLUMNS_PLACES);

		d->shapes[i] = d->n_places;
		for (size_t k = 0; rc == ERR_OK && k <= n; k++)
			rc = read_place(d, k == n, err);
	}
	if (rc == ERR_OK && !rd_ok(&d->in))
		rc = corrupt(err, "a shape");
	return rc;
}

/* ---- values ---- */

/* Where the values of a column lie; column->n is known. */
static void
find_values(struct decoder *d, struct column *c)
{
	const uint8_t *strings;

	c->planes = rd_raw(&d->in, c->n * c->width);
	strings = rd_raw(&d->in, c->strings_len);
	rd_init(&c->strings, strings, strings != NULL ? c->strings_len : 0);
}

static uint64_t
next_value(struct column *c)
{
	const uint8_t *p = c->planes + c->at++;
	uint64_t v = 0;

	for (unsigned k = 0; k < c->width; k++)
		v |= (uint64_t)p[k * c->n] << 8 * k;
	return v;
}

/* The values of each column by the shapes of all lines, whose planes are read
 * for that; they are not more than bytes to be made. */
static enum err
count_values(struct decoder *d, struct error *err)
{
	size_t all = 0;

	find_values(d, &d->lines);
	if (!rd_ok(&d->in))
		return corrupt(err, "it ends in its lines");
	for (size_t i = 0; i < d->lines.n; i++) {
		uint64_t shape = next_value(&d->lines);

		if (shape >= d->n_shapes)
			return corrupt(err, "a line of no shape");
		for (const struct place *p = &d->places[d->shapes[shape]];
			p->column != NULL; p++, all++)
			p->column->n++;
		if (all > d->max + 1)
			return corrupt(err, "more values than bytes");
	}
	d->lines.at = 0;
	for (size_t i = 0; i < d->n_columns; i++)
		find_values(d, &d->columns[i]);
	return rd_done(&d->in) ? ERR_OK : corrupt(err, "its length");
}

/* ---- lines ---- */

static enum err
put(struct decoder *d, const void *data, size_t len, struct error *err)
{
	if (len > d->max - d->len)
		return corrupt(err, "more bytes than there are to be");
	if (len > 0)
		memcpy(d->out + d->len, data, len);
	d->len += len;
	return ERR_OK;
}

static enum err
put_number(struct decoder *d, struct column *c, struct error *err)
{
	uint64_t v = next_value(c);
	char text[DIGITS], *p = text + sizeof(text);

	if (c->guess > 0)
		v = d->columns[c->guess - 1].last + (v >> 1 ^ (0 - (v & 1)));
	c->last = v;
	do
		*--p = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	return put(d, p, (size_t)(text + sizeof(text) - p), err);
}

static enum err
put_new_text(struct decoder *d, struct column *c, struct error *err)
{
	const uint8_t *text = c->strings.p;
	size_t left = rd_left(&c->strings);
	const uint8_t *lf = left > 0 ? memchr(text, '\n', left) : NULL;
	struct text *grown;

	if (lf == NULL)
		return corrupt(err, "it lacks a text");
	grown = array_grow(d->texts, d->n_texts, &d->texts_cap, sizeof(*grown),
		err);
	if (grown == NULL)
		return ERR_NOMEM;
	d->texts = grown;
	d->texts[d->n_texts].off = (uint32_t)d->len;
	d->texts[d->n_texts++].len = (uint32_t)(lf - text);
	c->strings.p = lf + 1;
	return put(d, text, (size_t)(lf - text), err);
}

static enum err
put_text(struct decoder *d, struct column *c, struct error *err)
{
	uint64_t ago = next_value(c);
	const struct text *t;

	if (ago == 0)
		return put_new_text(d, c, err);
	if (ago > d->n_texts)
		return corrupt(err, "a text from before the first one");
	t = &d->texts[d->n_texts - ago];
	return put(d, d->out + t->off, t->len, err);
}

static enum err
put_line(struct decoder *d, const struct place *p, struct error *err)
{
	enum err rc;

	for (;; p++) {
		rc = put(d, p->literal, p->len, err);
		if (rc != ERR_OK || p->column == NULL)
			return rc;
		rc = p->column->kind == COLUMNS_TEXT
			     ? put_text(d, p->column, err)
			     : put_number(d, p->column, err);
		if (rc != ERR_OK)
			return rc;
	}
}

static enum err
put_lines(struct decoder *d, struct error *err)
{
	enum err rc = ERR_OK;

	for (size_t i = 0; rc == ERR_OK && i < d->lines.n; i++) {
		if (i > 0)
			rc = put(d, "\n", 1, err);
		if (rc == ERR_OK)
			rc = put_line(d,
				&d->places[d->shapes[next_value(&d->lines)]],
				err);
	}
	for (size_t i = 0; rc == ERR_OK && i < d->n_columns; i++)
		if (rd_left(&d->columns[i].strings) > 0)
			rc = corrupt(err, "a text too many");
	if (rc == ERR_OK && d->len < d->max)
		rc = corrupt(err, "fewer bytes than there are to be");
	return rc;
}

enum err
columns_decode(const void *data, size_t len, void *out, size_t plain_len,
	struct error *err)
{
	struct decoder *d;
	enum err rc;

	if (plain_len > COLUMNS_PLAIN)
		return corrupt(err, "more bytes than columns may have");
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return err_set(err, ERR_NOMEM, "no memory for columns");
	d->out = out;
	d->max = plain_len;
	rd_init(&d->in, data, len);
	rc = read_columns(d, err);
	if (rc == ERR_OK)
		rc = read_shapes(d, err);
	if (rc == ERR_OK)
		rc = count_values(d, err);
	if (rc == ERR_OK)
		rc = put_lines(d, err);
	free(d->columns);
	free(d->places);
	free(d->texts);
	free(d);
	return rc;
}
