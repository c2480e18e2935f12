/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle is git itself: random rules over random trees, asked with
 * check-ignore, which is what gitignore(5) describes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/time.h"
#include "model/path.h"
#include "model/pattern.h"
#include "tests/lib/prng.h"
#include "tests/lib/scale.h"

enum { N_PATHS = 60, SETS = 400, PATH_LEN = 128 };

static struct error err;

static enum pattern_result
match(const char *rules, const char *path, bool is_dir)
{
	struct buf key = BUF_INIT(KEY_MAX);
	struct patterns *ps;
	enum pattern_result got;
	char *text = strdup(rules), *at = text, *line;

	assert_non_null(text);
	assert_int_equal(patterns_new(&ps, &err), ERR_OK);
	while ((line = strsep(&at, "\n")) != NULL)
		assert_int_equal(patterns_add(ps, line, &err), ERR_OK);
	assert_int_equal(key_from_path(&key, path, &err), ERR_OK);
	got = patterns_match(ps, key.data, key.len, is_dir);
	buf_fini(&key);
	patterns_free(ps);
	free(text);
	return got;
}

static void
says_what_the_manual_says(void **state)
{
	static const struct {
		const char *rules, *path;
		bool is_dir;
		enum pattern_result want;
	} table[] = {
		{ "*.o", "/a/b.o", false, PATTERN_EXCLUDE },
		{ "*.o\n!b.o", "/a/b.o", false, PATTERN_INCLUDE },
		{ "!b.o\n*.o", "/a/b.o", false, PATTERN_EXCLUDE },
		{ "/var/cache", "/var/cache", true, PATTERN_EXCLUDE },
		{ "/var/cache", "/x/var/cache", true, PATTERN_NONE },
		{ "var/cache", "/x/var/cache", true, PATTERN_NONE },
		{ "cache/", "/x/cache", true, PATTERN_EXCLUDE },
		{ "cache/", "/x/cache", false, PATTERN_NONE },
		{ "**/cache", "/cache", false, PATTERN_EXCLUDE },
		{ "a/**/b", "/a/b", false, PATTERN_EXCLUDE },
		{ "a/**/b", "/a/x/y/b", false, PATTERN_EXCLUDE },
		{ "a/**/b", "/a/xb", false, PATTERN_NONE },
		{ "a/*/b", "/a/x/y/b", false, PATTERN_NONE },
		{ "a/**", "/a", true, PATTERN_NONE },
		{ "a/**", "/a/x/y", true, PATTERN_EXCLUDE },
		/* regular asterisks, whatever git does */
		{ "x/a**/b", "/x/ac/d/b", false, PATTERN_NONE },
		{ "x/a**/b", "/x/ac/b", false, PATTERN_EXCLUDE },
		{ "a[!a-c]", "/ad", false, PATTERN_EXCLUDE },
		{ "a[!a-c]", "/ab", false, PATTERN_NONE },
		{ "/a[!x]b", "/a/b", false, PATTERN_NONE },
		{ "/a?b", "/a/b", false, PATTERN_NONE },
		{ "[[:digit:]]", "/7", false, PATTERN_EXCLUDE },
		{ "\\!a", "/!a", false, PATTERN_EXCLUDE },
		{ "\\#a", "/#a", false, PATTERN_EXCLUDE },
		{ "#a", "/#a", false, PATTERN_NONE },
		{ "a\\ ", "/a ", false, PATTERN_EXCLUDE },
		{ "a ", "/a", false, PATTERN_EXCLUDE },
		{ "\xff*", "/\xff\xfe", false, PATTERN_EXCLUDE },
		{ "?", "/\xc3\xa4", false, PATTERN_NONE },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (match(table[i].rules, table[i].path, table[i].is_dir) !=
			table[i].want)
			fail_msg("rules '%s' on %s", table[i].rules,
				table[i].path);
	}
}

/* ---- against git ---- */

struct tree {
	char top[64];
	char paths[N_PATHS][PATH_LEN];
	bool is_dir[N_PATHS];
	size_t n;
};

static void
random_name(struct prng *rng, char *out)
{
	static const char letters[] = "aaabbc.-[]!*x 0A\\\xc3";
	size_t len = 1 + prng_below(rng, 3);

	for (size_t i = 0; i < len; i++)
		out[i] = letters[prng_below(rng, sizeof(letters) - 1)];
	out[len] = '\0';
	if (strcmp(out, ".") == 0 || strcmp(out, "..") == 0)
		out[0] = 'a';
}

static void
random_tree(struct tree *t, struct prng *rng)
{
	while (t->n < N_PATHS) {
		size_t above = prng_below(rng, t->n + 1);
		char path[PATH_LEN] = "", name[8];
		bool dir = prng_below(rng, 2) == 0;

		if (above < t->n) {
			if (!t->is_dir[above] || strlen(t->paths[above]) > 32)
				continue;
			(void)strcpy(path, t->paths[above]);
			(void)strcat(path, "/");
		}
		random_name(rng, name);
		(void)strcat(path, name);
		if (dir ? mkdir(path, 0700) != 0
			: mknod(path, S_IFREG | 0600, 0) != 0)
			continue;
		(void)strcpy(t->paths[t->n], path);
		t->is_dir[t->n++] = dir;
	}
}

static void
put(char *rule, const char *piece)
{
	(void)strncat(rule, piece, PATH_LEN - strlen(rule) - 1);
}

/*
 * Pieces that meet often.  A "**" is put between slashes only: behind
 * anything else git departs from its manual, see pattern.c.
 */
static void
random_rule(struct prng *rng, const struct tree *t, char *rule)
{
	static const char *const pieces[] = { "a", "b", "c", "*", "?", "a*",
		"*b", "[ab]", "[!a]", "[^b-]", "[a-c]", "[]a]", "[[:alpha:]]",
		"[[:punct:]]", "[[:nope:]]", "[a", "\\*", "\\[", "\\a", "\\",
		"[\\]-]", "[z-a]", "[+--]", "[[:x]", ".", "-", "x", "0", "[[:]",
		"*.*", "A", " ", "\\ ", "?\\?", "\xc3", "[\xc0-\xff]" };
	size_t parts = 1 + prng_below(rng, 3);

	rule[0] = '\0';
	if (prng_below(rng, 4) == 0)
		put(rule, "!");
	if (prng_below(rng, 4) == 0)
		put(rule, "/");
	if (prng_below(rng, 6) == 0) {
		put(rule, t->paths[prng_below(rng, t->n)]);
	} else {
		for (size_t i = 0; i < parts; i++) {
			size_t n = 1 + prng_below(rng, 2);

			if (i > 0)
				put(rule, "/");
			if (prng_below(rng, 4) == 0) {
				put(rule, "**");
				continue;
			}
			while (n-- > 0)
				put(rule, pieces[prng_below(rng,
						  ARRAY_LEN(pieces))]);
		}
	}
	if (prng_below(rng, 4) == 0)
		put(rule, "/");
	if (prng_below(rng, 8) == 0)
		put(rule, "  ");
}

/* Pieces where a star ends one and begins the next would make the
 * "x**" that is excluded above. */
static bool
has_odd_stars(const char *rule)
{
	const char *p = rule;

	while ((p = strstr(p, "**")) != NULL) {
		if (p > rule && p[-1] != '/' && p[-1] != '!')
			return true;
		while (*p == '*')
			p++;
	}
	return false;
}

static void
write_rules(const char *file, char rules[][PATH_LEN], size_t n)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	for (size_t i = 0; i < n; i++)
		assert_true(fprintf(f, "%s\n", rules[i]) > 0);
	assert_int_equal(fclose(f), 0);
}

static void
git_says(const struct tree *t, bool ignored[N_PATHS])
{
	char line[PATH_LEN];
	FILE *f = fopen("../paths", "w");
	size_t len = 0;
	int c;

	assert_non_null(f);
	for (size_t i = 0; i < t->n; i++)
		assert_int_equal(fwrite(t->paths[i], strlen(t->paths[i]) + 1, 1,
					 f),
			1);
	assert_int_equal(fclose(f), 0);
	memset(ignored, 0, N_PATHS * sizeof(*ignored));
	f = popen("git -c core.excludesFile=../rules -c core.ignoreCase=false "
		  "check-ignore --no-index -z --stdin <../paths",
		"r");
	assert_non_null(f);
	while ((c = getc(f)) != EOF) {
		line[len++] = (char)c;
		if (c != 0)
			continue;
		for (size_t i = 0; i < t->n; i++)
			ignored[i] |= strcmp(t->paths[i], line) == 0;
		len = 0;
	}
	(void)pclose(f);
}

static void
compare(const struct tree *t, uint64_t seed, uint64_t *n_ignored)
{
	bool want[N_PATHS];
	struct patterns *ps;

	assert_int_equal(patterns_new(&ps, &err), ERR_OK);
	assert_int_equal(patterns_add_file(ps, "../rules", &err), ERR_OK);
	git_says(t, want);
	for (size_t i = 0; i < t->n; i++) {
		struct buf key = BUF_INIT(KEY_MAX);
		bool got;

		assert_int_equal(key_from_path(&key, t->paths[i], &err),
			ERR_OK);
		got = patterns_match_path(ps, key.data, key.len, t->is_dir[i]);
		buf_fini(&key);
		*n_ignored += got;
		if (got != want[i])
			fail_msg("seed %llu: '%s' is %signored by git",
				(unsigned long long)seed, t->paths[i],
				want[i] ? "" : "not ");
	}
	patterns_free(ps);
}

static void
agrees_with_git(void **state)
{
	uint64_t sets = test_scale(SETS), n_ignored = 0;
	struct tree t = { .n = 0 };
	struct prng rng;
	char *home = getcwd(NULL, 0), command[128];

	if (system("git --version >/dev/null 2>&1") != 0) {
		print_message("skipped: git is not installed\n");
		skip();
	}
	(void)snprintf(t.top, sizeof(t.top), "/tmp/test_pattern.XXXXXX");
	assert_non_null(mkdtemp(t.top));
	assert_int_equal(chdir(t.top), 0);
	assert_int_equal(mkdir("w", 0700), 0);
	assert_int_equal(chdir("w"), 0);
	assert_int_equal(system("git init -q ."), 0);
	prng_init(&rng, 1);
	random_tree(&t, &rng);
	for (uint64_t seed = 1; seed <= sets; seed++) {
		char rules[8][PATH_LEN];
		size_t n = 0, want;

		prng_init(&rng, seed);
		want = 1 + prng_below(&rng, 8);
		while (n < want) {
			random_rule(&rng, &t, rules[n]);
			n += has_odd_stars(rules[n]) ? 0 : 1;
		}
		write_rules("../rules", rules, n);
		compare(&t, seed, &n_ignored);
	}
	/* Rules that never match would prove nothing. */
	assert_true(n_ignored > sets);
	assert_int_equal(chdir(home), 0);
	(void)snprintf(command, sizeof(command), "rm -rf %s", t.top);
	assert_int_equal(system(command), 0);
	free(home);
}

static void
reads_files_as_git_does(void **state)
{
	char file[] = "/tmp/test_pattern.XXXXXX";
	static const char text[] = "\xef\xbb\xbf"
				   "a\r\n\n# c\n!b \r\nlast/";
	struct patterns *ps;
	int fd = mkstemp(file);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	(void)close(fd);
	assert_int_equal(patterns_new(&ps, &err), ERR_OK);
	assert_true(patterns_empty(ps));
	assert_int_equal(patterns_add_file(ps, file, &err), ERR_OK);
	assert_false(patterns_empty(ps));
#define SAYS(key, dir) \
	patterns_match(ps, (const uint8_t *)(key), strlen(key), (dir))
	assert_int_equal(SAYS("a", false), PATTERN_EXCLUDE);
	assert_int_equal(SAYS("b", false), PATTERN_INCLUDE);
	assert_int_equal(SAYS("last", true), PATTERN_EXCLUDE);
	assert_int_equal(SAYS("last", false), PATTERN_NONE);
	assert_int_equal(SAYS("# c", false), PATTERN_NONE);
	patterns_free(ps);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(patterns_new(&ps, &err), ERR_OK);
	assert_int_equal(patterns_add_file(ps, file, &err), ERR_NOTFOUND);
	patterns_free(ps);
}

/* What makes a matcher that goes back run for years. */
static void
takes_no_exponential_time(void **state)
{
	char rule[2048] = "", path[4096] = "/";
	double begin = mono_sec();

	for (int i = 0; i < 200; i++)
		(void)strcat(rule, i % 2 == 0 ? "**/a*a" : "*/");
	(void)strcat(rule, "x");
	for (int i = 0; i < 600; i++)
		(void)strcat(path, i % 7 == 6 ? "a/" : "aaaa");
	assert_int_equal(match(rule, path, false), PATTERN_NONE);
	assert_true(mono_sec() - begin < 60);
}

static void
refuses_endless_rules(void **state)
{
	struct patterns *ps;
	char *rule = calloc(1, 10001);

	assert_non_null(rule);
	memset(rule, '*', 10000);
	assert_int_equal(patterns_new(&ps, &err), ERR_OK);
	assert_int_equal(patterns_add(ps, rule, &err), ERR_USAGE);
	rule[4096] = '\0';
	assert_int_equal(patterns_add(ps, rule, &err), ERR_OK);
	patterns_free(ps);
	free(rule);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_the_manual_says),
		cmocka_unit_test(reads_files_as_git_does),
		cmocka_unit_test(agrees_with_git),
		cmocka_unit_test(takes_no_exponential_time),
		cmocka_unit_test(refuses_endless_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
