/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "tests/lib/prng.h"

enum { SEEDS = 2000, VALUES_MAX = 12, TEXT_MAX = 40, NAME_LEN = 16 };

struct value {
	enum { TEXT, UINT, INT, BOOL } kind;
	uint8_t text[TEXT_MAX];
	size_t len;
	uint64_t n;
};

/* Bytes of a few classes, so that UTF-8 is met as well as what is none. */
static void
draw_text(struct prng *p, struct value *v)
{
	static const char *const pieces[] = { "a", "\"", "\\", "\n", "\x01",
		"\x7f", "/", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
		"\xed\xa0\x80", "\xc0\xaf", "\xff", "\xe2\x82", "=" };
	uint64_t n = prng_below(p, 8);

	v->len = 0;
	for (uint64_t i = 0; i < n; i++) {
		const char *piece = pieces[prng_below(p, 15)];

		memcpy(v->text + v->len, piece, strlen(piece));
		v->len += strlen(piece);
	}
	if (prng_below(p, 10) == 0)
		v->text[v->len++] = 0;
}

static void
draw(struct prng *p, struct value *v)
{
	v->kind = (unsigned)prng_below(p, 4);
	v->n = prng_next(p) >> prng_below(p, 64);
	draw_text(p, v);
}

static void
put(struct json_writer *w, const char *name, const struct value *v)
{
	if (v->kind == TEXT)
		json_put_bytes(w, name, v->text, v->len);
	else if (v->kind == UINT)
		json_put_uint(w, name, v->n);
	else if (v->kind == INT)
		json_put_int(w, name, (int64_t)v->n);
	else
		json_put_bool(w, name, v->n & 1);
}

static void
check(const struct json *obj, const char *name, const struct value *v)
{
	struct buf text = BUF_INIT(TEXT_MAX);
	struct error err = ERROR_INIT;
	uint64_t n = 0;
	int64_t i = 0;
	bool on = false;

	switch (v->kind) {
	case TEXT:
		assert_int_equal(json_get_bytes(obj, name, &text, &err), 0);
		assert_int_equal(text.len, v->len);
		if (v->len > 0)
			assert_memory_equal(text.data, v->text, v->len);
		break;
	case UINT:
		assert_int_equal(json_get_uint(obj, name, UINT64_MAX, &n, &err),
			0);
		assert_true(n == v->n);
		break;
	case INT:
		assert_int_equal(json_get_int(obj, name, &i, &err), 0);
		assert_true(i == (int64_t)v->n);
		break;
	case BOOL:
		assert_int_equal(json_get_bool(obj, name, &on, &err), 0);
		assert_int_equal(on, v->n & 1);
	}
	buf_fini(&text);
}

/* An object of random values with an array of as many objects in it. */
static void
write_all(struct buf *out, const struct value *v, size_t n)
{
	struct error err = ERROR_INIT;
	struct json_writer w;
	char name[NAME_LEN];

	json_begin(&w, out);
	json_open(&w, NULL, '{');
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "v%zu", i);
		put(&w, name, &v[i]);
	}
	json_put_text(&w, "absent", NULL);
	json_open(&w, "list", '[');
	for (size_t i = 0; i < n; i++) {
		json_open(&w, NULL, '{');
		put(&w, "v", &v[i]);
		json_close(&w);
	}
	json_close(&w);
	json_close(&w);
	assert_int_equal(json_end(&w, &err), ERR_OK);
}

static void
test_round_trip(void **state)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct value v[VALUES_MAX];
		struct buf out = BUF_INIT(1 << 16);
		struct error err = ERROR_INIT;
		const struct json *list;
		struct json *obj;
		struct prng p;
		char name[NAME_LEN];
		size_t n;

		prng_init(&p, seed);
		n = prng_below(&p, VALUES_MAX);
		for (size_t i = 0; i < n; i++)
			draw(&p, &v[i]);
		write_all(&out, v, n);
		if (json_parse(&obj, out.data, out.len, &err) != ERR_OK)
			fail_msg("seed %llu: %s", (unsigned long long)seed,
				err.msg);
		assert_int_equal(json_get_array(obj, "list", &list, &err), 0);
		assert_int_equal(json_count(list), n);
		for (size_t i = 0; i < n; i++) {
			(void)snprintf(name, sizeof(name), "v%zu", i);
			check(obj, name, &v[i]);
			check(json_at(list, i), "v", &v[i]);
		}
		assert_false(json_has(obj, "absent"));
		json_free(obj);
		buf_fini(&out);
	}
}

/* Every prefix, and bytes changed at random: an answer, or ERR_CORRUPT. */
static void
test_damage(void **state)
{
	struct value v[VALUES_MAX];
	struct buf out = BUF_INIT(1 << 16);
	struct prng p;

	prng_init(&p, 5);
	for (size_t i = 0; i < VALUES_MAX; i++)
		draw(&p, &v[i]);
	write_all(&out, v, VALUES_MAX);
	for (size_t i = 0; i < 5000 + out.len; i++) {
		size_t len = i < out.len ? i : out.len;
		struct error err = ERROR_INIT;
		uint8_t *copy = malloc(len + 1);
		struct json *obj;
		enum err rc;

		assert_non_null(copy);
		memcpy(copy, out.data, len);
		if (i >= out.len)
			copy[prng_below(&p, len)] = (uint8_t)prng_next(&p);
		rc = json_parse(&obj, copy, len, &err);
		if (i < out.len)
			assert_int_equal(rc, ERR_CORRUPT);
		if (rc == ERR_OK)
			json_free(obj);
		else
			assert_int_equal(rc, ERR_CORRUPT);
		free(copy);
	}
	buf_fini(&out);
}

static void
test_bounds(void **state)
{
	static const char *const bad[] = { "", "{", "[1,]", "{\"a\":1,\"a\":2}",
		"\"\\u0000\"", "{\"a\":99999999999999999999}", "{} {}",
		"\"\xff\"" };
	char deep[JSON_DEPTH_MAX * 2 + 3];
	struct error err = ERROR_INIT;
	struct json *v;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(json_parse(&v, bad[i], strlen(bad[i]), &err),
			ERR_CORRUPT);
	for (size_t n = JSON_DEPTH_MAX; n <= JSON_DEPTH_MAX + 1; n++) {
		memset(deep, '[', n);
		memset(deep + n, ']', n);
		assert_int_equal(json_parse(&v, deep, 2 * n, &err),
			n <= JSON_DEPTH_MAX ? ERR_OK : ERR_CORRUPT);
		if (n <= JSON_DEPTH_MAX)
			json_free(v);
	}
}

static void
test_types(void **state)
{
	static const char text[] =
		"{\"n\":-1,\"big\":\"18446744073709551615\",\"over\":"
		"\"18446744073709551616\",\"t\":\"x\",\"a\":[1,\"y\"],\"z\":"
		"null,\"b\":\"QQ\",\"p_base64\":\"QQ==\",\"q_base64\":\"Q==="
		"\"}";
	struct buf out = BUF_INIT(10);
	struct error err = ERROR_INIT;
	const struct json *list;
	const char *s;
	struct json *v;
	uint64_t n;
	bool on;

	assert_int_equal(json_parse(&v, text, strlen(text), &err), ERR_OK);
	assert_int_equal(json_get_uint(v, "n", 9, &n, &err), ERR_CORRUPT);
	assert_string_equal(err.msg, "'n' is not a number");
	assert_int_equal(json_get_uint(v, "big", UINT64_MAX, &n, &err), ERR_OK);
	assert_true(n == UINT64_MAX);
	assert_int_equal(json_get_uint(v, "big", 9, &n, &err), ERR_CORRUPT);
	assert_int_equal(json_get_uint(v, "over", UINT64_MAX, &n, &err),
		ERR_CORRUPT);
	assert_int_equal(json_get_bool(v, "t", &on, &err), ERR_CORRUPT);
	assert_int_equal(json_get_text(v, "a", &s, &err), ERR_CORRUPT);
	assert_int_equal(json_get_text(v, "z", &s, &err), ERR_CORRUPT);
	assert_int_equal(json_get_text(v, "none", &s, &err), ERR_CORRUPT);
	assert_false(json_has(v, "z"));
	assert_int_equal(json_get_object(v, "a", &list, &err), ERR_CORRUPT);
	assert_int_equal(json_get_array(v, "a", &list, &err), ERR_OK);
	assert_int_equal(json_at_uint(list, 0, 9, &n, &err), ERR_OK);
	assert_int_equal(json_at_uint(list, 1, 9, &n, &err), ERR_CORRUPT);
	assert_int_equal(json_get_bytes(v, "p", &out, &err), ERR_OK);
	assert_int_equal(out.len, 1);
	assert_int_equal(out.data[0], 'A');
	assert_int_equal(json_get_bytes(v, "q", &out, &err), ERR_CORRUPT);
	assert_int_equal(out.len, 1);
	json_free(v);
	buf_fini(&out);
}

/* What does not fit says so once, at the end. */
static void
test_no_memory(void **state)
{
	struct buf out = BUF_INIT(8);
	struct error err = ERROR_INIT;
	struct json_writer w;

	json_begin(&w, &out);
	json_open(&w, NULL, '{');
	json_put_text(&w, "name", "longer than that");
	json_close(&w);
	assert_int_equal(json_end(&w, &err), ERR_NOMEM);
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
