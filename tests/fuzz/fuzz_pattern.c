/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two rules and a path, with newlines between them.  Whatever they are: the
 * later rule decides where it matches and the earlier one where it does not,
 * a negated rule matches what it does without the '!', and a directory below
 * an excluded one is excluded.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "model/path.h"
#include "model/pattern.h"

enum { TEXT_MAX = 8192 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct asked {
	uint8_t *key;
	size_t len;
	bool is_dir;
};

static enum pattern_result
ask(const char *const *rules, size_t n, const struct asked *a)
{
	struct error err = ERROR_INIT;
	enum pattern_result got;
	struct patterns *ps;

	assert(patterns_new(&ps, &err) == ERR_OK);
	for (size_t i = 0; i < n; i++) {
		enum err rc = patterns_add(ps, rules[i], &err);

		assert(rc == ERR_OK || rc == ERR_USAGE);
	}
	got = patterns_match(ps, a->key, a->len, a->is_dir);
	if (got == PATTERN_EXCLUDE)
		assert(patterns_match_path(ps, a->key, a->len, a->is_dir));
	patterns_free(ps);
	return got;
}

static void
check(const char *first, const char *second, const struct asked *a)
{
	const char *const rules[] = { first, second };
	enum pattern_result one = ask(&rules[0], 1, a);
	enum pattern_result two = ask(&rules[1], 1, a);
	enum pattern_result both = ask(rules, 2, a);
	char negated[TEXT_MAX + 2] = "!";
	const char *const other = negated;

	assert(both == (two != PATTERN_NONE ? two : one));
	if (second[0] == '!' || second[0] == '#' || strlen(second) > 4000)
		return;
	(void)strcat(negated, second);
	assert((ask(&other, 1, a) == PATTERN_INCLUDE) ==
		(two == PATTERN_EXCLUDE));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;
	struct buf key = BUF_INIT(KEY_MAX);
	char text[TEXT_MAX + 1], *path = text;
	const char *first, *second;
	struct asked a;

	if (len > TEXT_MAX)
		return 0;
	memcpy(text, data, len);
	text[len] = '\0';
	first = strsep(&path, "\n");
	second = path != NULL ? strsep(&path, "\n") : "";
	if (path != NULL && key_from_path(&key, path, &err) == ERR_OK) {
		a = (struct asked){ key.data, key.len, false };
		check(first, second, &a);
		a.is_dir = true;
		check(first, second, &a);
	}
	buf_fini(&key);
	return 0;
}
