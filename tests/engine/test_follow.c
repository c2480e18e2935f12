/* SPDX-License-Identifier: Apache-2.0 */
/* What follow makes of a driver's tellings: files, snapshots, patience. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/follow.h"
#include "engine/select.h"
#include "store/store_fault.h"
#include "tests/lib/repo_tools.h"

enum { SEALS = 400 };

/* A driver that goes through a script instead of waiting. */
struct fake {
	struct source base;
	void (*script)(struct fake *f, const struct follow *to);
	char generation[32];
	uint64_t last;
	char dir[64];
	unsigned trouble, states;
	struct follow_status seen;
	bool broken; /* the repository */
	_Atomic bool stop;
	struct store *store;
};

static struct fake *
to_fake(struct source *src)
{
	return container_of(src, struct fake, base);
}

static enum err
fake_describe(struct source *src,
	enum err (*name)(void *arg, const char *name, struct error *err),
	void *arg, struct error *err)
{
	return name(arg, to_fake(src)->generation, err);
}

static enum err
put(struct sink *sink, uint64_t n, struct error *err)
{
	char key[32], text[32];
	struct entry e;
	bool done;
	enum err rc;

	entry_init(&e);
	e.type = ENTRY_FILE;
	e.ino = n;
	e.content.kind = CONTENT_INLINE;
	e.content.bytes.data = (const uint8_t *)text;
	e.size = e.content.bytes.len = (size_t)snprintf(text, sizeof(text),
		"change %llu\n", (unsigned long long)n);
	(void)snprintf(key, sizeof(key), "%020llu", (unsigned long long)n);
	rc = sink->ops->offer(sink, (struct bytes){ (uint8_t *)key, 20 }, &e,
		&done, err);
	if (rc == ERR_OK && !done)
		rc = sink->ops->entry(sink,
			(struct bytes){ (uint8_t *)key, 20 }, &e, err);
	return rc;
}

/* The last sixty changes, as segments that a base has left. */
static enum err
fake_capture(struct source *src, struct sink *sink, struct error *err)
{
	uint64_t last = to_fake(src)->last, n = last > 60 ? last - 60 : 1;
	enum err rc = ERR_OK;

	for (; n <= last && rc == ERR_OK; n++)
		rc = put(sink, n, err);
	return rc;
}

static enum err
fake_follow(struct source *src, const struct follow *to,
	const _Atomic bool *stop, struct error *err)
{
	to_fake(src)->script(to_fake(src), to);
	return ERR_OK;
}

static const struct source_ops fake_ops = {
	.scheme = "fake",
	.caps = { .follow = true },
	.describe = fake_describe,
	.capture = fake_capture,
	.follow = fake_follow,
};

static enum fault
decide(void *arg, uint64_t n, enum store_op op, const char *name)
{
	return ((struct fake *)arg)->broken ? FAULT_BEFORE : FAULT_NONE;
}

static void
on_state(void *arg, const struct follow_status *s)
{
	struct fake *f = arg;

	f->states++;
	f->seen = *s;
}

static void
on_trouble(void *arg, const char *sentence)
{
	((struct fake *)arg)->trouble++;
}

static void
run(struct fake *f)
{
	const struct fault_plan plan = { decide, f, ERR_IO };
	struct store *inner = tool_repo_store();
	struct follow_conf conf = { .seal_sec = 1,
		.arg = f,
		.on_state = on_state,
		.on_trouble = on_trouble,
		.backup = { .host = "h", .workers = 1 } };
	struct error err = ERROR_INIT;
	struct repo *repo;
	char metrics[96];

	f->base.ops = &fake_ops;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/coffer-follow-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(metrics, sizeof(metrics), "%s/metrics", f->dir);
	conf.metrics = metrics;
	must(store_fault_new(&f->store, inner, &plan, &err), &err);
	repo = tool_open(f->store, TOOL_PASS);
	must(follow_run(repo, &f->base, &conf, &f->stop, &err), &err);
	repo_close(repo);
	store_close(f->store);
	(void)unlink(metrics);
	(void)snprintf(metrics, sizeof(metrics), "%s/status.json", f->dir);
	(void)unlink(metrics);
	assert_int_equal(rmdir(f->dir), 0);
}

static void
tell(struct fake *f, const struct follow *to, enum follow_health health,
	const char *why)
{
	struct follow_state s = { .health = health,
		.first = 1,
		.last = f->last,
		.sealed = UINT64_MAX - 1,
		.heard = when_now(),
		.changed = { 1700000000, 0 },
		.bytes_waiting = 17 };

	(void)snprintf(s.name, sizeof(s.name), "%s", f->generation);
	(void)snprintf(s.why, sizeof(s.why), "%s", why);
	(void)snprintf(s.dir, sizeof(s.dir), "%s", f->dir);
	to->tell(to->arg, &s);
}

/* ---- the files ---- */

static void
check_file(const char *path, const char *want)
{
	char text[4096];
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	(void)fclose(f);
	if (strstr(text, want) == NULL)
		fail_msg("%s does not have %s:\n%s", path, want, text);
}

static void
script_files(struct fake *f, const struct follow *to)
{
	static const char *const names[] = { "connecting", "no image", "hole",
		"protected", "other id", "went back" };
	struct error err = ERROR_INIT;
	struct follow_status s;
	char path[96], metrics[96], want[96];

	(void)snprintf(path, sizeof(path), "%s/status.json", f->dir);
	(void)snprintf(metrics, sizeof(metrics), "%s/metrics", f->dir);
	for (unsigned h = 0; h < ARRAY_LEN(names); h++) {
		tell(f, to, (enum follow_health)h, "because \"so\"");
		must(follow_load(path, &s, &err), &err);
		assert_int_equal(s.state.health, h);
		assert_string_equal(follow_health_name(s.state.health),
			names[h]);
		assert_string_equal(s.state.why, "because \"so\"");
		assert_string_equal(s.state.name, "a\"b\\c#1");
		assert_int_equal(s.state.last, f->last);
		assert_true(s.state.sealed == UINT64_MAX - 1);
		assert_int_equal(s.state.changed.sec, 1700000000);
		assert_int_equal(s.state.bytes_waiting, 17);
		(void)snprintf(want, sizeof(want),
			"coffer_follow_health{source=\"a\\\"b\\\\c#1\"} %u\n",
			h);
		check_file(metrics, want);
		check_file(metrics, "coffer_follow_waiting_bytes");
	}
	assert_int_equal(f->states, ARRAY_LEN(names));
	assert_int_equal(f->trouble, 0);
}

static void
test_files(void **state)
{
	struct fake f = { .script = script_files, .last = 5 };

	(void)snprintf(f.generation, sizeof(f.generation), "a\"b\\c#1");
	run(&f);
}

/* ---- a repository that is away ---- */

static void
script_away(struct fake *f, const struct follow *to)
{
	struct error err = ERROR_INIT;

	f->last = 1;
	must(to->seal(to->arg, &err), &err);
	f->broken = true;
	assert_int_not_equal(to->seal(to->arg, &err), ERR_OK);
	assert_int_equal(f->trouble, 1);
	tell(f, to, FOLLOW_PROTECTED, "");
	assert_int_equal(f->seen.failures, 1);
	assert_true(f->seen.problem[0] != '\0');
	/* Not at once again, and not told again. */
	f->broken = false;
	assert_int_equal(to->seal(to->arg, &err), ERR_AGAIN);
	assert_int_equal(f->trouble, 1);
	/* But when it is to end, once more. */
	f->stop = true;
	must(to->seal(to->arg, &err), &err);
	tell(f, to, FOLLOW_PROTECTED, "");
	assert_int_equal(f->seen.seals, 2);
	assert_string_equal(f->seen.problem, "");
}

static void
test_away(void **state)
{
	struct fake f = { .script = script_away };

	(void)snprintf(f.generation, sizeof(f.generation), "g");
	run(&f);
}

/* ---- many of them ---- */

static void
script_many(struct fake *f, const struct follow *to)
{
	struct error err = ERROR_INIT;
	uint64_t ops[2] = { 0 }, before;

	for (unsigned i = 0; i < SEALS; i++) {
		f->last++;
		before = store_fault_count(f->store);
		must(to->seal(to->arg, &err), &err);
		if (i == SEALS / 4 || i == SEALS - 1)
			ops[i == SEALS - 1] =
				store_fault_count(f->store) - before;
	}
	print_message("operations of a sealing: %u, later %u\n",
		(unsigned)ops[0], (unsigned)ops[1]);
	assert_true(ops[1] <= ops[0] + 8);
}

/* A sealing costs the same however many there were. */
static void
test_many(void **state)
{
	struct fake f = { .script = script_many };

	(void)snprintf(f.generation, sizeof(f.generation), "g");
	run(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_away),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
