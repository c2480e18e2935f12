/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json: jansson parses, within bounds that are looked at first, because it
 * and its json_decref recurse; writing needs no tree and has none.
 */
#include "base/json.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBER_MAX = 80 };

/* ---- writing ---- */

void
json_begin(struct json_writer *w, struct buf *out)
{
	*w = (struct json_writer){ .out = out };
}

static void
put(struct json_writer *w, const void *data, size_t len)
{
	struct error err = ERROR_INIT;

	if (!w->failed && buf_put(w->out, data, len, &err) != ERR_OK)
		w->failed = true;
}

static void
put_str(struct json_writer *w, const char *text)
{
	put(w, text, strlen(text));
}

/* Length of the UTF-8 sequence at p, or 0: RFC 3629, section 4. */
static size_t
utf8_len(const uint8_t *p, size_t left)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	uint32_t c;

	if (n == 1)
		return 1;
	if ((p[0] & 0xc0) != 0xc0 || p[0] > 0xf4 || n > left)
		return 0;
	c = p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	return n;
}

static void
put_ascii(struct json_writer *w, uint8_t c)
{
	static const char plain[] = "\"\\\b\f\n\r\t";
	static const char letter[] = "\"\\bfnrt";
	const char *at = c != 0 ? strchr(plain, c) : NULL;
	char text[8] = { '\\' };

	if (at != NULL)
		text[1] = letter[at - plain];
	else
		(void)snprintf(text, sizeof(text), "\\u%04x", c);
	put_str(w, text);
}

/* How many bytes stand for themselves. */
static size_t
plain_len(const uint8_t *p, size_t left)
{
	size_t n = 0;

	while (n < left && p[n] >= 0x20 && p[n] < 0x80 && p[n] != '"' &&
		p[n] != '\\')
		n++;
	return n;
}

/* In quotes; false where bytes had to be replaced. */
static bool
put_quoted(struct json_writer *w, const uint8_t *data, size_t len)
{
	bool is_text = true;
	size_t n;

	put(w, "\"", 1);
	for (size_t i = 0; i < len; i += n) {
		n = plain_len(data + i, len - i);
		if (n > 0) {
			put(w, data + i, n);
			continue;
		}
		/* A NUL is a character, but not one of text in C. */
		n = data[i] != 0 ? utf8_len(data + i, len - i) : 0;
		if (n == 1)
			put_ascii(w, data[i]);
		else if (n > 1)
			put(w, data + i, n);
		else
			put_str(w, "\xef\xbf\xbd");
		is_text = is_text && n > 0;
		n = n > 0 ? n : 1;
	}
	put(w, "\"", 1);
	return is_text;
}

static void
put_name(struct json_writer *w, const char *name)
{
	if (w->comma)
		put(w, ",", 1);
	w->comma = true;
	if (name == NULL)
		return;
	(void)put_quoted(w, (const uint8_t *)name, strlen(name));
	put(w, ":", 1);
}

void
json_open(struct json_writer *w, const char *name, char bracket)
{
	assert(w->depth < JSON_DEPTH_MAX);
	put_name(w, name);
	put(w, &bracket, 1);
	w->closers[w->depth++] = bracket == '{' ? '}' : ']';
	w->comma = false;
}

void
json_close(struct json_writer *w)
{
	assert(w->depth > 0);
	put(w, &w->closers[--w->depth], 1);
	w->comma = true;
}

static void
put_base64(struct json_writer *w, const uint8_t *data, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";

	put(w, "\"", 1);
	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)data[i] << 16;
		char four[4];

		v |= i + 1 < len ? (uint32_t)data[i + 1] << 8 : 0;
		v |= i + 2 < len ? data[i + 2] : 0;
		four[0] = digits[v >> 18];
		four[1] = digits[v >> 12 & 63];
		four[2] = i + 1 < len ? digits[v >> 6 & 63] : '=';
		four[3] = i + 2 < len ? digits[v & 63] : '=';
		put(w, four, sizeof(four));
	}
	put(w, "\"", 1);
}

void
json_put_bytes(struct json_writer *w, const char *name, const void *data,
	size_t len)
{
	char member[MEMBER_MAX];

	put_name(w, name);
	if (put_quoted(w, data, len) || name == NULL)
		return;
	(void)snprintf(member, sizeof(member), "%s_base64", name);
	put_name(w, member);
	put_base64(w, data, len);
}

void
json_put_text(struct json_writer *w, const char *name, const char *text)
{
	if (text != NULL) {
		json_put_bytes(w, name, text, strlen(text));
	} else if (name == NULL) {
		put_name(w, NULL);
		put_str(w, "null");
	}
}

void
json_put_uint(struct json_writer *w, const char *name, uint64_t n)
{
	char text[32];

	(void)snprintf(text, sizeof(text),
		n <= INT64_MAX ? "%" PRIu64 : "\"%" PRIu64 "\"", n);
	put_name(w, name);
	put_str(w, text);
}

void
json_put_int(struct json_writer *w, const char *name, int64_t n)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRId64, n);
	put_name(w, name);
	put_str(w, text);
}

void
json_put_bool(struct json_writer *w, const char *name, bool on)
{
	put_name(w, name);
	put_str(w, on ? "true" : "false");
}

enum err
json_end(struct json_writer *w, struct error *err)
{
	assert(w->depth == 0);
	return w->failed ? err_set(err, ERR_NOMEM, "no memory for JSON")
			 : ERR_OK;
}

/* ---- reading ---- */

static const json_t *
tree(const struct json *v)
{
	return (const json_t *)(const void *)v;
}

static const struct json *
value(const json_t *v)
{
	return (const struct json *)(const void *)v;
}

/* Brackets outside of strings; whether they match is jansson's to say. */
static bool
too_deep(const char *text, size_t len)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		if (quoted && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (text[i] == '[' || text[i] == '{')
			depth++;
		else if ((text[i] == ']' || text[i] == '}') && depth > 0)
			depth--;
		if (depth > JSON_DEPTH_MAX)
			return true;
	}
	return false;
}

enum err
json_parse(struct json **out, const void *data, size_t len, struct error *err)
{
	json_error_t why;
	json_t *v;

	if (len > JSON_SIZE_MAX)
		return err_set(err, ERR_CORRUPT, "JSON of %zu bytes", len);
	if (too_deep(data, len))
		return err_set(err, ERR_CORRUPT, "JSON of more than %d levels",
			JSON_DEPTH_MAX);
	v = json_loadb(len > 0 ? data : "", len, JSON_REJECT_DUPLICATES, &why);
	if (v == NULL && json_error_code(&why) == json_error_out_of_memory)
		return err_set(err, ERR_NOMEM, "no memory for JSON");
	/* Its text quotes what is hostile. */
	if (v == NULL)
		return err_set(err, ERR_CORRUPT, "line %d is not JSON",
			why.line > 0 ? why.line : 1);
	*out = (struct json *)(void *)v;
	return ERR_OK;
}

void
json_free(struct json *v)
{
	json_decref((json_t *)(void *)v);
}

/* NULL where there is none, or null. */
static const json_t *
member(const struct json *obj, const char *name)
{
	const json_t *v = json_object_get(tree(obj), name);

	return v != NULL && !json_is_null(v) ? v : NULL;
}

bool
json_has(const struct json *obj, const char *name)
{
	return member(obj, name) != NULL;
}

static enum err
not_a(const char *name, const char *kind, struct error *err)
{
	return err_set(err, ERR_CORRUPT, "'%s' is not %s", name, kind);
}

enum err
json_get_object(const struct json *obj, const char *name,
	const struct json **out, struct error *err)
{
	const json_t *v = member(obj, name);

	if (!json_is_object(v))
		return not_a(name, "an object", err);
	*out = value(v);
	return ERR_OK;
}

enum err
json_get_array(const struct json *obj, const char *name,
	const struct json **out, struct error *err)
{
	const json_t *v = member(obj, name);

	if (!json_is_array(v))
		return not_a(name, "an array", err);
	*out = value(v);
	return ERR_OK;
}

/* Decimal digits without anything else. */
static bool
parse_uint(const char *text, uint64_t *out)
{
	uint64_t n = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9' ||
			__builtin_mul_overflow(n, 10u, &n) ||
			__builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return false;
	}
	*out = n;
	return true;
}

static bool
to_uint(const json_t *v, uint64_t *out)
{
	if (json_is_string(v))
		return parse_uint(json_string_value(v), out);
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return false;
	*out = (uint64_t)json_integer_value(v);
	return true;
}

static enum err
get_uint(const json_t *v, const char *name, uint64_t max, uint64_t *out,
	struct error *err)
{
	uint64_t n;

	if (!to_uint(v, &n))
		return not_a(name, "a number", err);
	if (n > max)
		return err_set(err, ERR_CORRUPT,
			"'%s' is %" PRIu64 ", more than %" PRIu64, name, n,
			max);
	*out = n;
	return ERR_OK;
}

enum err
json_get_uint(const struct json *obj, const char *name, uint64_t max,
	uint64_t *out, struct error *err)
{
	return get_uint(member(obj, name), name, max, out, err);
}

enum err
json_get_int(const struct json *obj, const char *name, int64_t *out,
	struct error *err)
{
	const json_t *v = member(obj, name);

	if (!json_is_integer(v))
		return not_a(name, "a number", err);
	*out = json_integer_value(v);
	return ERR_OK;
}

enum err
json_get_bool(const struct json *obj, const char *name, bool *out,
	struct error *err)
{
	const json_t *v = member(obj, name);

	if (!json_is_boolean(v))
		return not_a(name, "true or false", err);
	*out = json_is_true(v);
	return ERR_OK;
}

enum err
json_get_text(const struct json *obj, const char *name, const char **out,
	struct error *err)
{
	const json_t *v = member(obj, name);

	/* Without JSON_ALLOW_NUL there is none in it. */
	if (!json_is_string(v))
		return not_a(name, "text", err);
	*out = json_string_value(v);
	return ERR_OK;
}

static int
digit64(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The bytes of four digits, of which the last may be padding; 0: none. */
static size_t
decode_four(const char *four, bool last, uint8_t out[3])
{
	size_t pad = !last ? 0 : four[3] != '=' ? 0 : four[2] != '=' ? 1 : 2;
	uint32_t v = 0;

	for (size_t i = 0; i < 4; i++) {
		int d = i < 4 - pad ? digit64(four[i]) : 0;

		if (d < 0)
			return 0;
		v = v << 6 | (uint32_t)d;
	}
	for (size_t i = 0; i < 3; i++)
		out[i] = (uint8_t)(v >> (16 - 8 * i));
	return 3 - pad;
}

static enum err
get_base64(const char *text, const char *name, struct buf *out,
	struct error *err)
{
	size_t len = strlen(text);
	uint8_t three[3];
	enum err rc = ERR_OK;

	if (len % 4 != 0)
		return not_a(name, "base64", err);
	for (size_t i = 0; i < len && rc == ERR_OK; i += 4) {
		size_t n = decode_four(text + i, i + 4 == len, three);

		rc = n > 0 ? buf_put(out, three, n, err)
			   : not_a(name, "base64", err);
	}
	return rc;
}

enum err
json_get_bytes(const struct json *obj, const char *name, struct buf *out,
	struct error *err)
{
	size_t start = out->len;
	char base64[MEMBER_MAX];
	const char *text;
	bool coded;
	enum err rc;

	(void)snprintf(base64, sizeof(base64), "%s_base64", name);
	coded = json_has(obj, base64);
	rc = json_get_text(obj, coded ? base64 : name, &text, err);
	if (rc == ERR_OK)
		rc = coded ? get_base64(text, base64, out, err)
			   : buf_put(out, text, strlen(text), err);
	if (rc != ERR_OK)
		out->len = start;
	return rc;
}

size_t
json_count(const struct json *array)
{
	return json_array_size(tree(array));
}

const struct json *
json_at(const struct json *array, size_t i)
{
	return value(json_array_get(tree(array), i));
}

enum err
json_at_uint(const struct json *array, size_t i, uint64_t max, uint64_t *out,
	struct error *err)
{
	return get_uint(json_array_get(tree(array), i), "element", max, out,
		err);
}
