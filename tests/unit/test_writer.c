/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever many lanes put at the same time is there after the commit, once;
 * killed at any operation of the store, a session leaves snapshots that read
 * back whole, and a repository that the next session continues.
 */
#include "tests/lib/repo_tools.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"
#include "repo/pack.h"
#include "store/store_fault.h"

enum { LANES = 8, CHUNK_LEN_MAX = 64 << 10, PACKS_MAX = 256 };

/* Chunk number n of a family of chunks; every fourth one is a node. */
static size_t
chunk_len(uint64_t n)
{
	return 1 + n * 7919 % (CHUNK_LEN_MAX - 1);
}

static bool
is_node(uint64_t n)
{
	return n % 4 == 3;
}

static size_t
head_len(uint64_t n)
{
	return n % 8 == 3 ? 0 : chunk_len(n) / 3;
}

static enum err
put_chunk(struct writer *w, struct lane *lane, uint64_t n, uint8_t *memory,
	struct id *id, struct error *err)
{
	size_t len = chunk_len(n), head = head_len(n), added;
	struct node_bytes node = { memory, head, memory + head, len - head };

	tool_bytes(n, memory, len);
	return is_node(n)
		       ? writer_put_node(w, lane, &node, id, &added, err)
		       : writer_put_data(w, lane, memory, len, id, &added, err);
}

static void
check_chunk(struct lane *lane, uint64_t n, const struct id *id)
{
	static _Thread_local uint8_t expect[CHUNK_LEN_MAX];
	struct buf out = BUF_INIT(CHUNK_LEN_MAX);
	struct error err = ERROR_INIT;
	size_t head = 0;

	if (is_node(n))
		must(repo_read_node(lane, id, &out, &head, &err), &err);
	else
		must(repo_read_data(lane, id, &out, &err), &err);
	tool_bytes(n, expect, chunk_len(n));
	assert_int_equal(out.len, chunk_len(n));
	assert_memory_equal(out.data, expect, out.len);
	if (is_node(n))
		assert_int_equal(head, head_len(n));
	buf_fini(&out);
}

static struct writer *
open_writer(struct repo *r)
{
	struct writer_conf conf = { .host = "here" };
	struct error err = ERROR_INIT;
	struct writer *w;

	must(writer_open(&w, r, &conf, &err), &err);
	return w;
}

/* Packs as the segments tell of them. */
struct packs {
	struct repo *repo;
	unsigned n;
	struct pack_info info[PACKS_MAX];
	struct record *recs[PACKS_MAX];
	uint32_t at;
};

static enum err
take_pack(void *arg, const struct pack_info *pack, struct error *err)
{
	struct packs *p = arg;

	assert_true(p->n < PACKS_MAX);
	p->recs[p->n] = calloc(pack->n_records, sizeof(struct record));
	assert_non_null(p->recs[p->n]);
	p->info[p->n++] = *pack;
	p->at = 0;
	return ERR_OK;
}

static enum err
take_record(void *arg, const struct location *loc, struct error *err)
{
	struct packs *p = arg;

	p->recs[p->n - 1][p->at++] = loc->rec;
	return ERR_OK;
}

struct names {
	char name[PACKS_MAX][STORE_NAME_MAX + 1];
	unsigned n;
};

static enum err
take_name(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct names *l = arg;

	assert_true(l->n < PACKS_MAX);
	snprintf(l->name[l->n++], STORE_NAME_MAX + 1, "%s", name);
	return ERR_OK;
}

static unsigned
count_objects(struct store *st, const char *prefix)
{
	static struct names l;
	struct error err = ERROR_INIT;

	l.n = 0;
	must(store_list(st, prefix, take_name, &l, &err), &err);
	return l.n;
}

/* Every pack that a segment names is whole and as the segment says. */
static unsigned
check_packs(struct repo *r)
{
	static struct packs p;
	static struct names l;
	struct segment_visitor v = { take_pack, take_record, NULL, &p };
	struct lane *lane = tool_lane(r);
	struct error err = ERROR_INIT;

	p.n = 0;
	l.n = 0;
	must(store_list(repo_store(r), "index", take_name, &l, &err), &err);
	for (unsigned i = 0; i < l.n; i++)
		must(segment_load(repo_store(r), l.name[i],
			     &repo_keys(r)->structure, &v, &err),
			&err);
	for (unsigned i = 0; i < p.n; i++) {
		must(repo_check_pack(lane, &p.info[i], p.recs[i], true, &err),
			&err);
		free(p.recs[i]);
	}
	lane_free(lane);
	return p.n;
}

/* Threads that put, or read, the same numbers in orders of their own. */
struct worker {
	pthread_t thread;
	struct writer *w; /* NULL: read */
	struct lane *lane;
	uint64_t seed, n;
	struct id *ids;
	pthread_mutex_t *lock; /* of ids */
	struct error err;
};

static void *
work(void *arg)
{
	struct worker *k = arg;
	uint8_t *memory = malloc(CHUNK_LEN_MAX);
	uint64_t step = 1 + 2 * (k->seed % 1000), at = k->seed;
	enum err rc = ERR_OK;

	assert_non_null(memory);
	/* n is a power of two, so an odd step visits each number. */
	for (uint64_t i = 0; i < k->n && rc == ERR_OK; i++) {
		uint64_t number = at % k->n;
		struct id id;

		at += step;
		if (k->w == NULL) {
			check_chunk(k->lane, number, &k->ids[number]);
			continue;
		}
		rc = put_chunk(k->w, k->lane, number, memory, &id, &k->err);
		pthread_mutex_lock(k->lock);
		k->ids[number] = id;
		pthread_mutex_unlock(k->lock);
	}
	free(memory);
	return NULL;
}

static void
run_workers(struct repo *r, struct writer *w, uint64_t n, struct id *ids)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct worker k[LANES];

	for (unsigned i = 0; i < LANES; i++) {
		k[i] = (struct worker){ .w = w,
			.lane = tool_lane(r),
			.seed = i * 31 + 5,
			.n = n,
			.ids = ids,
			.lock = &lock };
		assert_int_equal(pthread_create(&k[i].thread, NULL, work,
					 &k[i]),
			0);
	}
	for (unsigned i = 0; i < LANES; i++) {
		pthread_join(k[i].thread, NULL);
		must(k[i].err.code, &k[i].err);
		lane_free(k[i].lane);
	}
}

static void
test_many_lanes(void **state)
{
	enum { N = 512 };
	static struct id ids[N];
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);
	struct writer *w = open_writer(r);
	struct error err = ERROR_INIT;
	struct writer_figures fig;
	uint64_t plain = 0;

	for (uint64_t n = 0; n < N; n++)
		plain += chunk_len(n);
	run_workers(r, w, N, ids);
	must(writer_commit(w, "record", 6, &err), &err);
	writer_figures(w, &fig);
	assert_int_equal(fig.chunks_new, N);
	assert_int_equal(fig.chunks_known, N * (LANES - 1));
	assert_int_equal(fig.bytes_added, plain);
	assert_true(fig.bytes_stored < plain * 3 / 4);
	writer_free(w);
	run_workers(r, NULL, N, ids);
	repo_close(r);

	r = tool_open(st, TOOL_PASS);
	assert_int_equal(check_packs(r), count_objects(st, "packs"));
	assert_int_equal(count_objects(st, "sessions"), 0);
	assert_int_equal(count_objects(st, "snapshots"), 1);
	run_workers(r, NULL, N, ids);
	w = open_writer(r);
	run_workers(r, w, N, ids);
	writer_figures(w, &fig);
	assert_int_equal(fig.chunks_new, 0);
	must(writer_commit(w, "record", 6, &err), &err);
	writer_free(w);
	repo_close(r);
	assert_int_equal(count_objects(st, "snapshots"), 2);
	store_close(st);
}

/* What was published before the end is not stored again. */
static void
test_continued(void **state)
{
	enum { N = PUBLISH_PACKS * 17, LEN = 64 << 10 };
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);
	struct lane *lane = tool_lane(r);
	struct writer *w = open_writer(r);
	uint8_t *bytes = malloc(LEN);
	struct error err = ERROR_INIT;
	struct writer_figures fig;
	struct id id;

	assert_non_null(bytes);
	for (uint64_t n = 0; n < N; n++) {
		tool_bytes(2 * n + 1, bytes, LEN);
		must(writer_put_data(w, lane, bytes, LEN, &id, NULL, &err),
			&err);
	}
	lane_free(lane);
	writer_free(w);
	repo_close(r);
	assert_true(count_objects(st, "index") > 0);
	assert_int_equal(count_objects(st, "snapshots"), 0);

	r = tool_open(st, TOOL_PASS);
	lane = tool_lane(r);
	w = open_writer(r);
	for (uint64_t n = 0; n < N; n++) {
		tool_bytes(2 * n + 1, bytes, LEN);
		must(writer_put_data(w, lane, bytes, LEN, &id, NULL, &err),
			&err);
	}
	writer_figures(w, &fig);
	assert_true(fig.chunks_known >= PUBLISH_PACKS * 15);
	must(writer_commit(w, "record", 6, &err), &err);
	writer_free(w);
	lane_free(lane);
	repo_close(r);
	free(bytes);
	store_close(st);
}

static void
test_lengths(void **state)
{
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);
	struct lane *lane = tool_lane(r);
	struct writer *w = open_writer(r);
	uint8_t *big = calloc(1, 2 * CHUNK_MAX + 1);
	struct node_bytes node = { big, CHUNK_MAX, big + CHUNK_MAX, CHUNK_MAX };
	struct buf out = BUF_INIT(3 * CHUNK_MAX);
	struct error err = ERROR_INIT;
	struct id data_id, node_id;
	struct prng p;
	size_t head;

	assert_non_null(big);
	prng_init(&p, 1);
	for (size_t i = 0; i < 2 * CHUNK_MAX; i += 8) {
		uint64_t v = prng_next(&p);

		memcpy(big + i, &v, 8);
	}
	must_fail(writer_put_data(w, lane, big, 0, &data_id, NULL, &err),
		ERR_USAGE, &err, "0 bytes");
	must_fail(writer_put_data(w, lane, big, CHUNK_MAX + 1, &data_id, NULL,
			  &err),
		ERR_USAGE, &err, "16777217 bytes");
	must(writer_put_data(w, lane, big, CHUNK_MAX, &data_id, NULL, &err),
		&err);
	must(writer_put_node(w, lane, &node, &node_id, NULL, &err), &err);
	must(writer_commit(w, "record", 6, &err), &err);
	must_fail(writer_commit(w, "record", 6, &err), ERR_USAGE, &err, "once");
	writer_free(w);

	must(repo_read_data(lane, &data_id, &out, &err), &err);
	assert_int_equal(out.len, CHUNK_MAX);
	assert_memory_equal(out.data, big, CHUNK_MAX);
	must(repo_read_node(lane, &node_id, &out, &head, &err), &err);
	assert_int_equal(head, CHUNK_MAX);
	assert_memory_equal(out.data + CHUNK_MAX, big, 2 * CHUNK_MAX);
	buf_fini(&out);
	free(big);
	lane_free(lane);
	check_packs(r);
	repo_close(r);
	store_close(st);
}

static void
test_dry_run(void **state)
{
	struct writer_conf conf = { .dry_run = true };
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);
	struct lane *lane = tool_lane(r);
	uint8_t bytes[100] = { 1 };
	struct error err = ERROR_INIT;
	struct writer_figures fig;
	struct writer *w, *again;
	unsigned before = count_objects(st, "");
	struct id id;

	must(writer_open(&w, r, &conf, &err), &err);
	must_fail(writer_open(&again, r, &conf, &err), ERR_USAGE, &err,
		"at work");
	for (int i = 0; i < 3; i++)
		must(writer_put_data(w, lane, bytes, 100, &id, NULL, &err),
			&err);
	writer_figures(w, &fig);
	assert_int_equal(fig.chunks_new, 1);
	assert_int_equal(fig.chunks_known, 2);
	assert_int_equal(fig.bytes_added, 100);
	must(writer_commit(w, "record", 6, &err), &err);
	writer_free(w);
	assert_int_equal(count_objects(st, ""), before);

	/* The index believes in a chunk that is nowhere. */
	conf.dry_run = false;
	must_fail(writer_open(&again, r, &conf, &err), ERR_USAGE, &err,
		"opened again");
	lane_free(lane);
	repo_close(r);
	store_close(st);
}

static void
test_roles(void **state)
{
	enum { N = 64 };
	const struct pass writing = { "w", 1 }, pruning = { "m", 1 };
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);
	struct writer_conf conf = { 0 };
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(1 << 20);
	struct writer_figures fig;
	struct lane *lane;
	struct writer *w;
	struct id ids[N];

	tool_add_key(st, r, ROLE_WRITER, writing);
	tool_add_key(st, r, ROLE_MAINTAINER, pruning);
	repo_close(r);

	r = tool_open(st, writing);
	for (unsigned round = 0; round < 2; round++) {
		w = open_writer(r);
		run_workers(r, w, N, ids);
		writer_figures(w, &fig);
		assert_int_equal(fig.chunks_new, round == 0 ? N : 0);
		must(writer_commit(w, "record", 6, &err), &err);
		writer_free(w);
	}
	lane = tool_lane(r);
	must_fail(repo_read_data(lane, &ids[0], &out, &err), ERR_DENIED, &err,
		"a writer key cannot read content");
	lane_free(lane);
	repo_close(r);

	r = tool_open(st, pruning);
	must_fail(writer_open(&w, r, &conf, &err), ERR_DENIED, &err,
		"a maintainer key cannot add");
	repo_close(r);

	r = tool_open(st, TOOL_PASS);
	run_workers(r, NULL, N, ids);
	repo_close(r);
	store_close(st);
}

static void
test_fenced(void **state)
{
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);
	struct writer *w = open_writer(r);
	char name[STORE_NAME_MAX + 1], hex[UID_HEX + 1];
	struct error err = ERROR_INIT;

	hex_encode(writer_uid(w)->b, UID_LEN, hex);
	snprintf(name, sizeof(name), "snapshots/%s/%s", repo_keys(r)->keyid,
		hex);
	must(store_put(st, name, "FENCED", 6, &err), &err);
	must_fail(writer_commit(w, "record", 6, &err), ERR_EXISTS, &err,
		"fenced");
	writer_free(w);
	w = open_writer(r);
	must(writer_commit(w, "record", 6, &err), &err);
	writer_free(w);
	repo_close(r);
	store_close(st);
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
	double end = mono_sec() + 30;
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
		cmocka_unit_test(test_many_lanes),
		cmocka_unit_test(test_continued),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_dry_run),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_fenced),
		cmocka_unit_test(test_crashes),
		cmocka_unit_test(test_torn_packs),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_bad_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
