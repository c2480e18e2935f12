/* SPDX-License-Identifier: Apache-2.0 */
/* What follow makes of a driver's tellings: files, snapshots, patience. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/follow.h"
#include "engine/follow_files.h"
#include "engine/select.h"
#include "store/store_fault.h"
#include "tests/lib/repo_tools.h"

enum { SEALS = 1200, SOME = 100 };

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
	bool packless; /* likewise, where packs are concerned */
	bool deaf; /* who is told */
	unsigned lists; /* of all snapshots */
	bool keep; /* the directory, for the next run */
	uint64_t waiting;
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
	struct fake *f = arg;

	f->lists += op == STORE_LIST && strcmp(name, "snapshots") == 0;
	if (f->packless && op == STORE_PUT && strncmp(name, "packs/", 6) == 0)
		return FAULT_BEFORE;
	return f->broken ? FAULT_BEFORE : FAULT_NONE;
}

static bool
on_state(void *arg, const struct follow_status *s)
{
	struct fake *f = arg;

	f->states++;
	f->seen = *s;
	return !f->deaf;
}

static bool
on_trouble(void *arg, const char *sentence)
{
	((struct fake *)arg)->trouble++;
	return true;
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
	if (f->dir[0] == '\0') {
		(void)snprintf(f->dir, sizeof(f->dir),
			"/tmp/coffer-follow-XXXXXX");
		assert_non_null(mkdtemp(f->dir));
	}
	(void)snprintf(metrics, sizeof(metrics), "%s/metrics", f->dir);
	conf.metrics = metrics;
	must(store_fault_new(&f->store, inner, &plan, &err), &err);
	repo = tool_open(f->store, TOOL_PASS);
	must(follow_run(repo, &f->base, &conf, &f->stop, &err), &err);
	repo_close(repo);
	store_close(f->store);
	if (f->keep)
		return;
	(void)unlink(metrics);
	(void)snprintf(metrics, sizeof(metrics), "%s/status.json", f->dir);
	(void)unlink(metrics);
	(void)snprintf(metrics, sizeof(metrics), "%s/status.lock", f->dir);
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
		.bytes_waiting = f->waiting };

	(void)snprintf(s.name, sizeof(s.name), "%s", f->generation);
	(void)snprintf(s.why, sizeof(s.why), "%s", why);
	(void)snprintf(s.dir, sizeof(s.dir), "%s", f->dir);
	to->tell(to->arg, &s);
}

/* ---- the files ---- */

static void
check_file(const char *path, const char *want)
{
	char text[8192];
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
	struct fake f = { .script = script_files, .last = 5, .waiting = 17 };

	(void)snprintf(f.generation, sizeof(f.generation), "a\"b\\c#1");
	run(&f);
}

/* ---- what an operator counts ---- */

static void
script_counts(struct fake *f, const struct follow *to)
{
	struct error err = ERROR_INIT;
	char metrics[96];

	(void)snprintf(metrics, sizeof(metrics), "%s/metrics", f->dir);
	for (unsigned i = 0; i < 3; i++) {
		tell(f, to, FOLLOW_PROTECTED, "");
		tell(f, to, FOLLOW_PROTECTED, "");
		tell(f, to, FOLLOW_HOLE, "change 7 is missing");
	}
	tell(f, to, FOLLOW_PROTECTED, "");
	assert_int_equal(f->seen.entered[FOLLOW_PROTECTED], 4);
	assert_int_equal(f->seen.entered[FOLLOW_HOLE], 3);
	assert_string_equal(f->seen.trouble, "hole: change 7 is missing");
	assert_true(f->seen.trouble_at.sec != 0);
	check_file(metrics, "coffer_follow_state_changes_total{source=\"g\","
			    "state=\"hole\"} 3\n");
	check_file(metrics,
		"# TYPE coffer_follow_state_changes_total counter\n");
	/* Those who do not hear of it change nothing, but are counted. */
	f->deaf = true;
	f->last = 1;
	must(to->seal(to->arg, &err), &err);
	tell(f, to, FOLLOW_PROTECTED, "");
	tell(f, to, FOLLOW_PROTECTED, "");
	assert_int_equal(f->seen.untold, 1);
	assert_int_equal(f->seen.seals, 1);
	check_file(metrics, "coffer_follow_untold_total{source=\"g\"} 1\n");
}

static void
test_counts(void **state)
{
	struct fake f = { .script = script_counts };

	(void)snprintf(f.generation, sizeof(f.generation), "g");
	run(&f);
}

/* ---- one process after the other ---- */

static void
script_unsealed(struct fake *f, const struct follow *to)
{
	struct when now = when_now(), before;
	struct error err = ERROR_INIT;

	f->waiting = 0;
	tell(f, to, FOLLOW_PROTECTED, "");
	assert_true(follow_unsealed(&f->seen, &now) == 0);
	(void)usleep(300000);
	/* What waits does so from now on, however long ago the last sealing
	 * was; and while it goes on waiting, since then. */
	f->waiting = 17;
	before = when_now();
	tell(f, to, FOLLOW_PROTECTED, "");
	assert_true(when_cmp(&f->seen.unsealed_since, &before) >= 0);
	(void)usleep(300000);
	tell(f, to, FOLLOW_PROTECTED, "");
	now = when_now();
	assert_true(follow_unsealed(&f->seen, &now) > 0.2);
	f->last = 1;
	before = when_now();
	must(to->seal(to->arg, &err), &err);
	tell(f, to, FOLLOW_HOLE, "because");
	assert_true(when_cmp(&f->seen.unsealed_since, &before) >= 0);
	assert_true(follow_is_running(f->dir));
	(void)usleep(300000);
}

static void
script_after(struct fake *f, const struct follow *to)
{
	struct when now;

	tell(f, to, FOLLOW_CONNECTING, "");
	now = when_now();
	assert_true(follow_unsealed(&f->seen, &now) > 0.2);
	assert_true(follow_rpo(&f->seen, &now) > 0.2);
	assert_string_equal(f->seen.trouble, "hole: because");
	assert_int_equal(f->seen.seals, 0);
}

static void
test_goes_on(void **state)
{
	struct fake f = { .script = script_unsealed, .keep = true };

	(void)snprintf(f.generation, sizeof(f.generation), "g");
	run(&f);
	assert_false(follow_is_running(f.dir));
	f.script = script_after;
	f.keep = false;
	run(&f);
}

/* The lock tells who lives: neither a file that was left, nor a process that
 * has got the number of the one that died. */
static void
test_killed(void **state)
{
	char dir[] = "/tmp/coffer-follow-XXXXXX", path[64];
	struct follow_state s = { .health = FOLLOW_PROTECTED };
	struct error err = ERROR_INIT;
	struct follow_status st = { .state = s };
	int fd = -1, ready[2], status;
	char c;
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(pipe(ready), 0);
	assert_false(follow_is_running(dir));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)snprintf(st.state.dir, sizeof(st.state.dir), "%s", dir);
		if (follow_files_lock(&fd, dir, &err) != ERR_OK ||
			follow_files_status(&st, &err) != ERR_OK ||
			write(ready[1], "x", 1) != 1)
			_exit(1);
		(void)pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	/* Looking takes nothing away. */
	for (unsigned i = 0; i < 3; i++)
		assert_true(follow_is_running(dir));
	assert_int_not_equal(follow_files_lock(&fd, dir, &err), ERR_OK);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(follow_is_running(dir));
	for (unsigned i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/status.%s", dir,
			i == 0 ? "json" : "lock");
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(dir), 0);
	(void)close(ready[0]);
	(void)close(ready[1]);
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

/* Amid a session: chunks are named that are not stored then. */
static void
script_packless(struct fake *f, const struct follow *to)
{
	struct error err = ERROR_INIT;

	f->last = 1;
	must(to->seal(to->arg, &err), &err);
	f->last = 2;
	f->stop = true; /* so that each is tried at once */
	f->packless = true;
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(to->seal(to->arg, &err), ERR_IO);
		tell(f, to, FOLLOW_PROTECTED, "");
		assert_int_equal(f->seen.failures, i);
	}
	f->packless = false;
	err = ERROR_INIT;
	must(to->seal(to->arg, &err), &err);
	tell(f, to, FOLLOW_PROTECTED, "");
	assert_int_equal(f->seen.seals, 2);
}

static void
test_packless(void **state)
{
	struct fake f = { .script = script_packless };

	(void)snprintf(f.generation, sizeof(f.generation), "g");
	run(&f);
}

/* ---- many of them ---- */

/* CPU seconds of this process. */
static double
cpu(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned
descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}

struct cost {
	uint64_t ops;
	double sec; /* of the quickest one */
	unsigned fds;
};

static struct cost
seal_some(struct fake *f, const struct follow *to, unsigned n)
{
	struct error err = ERROR_INIT;
	uint64_t before = store_fault_count(f->store);
	struct cost c = { .sec = 1e9 };

	for (unsigned i = 0; i < n; i++) {
		double sec = cpu();

		f->last++;
		must(to->seal(to->arg, &err), &err);
		sec = cpu() - sec;
		c.sec = sec < c.sec ? sec : c.sec;
	}
	c.ops = store_fault_count(f->store) - before;
	c.fds = descriptors();
	return c;
}

static void
script_many(struct fake *f, const struct follow *to)
{
	struct cost early, late;

	(void)seal_some(f, to, SOME);
	f->lists = 0;
	early = seal_some(f, to, SOME);
	(void)seal_some(f, to, SEALS - 3 * SOME);
	late = seal_some(f, to, SOME);
	print_message("%u sealings: %u operations, %.4f s each; later %u, %.4f "
		      "s\n",
		SOME, (unsigned)early.ops, early.sec, (unsigned)late.ops,
		late.sec);
	assert_true(late.ops <= early.ops + 8);
	assert_true(late.fds <= early.fds + 8);
	assert_true(late.sec < early.sec * 4);
	assert_int_equal(f->lists, 0);
}

/* A sealing costs the same however many there were. */
static void
test_many(void **state)
{
	struct fake f = { .script = script_many };

	(void)snprintf(f.generation, sizeof(f.generation), "g");
	run(&f);
}

/* ---- a full disk ---- */

static void
fill(const char *dir)
{
	static const char some[512];
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/rest", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, some, sizeof(some)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	(void)close(fd);
}

/* In a mount of its own, or not at all. */
static bool
mount_small(const char *dir)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", dir, "tmpfs", 0, "size=32k") == 0;
}

/* What is told is told there, too: shorter and longer than it was. */
static void
tell_full(const char *dir)
{
	struct follow_status st = { .state = { .last = 1 } }, got;
	char path[128];
	struct error err = ERROR_INIT;

	(void)snprintf(st.state.dir, sizeof(st.state.dir), "%s", dir);
	(void)snprintf(path, sizeof(path), "%s/status.json", dir);
	must(follow_files_status(&st, &err), &err);
	fill(dir);
	for (unsigned i = 2; i < 6; i++) {
		st.state.last = i;
		memset(st.problem, 'p', i % 2 * 100);
		st.problem[i % 2 * 100] = '\0';
		must(follow_files_status(&st, &err), &err);
		must(follow_load(path, &got, &err), &err);
		assert_int_equal(got.state.last, i);
		assert_string_equal(got.problem, st.problem);
	}
}

static void
test_full_disk(void **state)
{
	char dir[] = "/var/tmp/coffer-follow-XXXXXX";
	int status;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(dir));
	pid = fork();
	if (pid == 0) {
		if (!mount_small(dir))
			_exit(77);
		tell_full(dir);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)rmdir(dir);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		print_message("left out: nothing can be mounted here\n");
	else
		assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_goes_on),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_away),
		cmocka_unit_test(test_packless),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
