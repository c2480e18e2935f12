/* SPDX-License-Identifier: Apache-2.0 */
/* What of the rbd source needs no cluster: hooks, names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/time.h"
#include "source/rbd/hook.h"
#include "source/rbd/pick.h"
#include "source/rbd/still.h"

/* ---- hooks ---- */

struct script {
	char dir[64], path[96], log[96];
};

static void
write_script(struct script *s, const char *body)
{
	FILE *f;

	(void)strcpy(s->dir, "/tmp/coffer-hook-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	(void)snprintf(s->path, sizeof(s->path), "%s/hook", s->dir);
	(void)snprintf(s->log, sizeof(s->log), "%s/log", s->dir);
	f = fopen(s->path, "w");
	assert_non_null(f);
	(void)fprintf(f, "#!/bin/sh\nlog=%s\n%s\n", s->log, body);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(s->path, 0700), 0);
}

static void
drop_script(struct script *s)
{
	(void)unlink(s->log);
	assert_int_equal(unlink(s->path), 0);
	assert_int_equal(rmdir(s->dir), 0);
}

static void
test_hook_arguments(void **state)
{
	static const char *const images[] = { "a/b c", "a/$(x)`y`'\"", "",
		NULL };
	static const char want[] = "freeze|a/b c|a/$(x)`y`'\"||";
	struct error err = ERROR_INIT;
	struct script s;
	char have[100];
	size_t len;
	FILE *f;

	write_script(&s, "printf '%s|' \"$@\" >\"$log\"");
	assert_int_equal(hook_run(s.path, "freeze", images, 60, &err), ERR_OK);
	f = fopen(s.log, "r");
	assert_non_null(f);
	len = fread(have, 1, sizeof(have) - 1, f);
	have[len] = '\0';
	(void)fclose(f);
	assert_string_equal(have, want);
	drop_script(&s);
}

/* The process whose number is in the log. */
static void
end_logged(const struct script *s)
{
	FILE *f = fopen(s->log, "r");
	long pid = 0;

	if (f == NULL)
		return;
	assert_int_equal(fscanf(f, "%ld", &pid), 1);
	(void)fclose(f);
	assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
}

static void
test_hook_ends(void **state)
{
	/* Seconds: what a slow machine may take, and less than the sleeps. */
	enum { LONG = 60 };
	static const char *const none[] = { NULL };
	static const struct {
		const char *body;
		unsigned timeout_sec;
		enum err rc;
		const char *says;
	} cases[] = {
		{ "exit 0", LONG, ERR_OK, "" },
		{ "exit 7", LONG, ERR_IO, "exit status 7" },
		{ "kill -9 $$", LONG, ERR_IO, "signal 9" },
		{ "exec sleep 100", 1, ERR_IO, "more than 1 seconds" },
		/* It prints more than a pipe holds, */
		{ "head -c 1000000 /dev/zero", LONG, ERR_OK, "" },
		/* and leaves something that keeps the pipe open. */
		{ "sleep 100 2>/dev/null & echo $! >\"$log\"", LONG, ERR_OK,
			"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = ERROR_INIT;
		double begin = mono_sec();
		struct script s;

		write_script(&s, cases[i].body);
		assert_int_equal(hook_run(s.path, "thaw", none,
					 cases[i].timeout_sec, &err),
			cases[i].rc);
		if (strstr(err.msg, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].body, err.msg);
		assert_true(mono_sec() - begin < LONG);
		end_logged(&s);
		drop_script(&s);
	}
}

/* ---- names ---- */

static void
test_operands(void **state)
{
	static const struct {
		const char *text, *pool, *ns, *name;
	} cases[] = {
		{ "p/i", "p", "", "i" },
		{ "p/n/i", "p", "n", "i" },
		{ "p/*", "p", "", "*" },
		{ "p//i", "p", "", "i" },
		{ "", NULL, NULL, NULL },
		{ "p", NULL, NULL, NULL },
		{ "p/", NULL, NULL, NULL },
		{ "/i", NULL, NULL, NULL },
		{ "p/n/", NULL, NULL, NULL },
		{ "p/n/i/x", NULL, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = ERROR_INIT;
		struct place p = { NULL };
		enum err rc = pick_cut(&p, cases[i].text, &err);

		assert_int_equal(rc,
			cases[i].pool != NULL ? ERR_OK : ERR_USAGE);
		if (rc == ERR_OK) {
			assert_string_equal(p.pool, cases[i].pool);
			assert_string_equal(p.ns, cases[i].ns);
			assert_string_equal(p.name, cases[i].name);
		}
		pick_cut_free(&p);
	}
}

static void
test_our_snapshots(void **state)
{
	static const char *const foreign[] = { "", "coffer", "coffer.", "x",
		"coffer.ab", "coffer.ab.", "coffer.ab.20260101T000000.000",
		"coffer.ab.20260101T000000.000ZZ", "coffer.ab.20260101T000000Z",
		"coffer.a.20260101T000000.000Z",
		"coffer.abc.20260101T000000.000Z",
		"Coffer.ab.20260101T000000.000Z",
		"coffer.ab.2026010xT000000.000Z", "coffer.ab.mine" };
	struct rbd r = { .job = "ab" };

	assert_true(still_is_ours(&r, "coffer.ab.20260101T000000.000Z"));
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
		assert_false(still_is_ours(&r, foreign[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hook_arguments),
		cmocka_unit_test(test_hook_ends),
		cmocka_unit_test(test_operands),
		cmocka_unit_test(test_our_snapshots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
