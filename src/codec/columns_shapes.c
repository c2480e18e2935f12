/* SPDX-License-Identifier: Apache-2.0 */
/* columns_shapes: a pass over the lines, and a choice. */
#include "codec/columns_shapes.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

enum {
	TIMES_MIN = 4,
	/* Bytes for each line and each value, on average: what lies below is
	 * no log, and would take too much memory. */
	LINE_BYTES = 16,
	VALUE_BYTES = 4
};

static const uint8_t whole_line[] = { COLUMNS_TEXT };

const uint8_t *
columns_next_line(const uint8_t **at, const uint8_t *end, size_t *len)
{
	const uint8_t *line = *at, *lf;

	if (line == NULL)
		return NULL;
	lf = memchr(line, '\n', (size_t)(end - line));
	*at = lf != NULL ? lf + 1 : NULL;
	*len = (size_t)((lf != NULL ? lf : end) - line);
	return line;
}

static enum err
add_shape(struct columns_shapes *s, const uint8_t *shape, size_t len,
	uint32_t *i, struct error *err)
{
	size_t n = s->texts.n;
	struct columns_shape *grown;
	enum err rc;

	grown = array_grow(s->v, n, &s->cap, sizeof(*grown), err);
	if (grown == NULL)
		return ERR_NOMEM;
	s->v = grown;
	rc = texts_add(&s->texts, shape, len, i, err);
	if (rc == ERR_OK && *i == n)
		s->v[n] = (struct columns_shape){ .times = 0 };
	return rc;
}

static enum err
add_line(struct columns_shapes *s, const struct columns_line *line,
	struct error *err)
{
	uint32_t *grown;
	enum err rc;

	grown = array_grow(s->of_line, s->lines, &s->lines_cap, sizeof(*grown),
		err);
	if (grown == NULL)
		return ERR_NOMEM;
	s->of_line = grown;
	rc = add_shape(s, line->shape, line->len, &s->of_line[s->lines], err);
	if (rc != ERR_OK)
		return rc;
	s->v[s->of_line[s->lines]].times++;
	s->lines++;
	s->values += line->n;
	return ERR_OK;
}

static enum err
read_lines(struct columns_shapes *s, const uint8_t *data, size_t len, bool *fit,
	struct error *err)
{
	const uint8_t *at = data, *text;
	struct columns_line line;
	enum err rc = ERR_OK;
	size_t n;

	while (rc == ERR_OK && *fit &&
		(text = columns_next_line(&at, data + len, &n)) != NULL) {
		if (!columns_line_read(&line, &s->words, text, n))
			columns_line_odd(&line, text, n);
		rc = add_line(s, &line, err);
		*fit = s->lines <= len / LINE_BYTES &&
		       s->values <= len / VALUE_BYTES;
	}
	return rc;
}

static enum err
add_place(struct columns_shapes *s, const uint8_t *shape, size_t len,
	struct error *err)
{
	uint32_t *grown;

	grown = array_grow(s->places, s->n_places, &s->places_cap,
		sizeof(*grown), err);
	if (grown == NULL)
		return ERR_NOMEM;
	s->places = grown;
	return texts_add(&s->columns, shape, len, &s->places[s->n_places++],
		err);
}

/* Give a shape its number, and its places their columns. */
static enum err
tell(struct columns_shapes *s, size_t i, struct error *err)
{
	const struct text *t = &s->texts.v[i];
	const uint8_t *shape = s->texts.bytes.data + t->off;
	struct columns_shape *v = &s->v[i];
	enum err rc = ERR_OK;

	v->number = (uint32_t)s->told++;
	v->places = s->n_places;
	for (size_t k = 0; rc == ERR_OK && k < t->len; k++)
		if (shape[k] <= COLUMNS_TEXT)
			rc = add_place(s, shape, k + 1, err);
	v->n_places = (uint32_t)(s->n_places - v->places);
	return rc;
}

static enum err
choose(struct columns_shapes *s, struct error *err)
{
	enum err rc = tell(s, 0, err);

	for (size_t i = 1; rc == ERR_OK && i < s->texts.n; i++)
		if (s->v[i].times >= TIMES_MIN && s->told < COLUMNS_MAX &&
			s->columns.n <= COLUMNS_MAX - COLUMNS_PLACES)
			rc = tell(s, i, err);
	return rc;
}

/* Of most lines the shape is told. */
static bool
mostly_told(const struct columns_shapes *s)
{
	size_t whole = 0;

	for (size_t i = 0; i < s->texts.n; i++)
		if (s->v[i].number == 0)
			whole += s->v[i].times;
	return whole <= s->lines / 2;
}

enum err
columns_shapes_init(struct columns_shapes *s, const uint8_t *data, size_t len,
	bool *fit, struct error *err)
{
	uint32_t zero;
	enum err rc;

	*s = (struct columns_shapes){ .told = 0 };
	*fit = true;
	texts_init(&s->texts, len + sizeof(whole_line) + 1);
	texts_init(&s->columns, (size_t)COLUMNS_MAX * COLUMNS_LITERAL);
	rc = columns_words_init(&s->words, data, len, err);
	if (rc == ERR_OK)
		rc = add_shape(s, whole_line, sizeof(whole_line), &zero, err);
	if (rc == ERR_OK)
		rc = read_lines(s, data, len, fit, err);
	if (rc == ERR_OK && *fit) {
		rc = choose(s, err);
		*fit = mostly_told(s);
	}
	return rc;
}

void
columns_shapes_fini(struct columns_shapes *s)
{
	columns_words_fini(&s->words);
	texts_fini(&s->texts);
	texts_fini(&s->columns);
	free(s->v);
	free(s->of_line);
	free(s->places);
}

const struct columns_shape *
columns_shapes_line(const struct columns_shapes *s, size_t i,
	const uint8_t *text, size_t len, struct columns_line *out)
{
	const struct columns_shape *shape =
		columns_shapes_told(s, s->of_line[i]);

	if (shape->number == 0 || !columns_line_read(out, &s->words, text, len))
		columns_line_odd(out, text, len);
	return shape;
}
