/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "model/path.h"
#include "tests/lib/prng.h"

enum { ROUNDS = 20000, TEXT_MAX = 64, OUT_MAX = 1 << 20 };

static struct error err;

/* Few letters, so that dots, slashes and equal names come together. */
static size_t
random_bytes(struct prng *p, const char *letters, size_t n_letters, char *out)
{
	size_t len = prng_below(p, TEXT_MAX);

	for (size_t i = 0; i < len; i++)
		out[i] = letters[prng_below(p, n_letters)];
	out[len] = '\0';
	return len;
}

/* The grammar of section 8, one byte after the other. */
static bool
key_ok_by_hand(const uint8_t *key, size_t len)
{
	size_t in_name = 0, dots = 0;

	if (len == 0)
		return true;
	for (size_t i = 0; i <= len; i++) {
		if (i == len || key[i] == 0) {
			if (in_name == 0 || (dots == in_name && in_name <= 2))
				return false;
			in_name = dots = 0;
			continue;
		}
		if (key[i] == '/')
			return false;
		in_name++;
		dots += key[i] == '.';
	}
	return true;
}

static void
grammar(void **state)
{
	static const char letters[] = { 'a', '.', 0, '/', 'b' };
	unsigned good = 0;
	struct prng p;
	char key[TEXT_MAX];

	prng_init(&p, 11);
	for (int i = 0; i < ROUNDS; i++) {
		size_t n = prng_below(&p, 2) == 0 ? 5 : 3;
		size_t len = random_bytes(&p, letters, n, key) / 4;
		bool want = key_ok_by_hand((uint8_t *)key, len);

		good += want;
		assert_int_equal(key_ok((uint8_t *)key, len), want);
	}
	assert_in_range(good, ROUNDS / 10, ROUNDS * 9 / 10);
}

static void
limits(void **state)
{
	uint8_t *key = malloc(KEY_MAX + 2);
	struct buf out = BUF_INIT(OUT_MAX);

	assert_non_null(key);
	for (size_t i = 0; i < KEY_MAX + 2; i++)
		key[i] = i % 256 == 255 ? 0 : 'x';
	assert_true(key_ok(key, KEY_MAX));
	key[KEY_MAX] = 'x';
	assert_false(key_ok(key, KEY_MAX + 1));
	key[KEY_MAX - 1] = 0;
	assert_false(key_ok(key, KEY_MAX));
	assert_true(key_ok(key, COMPONENT_MAX));
	key[COMPONENT_MAX] = 'x';
	assert_false(key_ok(key, COMPONENT_MAX + 1));

	key[COMPONENT_MAX + 1] = '\0';
	assert_int_equal(key_from_path(&out, (char *)key, &err), ERR_USAGE);
	assert_int_equal(out.len, 0);
	free(key);
	buf_fini(&out);
}

/* Property: a path without detours is its key and back; any path gives a key
 * that is well-formed, and the path of that key is a fixed point. */
static void
paths(void **state)
{
	struct buf key = BUF_INIT(OUT_MAX), path = BUF_INIT(OUT_MAX);
	struct buf again = BUF_INIT(OUT_MAX);
	char text[TEXT_MAX];
	struct prng p;

	prng_init(&p, 12);
	for (int i = 0; i < ROUNDS; i++) {
		(void)random_bytes(&p, "ab./", 4, text);
		buf_clear(&key);
		buf_clear(&path);
		buf_clear(&again);
		assert_int_equal(key_from_path(&key, text, &err), ERR_OK);
		assert_true(key_ok(key.data, key.len));
		assert_int_equal(key_to_path(&path, key.data, key.len, &err),
			ERR_OK);
		assert_int_equal(path.data[path.len], 0);
		assert_int_equal(path.len, key.len + 1);
		assert_int_equal(key_from_path(&again, (char *)path.data, &err),
			ERR_OK);
		assert_int_equal(key_cmp(key.data, key.len, again.data,
					 again.len),
			0);
	}
	buf_fini(&key);
	buf_fini(&path);
	buf_fini(&again);
}

static void
detours(void **state)
{
	static const char *const cases[][2] = {
		{ "", "/" },
		{ "/", "/" },
		{ "a", "/a" },
		{ "//a/./b//", "/a/b" },
		{ "/a/../b", "/b" },
		{ "/../..", "/" },
		{ "/a/b/../../..//c/", "/c" },
		{ "/...", "/..." },
		{ "/.a", "/.a" },
	};
	struct buf out = BUF_INIT(OUT_MAX);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t before;

		/* What stands in the buffer already is no parent. */
		buf_clear(&out);
		assert_int_equal(buf_put(&out, "x\0y", 3, &err), ERR_OK);
		before = out.len;
		assert_int_equal(key_from_path(&out, cases[i][0], &err),
			ERR_OK);
		assert_memory_equal(out.data, "x\0y", 3);
		for (size_t k = before; k < out.len; k++)
			out.data[k] = out.data[k] == 0 ? '/' : out.data[k];
		assert_int_equal(out.len - before, strlen(cases[i][1]) - 1);
		assert_memory_equal(out.data + before, cases[i][1] + 1,
			out.len - before);
	}
	buf_fini(&out);
}

/* Property: in the order of keys, a directory comes directly before what lies
 * below it, and base, parent and depth agree with each other. */
static void
family(void **state)
{
	struct buf a = BUF_INIT(OUT_MAX), b = BUF_INIT(OUT_MAX);
	char text[TEXT_MAX];
	struct prng p;

	prng_init(&p, 13);
	for (int i = 0; i < ROUNDS; i++) {
		size_t parent, base_len;
		const uint8_t *base;

		buf_clear(&a);
		buf_clear(&b);
		(void)random_bytes(&p, "a/!", 3, text);
		assert_int_equal(key_from_path(&a, text, &err), ERR_OK);
		(void)random_bytes(&p, "a/!", 3, text);
		assert_int_equal(key_from_path(&b, text, &err), ERR_OK);
		if (a.len == 0)
			continue;
		parent = key_parent(a.data, a.len);
		base = key_base(a.data, a.len, &base_len);
		assert_ptr_equal(base + base_len, a.data + a.len);
		assert_int_equal(parent + base_len + (parent > 0), a.len);
		assert_int_equal(key_depth(a.data, a.len),
			key_depth(a.data, parent) + 1);
		assert_true(key_below(a.data, a.len, a.data, parent));
		assert_true(key_cmp(a.data, parent, a.data, a.len) < 0);
		/* Between a directory and what is in it, nothing else. */
		if (key_cmp(a.data, parent, b.data, b.len) < 0 &&
			key_cmp(b.data, b.len, a.data, a.len) < 0)
			assert_true(key_below(b.data, b.len, a.data, parent));
	}
	assert_false(
		key_below((const uint8_t *)"ab", 2, (const uint8_t *)"a", 1));
	buf_fini(&a);
	buf_fini(&b);
}

static int
unescape(const uint8_t *s, size_t *n)
{
	*n = 1;
	if (s[0] != '\\')
		return s[0];
	*n = 2;
	switch (s[1]) {
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case '\\':
		return '\\';
	}
	*n = 4;
	return (s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0');
}

/* Property: the text is plain, valid UTF-8 in one line, and tells the key. */
static void
text_is_plain_and_whole(void **state)
{
	struct buf out = BUF_INIT(OUT_MAX);
	uint8_t key[TEXT_MAX];
	wchar_t wide[8 * TEXT_MAX];
	struct prng p;

	prng_init(&p, 14);
	for (int i = 0; i < ROUNDS; i++) {
		size_t len = prng_below(&p, TEXT_MAX), at = 0, n;

		for (size_t k = 0; k < len; k++)
			key[k] = (uint8_t)(prng_below(&p, 3) == 0
						   ? prng_next(&p)
						   : 0x80 + prng_below(&p,
								    0x80));
		for (size_t k = 0; k < len; k++)
			key[k] = key[k] == 0 || key[k] == '/' ? 'x' : key[k];
		buf_clear(&out);
		assert_int_equal(key_to_text(&out, key, len, &err), ERR_OK);
		assert_int_equal(out.data[0], '/');
		assert_true(mbstowcs(wide, (char *)out.data, ARRAY_LEN(wide)) !=
			    (size_t)-1);
		for (size_t k = 0; k < out.len; k++)
			assert_false(out.data[k] < 0x20 || out.data[k] == 0x7f);
		for (size_t k = 1; k < out.len; k += n)
			assert_int_equal(unescape(out.data + k, &n), key[at++]);
		assert_int_equal(at, len);
	}
	buf_fini(&out);
}

static void
text_cases(void **state)
{
	static const char *const cases[][2] = {
		{ "a\xc3\xa9", "/a\xc3\xa9" }, /* e acute */
		{ "\xf0\x9f\x98\x80", "/\xf0\x9f\x98\x80" },
		{ "a\nb\tc\\", "/a\\nb\\tc\\\\" }, { "\x1b[2J", "/\\033[2J" },
		{ "\xc2\x9b", "/\\302\\233" }, /* a control in two bytes */
		{ "\xc0\xaf", "/\\300\\257" }, /* overlong slash */
		{ "\xed\xa0\x80", "/\\355\\240\\200" }, /* surrogate */
		{ "\xe2\x80\xae", "/\\342\\200\\256" }, /* right to left */
		{ "\xf4\x90\x80\x80", "/\\364\\220\\200\\200" },
		{ "\xe2\x82", "/\\342\\202" }, /* cut off */
	};
	struct buf out = BUF_INIT(OUT_MAX);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_clear(&out);
		assert_int_equal(key_to_text(&out, (const uint8_t *)cases[i][0],
					 strlen(cases[i][0]), &err),
			ERR_OK);
		assert_string_equal((char *)out.data, cases[i][1]);
	}
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grammar),
		cmocka_unit_test(limits),
		cmocka_unit_test(paths),
		cmocka_unit_test(detours),
		cmocka_unit_test(family),
		cmocka_unit_test(text_is_plain_and_whole),
		cmocka_unit_test(text_cases),
	};

	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
