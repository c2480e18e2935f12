/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two moments of a random history compared, by lines and by all names, and the
 * history told with paths: against the names that the model has behind each
 * change.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/mfs_compare.h"
#include "engine/mfs_history.h"
#include "tests/engine/mfs_world.h"
#include "tests/lib/must.h"
#include "tests/lib/scale.h"

enum { ROUNDS = 12, PAIRS = 20, LINES = 300, INODES = 400, PATH = 1024 };

static struct mfs_world world;

/* What an inode was told to be; empty: nothing. */
struct said {
	char before[PATH], after[PATH];
};

static struct said said[INODES];
static struct mfs_compare_counts in_directories;
static struct mfs_compare_counts in_all; /* that the test saw some of each */

/* ---- the model ---- */

static const struct mfs_world_name *
find(size_t i, uint32_t inode, size_t *slot)
{
	for (size_t k = 0; k < MFS_WORLD_NAMES; k++) {
		if (world.names[i][k].inode != inode)
			continue;
		*slot = k;
		return &world.names[i][k];
	}
	return NULL;
}

static void
path_at(size_t i, uint32_t inode, char out[PATH])
{
	size_t slot;

	out[0] = '\0';
	if (find(i, inode, &slot) != NULL)
		mfs_world_path(&world, i, slot, out);
}

static bool
is_touched(size_t a, size_t b, uint32_t inode)
{
	size_t slot;

	for (size_t i = a + 1; i <= b; i++) {
		const struct mfs_world_name *x = find(i - 1, inode, &slot);
		const struct mfs_world_name *y = find(i, inode, &slot);

		if ((x == NULL) != (y == NULL))
			return true;
		if (x != NULL && (x->parent != y->parent ||
					 strcmp(x->name, y->name) != 0))
			return true;
	}
	return false;
}

/* ---- comparing ---- */

static void
copy_text(char out[PATH], struct mfs_text t)
{
	assert_true(t.len > 0 && t.len < PATH);
	memcpy(out, t.p, t.len);
	out[t.len] = '\0';
}

static enum err
on_directory(void *arg, struct mfs_text path,
	const struct mfs_compare_counts *n, struct error *err)
{
	(void)arg;
	(void)err;
	assert_true(path.len > 0 && path.p[path.len - 1] == '/');
	assert_true(n->added + n->removed + n->renamed > 0);
	in_directories.added += n->added;
	in_directories.removed += n->removed;
	in_directories.renamed += n->renamed;
	return ERR_OK;
}

static enum err
on_name(void *arg, const struct mfs_difference *d, struct error *err)
{
	struct said *s = &said[d->inode];

	(void)arg;
	(void)err;
	assert_true(d->inode < INODES);
	assert_true(s->before[0] == '\0' && s->after[0] == '\0');
	if (d->kind != MFS_ADDED)
		copy_text(s->before, d->path);
	if (d->kind == MFS_ADDED)
		copy_text(s->after, d->path);
	if (d->kind == MFS_RENAMED)
		copy_text(s->after, d->path_to);
	return ERR_OK;
}

static void
check_pair(struct mfs_set *set, size_t a, size_t b)
{
	const struct mfs_compare_side x = { set,
		{ .kind = MFS_MOMENT_ID, .id = a } };
	const struct mfs_compare_side y = { set,
		{ .kind = MFS_MOMENT_ID, .id = b } };
	const struct mfs_compare_fn fn = { on_directory, on_name, NULL };
	struct mfs_compare_result result;
	struct error err = ERROR_INIT;
	uint64_t differences = 0;

	memset(said, 0, sizeof(said));
	memset(&in_directories, 0, sizeof(in_directories));
	must(mfs_compare_run(&x, &y, 0, &fn, &result, &err), &err);
	assert_int_equal(result.by_lines, b >= a);
	for (uint32_t inode = 2; inode < world.next_inode; inode++) {
		char before[PATH], after[PATH];

		path_at(a, inode, before);
		path_at(b, inode, after);
		if (strcmp(before, after) == 0 ||
			(result.by_lines && !is_touched(a, b, inode)))
			before[0] = after[0] = '\0';
		else
			differences++;
		assert_string_equal(said[inode].before, before);
		assert_string_equal(said[inode].after, after);
	}
	assert_int_equal(result.counts.added + result.counts.removed +
				 result.counts.renamed,
		differences);
	in_all.added += in_directories.added;
	in_all.removed += in_directories.removed;
	in_all.renamed += in_directories.renamed;
	assert_memory_equal(&in_directories, &result.counts,
		sizeof(in_directories));
}

/* ---- history ---- */

static enum err
on_event(void *arg, const struct mfs_event *e, struct error *err)
{
	uint64_t *next = arg;
	uint64_t i = e->change->id;
	char path[PATH], want[PATH];
	bool creates = memcmp(e->text.p, "CREATE", 6) == 0;

	(void)err;
	assert_int_equal(i, *next);
	++*next;
	if (i == 1 || e->inode == 1)
		return ERR_OK;
	path_at(creates ? i : i - 1, e->inode, want);
	if (want[0] == '\0')
		return ERR_OK;
	copy_text(path, e->path);
	assert_string_equal(path, want);
	assert_false(e->deleted);
	if (memcmp(e->text.p, "MOVE", 4) != 0)
		return ERR_OK;
	path_at(i, e->inode, want);
	copy_text(path, e->path_to);
	assert_string_equal(path, want);
	return ERR_OK;
}

static void
check_history(struct mfs_set *set, uint64_t from, uint64_t to)
{
	const struct mfs_history_conf conf = {
		.from = { .kind = MFS_MOMENT_ID, .id = from },
		.to = { .kind = MFS_MOMENT_ID, .id = to },
	};
	struct mfs_history_result result;
	struct error err = ERROR_INIT;
	uint64_t next = from;

	must(mfs_history_run(set, &conf, on_event, &next, &result, &err), &err);
	assert_int_equal(next, to + 1);
	assert_int_equal(result.told, to + 1 - from);
}

static void
moments_differ_as_the_model_does(void **state)
{
	struct rig w;

	(void)state;
	rig_init(&w);
	for (unsigned seed = 1; seed <= test_scale(ROUNDS); seed++) {
		const struct mfs_world_layout l = { .version = 1,
			.first = 1,
			.overlap = seed % 3 * 5 };
		struct error err = ERROR_INIT;
		struct mfs_set *set = NULL;
		struct snapshot snap;
		char dir[32];

		mfs_world_make(&world, seed, LINES, false);
		(void)snprintf(dir, sizeof(dir), "s%u", seed);
		mfs_world_snapshot(&world, &w, rig_path(&w, dir), &l, &snap);
		must(mfs_set_open(&set, w.repo, &snap, NULL, NULL, &err), &err);
		for (unsigned i = 0; i < PAIRS; i++) {
			size_t a = 1 + prng_below(&world.dice, LINES);
			size_t b = 1 + prng_below(&world.dice, LINES);

			check_pair(set, a, b);
			check_history(set, a < b ? a : b, a < b ? b : a);
		}
		mfs_set_close(set);
		snapshot_fini(&snap);
	}
	assert_true(in_all.added > 0 && in_all.removed > 0);
	assert_true(in_all.renamed > 0);
	rig_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moments_differ_as_the_model_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
