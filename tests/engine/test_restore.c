/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was backed up comes back, with everything that a file system can hold,
 * as root and as an ordinary user, whole and in parts, to nothing and over
 * what another tree has left there.
 */
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store_fault.h"
#include "tests/engine/rig.h"
#include "tests/lib/scale.h"

enum { NOBODY = 65534 };

static bool
is_root(void)
{
	return geteuid() == 0;
}

/* ---- whole trees ---- */

static void
test_nasty_tree(void **state)
{
	struct restore_conf conf = { .verify = true };
	struct restore_result res;
	struct snapshot snap;
	const char *from;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	from = rig_path(&w, "from");
	fs_tree_nasty(from, 1);
	rig_backup(&w, from, &snap);
	conf.target = rig_path(&w, "to");
	conf.subpath = from;
	res = rig_restore_ok(&w, &snap, &conf);
	rig_equal(from, conf.target, 0);
	assert_int_equal(w.n_notes, 0);
	assert_true(res.verified > 30);
	assert_int_equal(res.entries_same, 0);
	/* The socket and the FIFO lie beside what is restored; over itself it
	 * comes out the same, immutable files included. */
	(void)rig_restore_ok(&w, &snap, &conf);
	rig_equal(from, conf.target, 0);
	conf.overwrite = OVERWRITE_IF_CHANGED;
	conf.delta = true;
	res = rig_restore_ok(&w, &snap, &conf);
	rig_equal(from, conf.target, 0);
	assert_int_equal(res.bytes_written, 0);
	assert_int_equal(res.files, 0);
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* At its full path, with the directories above it. */
static void
test_full_path(void **state)
{
	struct restore_conf conf = { 0 };
	struct stat before, after;
	struct snapshot snap;
	char path[600];
	const char *from;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	from = rig_path(&w, "from");
	fs_tree_random(from, 3, 10);
	rig_backup(&w, from, &snap);
	conf.target = rig_path(&w, "to");
	assert_int_equal(mkdir(conf.target, 0700), 0);
	assert_int_equal(stat(conf.target, &before), 0);
	(void)rig_restore_ok(&w, &snap, &conf);
	(void)snprintf(path, sizeof(path), "%s%s", conf.target, from);
	rig_equal(from, path, 0);
	/* "/" was above what was backed up: the target is not made to it. */
	assert_int_equal(stat(conf.target, &after), 0);
	assert_int_equal(before.st_mode, after.st_mode);
	snapshot_fini(&snap);
	rig_fini(&w);
}

static void
as_nobody(struct rig *w, const char *from, const struct snapshot *snap)
{
	struct restore_conf conf = { .subpath = from };
	struct restore_result res;
	struct snapshot own;

	assert_int_equal(setgroups(0, NULL), 0);
	assert_int_equal(setgid(NOBODY), 0);
	assert_int_equal(setuid(NOBODY), 0);
	/* What root has backed up, as far as it goes. */
	conf.target = rig_path(w, "shared/roots");
	res = rig_restore_ok(w, snap, &conf);
	rig_equal(from, conf.target,
		FS_NO_OWNER | FS_NO_DEVICES | FS_NO_TRUSTED);
	assert_true(res.entries > 30);
	/* Owner, set-ID, attributes, flags, devices: each told once. */
	assert_non_null(strstr(w->notes, "owner or group: "));
	assert_non_null(strstr(w->notes, "device files: "));
	assert_true(w->n_notes >= 3 && w->n_notes <= 6);
	/* And what is his own. */
	snapshot_init(&own);
	conf.subpath = rig_path(w, "shared/mine");
	fs_tree_nasty(conf.subpath, 2);
	rig_backup(w, conf.subpath, &own);
	conf.target = rig_path(w, "shared/mine-back");
	conf.verify = true;
	(void)rig_restore_ok(w, &own, &conf);
	rig_equal(conf.subpath, conf.target, 0);
	assert_int_equal(w->n_notes, 0);
	(void)rig_restore_ok(w, &own, &conf);
	rig_equal(conf.subpath, conf.target, 0);
	snapshot_fini(&own);
}

/* So that a failed assertion in a child is one of the parent. */
static void
in_child(void (*fn)(struct rig *, const char *, const struct snapshot *),
	struct rig *w, const char *from, const struct snapshot *snap)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(600);
		(void)setenv("CMOCKA_TEST_ABORT", "1", 1);
		fn(w, from, snap);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
test_ordinary_user(void **state)
{
	struct snapshot snap;
	const char *from;
	struct rig w;

	if (!is_root())
		skip();
	rig_init(&w);
	snapshot_init(&snap);
	assert_int_equal(chmod(w.dir, 0755), 0);
	from = rig_path(&w, "from");
	fs_tree_nasty(from, 1);
	/* What he may not read cannot be compared by him. */
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(chmod(rig_path(&w, i == 0 ? "from/closed"
							   : "from/setgid"),
					 i == 0 ? 0505 : 0775),
			0);
	assert_int_equal(unlink(rig_path(&w, "from/mode-0")), 0);
	assert_int_equal(unlink(rig_path(&w, "from/mode-400")), 0);
	assert_int_equal(unlink(rig_path(&w, "from/mode-6711")), 0);
	assert_int_equal(unlink(rig_path(&w, "from/sparse")), 0);
	assert_int_equal(unlink(rig_path(&w, "from/attributes")), 0);
	assert_int_equal(unlink(rig_path(&w, "from/readonly-attributes")), 0);
	rig_backup(&w, from, &snap);
	assert_int_equal(mkdir(rig_path(&w, "shared"), 0777), 0);
	assert_int_equal(chmod(rig_path(&w, "shared"), 0777), 0);
	in_child(as_nobody, &w, from, &snap);
	snapshot_fini(&snap);
	rig_fini(&w);
}

static void
test_deep(void **state)
{
	struct restore_conf conf = { 0 };
	struct snapshot snap;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	conf.subpath = rig_path(&w, "from");
	fs_tree_deep(conf.subpath, 500);
	rig_backup(&w, conf.subpath, &snap);
	conf.target = rig_path(&w, "to");
	conf.verify = true;
	(void)rig_restore_ok(&w, &snap, &conf);
	rig_equal(conf.subpath, conf.target, 0);
	/* In the way of a file, all of it can be removed again. */
	snapshot_fini(&snap);
	snapshot_init(&snap);
	fs_tree_remove(conf.subpath);
	assert_int_equal(mkdir(conf.subpath, 0755), 0);
	rig_backup(&w, conf.subpath, &snap);
	conf.delete = true;
	(void)rig_restore_ok(&w, &snap, &conf);
	rig_equal(conf.subpath, conf.target, 0);
	snapshot_fini(&snap);
	rig_fini(&w);
}

static void
test_large_directory(void **state)
{
	struct restore_conf conf = { 0 };
	uint64_t n = test_scale(100000);
	struct restore_result res;
	struct snapshot snap;
	char name[128];
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	conf.subpath = rig_path(&w, "from");
	assert_int_equal(mkdir(conf.subpath, 0755), 0);
	for (uint64_t i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "%s/%llx", conf.subpath,
			(unsigned long long)(i * 0x9e3779b97f4a7c15u));
		fs_write(name, name, i % 90);
	}
	rig_backup(&w, conf.subpath, &snap);
	conf.target = rig_path(&w, "to");
	res = rig_restore_ok(&w, &snap, &conf);
	assert_int_equal(res.files, n);
	rig_equal(conf.subpath, conf.target, 0);
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* ---- what it costs ---- */

static enum fault
count_packs(void *arg, uint64_t n, enum store_op op, const char *name)
{
	_Atomic unsigned *gets = arg;

	*gets += op == STORE_GET && strncmp(name, "packs/", 6) == 0;
	return FAULT_NONE;
}

/*
 * After incremental backups neighbours lie in old and new chunks by turns.
 * Each chunk is fetched once all the same: reads are as many as chunks and
 * nodes, not as many as changes from one to another.
 */
static void
test_interleaved(void **state)
{
	enum { N = 2000, LEN = 3000, TURNS = N / 7 };
	_Atomic unsigned gets = 0;
	struct fault_plan plan = { count_packs, &gets, ERR_IO };
	struct restore_conf conf = { 0 };
	struct error err = ERROR_INIT;
	struct snapshot snap;
	char name[128];
	struct rig w;

	rig_init(&w);
	repo_close(w.repo);
	must(store_fault_new(&w.st, w.st, &plan, &err), &err);
	w.repo = tool_open(w.st, TOOL_PASS);
	conf.subpath = rig_path(&w, "from");
	conf.target = rig_path(&w, "to");
	assert_int_equal(mkdir(conf.subpath, 0755), 0);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = round; i<N; i += round> 0 ? 7 : 1) {
			(void)snprintf(name, sizeof(name), "%s/%04u",
				conf.subpath, i);
			fs_write_random(name, 2 * (i + N * round) + 1, LEN);
		}
		snapshot_init(&snap);
		rig_backup(&w, conf.subpath, &snap);
		if (round < 2)
			snapshot_fini(&snap);
	}
	gets = 0;
	(void)rig_restore_ok(&w, &snap, &conf);
	rig_equal(conf.subpath, conf.target, 0);
	print_message("%u reads\n", gets);
	assert_true(gets < TURNS / 2);
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* ---- over another tree ---- */

/*
 * Whatever stands there, a restore with --delete makes it what was backed up;
 * with any overwriting that is allowed to change what differs.
 */
static void
test_over_another(void **state)
{
	uint64_t rounds = test_scale(40);
	uint64_t seed = 20261121;

	print_message("seeds from %llu\n", (unsigned long long)seed);
	for (uint64_t i = 0; i < rounds; i++) {
		struct restore_conf conf = { .delete = true,
			.delta = i % 2 == 0,
			.verify = i % 3 == 0,
			.overwrite = OVERWRITE_ALWAYS };
		struct snapshot snap;
		struct rig w;

		rig_init(&w);
		snapshot_init(&snap);
		conf.subpath = rig_path(&w, "from");
		conf.target = rig_path(&w, "to");
		fs_tree_random(conf.subpath, seed + i, 8);
		fs_tree_random(conf.target, seed + i + 1000, 8);
		rig_backup(&w, conf.subpath, &snap);
		(void)rig_restore_ok(&w, &snap, &conf);
		rig_equal(conf.subpath, conf.target, 0);
		snapshot_fini(&snap);
		rig_fini(&w);
	}
}

/* ---- parts ---- */

static struct patterns *
rules(const char *a, const char *b)
{
	struct error err = ERROR_INIT;
	struct patterns *p;

	must(patterns_new(&p, &err), &err);
	must(patterns_add(p, a, &err), &err);
	if (b != NULL)
		must(patterns_add(p, b, &err), &err);
	return p;
}

static bool
exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void
make_parts(struct rig *w, struct snapshot *snap)
{
	static const char *const dirs[] = { "from", "from/a", "from/a/x",
		"from/b", "from/b/y", "from/c" };
	static const char *const files[] = { "from/a/one.c", "from/a/x/two.c",
		"from/a/x/two.o", "from/b/y/three.o", "from/c/four.txt" };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		assert_int_equal(mkdir(rig_path(w, dirs[i]), 0755), 0);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		fs_write_random(rig_path(w, files[i]), i, 1000 + i);
	assert_int_equal(link(rig_path(w, "from/a/one.c"),
				 rig_path(w, "from/b/one-too.c")),
		0);
	assert_int_equal(link(rig_path(w, "from/a/one.c"),
				 rig_path(w, "from/b/y/one-three.c")),
		0);
	assert_int_equal(link(rig_path(w, "from/a/one.c"),
				 rig_path(w, "from/c/one-four.c")),
		0);
	rig_backup(w, rig_path(w, "from"), snap);
}

static void
test_include_exclude(void **state)
{
	struct patterns *in = rules("*.c", NULL), *out = rules("x/", "y");
	struct restore_conf conf = { .include = in };
	struct snapshot snap;
	struct stat a, b;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	make_parts(&w, &snap);
	conf.subpath = rig_path(&w, "from");
	conf.target = rig_path(&w, "in");
	(void)rig_restore_ok(&w, &snap, &conf);
	assert_true(exists(rig_path(&w, "in/a/one.c")));
	assert_true(exists(rig_path(&w, "in/a/x/two.c")));
	assert_false(exists(rig_path(&w, "in/a/x/two.o")));
	assert_false(exists(rig_path(&w, "in/c/four.txt")));
	assert_true(exists(rig_path(&w, "in/b/y/one-three.c")));
	assert_false(exists(rig_path(&w, "in/b/y/three.o")));
	/* Directories that lead there have what is theirs. */
	assert_int_equal(stat(rig_path(&w, "from/a/x"), &a), 0);
	assert_int_equal(stat(rig_path(&w, "in/a/x"), &b), 0);
	assert_int_equal(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
	conf.include = NULL;
	conf.exclude = out;
	conf.target = rig_path(&w, "out");
	(void)rig_restore_ok(&w, &snap, &conf);
	assert_false(exists(rig_path(&w, "out/a/x")));
	assert_true(exists(rig_path(&w, "out/b/one-too.c")));
	assert_false(exists(rig_path(&w, "out/b/y")));
	assert_true(exists(rig_path(&w, "out/c/four.txt")));
	/* What is excluded is not deleted either. */
	fs_write(rig_path(&w, "out/y"), "mine", 4);
	fs_write(rig_path(&w, "out/z"), "gone", 4);
	assert_int_equal(mkdir(rig_path(&w, "out/d"), 0700), 0);
	assert_int_equal(mkdir(rig_path(&w, "out/d/x"), 0700), 0);
	fs_write(rig_path(&w, "out/d/x/k"), "mine", 4);
	fs_write(rig_path(&w, "out/d/g"), "gone", 4);
	conf.delete = true;
	assert_int_equal(rig_restore_ok(&w, &snap, &conf).deleted, 3);
	assert_true(exists(rig_path(&w, "out/y")));
	assert_false(exists(rig_path(&w, "out/z")));
	assert_true(exists(rig_path(&w, "out/d/x/k")));
	assert_false(exists(rig_path(&w, "out/d/g")));
	patterns_free(in);
	patterns_free(out);
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* Names whose first one is not restored are one file nevertheless. */
static void
test_subpaths(void **state)
{
	struct restore_conf conf = { 0 };
	struct restore_result res;
	struct error err = ERROR_INIT;
	struct snapshot snap;
	struct stat a, b;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	make_parts(&w, &snap);
	conf.subpath = rig_path(&w, "from/b");
	conf.target = rig_path(&w, "b");
	conf.verify = true;
	(void)rig_restore_ok(&w, &snap, &conf);
	assert_int_equal(stat(rig_path(&w, "b/one-too.c"), &a), 0);
	assert_int_equal(stat(rig_path(&w, "b/y/one-three.c"), &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(a.st_size, 1000);
	assert_int_equal(a.st_nlink, 2);
	/* One file, into the target. */
	conf.subpath = rig_path(&w, "from/c/one-four.c");
	conf.target = rig_path(&w, "file");
	(void)rig_restore_ok(&w, &snap, &conf);
	assert_int_equal(stat(rig_path(&w, "file/one-four.c"), &a), 0);
	assert_int_equal(a.st_size, 1000);
	conf.subpath = rig_path(&w, "from/nothing");
	must_fail(rig_restore(&w, &snap, &conf, &res, &err), ERR_NOTFOUND, &err,
		"from/nothing");
	snapshot_fini(&snap);
	rig_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nasty_tree),
		cmocka_unit_test(test_full_path),
		cmocka_unit_test(test_ordinary_user),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_large_directory),
		cmocka_unit_test(test_interleaved),
		cmocka_unit_test(test_over_another),
		cmocka_unit_test(test_include_exclude),
		cmocka_unit_test(test_subpaths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
