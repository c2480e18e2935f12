/* SPDX-License-Identifier: Apache-2.0 */
#include "model/path.h"

#include <string.h>

int
key_cmp(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	size_t shorter = a_len < b_len ? a_len : b_len;
	int c = shorter > 0 ? memcmp(a, b, shorter) : 0;

	if (c != 0 || a_len == b_len)
		return c;
	return a_len < b_len ? -1 : 1;
}

/* "." and ".." would lead a restore out of its directory. */
static bool
component_ok(const uint8_t *name, size_t len)
{
	if (len == 0 || len > COMPONENT_MAX)
		return false;
	if (name[0] != '.')
		return true;
	return len > 2 || (len == 2 && name[1] != '.');
}

static size_t
component_len(const uint8_t *name, size_t left)
{
	const uint8_t *zero = left > 0 ? memchr(name, 0, left) : NULL;

	return zero != NULL ? (size_t)(zero - name) : left;
}

bool
key_ok(const uint8_t *key, size_t len)
{
	size_t at = 0;

	if (len == 0)
		return true;
	if (len > KEY_MAX || memchr(key, '/', len) != NULL)
		return false;
	for (;;) {
		size_t n = component_len(key + at, len - at);

		if (!component_ok(key + at, n))
			return false;
		at += n;
		if (at == len)
			return true;
		at++;
	}
}

bool
key_below(const uint8_t *key, size_t len, const uint8_t *dir, size_t dir_len)
{
	if (dir_len == 0)
		return true;
	if (len < dir_len || memcmp(key, dir, dir_len) != 0)
		return false;
	return len == dir_len || key[dir_len] == 0;
}

unsigned
key_depth(const uint8_t *key, size_t len)
{
	unsigned n = len > 0 ? 1 : 0;

	for (size_t i = 0; i < len; i++)
		n += key[i] == 0;
	return n;
}

const uint8_t *
key_base(const uint8_t *key, size_t len, size_t *base_len)
{
	const uint8_t *zero = len > 0 ? memrchr(key, 0, len) : NULL;
	size_t skip = zero != NULL ? (size_t)(zero - key) + 1 : 0;

	*base_len = len - skip;
	return len > 0 ? key + skip : key;
}

size_t
key_parent(const uint8_t *key, size_t len)
{
	const uint8_t *zero = len > 0 ? memrchr(key, 0, len) : NULL;

	return zero != NULL ? (size_t)(zero - key) : 0;
}

/* The length of the key that begins at start, without its last component. */
static size_t
without_last(const struct buf *out, size_t start)
{
	if (out->len == start)
		return start;
	return start + key_parent(out->data + start, out->len - start);
}

static enum err
add_component(struct buf *out, size_t start, const char *name, size_t len,
	struct error *err)
{
	bool first = out->len == start;
	enum err rc;

	if (len > COMPONENT_MAX)
		return err_set(err, ERR_USAGE,
			"a name of %zu bytes: at most %d are possible", len,
			COMPONENT_MAX);
	if (out->len - start + !first + len > KEY_MAX)
		return err_set(err, ERR_USAGE,
			"a path of more than %d bytes is not possible",
			KEY_MAX);
	rc = first ? ERR_OK : buf_put_u8(out, 0, err);
	return rc == ERR_OK ? buf_put(out, name, len, err) : rc;
}

enum err
key_from_path(struct buf *out, const char *path, struct error *err)
{
	size_t start = out->len;
	enum err rc = ERR_OK;

	while (*path != '\0' && rc == ERR_OK) {
		size_t n = strcspn(path, "/");

		if (n == 2 && memcmp(path, "..", 2) == 0)
			out->len = without_last(out, start);
		else if (n > 0 && !(n == 1 && path[0] == '.'))
			rc = add_component(out, start, path, n, err);
		path += n;
		path += *path == '/';
	}
	if (rc != ERR_OK)
		out->len = start;
	return rc;
}

/* A NUL behind the text for those who want a string. */
static enum err
terminate(struct buf *out, struct error *err)
{
	enum err rc = buf_put_u8(out, 0, err);

	if (rc == ERR_OK)
		out->len--;
	return rc;
}

enum err
key_to_path(struct buf *out, const uint8_t *key, size_t len, struct error *err)
{
	size_t start = out->len;
	enum err rc;

	rc = buf_put_u8(out, '/', err);
	if (rc == ERR_OK)
		rc = buf_put(out, key, len, err);
	if (rc == ERR_OK)
		rc = terminate(out, err);
	if (rc != ERR_OK) {
		out->len = start;
		return rc;
	}
	for (size_t i = start; i < out->len; i++) {
		if (out->data[i] == 0)
			out->data[i] = '/';
	}
	return ERR_OK;
}

/*
 * Length of the character at s, or 0 where there is none: RFC 3629, section
 * 4, which leaves out overlong forms, surrogates and what lies above U+10FFFF.
 */
static size_t
utf8_len(const uint8_t *s, size_t left, uint32_t *point)
{
	static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = s[0];
	size_t n;

	if (c < 0x80) {
		*point = c;
		return 1;
	}
	n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	if (c < 0xc2 || c > 0xf4 || n > left)
		return 0;
	c &= 0x7fu >> n;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	if (c < lowest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*point = c;
	return n;
}

/* Control characters; U+2028 and U+2029, which begin a line; and those that
 * turn the direction of writing, with which one name is shown as another. */
static bool
shown_as_is(uint32_t point)
{
	if (point < 0x20 || point == '\\' || (point >= 0x7f && point < 0xa0))
		return false;
	if (point >= 0x2028 && point <= 0x202e)
		return false;
	return point < 0x2066 || point > 0x2069;
}

static enum err
put_escape(struct buf *out, uint8_t c, struct error *err)
{
	char text[4] = { '\\', c == '\n' ? 'n' : c == '\t' ? 't' : '\\' };

	if (c == '\n' || c == '\t' || c == '\\')
		return buf_put(out, text, 2, err);
	text[1] = (char)('0' + (c >> 6));
	text[2] = (char)('0' + (c >> 3 & 7));
	text[3] = (char)('0' + (c & 7));
	return buf_put(out, text, 4, err);
}

/* The character at s, of *n bytes. */
static enum err
put_shown(struct buf *out, const uint8_t *s, size_t left, size_t *n,
	struct error *err)
{
	size_t len;
	uint32_t point = 0;
	enum err rc = ERR_OK;

	if (s[0] == 0) {
		*n = 1;
		return buf_put_u8(out, '/', err);
	}
	len = utf8_len(s, left, &point);
	*n = len > 0 ? len : 1;
	if (len > 0 && shown_as_is(point))
		return buf_put(out, s, len, err);
	for (size_t i = 0; i < *n && rc == ERR_OK; i++)
		rc = put_escape(out, s[i], err);
	return rc;
}

enum err
key_to_text(struct buf *out, const uint8_t *key, size_t len, struct error *err)
{
	size_t start = out->len, at = 0, n;
	enum err rc;

	rc = buf_put_u8(out, '/', err);
	while (at < len && rc == ERR_OK) {
		rc = put_shown(out, key + at, len - at, &n, err);
		at += n;
	}
	if (rc == ERR_OK)
		rc = terminate(out, err);
	if (rc != ERR_OK)
		out->len = start;
	return rc;
}
