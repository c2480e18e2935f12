/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/lib/index_world.h"

enum { RECS = 20 };

/* Flip one bit of a run; whatever it was, every answer stays right. */
static void
test_flips_of_a_run_never_make_an_answer_wrong(void **state)
{
	struct world w;
	char path[400] = "";
	DIR *dir;
	struct dirent *e;
	struct stat st;
	int fd;

	world_init(&w, 31);
	world_reopen(&w);
	for (unsigned i = 0; i < 8; i++)
		world_add(&w, w.idx);
	world_publish(&w, w.idx);
	for (unsigned round = 0; round < 400; round++) {
		uint8_t byte;
		off_t at;

		index_close(w.idx);
		dir = opendir(w.cache);
		assert_non_null(dir);
		while ((e = readdir(dir)) != NULL)
			if (strncmp(e->d_name, "run-", 4) == 0)
				(void)snprintf(path, sizeof(path), "%s/%s",
					w.cache, e->d_name);
		(void)closedir(dir);
		fd = open(path, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(fstat(fd, &st), 0);
		at = (off_t)prng_below(&w.p, (uint64_t)st.st_size);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte = (uint8_t)(byte ^ 1u << prng_below(&w.p, 8));
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		(void)close(fd);
		w.idx = world_open(&w, w.cache);
		world_expect_walk(&w, w.idx, true);
		world_expect(&w, w.idx);
	}
	world_fini(&w);
}

static unsigned
count_runs(const struct world *w)
{
	unsigned n = world_files(w, NULL, NULL);

	/* but the manifest and the lock */
	assert_in_range(n, 2, 100);
	return n - 2;
}

static void
test_runs_stay_few_and_private_ones_leave_nothing(void **state)
{
	struct world w;
	struct index *private;

	world_init(&w, 51);
	world_reopen(&w);
	for (unsigned i = 0; i < 50; i++) {
		world_add(&w, w.idx);
		world_publish(&w, w.idx);
		assert_in_range(count_runs(&w), 1, 3);
	}
	assert_int_equal(setenv("TMPDIR", w.root, 1), 0);
	private = world_open(&w, NULL);
	world_expect(&w, private);
	world_add(&w, private);
	world_publish(&w, private);
	world_expect(&w, private);
	index_close(private);
	assert_int_equal(unsetenv("TMPDIR"), 0);
	world_fini(&w);
}

/* A cache directory that cannot be one: slower, and still right. */
static void
test_unusable_cache_directory(void **state)
{
	struct index *idx;
	struct world w;
	char path[100];
	int fd;

	world_init(&w, 61);
	(void)snprintf(path, sizeof(path), "%s/file", w.root);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	idx = world_open(&w, path);
	for (unsigned i = 0; i < 9; i++) {
		world_add(&w, idx);
		world_publish(&w, idx);
	}
	world_expect(&w, idx);
	world_expect_walk(&w, idx, true);
	index_close(idx);
	assert_int_equal(unlink(path), 0);
	world_fini(&w);
}

struct made {
	struct pack_info pack;
	struct record recs[RECS];
	struct segment_ref seg;
};

static void
expect_presence(struct index *idx, const struct made *m, bool want)
{
	struct error err = ERROR_INIT;
	struct location loc;
	bool found;

	for (unsigned i = 0; i < RECS; i++) {
		assert_int_equal(index_find(idx, &m->recs[i].id, &loc, &found,
					 &err),
			ERR_OK);
		assert_int_equal(found, want);
	}
}

static void
make_segment(struct world *w, struct made *m)
{
	const struct segment_owner owner = { .epoch = 0 };
	struct error err = ERROR_INIT;
	struct segment seg;

	segment_init(&seg);
	packs_make(&w->p, &m->pack, m->recs, RECS);
	assert_int_equal(segment_add(&seg, &m->pack, m->recs, &err), ERR_OK);
	assert_int_equal(segment_publish(&seg, w->st, &world_keys.structure,
				 &owner, &m->seg, &err),
		ERR_OK);
	segment_fini(&seg);
}

static void
del_segment(struct world *w, const struct segment_ref *ref)
{
	struct error err = ERROR_INIT;
	char name[SEGMENT_NAME_MAX];

	segment_name(ref, name);
	assert_int_equal(store_del(w->st, name, &err), ERR_OK);
}

/* What is removed from the store is gone from the runs, too. */
static void
test_removed_segments(void **state)
{
	for (unsigned how = 0; how < 2; how++) {
		struct error err = ERROR_INIT;
		struct made m[5];
		struct world w;

		world_init(&w, 71 + how);
		for (unsigned i = 0; i < 5; i++)
			make_segment(&w, &m[i]);
		world_reopen(&w);
		del_segment(&w, &m[1].seg);
		del_segment(&w, &m[3].seg);
		if (how == 0)
			assert_int_equal(index_refresh(w.idx, &err), ERR_OK);
		else
			world_reopen(&w);
		for (unsigned i = 0; i < 5; i++)
			expect_presence(w.idx, &m[i], i % 2 == 0);
		world_fini(&w);
	}
}

static enum err
note_bad(void *arg, const char *name, const struct error *why,
	struct error *err)
{
	assert_int_equal(why->code, ERR_CORRUPT);
	++*(unsigned *)arg;
	return ERR_OK;
}

/* A damaged segment ends the opening, or is told and passed over. */
static void
test_damaged_segments_are_told(void **state)
{
	struct error err = ERROR_INIT;
	struct index *idx = NULL;
	char name[SEGMENT_NAME_MAX];
	struct made m[3];
	unsigned n_bad = 0;
	struct world w;
	struct index_conf conf = { .keys = &world_keys };

	world_init(&w, 81);
	for (unsigned i = 0; i < 3; i++)
		make_segment(&w, &m[i]);
	segment_name(&m[1].seg, name);
	assert_int_equal(store_mem_flip(w.st, name, 1000, &err), ERR_OK);
	conf.store = w.st;
	conf.cache_dir = w.cache;
	assert_int_equal(index_open(&idx, &conf, &err), ERR_CORRUPT);
	assert_non_null(strstr(err.msg, name));
	conf.bad = note_bad;
	conf.bad_arg = &n_bad;
	assert_int_equal(index_open(&idx, &conf, &err), ERR_OK);
	assert_int_equal(n_bad, 1);
	expect_presence(idx, &m[0], true);
	expect_presence(idx, &m[1], false);
	expect_presence(idx, &m[2], true);
	assert_int_equal(store_mem_flip(w.st, name, 1000, &err), ERR_OK);
	assert_int_equal(index_refresh(idx, &err), ERR_OK);
	expect_presence(idx, &m[1], true);
	index_close(idx);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_flips_of_a_run_never_make_an_answer_wrong),
		cmocka_unit_test(
			test_runs_stay_few_and_private_ones_leave_nothing),
		cmocka_unit_test(test_unusable_cache_directory),
		cmocka_unit_test(test_removed_segments),
		cmocka_unit_test(test_damaged_segments_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
