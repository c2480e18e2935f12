/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "store/store_fault.h"
#include "tests/lib/index_world.h"

static void
spoil(void *arg, const char *path)
{
	struct prng *p = arg;
	struct stat st;
	uint8_t byte;
	off_t at;
	int fd;

	if (prng_below(p, 3) == 0)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	for (unsigned i = 0; i < 3 && st.st_size > 0; i++) {
		at = (off_t)prng_below(p, (uint64_t)st.st_size);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte = (uint8_t)(byte ^ 1u << prng_below(p, 8));
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	if (prng_below(p, 4) == 0)
		assert_int_equal(ftruncate(fd, (off_t)prng_below(p, 5) * 1000),
			0);
	(void)close(fd);
}

static void
remove_some(void *arg, const char *path)
{
	if (prng_below(arg, 2) == 0)
		world_remove_file(NULL, path);
}

static void
step(struct world *w)
{
	struct error err = ERROR_INIT;

	switch (prng_below(&w->p, 12)) {
	case 0:
		world_reopen(w);
		break;
	case 1:
		/* under an open index, too */
		(void)world_files(w, remove_some, &w->p);
		break;
	case 2:
		index_close(w->idx);
		w->idx = NULL;
		(void)world_files(w, spoil, &w->p);
		world_reopen(w);
		break;
	case 3:
		assert_int_equal(index_refresh(w->idx, &err), ERR_OK);
		break;
	case 4:
	case 5:
	case 6:
		world_publish(w, w->idx);
		break;
	default:
		world_add(w, w->idx);
		break;
	}
}

static void
test_against_a_model(void **state)
{
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct world w;

		print_message("seed %lu\n", (unsigned long)seed);
		world_init(&w, seed);
		world_reopen(&w);
		for (unsigned i = 0; i < 120; i++) {
			step(&w);
			if (i % 10 == 0)
				world_expect(&w, w.idx);
		}
		world_expect(&w, w.idx);
		world_expect_walk(&w, w.idx, false);
		world_fini(&w);
	}
}

/* Two handles on one cache and one store, as two processes have them. */
static void
test_two_handles_on_one_cache(void **state)
{
	for (uint64_t seed = 41; seed <= 46; seed++) {
		struct error err = ERROR_INIT;
		struct index *other;
		struct world w;

		world_init(&w, seed);
		world_reopen(&w);
		other = world_open(&w, w.cache);
		for (unsigned i = 0; i < 60; i++) {
			struct index *idx = i % 2 == 0 ? w.idx : other;

			assert_int_equal(index_refresh(idx, &err), ERR_OK);
			world_add(&w, idx);
			if (prng_below(&w.p, 3) == 0)
				(void)world_files(&w, remove_some, &w.p);
			world_publish(&w, idx);
			world_expect(&w, idx);
		}
		assert_int_equal(index_refresh(w.idx, &err), ERR_OK);
		world_expect(&w, w.idx);
		world_expect_walk(&w, w.idx, true);
		world_expect_walk(&w, other, false);
		index_close(other);
		world_fini(&w);
	}
}

struct plan {
	uint64_t fail_at;
};

static enum fault
fail_nth(void *arg, uint64_t n, enum store_op op, const char *name)
{
	const struct plan *plan = arg;

	return n == plan->fail_at ? FAULT_BEFORE : FAULT_NONE;
}

/* Where the store fails, publishing fails; it can be repeated, and nothing
 * is lost or published twice. */
static void
test_publish_after_a_failure(void **state)
{
	for (uint64_t n = 1; n <= 12; n++) {
		struct error err = ERROR_INIT;
		struct plan plan = { .fail_at = n };
		const struct fault_plan faults = { fail_nth, &plan, ERR_IO };
		struct store *faulty = NULL;
		bool failed = false;
		struct world w;

		world_init(&w, 90 + n);
		assert_int_equal(store_fault_new(&faulty, w.st, &faults, &err),
			ERR_OK);
		w.st = faulty;
		for (unsigned i = 0; i < 3 && w.idx == NULL; i++) {
			struct index_conf conf = { .store = w.st,
				.keys = &world_keys,
				.cache_dir = w.cache };

			if (index_open(&w.idx, &conf, &err) != ERR_OK)
				failed = true;
		}
		for (unsigned i = 0; i < 6; i++) {
			world_add(&w, w.idx);
			if (index_publish(w.idx, &err) == ERR_OK)
				continue;
			assert_false(failed);
			failed = true;
			assert_int_not_equal(index_unpublished(w.idx), 0);
			world_expect(&w, w.idx);
		}
		world_publish(&w, w.idx);
		world_expect(&w, w.idx);
		world_expect_walk(&w, w.idx, true);
		plan.fail_at = 0;
		world_reopen(&w);
		world_expect_walk(&w, w.idx, true);
		world_fini(&w);
	}
}

/* A pack that is too full of chunks for memory is published at once. */
static void
test_many_chunks_are_published_early(void **state)
{
	struct record *recs = calloc(PACK_RECORDS_MAX, sizeof(*recs));
	struct error err = ERROR_INIT;
	struct pack_info pack;
	struct location loc;
	struct world w;
	bool found;

	assert_non_null(recs);
	world_init(&w, 111);
	w.idx = world_open(&w, NULL);
	for (unsigned i = 0; i < 3; i++) {
		packs_make(&w.p, &pack, recs, PACK_RECORDS_MAX);
		assert_int_equal(index_add(w.idx, &pack, recs, &err), ERR_OK);
		assert_int_equal(index_unpublished(w.idx), 0);
	}
	for (unsigned i = 0; i < PACK_RECORDS_MAX; i++) {
		assert_int_equal(index_find(w.idx, &recs[i].id, &loc, &found,
					 &err),
			ERR_OK);
		assert_true(found && id_eq(&loc.pack, &pack.id));
	}
	free(recs);
	world_fini(&w);
}

enum { RACERS = 4, RACE_CHUNKS = 4000 };

struct race {
	struct world w;
	struct record recs[RACE_CHUNKS];
	_Atomic unsigned mine[RACE_CHUNKS];
	pthread_barrier_t start;
};

/*
 * All threads claim all chunks in the same order; who gets one adds it as a
 * pack of its own and sometimes publishes, while others look for it.
 */
static void *
racer(void *arg)
{
	struct race *r = arg;
	struct error err = ERROR_INIT;
	struct location loc;
	enum claim got;
	bool found;

	(void)pthread_barrier_wait(&r->start);
	for (unsigned i = 0; i < RACE_CHUNKS; i++) {
		const struct record *rec = &r->recs[i];
		struct pack_info pack = { .n_records = 1, .size = 1 << 20 };

		assert_int_equal(index_claim(r->w.idx, &rec->id, &got, &err),
			ERR_OK);
		if (got == CLAIM_HAVE)
			continue;
		assert_int_equal(r->mine[i]++, 0);
		pack.id = rec->id;
		assert_int_equal(index_add(r->w.idx, &pack, rec, &err), ERR_OK);
		if (i % 37 == 0)
			assert_int_equal(index_publish(r->w.idx, &err), ERR_OK);
		if (i % 101 == 0)
			assert_int_equal(index_refresh(r->w.idx, &err), ERR_OK);
		assert_int_equal(index_find(r->w.idx, &rec->id, &loc, &found,
					 &err),
			ERR_OK);
		assert_true(found && packs_same(rec, &loc.rec));
	}
	return NULL;
}

static void
test_of_many_claims_one_wins(void **state)
{
	struct race *r = calloc(1, sizeof(*r));
	pthread_t threads[RACERS];

	assert_non_null(r);
	world_init(&r->w, 121);
	world_reopen(&r->w);
	for (unsigned i = 0; i < RACE_CHUNKS; i++)
		packs_record(&r->w.p, &r->recs[i]);
	assert_int_equal(pthread_barrier_init(&r->start, NULL, RACERS), 0);
	for (unsigned i = 0; i < RACERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, racer, r),
			0);
	for (unsigned i = 0; i < RACERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (unsigned i = 0; i < RACE_CHUNKS; i++)
		assert_int_equal(r->mine[i], 1);
	(void)pthread_barrier_destroy(&r->start);
	world_fini(&r->w);
	free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_model),
		cmocka_unit_test(test_two_handles_on_one_cache),
		cmocka_unit_test(test_publish_after_a_failure),
		cmocka_unit_test(test_many_chunks_are_published_early),
		cmocka_unit_test(test_of_many_claims_one_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
