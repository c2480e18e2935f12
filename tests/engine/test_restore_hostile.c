/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots that were made to lead a restore out of its target, and targets
 * that lead out of themselves; and restores that are killed.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/engine/rig.h"
#include "tests/lib/scale.h"

#define KEY(text) ((struct bytes){ (const uint8_t *)(text), sizeof(text) - 1 })

static bool
exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static struct entry
dir_entry(void)
{
	struct entry e;

	entry_init(&e);
	e.type = ENTRY_DIR;
	e.mode = 0755;
	return e;
}

static struct entry
file_entry(const char *text)
{
	struct entry e;

	entry_init(&e);
	e.type = ENTRY_FILE;
	e.mode = 0644;
	e.size = strlen(text);
	if (e.size > 0) {
		e.content.kind = CONTENT_INLINE;
		e.content.bytes =
			(struct bytes){ (const uint8_t *)text, strlen(text) };
	}
	return e;
}

static struct entry
link_entry(const char *target)
{
	struct entry e;

	entry_init(&e);
	e.type = ENTRY_SYMLINK;
	e.mode = 0777;
	e.target = (struct bytes){ (const uint8_t *)target, strlen(target) };
	return e;
}

static struct entry
other_name(struct bytes of)
{
	struct entry e = file_entry("");

	e.size = 4;
	e.content.kind = CONTENT_LINK;
	e.content.bytes = of;
	e.nlink = 2;
	return e;
}

/* A place outside of the target that nothing may change. */
static uint64_t
make_outside(struct rig *w)
{
	assert_int_equal(mkdir(rig_path(w, "outside"), 0755), 0);
	fs_write(rig_path(w, "outside/x"), "mine", 4);
	assert_int_equal(mkdir(rig_path(w, "outside/sub"), 0755), 0);
	return fs_tree_sum(rig_path(w, "outside"));
}

/* With any of the options. */
static void
restore_all_ways(struct rig *w, const struct snapshot *snap, unsigned problems,
	uint64_t outside)
{
	for (unsigned i = 0; i < 16; i++) {
		struct restore_conf conf = { .target = rig_path(w, "to"),
			.delta = i & 1,
			.delete = i & 2,
			.verify = i & 4,
			.overwrite = (i & 8) != 0 ? OVERWRITE_IF_CHANGED
						  : OVERWRITE_ALWAYS };
		struct restore_result res;
		struct error err = ERROR_INIT;

		must(rig_restore(w, snap, &conf, &res, &err), &err);
		/* What was not made is not found when it is read back. */
		assert_true(w->n_problems == problems ||
			    (conf.verify && w->n_problems > problems));
		assert_int_equal(res.errors, w->n_problems);
		assert_int_equal(fs_tree_sum(rig_path(w, "outside")), outside);
	}
}

static void
test_names(void **state)
{
	static const struct bytes keys[] = { KEY(".."), KEY("..\0x"),
		KEY("a/../../x"), KEY("a\0..\0x"), KEY("a\0.\0x"),
		KEY("b\0\0x"), KEY("d\0") };
	struct entry e = file_entry("evil");
	struct rig_forge f;
	struct snapshot snap;
	uint64_t outside;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	outside = make_outside(&w);
	rig_forge_begin(&f, &w);
	rig_forge_add(&f, keys[0], &e);
	rig_forge_add(&f, keys[1], &e);
	rig_forge_add(&f, keys[4], &e);
	rig_forge_add(&f, keys[3], &e);
	rig_forge_add(&f, keys[2], &e);
	rig_forge_add(&f, keys[5], &e);
	rig_forge_add(&f, keys[6], &e);
	rig_forge_add(&f, KEY("z"), &e);
	rig_forge_end(&f, &snap);
	assert_int_equal(mkdir(rig_path(&w, "to"), 0755), 0);
	restore_all_ways(&w, &snap, ARRAY_LEN(keys), outside);
	assert_true(exists(rig_path(&w, "to/z")));
	assert_false(exists(rig_path(&w, "x")));
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* Entries below a symbolic link, a file, a device; through one that the
 * snapshot itself has made, to an absolute and to a relative place. */
static void
test_below_links(void **state)
{
	struct entry evil = file_entry("evil"), dir = dir_entry();
	char absolute[100];
	struct entry e;
	struct rig_forge f;
	struct snapshot snap;
	uint64_t outside;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	outside = make_outside(&w);
	(void)snprintf(absolute, sizeof(absolute), "%s",
		rig_path(&w, "outside"));
	rig_forge_begin(&f, &w);
	e = link_entry(absolute);
	rig_forge_add(&f, KEY("d"), &e);
	rig_forge_add(&f, KEY("d\0new"), &evil);
	rig_forge_add(&f, KEY("d\0x"), &evil);
	e = link_entry("../outside");
	rig_forge_add(&f, KEY("e"), &e);
	rig_forge_add(&f, KEY("e\0sub"), &dir);
	rig_forge_add(&f, KEY("e\0sub\0new"), &evil);
	rig_forge_add(&f, KEY("e\0sub\0x"), &evil);
	rig_forge_add(&f, KEY("f"), &evil);
	rig_forge_add(&f, KEY("f\0x"), &evil);
	rig_forge_add(&f, KEY("g"), &dir);
	rig_forge_add(&f, KEY("g\0fine"), &evil);
	rig_forge_end(&f, &snap);
	assert_int_equal(mkdir(rig_path(&w, "to"), 0755), 0);
	restore_all_ways(&w, &snap, 3, outside);
	assert_true(exists(rig_path(&w, "to/g/fine")));
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* Hard links to what is outside, to directories, to themselves, to nothing. */
static void
test_bad_links(void **state)
{
	struct entry dir = dir_entry(), e;
	struct rig_forge f;
	struct snapshot snap;
	uint64_t outside;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	outside = make_outside(&w);
	rig_forge_begin(&f, &w);
	rig_forge_add(&f, KEY("a"), &dir);
	e = link_entry("../outside");
	rig_forge_add(&f, KEY("b"), &e);
	e = other_name(KEY("b\0x"));
	rig_forge_add(&f, KEY("c1"), &e);
	e = other_name(KEY("a"));
	rig_forge_add(&f, KEY("c2"), &e);
	e = other_name(KEY("c3"));
	rig_forge_add(&f, KEY("c3"), &e);
	e = other_name(KEY("nothing"));
	rig_forge_add(&f, KEY("c4"), &e);
	e = other_name(KEY("..\0outside\0x"));
	rig_forge_add(&f, KEY("c5"), &e);
	rig_forge_end(&f, &snap);
	assert_int_equal(mkdir(rig_path(&w, "to"), 0755), 0);
	restore_all_ways(&w, &snap, 5, outside);
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* The target has links where the snapshot has directories and files. */
static void
test_links_in_target(void **state)
{
	struct restore_conf conf = { 0 };
	struct snapshot snap;
	uint64_t outside;
	struct rig w;

	for (unsigned i = 0; i < 4; i++) {
		rig_init(&w);
		snapshot_init(&snap);
		outside = make_outside(&w);
		conf.subpath = rig_path(&w, "from");
		conf.target = rig_path(&w, "to");
		conf.delta = i & 1;
		conf.delete = i & 2;
		assert_int_equal(mkdir(conf.subpath, 0755), 0);
		assert_int_equal(mkdir(rig_path(&w, "from/dir"), 0755), 0);
		fs_write(rig_path(&w, "from/dir/x"), "new!", 4);
		fs_write(rig_path(&w, "from/file"), "new!", 4);
		rig_backup(&w, conf.subpath, &snap);
		assert_int_equal(mkdir(conf.target, 0755), 0);
		assert_int_equal(symlink("../outside", rig_path(&w, "to/dir")),
			0);
		assert_int_equal(symlink("../outside/x",
					 rig_path(&w, "to/file")),
			0);
		(void)rig_restore_ok(&w, &snap, &conf);
		assert_int_equal(fs_tree_sum(rig_path(&w, "outside")), outside);
		rig_equal(conf.subpath, conf.target, 0);
		snapshot_fini(&snap);
		rig_fini(&w);
	}
}

/* A link where only the way to what was backed up leads stays, and is not
 * followed. */
static void
test_link_above(void **state)
{
	struct restore_conf conf = { .delete = true };
	struct restore_result res;
	struct error err = ERROR_INIT;
	struct snapshot snap;
	uint64_t outside;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	outside = make_outside(&w);
	assert_int_equal(mkdir(rig_path(&w, "from"), 0755), 0);
	fs_write(rig_path(&w, "from/x"), "new!", 4);
	rig_backup(&w, rig_path(&w, "from"), &snap);
	conf.target = rig_path(&w, "to");
	assert_int_equal(mkdir(conf.target, 0755), 0);
	assert_int_equal(symlink("../outside", rig_path(&w, "to/var")), 0);
	assert_int_equal(symlink("../outside", rig_path(&w, "to/tmp")), 0);
	must(rig_restore(&w, &snap, &conf, &res, &err), &err);
	assert_int_equal(res.errors, 1);
	assert_int_equal(res.files, 0);
	assert_non_null(strstr(w.problem, "a symbolic link stands"));
	assert_int_equal(fs_tree_sum(rig_path(&w, "outside")), outside);
	snapshot_fini(&snap);
	rig_fini(&w);
}

static void
test_unreadable(void **state)
{
	struct entry e = file_entry("evil"), dir = dir_entry();
	struct restore_conf conf = { 0 };
	struct restore_result res;
	struct error err = ERROR_INIT;
	struct rig_forge f;
	struct snapshot snap;
	struct rig w;

	rig_init(&w);
	snapshot_init(&snap);
	rig_forge_begin(&f, &w);
	rig_forge_add(&f, KEY("a"), &e);
	e.content.kind = CONTENT_NONE;
	e.marks = MARK_UNREADABLE;
	rig_forge_add(&f, KEY("b"), &e);
	dir.marks = MARK_UNREADABLE;
	rig_forge_add(&f, KEY("c"), &dir);
	rig_forge_end(&f, &snap);
	conf.target = rig_path(&w, "to");
	conf.verify = true;
	must(rig_restore(&w, &snap, &conf, &res, &err), &err);
	assert_int_equal(res.errors, 2);
	assert_true(exists(rig_path(&w, "to/a")));
	assert_false(exists(rig_path(&w, "to/b")));
	assert_true(exists(rig_path(&w, "to/c")));
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* ---- damaged ---- */

struct objects {
	char v[64][STORE_NAME_MAX + 1];
	uint64_t size[64];
	size_t n;
};

static enum err
add_object(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct objects *o = arg;

	assert_true(o->n < ARRAY_LEN(o->v));
	(void)snprintf(o->v[o->n], sizeof(o->v[0]), "%s", name);
	o->size[o->n++] = size;
	return ERR_OK;
}

/* What is there is right, unless it was said that it is not. */
static bool
restore_damaged(struct rig *w, const struct snapshot *snap, unsigned workers)
{
	struct restore_conf conf = { .subpath = rig_path(w, "from"),
		.target = rig_path(w, "to"),
		.workers = workers };
	struct restore_result res;
	struct error err = ERROR_INIT;
	char why[5000];
	bool told;

	told = rig_restore(w, snap, &conf, &res, &err) != ERR_OK ||
	       w->n_problems > 0;
	if (told && !exists(conf.target))
		return true;
	if (!fs_tree_equal(conf.subpath, conf.target, told ? FS_PARTLY : 0, why,
		    sizeof(why)))
		fail_msg("silently wrong: %s", why);
	fs_tree_remove(conf.target);
	return told;
}

/* One bit of a pack: what comes back is right, and what does not is told. */
static void
test_damage(void **state)
{
	uint64_t rounds = test_scale(60), seed = 20261123;
	struct objects packs = { .n = 0 };
	struct error err = ERROR_INIT;
	unsigned n_told = 0;
	struct snapshot snap;
	struct prng p;
	struct rig w;

	print_message("seed %llu\n", (unsigned long long)seed);
	prng_init(&p, seed);
	rig_init(&w);
	snapshot_init(&snap);
	fs_tree_random(rig_path(&w, "from"), 4, 14);
	rig_backup(&w, rig_path(&w, "from"), &snap);
	must(store_list(w.st, "packs", add_object, &packs, &err), &err);
	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t at = prng_below(&p, packs.n);
		uint64_t bit = prng_below(&p, packs.size[at] * 8);

		must(store_mem_flip(w.st, packs.v[at], bit, &err), &err);
		n_told += restore_damaged(&w, &snap, 1 + (unsigned)i % 3);
		must(store_mem_flip(w.st, packs.v[at], bit, &err), &err);
	}
	print_message("%u of %u told\n", n_told, (unsigned)rounds);
	assert_true(n_told > 0);
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* ---- killed ---- */

/* A restore in a child, killed after a while; whether it had ended. */
static bool
killed_restore(struct rig *w, const struct snapshot *snap,
	const struct restore_conf *conf, useconds_t after)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct restore_result res;
		struct error err = ERROR_INIT;

		_exit(rig_restore(w, snap, conf, &res, &err) == ERR_OK ? 0 : 1);
	}
	(void)usleep(after);
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status);
}

/*
 * At any moment, and again and again: every file that is there is whole or
 * will be made again by the next run, whatever its way of overwriting.
 */
static void
test_killed(void **state)
{
	static const enum overwrite ways[] = { OVERWRITE_ALWAYS,
		OVERWRITE_IF_CHANGED, OVERWRITE_IF_NEWER, OVERWRITE_NEVER };
	uint64_t rounds = test_scale(60), seed = 20261122;
	unsigned n_killed = 0;
	struct snapshot snap;
	struct prng p;
	struct rig w;

	print_message("seed %llu\n", (unsigned long long)seed);
	prng_init(&p, seed);
	rig_init(&w);
	snapshot_init(&snap);
	fs_tree_nasty(rig_path(&w, "from"), 3);
	fs_tree_random(rig_path(&w, "from/random"), 4, 14);
	rig_backup(&w, rig_path(&w, "from"), &snap);
	for (uint64_t i = 0; i < rounds; i++) {
		struct restore_conf conf = { .overwrite = ways[i % 4],
			.subpath = rig_path(&w, "from"),
			.target = rig_path(&w, "to"),
			.delta = prng_below(&p, 2) };
		int leave_out = 0;

		for (unsigned k = 0; k < 3; k++)
			n_killed += !killed_restore(&w, &snap, &conf,
				(useconds_t)prng_below(&p, 150000));
		(void)rig_restore_ok(&w, &snap, &conf);
		/* With these two, what stands there is left alone: also the
		 * directories that the killed run had not yet finished. */
		if (conf.overwrite >= OVERWRITE_IF_NEWER)
			leave_out = FS_NO_DIRS | FS_NO_TRUSTED;
		rig_equal(conf.subpath, conf.target, leave_out);
		fs_tree_remove(conf.target);
	}
	print_message("%u of %u killed\n", n_killed, (unsigned)rounds * 3);
	assert_true(n_killed > 0);
	snapshot_fini(&snap);
	rig_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_below_links),
		cmocka_unit_test(test_bad_links),
		cmocka_unit_test(test_links_in_target),
		cmocka_unit_test(test_link_above),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
