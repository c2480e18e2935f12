/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/fsx.h"
#include "base/time.h"
#include "tests/lib/prng.h"
#include "tests/lib/scale.h"

enum { WORDS_MAX = 6, WORD_MAX = 10, TEXT_MAX = 1024 };

/* Characters that need care, and a few that do not. */
static const char alphabet[] = "ab '\"\\$`*?~|&;<>(){}#!\t\n=\xc3\xa9";

struct words {
	char w[WORDS_MAX][WORD_MAX + 1];
	size_t n;
};

struct text {
	char s[TEXT_MAX];
	size_t len;
};

static void
add(struct text *t, const char *more)
{
	size_t len = strlen(more);

	assert_true(len < sizeof(t->s) - t->len);
	memcpy(t->s + t->len, more, len + 1);
	t->len += len;
}

static void
add_char(struct text *t, char c)
{
	add(t, (char[]){ c, '\0' });
}

/* One character in one of the ways in which sh takes it as itself. */
static void
add_quoted(struct text *t, char c, struct prng *p)
{
	switch (prng_below(p, 3)) {
	case 0:
		if (c == '\'') {
			add(t, "\\'");
			break;
		}
		add_char(t, '\'');
		add_char(t, c);
		add_char(t, '\'');
		break;
	case 1:
		add_char(t, '"');
		if (strchr("\"\\$`", c) != NULL)
			add_char(t, '\\');
		add_char(t, c);
		add_char(t, '"');
		break;
	default:
		if (c == '\n') {
			add(t, "'\n'");
			break;
		}
		if (c != 'a' && c != 'b')
			add_char(t, '\\');
		add_char(t, c);
		break;
	}
}

static void
random_command(struct words *words, struct text *t, struct prng *p)
{
	static const char *const gaps[] = { " ", "  ", "\t", " \\\n ", " \t" };

	t->len = 0;
	t->s[0] = '\0';
	words->n = 1 + prng_below(p, WORDS_MAX);
	for (size_t i = 0; i < words->n; i++) {
		size_t len = prng_below(p, WORD_MAX + 1);

		add(t, gaps[prng_below(p, 5)]);
		if (len == 0 || prng_below(p, 4) == 0)
			add(t, prng_below(p, 2) == 0 ? "''" : "\"\"");
		for (size_t k = 0; k < len; k++) {
			char c = alphabet[prng_below(p, sizeof(alphabet) - 1)];

			words->w[i][k] = c;
			add_quoted(t, c, p);
			if (prng_below(p, 10) == 0)
				add(t, "\\\n");
		}
		words->w[i][len] = '\0';
	}
	if (prng_below(p, 2) == 0)
		add(t, gaps[prng_below(p, 5)]);
}

static void
quoted_words_come_back(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5000; seed++) {
		struct error err = ERROR_INIT;
		struct words words;
		struct text t;
		struct prng p;
		char **argv;

		prng_init(&p, seed);
		random_command(&words, &t, &p);
		if (child_split(&argv, t.s, &err) != ERR_OK)
			fail_msg("seed %llu: %s", (unsigned long long)seed,
				err.msg);
		for (size_t i = 0; i < words.n; i++) {
			if (argv[i] == NULL || strcmp(argv[i], words.w[i]) != 0)
				fail_msg("seed %llu word %zu of <%s>",
					(unsigned long long)seed, i, t.s);
		}
		assert_null(argv[words.n]);
		free(argv);
	}
}

/* What a program writes; *rc is how it ended. */
static void
output_of(char *const argv[], struct buf *out, enum err *rc, struct error *err)
{
	struct child c;

	*rc = child_start(&c, argv, err);
	if (*rc != ERR_OK)
		return;
	assert_int_equal(fsx_read_all(c.out_fd, out, "output", err), ERR_OK);
	*rc = child_wait(&c, err);
	assert_int_equal(c.pid, -1);
	assert_int_equal(c.out_fd, -1);
}

static enum err
sh(const char *script, struct buf *out, struct error *err)
{
	char *text = strdup(script);
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, text, NULL };
	enum err rc;

	assert_non_null(text);
	output_of(argv, out, &rc, err);
	free(text);
	return rc;
}

/* The definition is what sh makes of the same text. */
static void
split_agrees_with_sh(void **state)
{
	uint64_t rounds = test_scale(150);

	(void)state;
	for (uint64_t seed = 1; seed <= rounds; seed++) {
		struct buf have = BUF_INIT(TEXT_MAX), want = BUF_INIT(TEXT_MAX);
		char script[TEXT_MAX + 32];
		struct error err = ERROR_INIT;
		struct words words;
		struct text t;
		struct prng p;
		char **argv;

		prng_init(&p, seed + 1000000);
		random_command(&words, &t, &p);
		(void)snprintf(script, sizeof(script), "printf '%%s|' %s", t.s);
		assert_int_equal(sh(script, &want, &err), ERR_OK);
		assert_int_equal(child_split(&argv, t.s, &err), ERR_OK);
		for (size_t i = 0; argv[i] != NULL; i++) {
			size_t len = strlen(argv[i]);

			assert_int_equal(buf_put(&have, argv[i], len, &err),
				ERR_OK);
			assert_int_equal(buf_put(&have, "|", 1, &err), ERR_OK);
		}
		if (have.len != want.len ||
			memcmp(have.data, want.data, want.len) != 0)
			fail_msg("seed %llu: <%s>", (unsigned long long)seed,
				t.s);
		free(argv);
		buf_fini(&have);
		buf_fini(&want);
	}
}

/* Any text is split or refused, never read or written past its end. */
static void
garbage_is_split_or_refused(void **state)
{
	static const char garbage[] = "a \\\\\\''\"\"\n\t$";
	struct error err = ERROR_INIT;
	unsigned refused = 0;
	struct prng p;

	(void)state;
	prng_init(&p, 3);
	for (int i = 0; i < 50000; i++) {
		size_t len = prng_below(&p, 20), total = 0;
		char *text = malloc(len + 1);
		char **argv;

		assert_non_null(text);
		for (size_t k = 0; k < len; k++)
			text[k] = garbage[prng_below(&p, sizeof(garbage) - 1)];
		text[len] = '\0';
		if (child_split(&argv, text, &err) == ERR_OK) {
			assert_non_null(argv[0]);
			for (size_t k = 0; argv[k] != NULL; k++)
				total += strlen(argv[k]);
			assert_true(total <= len);
			free(argv);
		} else {
			assert_int_equal(err.code, ERR_USAGE);
			refused++;
		}
		free(text);
	}
	assert_true(refused > 1000 && refused < 49000);
}

static void
what_is_not_closed_is_refused(void **state)
{
	static const char *const cases[] = { "", " \t\n", "\\\n", "a 'b",
		"a \"b", "a \"b\\\"", "a \\" };
	struct error err = ERROR_INIT;
	char **argv = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(child_split(&argv, cases[i], &err), ERR_USAGE);
		assert_null(argv);
	}
}

static void
only_status_0_is_success(void **state)
{
	struct buf out = BUF_INIT(16);

	(void)state;
	for (int status = 0; status < 256; status++) {
		struct error err = ERROR_INIT;
		char script[32], want[80];
		enum err rc;

		(void)snprintf(script, sizeof(script), "exit %d", status);
		(void)snprintf(want, sizeof(want),
			"sh ended with exit status %d", status);
		rc = sh(script, &out, &err);
		assert_int_equal(rc, status == 0 ? ERR_OK : ERR_IO);
		assert_string_equal(err.msg, status == 0 ? "" : want);
	}
	buf_fini(&out);
}

static void
a_signal_is_told(void **state)
{
	struct buf out = BUF_INIT(16);
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(sh("kill -KILL $$", &out, &err), ERR_IO);
	assert_non_null(strstr(err.msg, "signal 9 "));
	buf_fini(&out);
}

static void
what_cannot_be_executed_is_not_found(void **state)
{
	char *const cases[][2] = {
		{ (char[]){ "/nonexistent/program" }, NULL },
		{ (char[]){ "coffer-no-such-program" }, NULL },
		{ (char[]){ "/etc/passwd" }, NULL },
		{ (char[]){ "/" }, NULL },
		{ NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = ERROR_INIT;
		struct child c;

		assert_int_equal(child_start(&c, cases[i], &err), ERR_NOTFOUND);
		assert_int_equal(err.code, ERR_NOTFOUND);
	}
}

static void
what_is_joined_comes_in_the_order_of_writing(void **state)
{
	char *const argv[] = { (char[]){ "sh" }, (char[]){ "-c" },
		(char[]){ "echo a; echo b >&2; echo c" }, NULL };
	struct buf out = BUF_INIT(16);
	struct error err = ERROR_INIT;
	struct child c;

	(void)state;
	assert_int_equal(child_start_joined(&c, argv, &err), ERR_OK);
	assert_int_equal(fsx_read_all(c.out_fd, &out, "child", &err), ERR_OK);
	assert_int_equal(child_wait(&c, &err), ERR_OK);
	assert_int_equal(out.len, 6);
	assert_memory_equal(out.data, "a\nb\nc\n", 6);
	buf_fini(&out);
}

/* Neither descriptors nor the state of signals are inherited. */
static void
the_child_starts_clean(void **state)
{
	struct buf out = BUF_INIT(100);
	struct error err = ERROR_INIT;
	sigset_t block, before;
	int fd = fcntl(STDERR_FILENO, F_DUPFD, 7);

	(void)state;
	assert_true(fd >= 7 && fd < 10);
	assert_int_equal(sigemptyset(&block), 0);
	assert_int_equal(sigaddset(&block, SIGTERM), 0);
	assert_int_equal(sigprocmask(SIG_BLOCK, &block, &before), 0);
	assert_true(signal(SIGUSR1, SIG_IGN) != SIG_ERR);

	assert_int_equal(sh("for n in 3 4 5 6 7 8 9; do"
			    "  if [ -e /proc/$$/fd/$n ]; then echo $n; fi;"
			    "done; cat",
				 &out, &err),
		ERR_OK);
	assert_int_equal(out.len, 0);
	assert_int_equal(sh("kill -TERM $$; echo on", &out, &err), ERR_IO);
	assert_non_null(strstr(err.msg, "signal 15 "));
	assert_int_equal(sh("kill -USR1 $$; echo on", &out, &err), ERR_IO);
	assert_int_equal(out.len, 0);

	assert_true(signal(SIGUSR1, SIG_DFL) != SIG_ERR);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	assert_int_equal(close(fd), 0);
	buf_fini(&out);
}

/* How long it took, in seconds. */
static double
kill_reaps(char *script)
{
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, script, NULL };
	struct error err = ERROR_INIT;
	struct child c;
	double start, took;
	char ready;
	size_t got;
	pid_t pid;

	assert_int_equal(child_start(&c, argv, &err), ERR_OK);
	assert_int_equal(fsx_read(c.out_fd, &ready, 1, &got, "child", &err),
		ERR_OK);
	assert_int_equal(got, 1);
	pid = c.pid;
	start = mono_sec();
	child_kill(&c);
	took = mono_sec() - start;
	assert_int_equal(c.pid, -1);
	assert_int_equal(c.out_fd, -1);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
	child_kill(&c);
	return took;
}

/* Two seconds are what a stubborn one is given, or a machine that has no time
 * for the other one; but not always. */
static void
kill_ends_also_the_stubborn(void **state)
{
	int tries = 0;

	(void)state;
	while (kill_reaps((char[]){ "echo; exec sleep 100" }) >= 1.5)
		assert_true(++tries < 20);
	assert_true(kill_reaps((char[]){
			    "trap '' TERM; echo; exec sleep 100" }) < 60);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quoted_words_come_back),
		cmocka_unit_test(split_agrees_with_sh),
		cmocka_unit_test(garbage_is_split_or_refused),
		cmocka_unit_test(what_is_not_closed_is_refused),
		cmocka_unit_test(only_status_0_is_success),
		cmocka_unit_test(a_signal_is_told),
		cmocka_unit_test(what_cannot_be_executed_is_not_found),
		cmocka_unit_test(what_is_joined_comes_in_the_order_of_writing),
		cmocka_unit_test(the_child_starts_clean),
		cmocka_unit_test(kill_ends_also_the_stubborn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
