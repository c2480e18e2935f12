/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fsx.h"
#include "base/time.h"
#include "source/source.h"
#include "tests/lib/recorder.h"

static struct error err;

static void
names_choose_drivers(void **state)
{
	static const struct {
		const char *text, *scheme, *rest;
	} table[] = {
		{ "/etc", "files", "/etc" },
		{ "etc", "files", "etc" },
		{ "files:/etc", "files", "/etc" },
		{ "files:", "files", "" },
		{ "command:x:y", "command", "x:y" },
		{ "./a:b", "files", "./a:b" },
		{ "/a:b", "files", "/a:b" },
		{ ":a", "files", ":a" },
		{ "", "files", "" },
		{ "nope:x", NULL, NULL },
		{ "file:x", NULL, NULL },
		{ "filess:x", NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const struct source_ops *ops = NULL;
		const char *rest = NULL;
		enum err rc = source_parse(table[i].text, &ops, &rest, &err);

		if (table[i].scheme == NULL) {
			assert_int_equal(rc, ERR_USAGE);
			assert_null(ops);
			continue;
		}
		assert_int_equal(rc, ERR_OK);
		assert_string_equal(ops->scheme, table[i].scheme);
		assert_string_equal(rest, table[i].rest);
	}
	assert_null(source_driver("nope"));
	assert_ptr_equal(source_driver("files"), source_drivers[0]);
}

/* What cli prints, and what checks rely on. */
static void
tables_are_well_formed(void **state)
{
	for (size_t i = 0; source_drivers[i] != NULL; i++) {
		const struct source_ops *ops = source_drivers[i];
		const struct option_spec *o = ops->options;

		assert_ptr_equal(source_driver(ops->scheme), ops);
		assert_null(strpbrk(ops->scheme, ":/"));
		assert_true((ops->freeze == NULL) == (ops->thaw == NULL));
		assert_true(ops->caps.follow == (ops->follow != NULL));
		for (; o->name != NULL; o++) {
			const struct setting s = { o->name, o->fallback };
			const struct settings one = { &s, 1 }, none = { 0 };

			assert_non_null(o->help);
			if (o->fallback != NULL)
				assert_int_equal(settings_check(&one,
							 ops->options, "it",
							 &err),
					ERR_OK);
			assert_ptr_equal(settings_text(&none, ops->options,
						 o->name),
				o->fallback);
		}
	}
}

static const struct option_spec options[] = {
	{ "flag", OPTION_BOOL, "yes", "" },
	{ "text", OPTION_TEXT, NULL, "" },
	{ "list", OPTION_LIST, NULL, "" },
	{ "size", OPTION_SIZE, "64K", "" },
	{ "number", OPTION_NUMBER, NULL, "" },
	{ .name = NULL },
};

static enum err
check(const struct setting *v, size_t n)
{
	const struct settings s = { v, n };

	return settings_check(&s, options, "source invented", &err);
}

static void
settings_are_checked(void **state)
{
	static const struct {
		struct setting s;
		enum err want;
	} table[] = {
		{ { "flag", "no" }, ERR_OK },
		{ { "flag", "" }, ERR_USAGE },
		{ { "flag", "true" }, ERR_USAGE },
		{ { "size", "10M" }, ERR_OK },
		{ { "size", "10X" }, ERR_USAGE },
		{ { "size", "-1" }, ERR_USAGE },
		{ { "number", "0" }, ERR_OK },
		{ { "number", "18446744073709551615" }, ERR_OK },
		{ { "number", "18446744073709551616" }, ERR_USAGE },
		{ { "number", "1K" }, ERR_USAGE },
		{ { "number", "-1" }, ERR_USAGE },
		{ { "number", " 1" }, ERR_USAGE },
		{ { "number", "" }, ERR_USAGE },
		{ { "text", "" }, ERR_OK },
		{ { "Text", "" }, ERR_USAGE },
		{ { "", "" }, ERR_USAGE },
	};
	const struct setting lists[] = { { "list", "a" }, { "list", "a" } };
	const struct setting twice[] = { { "text", "a" }, { "list", "b" },
		{ "text", "a" } };

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		assert_int_equal(check(&table[i].s, 1), table[i].want);
	assert_int_equal(check(lists, 2), ERR_OK);
	assert_int_equal(check(twice, 2), ERR_OK);
	assert_int_equal(check(twice, 3), ERR_USAGE);
	assert_non_null(strstr(err.msg, "text"));
}

static void
values_fall_back(void **state)
{
	const struct setting v[] = { { "size", "2K" }, { "list", "a" },
		{ "list", "b" }, { "flag", "no" } };
	const struct settings some = { v, 4 };
	const struct settings none = { 0 };

	assert_int_equal(settings_number(&none, options, "size"), 65536);
	assert_int_equal(settings_number(&some, options, "size"), 2048);
	assert_int_equal(settings_number(&none, options, "number"), 0);
	assert_true(settings_bool(&none, options, "flag"));
	assert_false(settings_bool(&some, options, "flag"));
	assert_string_equal(settings_text(&some, options, "list"), "b");
	assert_null(settings_text(&none, options, "list"));
	assert_null(settings_text(&none, options, "nope"));
}

/* ---- command ---- */

static const struct setting name_is_dump = { "name", "/db/dump.sql" };

static enum err
capture(struct recorder *rec, const char *const *argv, size_t n)
{
	const struct source_ops *ops = source_driver("command");
	const struct source_conf conf = { argv, n, { &name_is_dump, 1 } };
	struct source *src;
	enum err rc;

	assert_int_equal(settings_check(&conf.settings, ops->options,
				 "source command", &err),
		ERR_OK);
	assert_int_equal(ops->open(&src, &conf, &err), ERR_OK);
	rc = ops->capture(src, &rec->base, &err);
	ops->close(src);
	return rc;
}

static enum err
capture_shell(struct recorder *rec, const char *script)
{
	const char *const argv[] = { "sh", "-c", script };

	return capture(rec, argv, 3);
}

static void
check_is_dump(struct recorder *rec, size_t len)
{
	struct when now = when_now();
	struct record *r = &rec->v[0];

	assert_int_equal(rec->n, 1);
	assert_string_equal(recorder_path(rec, r), "/db/dump.sql");
	assert_int_equal(r->way, WAY_STREAM);
	assert_int_equal(r->e.type, ENTRY_STREAM);
	assert_int_equal(r->e.size, 0);
	assert_true(now.sec - r->e.mtime.sec <= 60);
	assert_false(rec->stream_open);
	assert_int_equal(r->data.len, len);
}

static void
output_becomes_a_stream(void **state)
{
	struct recorder rec;

	recorder_init(&rec);
	assert_int_equal(capture_shell(&rec,
				 "yes 0123456 | head -c 3000000; printf end"),
		ERR_OK);
	check_is_dump(&rec, 3000003);
	for (size_t i = 0; i < 3000000; i++) {
		if (rec.v[0].data.data[i] != "0123456\n"[i % 8])
			fail_msg("byte %zu", i);
	}
	assert_memory_equal(rec.v[0].data.data + 3000000, "end", 3);
	recorder_fini(&rec);
	recorder_init(&rec);
	assert_int_equal(capture_shell(&rec, "true"), ERR_OK);
	check_is_dump(&rec, 0);
	recorder_fini(&rec);
}

static void
status_decides(void **state)
{
	static const char *const scripts[] = { "printf half; exit 3",
		"printf half; kill -9 $$" };
	const char *const missing[] = { "/nonexistent/program" };
	struct recorder rec;

	for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
		recorder_init(&rec);
		assert_int_equal(capture_shell(&rec, scripts[i]), ERR_IO);
		assert_true(rec.stream_open);
		recorder_fini(&rec);
	}
	recorder_init(&rec);
	assert_int_equal(capture(&rec, missing, 1), ERR_NOTFOUND);
	recorder_fini(&rec);
}

/* The child would never end by itself. */
static void
full_sink_ends_the_command(void **state)
{
	for (size_t fail_at = 1; fail_at < 6; fail_at++) {
		struct recorder rec;

		recorder_init(&rec);
		rec.fail_at = fail_at;
		assert_int_equal(capture_shell(&rec, "exec yes"), ERR_NOSPACE);
		assert_int_equal(rec.n_calls, fail_at);
		recorder_fini(&rec);
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void
standard_input_is_read(void **state)
{
	char text[] = "/tmp/test_source.XXXXXX";
	int saved = dup(STDIN_FILENO), fd = mkstemp(text);
	struct recorder rec;

	assert_true(fd >= 0);
	assert_int_equal(unlink(text), 0);
	assert_int_equal(write(fd, "hello", 5), 5);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	recorder_init(&rec);
	assert_int_equal(capture(&rec, NULL, 0), ERR_OK);
	check_is_dump(&rec, 5);
	assert_memory_equal(rec.v[0].data.data, "hello", 5);
	recorder_fini(&rec);
	if (saved >= 0)
		assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	fsx_close(&saved);
	fsx_close(&fd);
}

static enum err
same_name(void *arg, const char *name, struct error *e)
{
	(void)e;
	assert_string_equal(name, arg);
	return ERR_OK;
}

static void
stream_needs_a_name(void **state)
{
	static char want[] = "command:a/b";
	const struct source_ops *ops = source_driver("command");
	struct setting s = { "name", "/" };
	struct source_conf conf = { .settings.v = &s };
	struct source *src;

	assert_int_equal(ops->open(&src, &conf, &err), ERR_USAGE);
	conf.settings.n = 1;
	assert_int_equal(ops->open(&src, &conf, &err), ERR_USAGE);
	s.value = "a/b";
	assert_int_equal(ops->open(&src, &conf, &err), ERR_OK);
	assert_int_equal(ops->describe(src, same_name, want, &err), ERR_OK);
	ops->close(src);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_choose_drivers),
		cmocka_unit_test(tables_are_well_formed),
		cmocka_unit_test(settings_are_checked),
		cmocka_unit_test(values_fall_back),
		cmocka_unit_test(output_becomes_a_stream),
		cmocka_unit_test(status_decides),
		cmocka_unit_test(full_sink_ends_the_command),
		cmocka_unit_test(standard_input_is_read),
		cmocka_unit_test(stream_needs_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
