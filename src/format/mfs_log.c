/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_log: lines are scanned once, from the left, by one scanner for all who
 * ask; who wants no arguments gives no place for them.
 *
 * The grammar is strict where a torn line that another one was glued to could
 * pass for a whole one: no parenthesis within arguments (masters escape it),
 * and no blank, bar or parenthesis within results.
 */
#include "format/mfs_log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { U64_DIGITS = 20 };

struct scan {
	const char *at, *end;
	const char *begin; /* for messages */
};

static enum err
bad(const struct scan *s, const char *what, struct error *err)
{
	return err_set(err, ERR_CORRUPT, "at byte %td of the line: %s",
		s->at - s->begin, what);
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_op(char c)
{
	return (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

static int
hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Numbers, but later masters may have more to tell. */
static bool
is_result(char c)
{
	return c > ' ' && c < 127 && strchr("(),|", c) == NULL;
}

/* Decimal digits; *n of them were there.  False where 64 bits do not hold them.
 */
static bool
scan_number(struct scan *s, uint64_t *out, size_t *n)
{
	const char *from = s->at;
	uint64_t v = 0;
	bool fits = true;

	while (s->at < s->end && is_digit(*s->at)) {
		if (__builtin_mul_overflow(v, 10u, &v) ||
			__builtin_add_overflow(v, (uint64_t)(*s->at - '0'), &v))
			fits = false;
		s->at++;
	}
	*n = (size_t)(s->at - from);
	*out = v;
	return fits;
}

static bool
scan_char(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

/* As it is written back, so that equal ids are equal bytes; one below the
 * largest, so that there is always a next one. */
static enum err
scan_id(struct scan *s, uint64_t *id, struct error *err)
{
	const char *from = s->at;
	size_t n;

	if (!scan_number(s, id, &n) || *id == UINT64_MAX)
		return bad(s, "the id is too large", err);
	if (n == 0)
		return bad(s, "no id", err);
	if (*from == '0')
		return bad(s, "an id that begins with 0", err);
	if (!scan_char(s, ':') || !scan_char(s, ' '))
		return bad(s, "no \": \" behind the id", err);
	return ERR_OK;
}

static void
keep(struct mfs_text *v, size_t *n, const char *p, const char *end)
{
	if (v == NULL)
		return;
	if (*n < MFS_ARGS_MAX)
		v[*n] = (struct mfs_text){ p, (size_t)(end - p) };
	(*n)++;
}

/* What is between the parentheses, and the closing one. */
static enum err
scan_args(struct scan *s, struct mfs_text *v, size_t *n, struct error *err)
{
	const char *from = s->at, *begin = s->at;

	for (; s->at < s->end; s->at++) {
		char c = *s->at;

		if (c == ')')
			break;
		if (c < 32 || c > 126)
			return bad(s, "a byte that is not printable ASCII",
				err);
		if (c == '(')
			return bad(s, "a second opening parenthesis", err);
		if (c == '%' &&
			(s->end - s->at < 3 || hex_value(s->at[1]) < 0 ||
				hex_value(s->at[2]) < 0))
			return bad(s, "a % without two digits", err);
		if (c != ',')
			continue;
		keep(v, n, from, s->at);
		from = s->at + 1;
	}
	if (s->at == s->end)
		return bad(s, "no closing parenthesis", err);
	if (s->at > begin)
		keep(v, n, from, s->at);
	s->at++;
	return ERR_OK;
}

static enum err
scan_results(struct scan *s, struct mfs_text *v, size_t *n, struct error *err)
{
	const char *from = s->at;

	for (;; s->at++) {
		bool ends = s->at == s->end;

		if (!ends && *s->at != ',' && !is_result(*s->at))
			return bad(s, "what is no result", err);
		if (!ends && *s->at != ',')
			continue;
		if (s->at == from)
			return bad(s, "an empty result", err);
		keep(v, n, from, s->at);
		if (ends)
			return ERR_OK;
		from = s->at + 1;
	}
}

/* seconds|OP(args)[:results]; out may be NULL. */
static enum err
scan_text(struct scan *s, uint64_t *seconds, struct mfs_change *out,
	struct error *err)
{
	const char *op;
	size_t n, none = 0;
	enum err rc;

	if ((size_t)(s->end - s->at) > MFS_TEXT_MAX)
		return bad(s, "a text that is too long", err);
	if (!scan_number(s, seconds, &n) || n > U64_DIGITS)
		return bad(s, "the time is too large", err);
	if (n == 0)
		return bad(s, "no time", err);
	if (!scan_char(s, '|'))
		return bad(s, "no bar behind the time", err);
	op = s->at;
	while (s->at < s->end && is_op(*s->at))
		s->at++;
	if (s->at == op)
		return bad(s, "no operation", err);
	if (out != NULL)
		out->op = (struct mfs_text){ op, (size_t)(s->at - op) };
	if (!scan_char(s, '('))
		return bad(s, "no parenthesis behind the operation", err);
	rc = scan_args(s, out != NULL ? out->args : NULL,
		out != NULL ? &out->n_args : &none, err);
	if (rc != ERR_OK || s->at == s->end)
		return rc;
	if (!scan_char(s, ':'))
		return bad(s, "something behind the parenthesis", err);
	return scan_results(s, out != NULL ? out->results : NULL,
		out != NULL ? &out->n_results : &none, err);
}

enum err
mfs_change_parse(struct mfs_change *out, const char *line, size_t len,
	struct error *err)
{
	struct scan s = { line, line + len, line };
	struct mfs_change c;
	enum err rc;

	c.n_args = c.n_results = 0;
	rc = scan_id(&s, &c.id, err);
	if (rc == ERR_OK)
		rc = scan_text(&s, &c.seconds, &c, err);
	if (rc == ERR_OK)
		*out = c;
	return rc;
}

enum err
mfs_change_check(uint64_t *id, uint64_t *seconds, const char *line, size_t len,
	struct error *err)
{
	struct scan s = { line, line + len, line };
	uint64_t i, sec;
	enum err rc;

	rc = scan_id(&s, &i, err);
	if (rc == ERR_OK)
		rc = scan_text(&s, &sec, NULL, err);
	if (rc != ERR_OK)
		return rc;
	*id = i;
	*seconds = sec;
	return ERR_OK;
}

enum err
mfs_change_check_text(uint64_t *seconds, const char *text, size_t len,
	struct error *err)
{
	struct scan s = { text, text + len, text };
	uint64_t sec;
	enum err rc = scan_text(&s, &sec, NULL, err);

	if (rc == ERR_OK)
		*seconds = sec;
	return rc;
}

enum err
mfs_change_put(struct buf *out, uint64_t id, const char *text, size_t len,
	struct error *err)
{
	char head[U64_DIGITS + sizeof(": ")];
	int n = snprintf(head, sizeof(head), "%" PRIu64 ": ", id);
	size_t whole = (size_t)n + 1;
	uint8_t *p;
	enum err rc;

	if (__builtin_add_overflow(whole, len, &whole))
		return err_set(err, ERR_NOMEM, "no memory for a change");
	rc = buf_reserve(out, whole, err);
	if (rc != ERR_OK)
		return rc;
	p = out->data + out->len;
	memcpy(p, head, (size_t)n);
	memcpy(p + n, text, len);
	p[whole - 1] = '\n';
	out->len += whole;
	return ERR_OK;
}

struct mfs_text
mfs_change_text(const char *line, size_t len)
{
	const char *blank = memchr(line, ' ', len);

	assert(blank != NULL);
	return (struct mfs_text){ blank + 1, len - (size_t)(blank + 1 - line) };
}

uint64_t
mfs_arg_number(const struct mfs_text *t, bool *ok)
{
	struct scan s = { t->p, t->p + t->len, t->p };
	uint64_t v;
	size_t n;

	*ok = scan_number(&s, &v, &n) && n > 0 && n == t->len;
	return *ok ? v : 0;
}

/* The byte that begins at t->p[*i], which is moved behind it; -1 for a broken
 * escape. */
static int
unescape(const struct mfs_text *t, size_t *i)
{
	const char *p = t->p + *i;
	int high, low;

	if (*p != '%') {
		(*i)++;
		return (unsigned char)*p;
	}
	if (t->len - *i < 3)
		return -1;
	high = hex_value(p[1]);
	low = hex_value(p[2]);
	*i += 3;
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

enum err
mfs_arg_name(const struct mfs_text *t, struct buf *out, struct error *err)
{
	size_t len = 0, i = 0;
	enum err rc;

	for (; i < t->len; len++) {
		size_t at = i;

		if (unescape(t, &i) < 0)
			return err_set(err, ERR_CORRUPT,
				"at byte %zu of a name: a %% without two "
				"digits",
				at);
	}
	rc = buf_reserve(out, len, err);
	if (rc != ERR_OK)
		return rc;
	for (i = 0; i < t->len;)
		out->data[out->len++] = (uint8_t)unescape(t, &i);
	return ERR_OK;
}

/* ---- lines out of parts ---- */

void
mfs_lines_init(struct mfs_lines *l)
{
	*l = (struct mfs_lines){ .rest = BUF_INIT(MFS_LINE_MAX) };
}

void
mfs_lines_fini(struct mfs_lines *l)
{
	buf_fini(&l->rest);
}

size_t
mfs_lines_torn(const struct mfs_lines *l)
{
	return l->rest.len;
}

enum err
mfs_lines_feed(struct mfs_lines *l, const void *data, size_t len,
	mfs_line_fn *fn, void *arg, struct error *err)
{
	const char *p = data;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && len > 0) {
		const char *lf = memchr(p, '\n', len);
		size_t n = lf != NULL ? (size_t)(lf - p) : len;

		if (n > MFS_LINE_MAX - l->rest.len)
			return err_set(err, ERR_CORRUPT,
				"line %" PRIu64 " is longer than %d bytes",
				l->line + 1, MFS_LINE_MAX);
		if (lf == NULL)
			return buf_put(&l->rest, p, n, err);
		l->line++;
		if (l->rest.len == 0) {
			rc = fn(arg, p, n, err);
		} else {
			rc = buf_put(&l->rest, p, n, err);
			if (rc == ERR_OK)
				rc = fn(arg, (const char *)l->rest.data,
					l->rest.len, err);
		}
		if (rc == ERR_OK)
			l->whole += l->rest.len > 0 ? l->rest.len + 1 : n + 1;
		buf_clear(&l->rest);
		p += n + 1;
		len -= n + 1;
	}
	return rc;
}
