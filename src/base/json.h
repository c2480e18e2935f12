/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json: text in and text out (RFC 8259).
 *
 *   struct json_writer w;
 *   json_begin(&w, &buf); json_open(&w, NULL, '{'); json_put_...;
 *   json_close(&w); json_end(&w, err)
 *
 *   json_parse -> json_get_..., json_at -> json_free
 *
 * What is parsed is hostile: its size and depth are bounded, members that
 * come twice and characters that are no characters are refused, and a getter
 * says which member is not what it has to be (ERR_CORRUPT).  Values that a
 * getter gives out are borrowed from the parsed text.
 *
 * Bytes that need not be UTF-8 (names at foreign systems) are written as text
 * with replacements and, only where that lost something, once more in base64
 * (RFC 4648) as the member NAME_base64, which wins when they are read back.
 *
 * A writer or a value is used by one thread at a time.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"

enum { JSON_SIZE_MAX = 64 << 20, JSON_DEPTH_MAX = 32 };

/* ---- writing ---- */

/*
 * Building does not fail visibly: where memory lacks, json_end says so.  name
 * is NULL for the outermost value and in arrays.
 */
struct json_writer {
	struct buf *out;
	bool failed;
	bool comma; /* before the next value */
	unsigned depth;
	char closers[JSON_DEPTH_MAX];
};

/* out is borrowed and appended to. */
void json_begin(struct json_writer *w, struct buf *out);
/* An object '{' or an array '[', ended by json_close. */
void json_open(struct json_writer *w, const char *name, char bracket);
void json_close(struct json_writer *w);

/* NULL is no member at all, and null in an array. */
void json_put_text(struct json_writer *w, const char *name, const char *text);
/* In an array the base64 is left out. */
void json_put_bytes(struct json_writer *w, const char *name, const void *data,
	size_t len);
/* Above INT64_MAX as text, since parsers differ there; json_get_uint takes
 * both. */
void json_put_uint(struct json_writer *w, const char *name, uint64_t n);
void json_put_int(struct json_writer *w, const char *name, int64_t n);
void json_put_bool(struct json_writer *w, const char *name, bool on);

/* ERR_NOMEM where anything before failed; out then holds no JSON. */
enum err json_end(struct json_writer *w, struct error *err) MUST_CHECK;

/* ---- reading ---- */

struct json;

/* ERR_CORRUPT with the line of what is wrong. */
enum err json_parse(struct json **out, const void *data, size_t len,
	struct error *err) MUST_CHECK;
void json_free(struct json *v);

/* Whether obj is an object that has the member, and it is not null. */
bool json_has(const struct json *obj, const char *name);

enum err json_get_object(const struct json *obj, const char *name,
	const struct json **out, struct error *err) MUST_CHECK;
enum err json_get_array(const struct json *obj, const char *name,
	const struct json **out, struct error *err) MUST_CHECK;
enum err json_get_uint(const struct json *obj, const char *name, uint64_t max,
	uint64_t *out, struct error *err) MUST_CHECK;
enum err json_get_int(const struct json *obj, const char *name, int64_t *out,
	struct error *err) MUST_CHECK;
enum err json_get_bool(const struct json *obj, const char *name, bool *out,
	struct error *err) MUST_CHECK;
/* UTF-8 without a NUL. */
enum err json_get_text(const struct json *obj, const char *name,
	const char **out, struct error *err) MUST_CHECK;
/* What json_put_bytes wrote, appended to out. */
enum err json_get_bytes(const struct json *obj, const char *name,
	struct buf *out, struct error *err) MUST_CHECK;

/* Elements of an array; 0 for anything else. */
size_t json_count(const struct json *array);
/* i is below json_count. */
const struct json *json_at(const struct json *array, size_t i);
/* An element that has to be a number. */
enum err json_at_uint(const struct json *array, size_t i, uint64_t max,
	uint64_t *out, struct error *err) MUST_CHECK;

#endif /* BASE_JSON_H */
