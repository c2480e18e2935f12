/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Killed at any operation of the store, a session leaves snapshots that read
 * back whole, and a repository that the next session continues.  A full disk
 * and damaging memory end a session before it can commit.
 */
#include "tests/lib/chunk_tools.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"
#include "store/store_fault.h"

static struct writer *
open_writer(struct repo *r)
{
	struct writer_conf conf = { .host = "here" };
	struct error err = ERROR_INIT;
	struct writer *w;

	must(writer_open(&w, r, &conf, &err), &err);
	return w;
}

/* How a session's store fails: at operation n, and how. */
struct crash {
	uint64_t at;
	enum fault last; /* then dead */
	bool packs_only; /* count, and fail, puts of packs only */
	uint64_t seen;
};

static enum fault
decide(void *arg, uint64_t n, enum store_op op, const char *name)
{
	struct crash *c = arg;
	bool counts = !c->packs_only ||
		      (op == STORE_PUT && strncmp(name, "packs/", 6) == 0);

	if (counts)
		c->seen++;
	if (c->seen > c->at)
		return c->packs_only && !counts ? FAULT_NONE : FAULT_DEAD;
	return counts && c->seen == c->at ? c->last : FAULT_NONE;
}

/* A session over st that stores numbers [from, to) and tells of them. */
static enum err
session(struct store *st, uint64_t from, uint64_t to, struct error *err)
{
	struct repo_conf conf = { .pass = TOOL_PASS };
	struct writer_conf wconf = { .host = "here" };
	uint8_t *memory = malloc(CHUNK_LEN_MAX);
	struct buf record = BUF_INIT(1 << 20);
	struct repo *r = NULL;
	struct lane *lane = NULL;
	struct writer *w = NULL;
	enum err rc;

	assert_non_null(memory);
	rc = repo_open(&r, st, &conf, err);
	if (rc == ERR_OK)
		rc = lane_new(&lane, r, err);
	if (rc == ERR_OK)
		rc = writer_open(&w, r, &wconf, err);
	for (uint64_t n = from; n < to && rc == ERR_OK; n++) {
		struct id id;

		rc = put_chunk(w, lane, n, memory, &id, err);
		if (rc == ERR_OK)
			rc = buf_put_u64(&record, n, err);
		if (rc == ERR_OK)
			rc = buf_put(&record, id.b, ID_LEN, err);
	}
	if (rc == ERR_OK)
		rc = writer_commit(w, record.data, record.len, err);
	writer_free(w);
	lane_free(lane);
	repo_close(r);
	buf_fini(&record);
	free(memory);
	return rc;
}

struct reading {
	struct lane *lane;
	unsigned n_snapshots;
};

static enum err
read_snapshot(void *arg, const struct snapshot_ref *ref, struct error *err)
{
	struct reading *rd = arg;
	struct rd bytes;

	rd->n_snapshots++;
	rd_init(&bytes, ref->data, ref->len);
	while (rd_left(&bytes) > 0) {
		uint64_t n = rd_u64(&bytes);
		struct id id;

		rd_copy(&bytes, id.b, ID_LEN);
		assert_true(rd_ok(&bytes));
		check_chunk(rd->lane, n, &id);
	}
	return ERR_OK;
}

/* Every snapshot reads back whole; how many there are. */
static unsigned
read_everything(struct store *st)
{
	struct repo *r = tool_open(st, TOOL_PASS);
	struct reading rd = { tool_lane(r), 0 };
	struct error err = ERROR_INIT;

	must(repo_each_snapshot(r, read_snapshot, NULL, &rd, &err), &err);
	check_packs(r);
	lane_free(rd.lane);
	repo_close(r);
	return rd.n_snapshots;
}

/* A first session is there; a second one meets the crash.  False where the
 * crash came too late to be met. */
static bool
crash_once(const struct store *first, struct crash *c)
{
	struct fault_plan plan = { decide, c, ERR_IO };
	struct store *inner, *st, *left;
	struct error err = ERROR_INIT;
	unsigned n;
	bool met;
	enum err rc;

	must(store_mem_clone(&inner, first, &err), &err);
	must(store_fault_new(&st, inner, &plan, &err), &err);
	rc = session(st, 20, 90, &err);
	met = c->seen >= c->at;
	must(store_mem_clone(&left, inner, &err), &err);
	store_close(st);

	n = read_everything(left);
	if (rc == ERR_OK)
		assert_int_equal(n, 2);
	else if (strstr(err.msg, "the snapshot was stored, but") != NULL)
		assert_int_equal(n, 2);
	else if (c->last == FAULT_DEAD)
		assert_int_equal(n, 1);
	must(session(left, 20, 90, &err), &err);
	assert_int_equal(read_everything(left), n + 1);
	store_close(left);
	return met;
}

static void
test_crashes(void **state)
{
	static const enum fault last[] = { FAULT_DEAD, FAULT_AFTER,
		FAULT_TWICE };
	struct store *first = tool_repo_store();
	struct error err = ERROR_INIT;

	must(session(first, 0, 40, &err), &err);
	for (size_t i = 0; i < ARRAY_LEN(last); i++) {
		uint64_t at = 0;
		struct crash c;

		do
			c = (struct crash){ .at = ++at, .last = last[i] };
		while (crash_once(first, &c));
		assert_true(at > 10);
	}
	store_close(first);
}

/* Half a pack, which only a store that breaks its promise leaves, is nothing
 * that a snapshot needs. */
static void
test_torn_packs(void **state)
{
	struct store *first = tool_repo_store();
	struct error err = ERROR_INIT;
	uint64_t at = 0;
	struct crash c;

	must(session(first, 0, 40, &err), &err);
	do
		c = (struct crash){ .at = ++at,
			.last = FAULT_TORN,
			.packs_only = true };
	while (crash_once(first, &c));
	assert_true(at > 2);
	store_close(first);
}

static enum fault
full(void *arg, uint64_t n, enum store_op op, const char *name)
{
	unsigned *packs = arg;

	if (op != STORE_PUT || strncmp(name, "packs/", 6) != 0)
		return FAULT_NONE;
	return ++*packs > 2 ? FAULT_BEFORE : FAULT_NONE;
}

static void
test_no_space(void **state)
{
	unsigned packs = 0;
	struct fault_plan plan = { full, &packs, ERR_NOSPACE };
	struct error err = ERROR_INIT, again = ERROR_INIT;
	struct store *st;
	struct repo *r;
	struct lane *lane;
	struct writer *w;
	struct id id;
	uint8_t *memory = malloc(CHUNK_LEN_MAX);
	enum err rc = ERR_OK;

	assert_non_null(memory);
	must(store_fault_new(&st, tool_repo_store(), &plan, &err), &err);
	r = tool_open(st, TOOL_PASS);
	lane = tool_lane(r);
	w = open_writer(r);
	for (uint64_t n = 0; n < 1000 && rc == ERR_OK; n++)
		rc = put_chunk(w, lane, n, memory, &id, &err);
	must_fail(rc, ERR_NOSPACE, &err, "packs/");
	must_fail(put_chunk(w, lane, 0, memory, &id, &again), ERR_NOSPACE,
		&again, err.msg);
	must_fail(writer_flush(w, &again), ERR_NOSPACE, &again, err.msg);
	must_fail(writer_commit(w, "x", 1, &again), ERR_NOSPACE, &again,
		err.msg);
	writer_free(w);
	lane_free(lane);
	repo_close(r);
	assert_int_equal(count_objects(st, "snapshots"), 0);
	packs = 0;
	must(session(st, 0, 10, &err), &err);
	assert_int_equal(read_everything(st), 1);
	free(memory);
	store_close(st);
}

/*
 * Another process changes the bytes while they are put, as bad memory would:
 * what was named is not what was sealed, and that is noticed, or what is in
 * the repository is right.
 */
static void
test_bad_memory(void **state)
{
	enum { LEN = 256 << 10 };
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);
	struct lane *lane = tool_lane(r);
	struct writer *w = open_writer(r);
	struct error err = ERROR_INIT;
	double end = mono_sec() + 100;
	enum err rc = ERR_OK;
	struct id id;
	pid_t pid;
	volatile uint8_t *m = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal((void *)(uintptr_t)m, MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		for (;;)
			m[LEN - 1]++;
	while (rc == ERR_OK && mono_sec() < end) {
		struct node_bytes node = { NULL, 0, (const void *)(uintptr_t)m,
			LEN };

		m[0]++;
		rc = writer_put_node(w, lane, &node, &id, NULL, &err);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	must_fail(rc, ERR_CORRUPT, &err, "memory of this machine");
	must_fail(writer_commit(w, "x", 1, &err), ERR_CORRUPT, &err,
		"memory of this machine");
	writer_free(w);
	check_packs(r);
	munmap((void *)(uintptr_t)m, LEN);
	lane_free(lane);
	repo_close(r);
	store_close(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crashes),
		cmocka_unit_test(test_torn_packs),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_bad_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
