/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of a MooseFS master against a real one: what it tells is, byte
 * for byte, what the master has in its own files.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/time.h"
#include "system/mfs_master.h"
#include "tests/lib/must.h"

enum {
	PORT = 9500,
	FILE_MAX = 1 << 28,
	WORDS_MAX = 12,
	OPS = 60000,
	WAIT_SEC = 200,
	TRIES = 5,
	HOUR_SEC = 3600,
	FIRST_HOUR = 9,
	DAY = 1795219200 /* 2026-11-21, UTC */
};

struct world {
	char dir[64];
	struct mfs_master *m;
	struct mfs_connect_conf conf;
	struct error err;
	struct buf hours[4]; /* lines received, by rotation */
	size_t hour;
	uint64_t first, last, n_changes, n_jumps;
	struct buf file;
	bool exists, ended;
};

static struct world w;

static enum err
on_change(void *arg, uint64_t id, const char *text, size_t len,
	struct error *err)
{
	char number[24];
	enum err rc;

	(void)arg;
	w.n_jumps += w.n_changes > 0 && id != w.last + 1;
	if (w.n_changes++ == 0)
		w.first = id;
	w.last = id;
	(void)snprintf(number, sizeof(number),
		"%llu: ", (unsigned long long)id);
	rc = buf_put(&w.hours[w.hour], number, strlen(number), err);
	if (rc == ERR_OK)
		rc = buf_put(&w.hours[w.hour], text, len, err);
	return rc == ERR_OK ? buf_put(&w.hours[w.hour], "\n", 1, err) : rc;
}

static enum err
on_rotate(void *arg, struct error *err)
{
	(void)arg;
	(void)err;
	assert_true(w.hour + 1 < ARRAY_LEN(w.hours));
	w.hour++;
	return ERR_OK;
}

static enum err
on_begin(void *arg, enum mfs_file file, bool exists, uint64_t size,
	struct error *err)
{
	(void)arg;
	(void)file;
	(void)size;
	(void)err;
	w.exists = exists;
	w.ended = false;
	buf_clear(&w.file);
	return ERR_OK;
}

static enum err
on_data(void *arg, enum mfs_file file, uint64_t off, const void *data,
	size_t len, struct error *err)
{
	(void)arg;
	(void)file;
	assert_int_equal(off, w.file.len);
	return buf_put(&w.file, data, len, err);
}

static enum err
on_end(void *arg, enum mfs_file file, struct error *err)
{
	(void)arg;
	(void)file;
	(void)err;
	w.ended = true;
	return ERR_OK;
}

/* A program, NULL at the end of its words. */
static void
begin(struct child *c, ...)
{
	char *argv[WORDS_MAX];
	size_t n = 0;
	va_list words;

	va_start(words, c);
	do {
		assert_true(n < WORDS_MAX);
		argv[n] = va_arg(words, char *);
	} while (argv[n++] != NULL);
	va_end(words);
	must(child_start(c, argv, &w.err), &w.err);
}

static void
finish(struct child *c)
{
	char text[256];

	while (read(c->out_fd, text, sizeof(text)) > 0)
		;
	must(child_wait(c, &w.err), &w.err);
}

/* The master's clock: so long before the end of that hour of a day. */
static void
set_clock(unsigned hour, unsigned before)
{
	long at = DAY + (long)(hour + 1) * HOUR_SEC - (long)before;
	char path[128], tmp[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/clock", w.dir);
	(void)snprintf(tmp, sizeof(tmp), "%s/clock.new", w.dir);
	f = fopen(tmp, "we");
	assert_non_null(f);
	fprintf(f, "%+ld\n", at - (long)time(NULL));
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(tmp, path), 0);
}

/* Where its clock leaps over hours it remembers what was before. */
static void
up(void)
{
	struct child c;
	char port[8];

	(void)snprintf(port, sizeof(port), "%d", PORT);
	begin(&c, MFS_UP, w.dir, port, "--clock", "--keep", "15000", NULL);
	finish(&c);
}

static void
down(const char *signal)
{
	struct child c;

	(void)setenv("SIGNAL", signal, 1);
	begin(&c, MFS_DOWN, w.dir, NULL);
	finish(&c);
}

static void
begin_ops(struct child *c, const char *dir, const char *count)
{
	char port[8];

	(void)snprintf(port, sizeof(port), "%d", PORT + 2);
	begin(c, MFSOPS, "127.0.0.1", port, dir, count, NULL);
}

static void
forget_lines(void)
{
	for (size_t i = 0; i < ARRAY_LEN(w.hours); i++)
		buf_clear(&w.hours[i]);
	w.hour = 0;
	w.first = w.last = w.n_changes = w.n_jumps = 0;
}

static void
connect_again(void)
{
	mfs_close(w.m);
	w.m = NULL;
	forget_lines();
	must(mfs_connect(&w.m, &w.conf, &w.err), &w.err);
}

static enum err
step_for(double sec)
{
	double end = mono_sec() + sec;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && mono_sec() < end)
		rc = mfs_step(w.m, 20, &w.err);
	return rc;
}

static void
ops(const char *dir, const char *count)
{
	struct child c;

	begin_ops(&c, dir, count);
	finish(&c);
}

static void
until_changes(uint64_t n)
{
	double end = mono_sec() + WAIT_SEC;

	while (w.n_changes < n && mono_sec() < end)
		must(mfs_step(w.m, 100, &w.err), &w.err);
	assert_true(w.n_changes >= n);
}

/* Changes until some arrive: it may not have registered us before the first
 * ones. */
static void
ops_that_arrive(const char *dir)
{
	uint64_t n = w.n_changes + 8;

	for (int i = 0; i < TRIES && w.n_changes < n; i++) {
		ops(dir, "8");
		must(step_for(0.5), &w.err);
	}
	assert_true(w.n_changes >= n);
}

/* A file of the master's. */
static void
load(struct buf *out, const char *name)
{
	char path[128], part[65536];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/data/%s", w.dir, name);
	buf_clear(out);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	while ((n = read(fd, part, sizeof(part))) > 0)
		must(buf_put(out, part, (size_t)n, &w.err), &w.err);
	(void)close(fd);
}

/* Those of us and the master's, which another process of it writes. */
static void
same_as(const char *name, const struct buf *got)
{
	struct buf want = BUF_INIT(FILE_MAX);
	double end = mono_sec() + WAIT_SEC;

	do {
		must(mfs_step(w.m, 20, &w.err), &w.err);
		load(&want, name);
	} while (want.len != got->len && mono_sec() < end);
	assert_int_equal(want.len, got->len);
	assert_memory_equal(want.data, got->data, got->len);
	buf_fini(&want);
}

static void
fetch(enum mfs_file file)
{
	enum err rc = mfs_fetch(w.m, file, &w.err);

	while (rc == ERR_OK && mfs_is_fetching(w.m))
		rc = mfs_step(w.m, 100, &w.err);
	must(rc, &w.err);
	assert_true(w.exists && w.ended);
}

/* A file of which there may be more, or another one, a moment later. */
static void
fetch_same(enum mfs_file file, const char *name)
{
	struct buf want = BUF_INIT(FILE_MAX);
	double end = mono_sec() + WAIT_SEC;

	do {
		connect_again();
		fetch(MFS_IMAGE);
		if (file != MFS_IMAGE)
			fetch(file);
		load(&want, name);
	} while ((want.len != w.file.len ||
			 memcmp(want.data, w.file.data, want.len) != 0) &&
		 mono_sec() < end);
	assert_int_equal(want.len, w.file.len);
	assert_memory_equal(want.data, w.file.data, want.len);
	buf_fini(&want);
}

static double
cpu_sec(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

/* Before the first save of a new file system: only its eight bytes, and the
 * log from the beginning. */
static void
new_file_system(void **state)
{
	uint32_t version = 0;

	(void)state;
	must(mfs_version(&w.conf, &version, &w.err), &w.err);
	assert_int_equal(version, 0x00030075);
	connect_again();
	fetch(MFS_IMAGE);
	assert_int_equal(w.file.len, 8);
	assert_memory_equal(w.file.data, "MFSM NEW", 8);
	fetch(MFS_LOG_PREVIOUS);
	assert_int_equal(w.file.len, 0);
	fetch_same(MFS_LOG_CURRENT, "changelog.0.mfs");
}

/* Two clients make changes, and the hour ends among them. */
static void
live_lines(void **state)
{
	static const unsigned seconds[] = { 3, 20, 60 };
	struct child a, b;
	char half[16];
	double before = cpu_sec();

	(void)state;
	connect_again();
	must(mfs_register(w.m, 1, &w.err), &w.err);
	(void)snprintf(half, sizeof(half), "%d", OPS / 2);
	begin_ops(&a, "/a", half);
	begin_ops(&b, "/b", half);
	until_changes(OPS / 10);
	/* Where it finds itself behind the end, at the next one. */
	for (unsigned i = 0; i < ARRAY_LEN(seconds) && w.hour == 0; i++) {
		double end = mono_sec() + seconds[i] + 60;

		set_clock(FIRST_HOUR + i, seconds[i]);
		while (w.hour == 0 && mono_sec() < end)
			must(mfs_step(w.m, 100, &w.err), &w.err);
	}
	until_changes(OPS);
	finish(&a);
	finish(&b);
	print_message("live: %llu lines, %.3f s of CPU for 100,000\n",
		(unsigned long long)w.n_changes,
		(cpu_sec() - before) / (double)w.n_changes * 100000);
	assert_true(w.n_changes >= OPS);
	assert_int_equal(w.first, 1);
	assert_int_equal(w.n_jumps, 0);
	assert_int_equal(w.hour, 1);
	same_as("changelog.1.mfs", &w.hours[0]);
	same_as("changelog.0.mfs", &w.hours[1]);
}

/* It saves its image for a while. */
static void
downloads(void **state)
{
	double end = mono_sec() + WAIT_SEC;

	(void)state;
	do
		fetch_same(MFS_IMAGE, "metadata.mfs.back");
	while (memcmp(w.file.data, "MFSM 2.0", 8) != 0 && mono_sec() < end);
	assert_memory_equal(w.file.data, "MFSM 2.0", 8);
	fetch_same(MFS_LOG_PREVIOUS, "changelog.1.mfs");
	fetch_same(MFS_LOG_CURRENT, "changelog.0.mfs");
}

/* More than the master gives in one go, and a rotation among them. */
static void
replayed(void **state)
{
	double before;

	(void)state;
	connect_again();
	before = cpu_sec();
	must(mfs_register(w.m, 3, &w.err), &w.err);
	until_changes(OPS - 2);
	print_message("replay: %llu lines, %.3f s of CPU for 100,000\n",
		(unsigned long long)w.n_changes,
		(cpu_sec() - before) / (double)w.n_changes * 100000);
	assert_int_equal(w.first, 3);
	assert_int_equal(w.n_jumps, 0);
}

/* What a master does not remember it does not say; live lines come. */
static void
wrong_since(void **state)
{
	static const uint64_t wrong[] = { 10000000, UINT64_MAX };
	uint64_t newest = w.last;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		connect_again();
		must(mfs_register(w.m, wrong[i], &w.err), &w.err);
		ops_that_arrive("/c");
		assert_true(w.first > newest && w.last < wrong[i]);
		newest = w.last;
	}
}

/* Nothing is said for longer than the timeout, by either side; where the
 * machine stands still for as long, that tells nothing. */
static void
quiet(void **state)
{
	enum err rc = ERR_AGAIN;

	(void)state;
	w.conf.timeout_sec = 4;
	for (int i = 0; i < TRIES && rc == ERR_AGAIN; i++) {
		connect_again();
		rc = step_for(6);
		if (rc == ERR_OK)
			rc = mfs_register(w.m, 0, &w.err);
		if (rc == ERR_OK)
			rc = step_for(6.5);
	}
	must(rc, &w.err);
	w.conf.timeout_sec = WAIT_SEC;
	connect_again();
	must(mfs_register(w.m, 0, &w.err), &w.err);
	ops_that_arrive("/d");
}

/* The connection ends; a new one goes on behind the last line. */
static void
back_again(const char *signal)
{
	uint64_t last;

	connect_again();
	must(mfs_register(w.m, 0, &w.err), &w.err);
	ops_that_arrive("/e");
	down(signal);
	/* It may have written its last words. */
	must_fail(step_for(WAIT_SEC), ERR_AGAIN, &w.err,
		"master 127.0.0.1:9500");
	last = w.last;
	must_fail(mfs_connect(&w.m, &w.conf, &w.err), ERR_AGAIN, &w.err,
		"cannot connect to 127.0.0.1, port 9500");
	up();
	connect_again();
	must(mfs_register(w.m, last + 1, &w.err), &w.err);
	ops("/e", "40");
	until_changes(40);
	assert_int_equal(w.first, last + 1);
	assert_int_equal(w.n_jumps, 0);
	/* Older than its memory, which began at its start. */
	last = w.last;
	connect_again();
	must(mfs_register(w.m, 2, &w.err), &w.err);
	ops_that_arrive("/e");
	assert_true(w.first > last);
}

static void
restarted(void **state)
{
	(void)state;
	back_again("TERM");
}

static void
killed(void **state)
{
	(void)state;
	back_again("KILL");
}

static int
start(void **state)
{
	(void)state;
	w.conf = (struct mfs_connect_conf){ .host = "127.0.0.1",
		.port = PORT,
		.timeout_sec = WAIT_SEC,
		.events = { NULL, on_change, on_rotate, on_begin, on_data,
			on_end } };
	for (size_t i = 0; i < ARRAY_LEN(w.hours); i++)
		buf_init(&w.hours[i], FILE_MAX);
	buf_init(&w.file, FILE_MAX);
	(void)snprintf(w.dir, sizeof(w.dir), "/tmp/coffer-lab-XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	set_clock(FIRST_HOUR, HOUR_SEC / 2);
	up();
	return 0;
}

static int
stop(void **state)
{
	struct child c;

	(void)state;
	mfs_close(w.m);
	down("KILL");
	begin(&c, "rm", "-rf", w.dir, NULL);
	finish(&c);
	for (size_t i = 0; i < ARRAY_LEN(w.hours); i++)
		buf_fini(&w.hours[i]);
	buf_fini(&w.file);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_file_system),
		cmocka_unit_test(live_lines),
		cmocka_unit_test(downloads),
		cmocka_unit_test(replayed),
		cmocka_unit_test(wrong_since),
		cmocka_unit_test(quiet),
		cmocka_unit_test(restarted),
		cmocka_unit_test(killed),
	};

	if (access("/usr/sbin/mfsmaster", X_OK) != 0) {
		puts("moosefs-master is not installed");
		return 77;
	}
	return cmocka_run_group_tests(tests, start, stop);
}
