/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever many lanes put at the same time is there after the commit, once,
 * and what a session published is not stored again by the next.
 */
#include "tests/lib/chunk_tools.h"

#include <pthread.h>

#include "store/store_fault.h"

enum { LANES = 8 };

static struct writer *
open_writer(struct repo *r)
{
	struct writer_conf conf = { .host = "here" };
	struct error err = ERROR_INIT;
	struct writer *w;

	must(writer_open(&w, r, &conf, &err), &err);
	return w;
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

static enum fault
only_this_thread(void *arg, uint64_t n, enum store_op op, const char *name)
{
	const pthread_t *me = arg;

	if (op == STORE_PUT)
		assert_true(pthread_equal(*me, pthread_self()));
	return FAULT_NONE;
}

/* Without a thread of its own, and with many lanes, which then store packs
 * themselves. */
static void
test_inline(void **state)
{
	enum { N = 512 };
	static struct id ids[N];
	pthread_t me = pthread_self();
	struct fault_plan plan = { only_this_thread, &me, ERR_IO };
	struct writer_conf conf = { .inline_upload = true };
	struct error err = ERROR_INIT;
	struct store *st;
	struct repo *r;
	struct writer *w;
	struct lane *lane;
	uint8_t *memory = malloc(CHUNK_LEN_MAX);

	assert_non_null(memory);
	must(store_fault_new(&st, tool_repo_store(), &plan, &err), &err);
	r = tool_open(st, TOOL_PASS);
	lane = tool_lane(r);
	must(writer_open(&w, r, &conf, &err), &err);
	for (uint64_t n = 0; n < N; n++)
		must(put_chunk(w, lane, n, memory, &ids[n], &err), &err);
	must(writer_commit(w, "record", 6, &err), &err);
	writer_free(w);
	lane_free(lane);
	run_workers(r, NULL, N, ids);
	repo_close(r);
	store_close(st);

	st = tool_repo_store();
	r = tool_open(st, TOOL_PASS);
	must(writer_open(&w, r, &conf, &err), &err);
	run_workers(r, w, N, ids);
	must(writer_commit(w, "record", 6, &err), &err);
	writer_free(w);
	run_workers(r, NULL, N, ids);
	assert_int_equal(check_packs(r), count_objects(st, "packs"));
	repo_close(r);
	store_close(st);
	free(memory);
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

/* 100 bytes that an earlier session did not store are in the repository after
 * this one. */
static void
stored_anew(struct repo *r, struct lane *lane, const uint8_t *bytes)
{
	struct writer_conf conf = { 0 };
	struct buf out = BUF_INIT(1 << 20);
	struct error err = ERROR_INIT;
	struct writer_figures fig;
	struct writer *w;
	struct id id;

	must(writer_open(&w, r, &conf, &err), &err);
	must(writer_put_data(w, lane, bytes, 100, &id, NULL, &err), &err);
	must(writer_commit(w, "record", 6, &err), &err);
	writer_figures(w, &fig);
	assert_int_equal(fig.chunks_new, 1);
	writer_free(w);
	must(repo_read_data(lane, &id, &out, &err), &err);
	assert_int_equal(out.len, 100);
	assert_memory_equal(out.data, bytes, 100);
	buf_fini(&out);
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

	/* The next one does not believe in a chunk that is nowhere. */
	stored_anew(r, lane, bytes);
	lane_free(lane);
	repo_close(r);
	store_close(st);
}

static enum fault
no_packs(void *arg, uint64_t n, enum store_op op, const char *name)
{
	(void)n;
	return *(_Atomic bool *)arg && op == STORE_PUT &&
			       strncmp(name, "packs/", 6) == 0
		       ? FAULT_BEFORE
		       : FAULT_NONE;
}

/* A disk is full for a while: the same process goes on when it is not. */
static void
test_after_failure(void **state)
{
	_Atomic bool full = true;
	const struct fault_plan plan = { no_packs, &full, ERR_NOSPACE };
	struct writer_conf conf = { 0 };
	struct store *inner = tool_repo_store(), *st;
	struct error err = ERROR_INIT;
	struct repo *r;
	struct lane *lane;
	uint8_t bytes[100] = { 1 };
	struct writer *w;
	struct id id;

	(void)state;
	must(store_fault_new(&st, inner, &plan, &err), &err);
	r = tool_open(st, TOOL_PASS);
	lane = tool_lane(r);
	for (int i = 0; i < 3; i++) {
		err = ERROR_INIT;
		must(writer_open(&w, r, &conf, &err), &err);
		must(writer_put_data(w, lane, bytes, 100, &id, NULL, &err),
			&err);
		assert_int_equal(writer_commit(w, "record", 6, &err),
			ERR_NOSPACE);
		writer_free(w);
	}
	full = false;
	stored_anew(r, lane, bytes);
	check_packs(r);
	lane_free(lane);
	repo_close(r);
	store_close(st);
}

static void
test_roles(void **state)
{
	enum { N = 64 };
	const struct pass writing = { "w", 1 }, pruning = { "m", 1 },
			  reading = { "r", 1 };
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
	tool_add_key(st, r, ROLE_READER, reading);
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
		"not a maintainer key");
	repo_close(r);
	r = tool_open(st, reading);
	must_fail(writer_open(&w, r, &conf, &err), ERR_DENIED, &err,
		"not a reader key");
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
	snprintf(name, sizeof(name), "snapshots/%s/%s", repo_keys(r)->ns_hex,
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_lanes),
		cmocka_unit_test(test_continued),
		cmocka_unit_test(test_inline),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_dry_run),
		cmocka_unit_test(test_after_failure),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_fenced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
