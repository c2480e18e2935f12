/* SPDX-License-Identifier: Apache-2.0 */
/* columns_line: words, and shapes made of what is between. */
#include "codec/columns_line.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

enum {
	DIGITS_MAX = 19, /* of which none passes 64 bits */
	WORD_MAX = 32, /* that may belong to a shape */
	OFTEN_MIN = 16,
	OFTEN_PART = 1 << 15 /* once in so many bytes */
};

static bool
is_letter(uint8_t c)
{
	return (uint8_t)((c | 0x20) - 'a') < 26;
}

static bool
is_digit(uint8_t c)
{
	return (uint8_t)(c - '0') < 10;
}

#define BYTE(c)        (UINT64_C(1) << ((c)&63))
#define BYTES(from, n) (((UINT64_C(1) << (n)) - 1) << ((from)&63))

/* A bit for each byte. */
static const uint64_t word_bytes[4] = {
	BYTES('0', 10) | BYTE('.') | BYTE('%') | BYTE('+') | BYTE('/') |
		BYTE('-'),
	BYTES('A', 26) | BYTES('a', 26) | BYTE('_') | BYTE('~') | BYTE('@'),
	UINT64_MAX,
	UINT64_MAX,
};

static bool
in_word(uint8_t c)
{
	return (word_bytes[c >> 6] >> (c & 63) & 1) != 0;
}

/* The next word at or behind at; false where there is none. */
static bool
next_word(const uint8_t *at, const uint8_t *end, const uint8_t **word,
	size_t *len)
{
	const uint8_t *p = at;

	while (p < end && !in_word(*p))
		p++;
	*word = p;
	while (p < end && in_word(*p))
		p++;
	*len = (size_t)(p - *word);
	return *len > 0;
}

static bool
may_be_often(const uint8_t *word, size_t len)
{
	if (len > WORD_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_letter(word[i]) && word[i] != '_')
			return false;
	return true;
}

static enum err
count(struct columns_words *w, const uint8_t *word, size_t len,
	struct error *err)
{
	size_t n = w->texts.n;
	uint32_t number, *grown;
	enum err rc;

	grown = array_grow(w->counts, n, &w->cap, sizeof(*grown), err);
	if (grown == NULL)
		return ERR_NOMEM;
	w->counts = grown;
	rc = texts_add(&w->texts, word, len, &number, err);
	if (rc != ERR_OK)
		return rc;
	if (number == n)
		w->counts[number] = 0;
	w->counts[number]++;
	return ERR_OK;
}

enum err
columns_words_init(struct columns_words *w, const uint8_t *data, size_t len,
	struct error *err)
{
	const uint8_t *at = data, *word;
	enum err rc = ERR_OK;
	size_t n;

	*w = (struct columns_words){ .often = OFTEN_MIN };
	if (len / OFTEN_PART > OFTEN_MIN)
		w->often = (uint32_t)(len / OFTEN_PART);
	texts_init(&w->texts, len + 1);
	while (rc == ERR_OK && next_word(at, data + len, &word, &n)) {
		if (may_be_often(word, n))
			rc = count(w, word, n, err);
		at = word + n;
	}
	return rc;
}

void
columns_words_fini(struct columns_words *w)
{
	texts_fini(&w->texts);
	free(w->counts);
}

static bool
belongs_to_shape(const struct columns_words *w, const uint8_t *word, size_t len)
{
	uint32_t number;

	return may_be_often(word, len) &&
	       texts_find(&w->texts, word, len, &number) &&
	       w->counts[number] >= w->often;
}

/* In its shortest form, as it will be written again. */
static bool
is_number(struct columns_value *v)
{
	if (v->len > DIGITS_MAX || (v->len > 1 && v->text[0] == '0'))
		return false;
	v->number = 0;
	for (size_t i = 0; i < v->len; i++) {
		if (!is_digit(v->text[i]))
			return false;
		v->number = v->number * 10 + (uint64_t)(v->text[i] - '0');
	}
	return true;
}

static bool
add_literal(struct columns_line *out, const uint8_t *from, const uint8_t *to)
{
	size_t len = (size_t)(to - from);

	if (len > sizeof(out->shape) - out->len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (from[i] <= COLUMNS_TEXT)
			return false;
	memcpy(out->shape + out->len, from, len);
	out->len += len;
	return true;
}

static bool
add_value(struct columns_line *out, const uint8_t *word, size_t len)
{
	struct columns_value *v = &out->values[out->n];

	if (out->n == COLUMNS_PLACES || out->len == sizeof(out->shape))
		return false;
	v->text = word;
	v->len = len;
	out->shape[out->len++] = is_number(v) ? COLUMNS_NUMBER : COLUMNS_TEXT;
	out->n++;
	return true;
}

bool
columns_line_read(struct columns_line *out, const struct columns_words *w,
	const uint8_t *line, size_t len)
{
	const uint8_t *end = line + len, *at = line, *told = line, *word;
	size_t n;

	out->len = 0;
	out->n = 0;
	for (; next_word(at, end, &word, &n); at = word + n) {
		if (belongs_to_shape(w, word, n))
			continue;
		if (!add_literal(out, told, word) || !add_value(out, word, n))
			return false;
		told = word + n;
	}
	return add_literal(out, told, end);
}

void
columns_line_odd(struct columns_line *out, const uint8_t *line, size_t len)
{
	out->shape[0] = COLUMNS_TEXT;
	out->len = 1;
	out->values[0] = (struct columns_value){ .text = line, .len = len };
	out->n = 1;
}
