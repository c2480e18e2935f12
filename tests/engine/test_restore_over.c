/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of things that stand there already: each way of overwriting,
 * deltas, deletion and its limits, reading back, dry runs, a full disk, an
 * interruption.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/engine/rig.h"
#include "tests/lib/scale.h"

enum { MIB = 1 << 20 };

static void
set_mtime(const char *path, time_t sec)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { sec, 5 } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW),
		0);
}

static bool
holds(const char *path, const char *text)
{
	char have[64] = "";
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, have, sizeof(have) - 1);
	(void)close(fd);
	return n >= 0 && strcmp(have, text) == 0;
}

static bool
exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* ---- overwriting ---- */

struct over {
	enum overwrite when;
	bool same_stamp, older, newer; /* is each of them overwritten? */
};

/* Three files that differ from the snapshot's, and one that is missing. */
static void
check_over(struct rig *w, const struct snapshot *snap, const struct over *o)
{
	struct restore_conf conf = { .overwrite = o->when,
		.subpath = rig_path(w, "from"),
		.target = rig_path(w, "to") };

	assert_int_equal(mkdir(conf.target, 0755), 0);
	fs_write(rig_path(w, "to/same"), "other", 5);
	set_mtime(rig_path(w, "to/same"), 1000);
	fs_write(rig_path(w, "to/old"), "other", 5);
	set_mtime(rig_path(w, "to/old"), 500);
	fs_write(rig_path(w, "to/new"), "other", 5);
	set_mtime(rig_path(w, "to/new"), 2000);
	(void)rig_restore_ok(w, snap, &conf);
	assert_true(holds(rig_path(w, "to/same"),
		o->same_stamp ? "right" : "other"));
	assert_true(holds(rig_path(w, "to/old"), o->older ? "right" : "other"));
	assert_true(holds(rig_path(w, "to/new"), o->newer ? "right" : "other"));
	assert_true(holds(rig_path(w, "to/none"), "right"));
	fs_tree_remove(conf.target);
}

static void
test_overwrite(void **state)
{
	static const struct over table[] = {
		{ OVERWRITE_ALWAYS, true, true, true },
		{ OVERWRITE_IF_CHANGED, false, true, true },
		{ OVERWRITE_IF_NEWER, false, true, false },
		{ OVERWRITE_NEVER, false, false, false },
	};
	static const char *const names[] = { "from/same", "from/old",
		"from/new", "from/none" };
	struct snapshot snap;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	assert_int_equal(mkdir(rig_path(&w, "from"), 0755), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		fs_write(rig_path(&w, names[i]), "right", 5);
		set_mtime(rig_path(&w, names[i]), 1000);
	}
	rig_backup(&w, rig_path(&w, "from"), &snap);
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		check_over(&w, &snap, &table[i]);
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* Another name of what is overwritten lies outside of the target. */
static void
test_foreign_link(void **state)
{
	struct restore_conf conf = { 0 };
	struct snapshot snap;
	struct rig w;

	for (int delta = 0; delta < 2; delta++) {
		rig_init(&w);
		snapshot_init(&snap);
		conf.subpath = rig_path(&w, "from");
		conf.target = rig_path(&w, "to");
		conf.delta = delta == 1;
		assert_int_equal(mkdir(conf.subpath, 0755), 0);
		assert_int_equal(mkdir(conf.target, 0755), 0);
		fs_write(rig_path(&w, "from/f"), "right", 5);
		fs_write(rig_path(&w, "outside"), "other", 5);
		assert_int_equal(link(rig_path(&w, "outside"),
					 rig_path(&w, "to/f")),
			0);
		rig_backup(&w, conf.subpath, &snap);
		(void)rig_restore_ok(&w, &snap, &conf);
		assert_true(holds(rig_path(&w, "outside"), "other"));
		rig_equal(conf.subpath, conf.target, 0);
		snapshot_fini(&snap);
		rig_fini(&w);
	}
}

/* ---- deltas ---- */

static void
poke(const char *path, off_t off, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, strlen(text), off), strlen(text));
	(void)close(fd);
}

static void
test_delta(void **state)
{
	struct restore_conf conf = { .delta = true };
	struct restore_result res;
	struct snapshot snap;
	struct stat before, after;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	conf.subpath = rig_path(&w, "from");
	conf.target = rig_path(&w, "to");
	assert_int_equal(mkdir(conf.subpath, 0755), 0);
	fs_write_random(rig_path(&w, "from/large"), 1, 8 * MIB + 100);
	fs_write_random(rig_path(&w, "from/small"), 2, 9000);
	fs_write(rig_path(&w, "from/inline"), "tiny", 4);
	rig_backup(&w, conf.subpath, &snap);
	(void)rig_restore_ok(&w, &snap, &conf);
	res = rig_restore_ok(&w, &snap, &conf);
	assert_int_equal(res.bytes_written, 0);
	assert_int_equal(res.bytes_same, 8 * MIB + 100 + 9000 + 4);
	/* Three blocks of 4 KiB, two of them neighbours, in the large one. */
	poke(rig_path(&w, "to/large"), 5000, "changed");
	poke(rig_path(&w, "to/large"), 5 * MIB - 3, "changed");
	poke(rig_path(&w, "to/inline"), 1, "I");
	assert_int_equal(stat(rig_path(&w, "to/large"), &before), 0);
	res = rig_restore_ok(&w, &snap, &conf);
	assert_int_equal(stat(rig_path(&w, "to/large"), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	rig_equal(conf.subpath, conf.target, 0);
	/* Chunks end where they like, so blocks are counted from there. */
	assert_true(res.bytes_written >= 2 * 7 + 4 &&
		    res.bytes_written <= 4 * 4096 + 4);
	/* Longer and shorter. */
	assert_int_equal(truncate(rig_path(&w, "to/large"), 3 * MIB), 0);
	assert_int_equal(truncate(rig_path(&w, "to/small"), 100000), 0);
	res = rig_restore_ok(&w, &snap, &conf);
	rig_equal(conf.subpath, conf.target, 0);
	assert_true(res.bytes_written >= 5 * MIB &&
		    res.bytes_written < 5 * MIB + 4096 + 100);
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* Data where the snapshot has a hole. */
static void
test_delta_holes(void **state)
{
	struct restore_conf conf = { .delta = true, .verify = true };
	struct snapshot snap;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	conf.subpath = rig_path(&w, "from");
	conf.target = rig_path(&w, "to");
	assert_int_equal(mkdir(conf.subpath, 0755), 0);
	fs_write(rig_path(&w, "from/f"), "begin", 5);
	assert_int_equal(truncate(rig_path(&w, "from/f"), 4 * MIB), 0);
	rig_backup(&w, conf.subpath, &snap);
	(void)rig_restore_ok(&w, &snap, &conf);
	poke(rig_path(&w, "to/f"), 2 * MIB, "here is something");
	(void)rig_restore_ok(&w, &snap, &conf);
	rig_equal(conf.subpath, conf.target, 0);
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* ---- reading back ---- */

static void
test_verify(void **state)
{
	struct restore_conf conf = { .verify = true,
		.overwrite = OVERWRITE_IF_CHANGED };
	struct restore_result res;
	struct error err = ERROR_INIT;
	struct snapshot snap;
	struct stat st;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	conf.subpath = rig_path(&w, "from");
	conf.target = rig_path(&w, "to");
	assert_int_equal(mkdir(conf.subpath, 0755), 0);
	fs_write_random(rig_path(&w, "from/large"), 3, 2 * MIB);
	fs_write_random(rig_path(&w, "from/small"), 2, 900);
	rig_backup(&w, conf.subpath, &snap);
	assert_int_equal(rig_restore_ok(&w, &snap, &conf).verified, 2);
	/* One bit, under the old stamp: only reading finds it. */
	assert_int_equal(stat(rig_path(&w, "to/large"), &st), 0);
	poke(rig_path(&w, "to/large"), MIB + 77, "?");
	assert_int_equal(utimensat(AT_FDCWD, rig_path(&w, "to/large"),
				 (struct timespec[2]){ st.st_atim, st.st_mtim },
				 0),
		0);
	must(rig_restore(&w, &snap, &conf, &res, &err), &err);
	assert_int_equal(res.errors, 1);
	assert_int_equal(res.verified, 1);
	assert_non_null(strstr(w.problem, "large: differs"));
	/* That is what always is for. */
	conf.overwrite = OVERWRITE_ALWAYS;
	assert_int_equal(rig_restore_ok(&w, &snap, &conf).verified, 2);
	rig_equal(conf.subpath, conf.target, 0);
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* ---- deletion and directories ---- */

static void
test_directory_in_the_way(void **state)
{
	struct restore_conf conf = { 0 };
	struct restore_result res;
	struct error err = ERROR_INIT;
	struct snapshot snap;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	conf.subpath = rig_path(&w, "from");
	conf.target = rig_path(&w, "to");
	assert_int_equal(mkdir(conf.subpath, 0755), 0);
	fs_write(rig_path(&w, "from/empty"), "1", 1);
	fs_write(rig_path(&w, "from/full"), "2", 1);
	rig_backup(&w, conf.subpath, &snap);
	assert_int_equal(mkdir(conf.target, 0755), 0);
	assert_int_equal(mkdir(rig_path(&w, "to/empty"), 0755), 0);
	assert_int_equal(mkdir(rig_path(&w, "to/full"), 0755), 0);
	fs_write(rig_path(&w, "to/full/f"), "precious", 8);
	must(rig_restore(&w, &snap, &conf, &res, &err), &err);
	assert_int_equal(res.errors, 1);
	assert_non_null(strstr(w.problem, "full: a directory stands there"));
	assert_true(holds(rig_path(&w, "to/empty"), "1"));
	assert_true(holds(rig_path(&w, "to/full/f"), "precious"));
	conf.delete = true;
	(void)rig_restore_ok(&w, &snap, &conf);
	rig_equal(conf.subpath, conf.target, 0);
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* What lies behind a link or a mount is not ours, and what lies beside what
 * was backed up is not either. */
static void
test_delete_limits(void **state)
{
	struct restore_conf conf = { .delete = true };
	struct snapshot snap;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	assert_int_equal(mkdir(rig_path(&w, "from"), 0755), 0);
	fs_write(rig_path(&w, "from/f"), "1", 1);
	rig_backup(&w, rig_path(&w, "from"), &snap);
	assert_int_equal(mkdir(rig_path(&w, "outside"), 0755), 0);
	fs_write(rig_path(&w, "outside/f"), "mine", 4);
	assert_int_equal(mkdir(rig_path(&w, "to"), 0755), 0);
	assert_int_equal(symlink(rig_path(&w, "outside"),
				 rig_path(&w, "to/link")),
		0);
	assert_int_equal(mkdir(rig_path(&w, "to/dir"), 0755), 0);
	assert_int_equal(symlink(rig_path(&w, "outside"),
				 rig_path(&w, "to/dir/link")),
		0);
	conf.subpath = rig_path(&w, "from");
	conf.target = rig_path(&w, "to");
	assert_int_equal(rig_restore_ok(&w, &snap, &conf).deleted, 3);
	assert_int_equal(w.n_removed, 3);
	rig_equal(conf.subpath, conf.target, 0);
	assert_true(holds(rig_path(&w, "outside/f"), "mine"));
	/* Everything, to a target that has other things too: "/" and what lies
	 * between it and what was backed up only lead there. */
	conf.subpath = NULL;
	conf.target = rig_path(&w, "whole");
	assert_int_equal(mkdir(conf.target, 0755), 0);
	fs_write(rig_path(&w, "whole/mine"), "mine", 4);
	assert_int_equal(rig_restore_ok(&w, &snap, &conf).deleted, 0);
	assert_true(holds(rig_path(&w, "whole/mine"), "mine"));
	snapshot_fini(&snap);
	rig_fini(&w);
}

static void
over_mount(struct rig *w, const struct snapshot *snap)
{
	struct restore_conf conf = { .delete = true };
	struct restore_result res;
	struct error err = ERROR_INIT;
	const char *on = rig_path(w, "to/dir/mnt");

	if (unshare(CLONE_NEWNS) != 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("none", on, "tmpfs", 0, NULL) != 0)
		_exit(77);
	fs_write(rig_path(w, "to/dir/mnt/f"), "mine", 4);
	conf.subpath = rig_path(w, "from");
	conf.target = rig_path(w, "to");
	must(rig_restore(w, snap, &conf, &res, &err), &err);
	assert_true(holds(rig_path(w, "to/dir/mnt/f"), "mine"));
	assert_false(exists(rig_path(w, "to/dir/other")));
	assert_true(res.errors > 0);
}

static void
full_disk(struct rig *w, const struct snapshot *snap)
{
	struct restore_conf conf = { 0 };
	struct restore_result res;
	struct error err = ERROR_INIT;
	const char *on = rig_path(w, "to");

	if (unshare(CLONE_NEWNS) != 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("none", on, "tmpfs", 0, "size=1m") != 0)
		_exit(77);
	conf.subpath = rig_path(w, "from");
	conf.target = on;
	must_fail(rig_restore(w, snap, &conf, &res, &err), ERR_NOSPACE, &err,
		"No space left");
	/* Nothing half-made is left. */
	assert_false(exists(rig_path(w, "to/large")));
}

static void
in_child(void (*fn)(struct rig *, const struct snapshot *), struct rig *w,
	const struct snapshot *snap)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(600);
		(void)setenv("CMOCKA_TEST_ABORT", "1", 1);
		fn(w, snap);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		print_message("not allowed to mount: nothing was tested\n");
	else
		assert_int_equal(status, 0);
}

static void
test_mounts(void **state)
{
	struct snapshot snap;
	struct rig w;

	if (geteuid() != 0)
		skip();
	rig_init(&w);
	snapshot_init(&snap);
	assert_int_equal(mkdir(rig_path(&w, "from"), 0755), 0);
	fs_write_random(rig_path(&w, "from/large"), 1, 3 * MIB);
	rig_backup(&w, rig_path(&w, "from"), &snap);
	assert_int_equal(mkdir(rig_path(&w, "to"), 0755), 0);
	in_child(full_disk, &w, &snap);
	assert_int_equal(mkdir(rig_path(&w, "to/dir"), 0755), 0);
	assert_int_equal(mkdir(rig_path(&w, "to/dir/mnt"), 0755), 0);
	fs_write(rig_path(&w, "to/dir/other"), "x", 1);
	in_child(over_mount, &w, &snap);
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* ---- runs that change nothing, or end early ---- */

static void
test_dry_run(void **state)
{
	struct restore_conf conf = { .dry_run = true, .delete = true };
	struct restore_result dry, wet;
	struct snapshot snap;
	uint64_t before;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	conf.subpath = rig_path(&w, "from");
	conf.target = rig_path(&w, "to");
	fs_tree_random(conf.subpath, 5, 10);
	rig_backup(&w, conf.subpath, &snap);
	dry = rig_restore_ok(&w, &snap, &conf);
	assert_false(exists(conf.target));
	assert_true(dry.files > 0);
	assert_int_equal(dry.bytes_written, 0);
	fs_tree_random(conf.target, 6, 10);
	before = fs_tree_sum(conf.target);
	dry = rig_restore_ok(&w, &snap, &conf);
	assert_int_equal(fs_tree_sum(conf.target), before);
	assert_true(dry.deleted > 0 && w.n_removed == dry.deleted);
	conf.dry_run = false;
	wet = rig_restore_ok(&w, &snap, &conf);
	assert_true(wet.deleted >= dry.deleted);
	rig_equal(conf.subpath, conf.target, 0);
	snapshot_fini(&snap);
	rig_fini(&w);
}

static void
test_interrupted(void **state)
{
	struct restore_conf conf = { 0 };
	struct restore_result res;
	struct error err = ERROR_INIT;
	_Atomic bool stop = true;
	struct snapshot snap;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	conf.subpath = rig_path(&w, "from");
	conf.target = rig_path(&w, "to");
	fs_tree_random(conf.subpath, 5, 10);
	rig_backup(&w, conf.subpath, &snap);
	w.report.stop = &stop;
	must_fail(rig_restore(&w, &snap, &conf, &res, &err), ERR_CANCELLED,
		&err, "interrupted");
	assert_int_equal(w.n_problems, 0);
	assert_int_equal(res.files, 0);
	snapshot_fini(&snap);
	rig_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overwrite),
		cmocka_unit_test(test_foreign_link),
		cmocka_unit_test(test_delta),
		cmocka_unit_test(test_delta_holes),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_directory_in_the_way),
		cmocka_unit_test(test_delete_limits),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_dry_run),
		cmocka_unit_test(test_interrupted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
