/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repository opens with its keys and tells in one sentence why it does not;
 * no changed bit of a pack goes unnoticed; each role reads what is its own.
 */
#include "tests/lib/repo_tools.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/hash.h"
#include "repo/box.h"
#include "repo/pack.h"
#include "store/store_fault.h"

enum { N_CHUNKS = 12, CHUNK_LEN = 300 };

/* A repository with one pack of data and one of nodes. */
struct small {
	struct store *st;
	struct id data[N_CHUNKS], node[N_CHUNKS];
	struct pack_info pack[2];
	struct record recs[2][N_CHUNKS];
	unsigned n_packs, n_recs;
};

static enum err
take_pack(void *arg, const struct pack_info *pack, struct error *err)
{
	struct small *s = arg;

	assert_true(s->n_packs < 2);
	s->pack[s->n_packs++] = *pack;
	s->n_recs = 0;
	return ERR_OK;
}

static enum err
take_record(void *arg, const struct location *loc, struct error *err)
{
	struct small *s = arg;

	assert_true(s->n_recs < N_CHUNKS);
	s->recs[s->n_packs - 1][s->n_recs++] = loc->rec;
	return ERR_OK;
}

struct loading {
	struct small *small;
	struct repo *repo;
};

static enum err
load(void *arg, const char *name, uint64_t size, struct error *err)
{
	char *out = arg;

	snprintf(out, STORE_NAME_MAX + 1, "%s", name);
	return ERR_OK;
}

static void
fill(struct small *s, struct repo *r)
{
	struct writer_conf conf = { .host = "here" };
	struct error err = ERROR_INIT;
	struct lane *lane = tool_lane(r);
	uint8_t bytes[2 * CHUNK_LEN];
	struct writer *w;

	must(writer_open(&w, r, &conf, &err), &err);
	for (uint64_t i = 0; i < N_CHUNKS; i++) {
		struct node_bytes node = { bytes, i * 20, bytes + CHUNK_LEN,
			CHUNK_LEN };

		tool_bytes(i, bytes, sizeof(bytes));
		must(writer_put_data(w, lane, bytes, 1 + i * 20, &s->data[i],
			     NULL, &err),
			&err);
		must(writer_put_node(w, lane, &node, &s->node[i], NULL, &err),
			&err);
	}
	must(writer_commit(w, "record", 6, &err), &err);
	writer_free(w);
	lane_free(lane);
}

static struct small
small_repo(void)
{
	struct small s = { .st = tool_repo_store() };
	struct segment_visitor v = { take_pack, take_record, NULL, &s };
	struct repo *r = tool_open(s.st, TOOL_PASS);
	char name[STORE_NAME_MAX + 1] = "";
	struct error err = ERROR_INIT;

	fill(&s, r);
	must(store_list(s.st, "index", load, name, &err), &err);
	must(segment_load(s.st, name, &repo_keys(r)->structure, &v, &err),
		&err);
	assert_int_equal(s.n_packs, 2);
	repo_close(r);
	return s;
}

static void
test_init(void **state)
{
	struct repo_init_conf conf = tool_init_conf();
	struct error err = ERROR_INIT;
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);

	assert_int_equal(repo_keys(r)->role, ROLE_ADMIN);
	assert_int_equal(repo_config(r)->pack_target, conf.pack_target);
	assert_non_null(repo_gear(r));
	repo_close(r);
	must_fail(repo_init(st, &conf, &err), ERR_EXISTS, &err,
		"repository here already");
	store_close(st);

	st = tool_store();
	must(store_put(st, "photos/cat", "x", 1, &err), &err);
	must_fail(repo_init(st, &conf, &err), ERR_USAGE, &err, "not empty");
	store_close(st);

	st = tool_store();
	conf.pack_target = 5;
	must_fail(repo_init(st, &conf, &err), ERR_USAGE, &err, "limits");
	store_close(st);
}

static enum fault
die_at(void *arg, uint64_t n, enum store_op op, const char *name)
{
	const uint64_t *at = arg;

	return n == *at ? FAULT_DEAD : FAULT_NONE;
}

/* Killed anywhere, an init leaves a repository or a place to make one in. */
static void
test_init_killed(void **state)
{
	struct repo_init_conf conf = tool_init_conf();
	struct error err = ERROR_INIT;
	bool done = false;

	for (uint64_t at = 1; !done; at++) {
		struct store *inner = tool_store(), *st, *left;
		struct fault_plan plan = { die_at, &at, ERR_IO };
		enum err rc;

		must(store_fault_new(&st, inner, &plan, &err), &err);
		done = repo_init(st, &conf, &err) == ERR_OK;
		must(store_mem_clone(&left, inner, &err), &err);
		store_close(st);
		rc = repo_init(left, &conf, &err);
		assert_int_equal(rc, done ? ERR_EXISTS : ERR_OK);
		repo_close(tool_open(left, TOOL_PASS));
		store_close(left);
	}
}

/* A place where the second of two puts wins. */
static enum err
overwriting_put(struct store *st, const char *name, const void *data,
	size_t len, struct error *err)
{
	(void)!store_del(*(struct store **)(void *)(st + 1), name, err);
	return store_put(*(struct store **)(void *)(st + 1), name, data, len,
		err);
}

static enum err
inner_size(struct store *st, const char *name, uint64_t *size,
	struct error *err)
{
	return store_size(*(struct store **)(void *)(st + 1), name, size, err);
}

static enum err
inner_list(struct store *st, const char *prefix, store_list_fn *fn, void *arg,
	struct error *err)
{
	return store_list(*(struct store **)(void *)(st + 1), prefix, fn, arg,
		err);
}

static enum err
inner_del(struct store *st, const char *name, struct error *err)
{
	return store_del(*(struct store **)(void *)(st + 1), name, err);
}

static void
test_not_exclusive(void **state)
{
	static const struct store_ops ops = { .put = overwriting_put,
		.size = inner_size,
		.list = inner_list,
		.del = inner_del };
	struct {
		struct store base;
		struct store *inner;
	} bad = { .base = { .ops = &ops }, .inner = tool_store() };
	struct repo_init_conf conf = tool_init_conf();
	struct error err = ERROR_INIT;
	char name[STORE_NAME_MAX + 1] = "";

	must_fail(repo_init(&bad.base, &conf, &err), ERR_IO, &err,
		"overwritten");
	must(store_list(bad.inner, "", load, name, &err), &err);
	assert_string_equal(name, "");
	store_close(bad.inner);
}

static enum err
try_open(struct store *st, const char *pass, struct error *err)
{
	struct repo_conf conf = { .pass = { pass, strlen(pass) } };
	struct repo *r;
	enum err rc = repo_open(&r, st, &conf, err);

	if (rc == ERR_OK)
		repo_close(r);
	return rc;
}

static void
test_open_refused(void **state)
{
	struct error err = ERROR_INIT;
	struct store *st = tool_store(), *other = tool_repo_store();
	struct buf config = BUF_INIT(1000);

	must_fail(try_open(st, "secret", &err), ERR_NOTFOUND, &err,
		"no coffer repository");
	must(store_put(st, "config", "# settings", 10, &err), &err);
	must_fail(try_open(st, "secret", &err), ERR_CORRUPT, &err,
		"not that of a coffer");
	store_close(st);

	st = tool_repo_store();
	must_fail(try_open(st, "Secret", &err), ERR_DENIED, &err,
		"wrong passphrase");
	for (uint64_t bit = 0; bit < 8 * CONFIG_LEN; bit++) {
		enum err rc;

		must(store_mem_flip(st, "config", bit, &err), &err);
		rc = try_open(st, "secret", &err);
		assert_true(rc == ERR_CORRUPT || rc == ERR_VERSION);
		must(store_mem_flip(st, "config", bit, &err), &err);
	}

	/* The config of another repository with the same passphrase. */
	must(store_get_all(other, "config", 1000, &config, &err), &err);
	must(store_del(st, "config", &err), &err);
	must(store_put(st, "config", config.data, config.len, &err), &err);
	must_fail(try_open(st, "secret", &err), ERR_CORRUPT, &err,
		"another repository");
	buf_fini(&config);
	store_close(other);
	store_close(st);
}

static enum err
check(struct lane *lane, const struct small *s, unsigned i, bool read_data,
	struct error *err)
{
	return repo_check_pack(lane, &s->pack[i], s->recs[i], read_data, err);
}

static void
test_check_every_bit(void **state)
{
	struct small s = small_repo();
	struct error err = ERROR_INIT;
	char name[PACK_NAME];

	for (unsigned i = 0; i < 2; i++) {
		struct repo *r = tool_open(s.st, TOOL_PASS);
		struct lane *lane = tool_lane(r);

		must(check(lane, &s, i, false, &err), &err);
		must(check(lane, &s, i, true, &err), &err);
		pack_name(name, &s.pack[i].id);
		for (uint64_t bit = 0; bit < 8 * s.pack[i].size; bit++) {
			must(store_mem_flip(s.st, name, bit, &err), &err);
			must_fail(check(lane, &s, i, true, &err), ERR_CORRUPT,
				&err, name);
			must(store_mem_flip(s.st, name, bit, &err), &err);
		}
		lane_free(lane);
		repo_close(r);
	}
	store_close(s.st);
}

/* Whether a copy of pack i with that bit changed, under the name that this
 * copy deserves, passes: what the layers below the name see. */
static bool
passes_renamed(struct lane *lane, struct small *s, unsigned i,
	struct buf *bytes, uint64_t bit, bool read_data)
{
	struct error err = ERROR_INIT;
	struct pack_info real = s->pack[i];
	char name[PACK_NAME];
	enum err rc;

	bytes->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	hash_plain(&s->pack[i].id, bytes->data, bytes->len);
	pack_name(name, &s->pack[i].id);
	must(store_put(s->st, name, bytes->data, bytes->len, &err), &err);
	rc = check(lane, s, i, read_data, &err);
	must(store_del(s->st, name, &err), &err);
	s->pack[i] = real;
	bytes->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	assert_true(rc == ERR_OK || rc == ERR_CORRUPT || rc == ERR_VERSION);
	return rc == ERR_OK;
}

static void
test_check_every_bit_renamed(void **state)
{
	struct small s = small_repo();
	struct repo *r = tool_open(s.st, TOOL_PASS);
	struct lane *lane = tool_lane(r);
	struct error err = ERROR_INIT;

	for (unsigned i = 0; i < 2; i++) {
		struct buf bytes = BUF_INIT(1 << 20);
		uint64_t records_end = PACK_HEADER, bit, reserved;
		char name[PACK_NAME];

		for (uint32_t k = 0; k < s.pack[i].n_records; k++)
			records_end += s.recs[i][k].stored_len;
		pack_name(name, &s.pack[i].id);
		must(store_get_all(s.st, name, 1 << 20, &bytes, &err), &err);
		reserved = bytes.len - 12;
		for (bit = 0; bit < 8 * bytes.len; bit++) {
			uint64_t at = bit / 8;
			bool ignored = at >= reserved && at < reserved + 4;
			bool record = at >= PACK_HEADER && at < records_end;

			assert_int_equal(passes_renamed(lane, &s, i, &bytes,
						 bit, true),
				ignored);
			assert_int_equal(passes_renamed(lane, &s, i, &bytes,
						 bit, false),
				ignored || record);
		}
		buf_fini(&bytes);
	}
	lane_free(lane);
	repo_close(r);
	store_close(s.st);
}

static void
test_check_sizes(void **state)
{
	struct small s = small_repo();
	struct repo *r = tool_open(s.st, TOOL_PASS);
	struct lane *lane = tool_lane(r);
	struct buf bytes = BUF_INIT(1 << 20);
	struct error err = ERROR_INIT;
	char name[PACK_NAME];

	pack_name(name, &s.pack[0].id);
	must(store_get_all(s.st, name, 1 << 20, &bytes, &err), &err);
	must(buf_put_zero(&bytes, 1, &err), &err);
	for (size_t len = 0; len <= bytes.len; len += 7) {
		must(store_del(s.st, name, &err), &err);
		must(store_put(s.st, name, bytes.data, len, &err), &err);
		if (len != bytes.len - 1)
			must_fail(check(lane, &s, 0, false, &err), ERR_CORRUPT,
				&err, "by the index");
	}
	must(store_del(s.st, name, &err), &err);
	must_fail(check(lane, &s, 0, false, &err), ERR_CORRUPT, &err,
		"missing");

	must(store_put(s.st, name, bytes.data, bytes.len - 1, &err), &err);
	must(check(lane, &s, 0, true, &err), &err);
	s.pack[0].n_records--;
	must_fail(check(lane, &s, 0, true, &err), ERR_CORRUPT, &err, "records");
	s.pack[0].n_records++;
	s.recs[0][3].id.b[0] ^= 1;
	must_fail(check(lane, &s, 0, true, &err), ERR_CORRUPT, &err,
		"record 3");
	buf_fini(&bytes);
	lane_free(lane);
	repo_close(r);
	store_close(s.st);
}

static void
read_as(struct small *s, struct repo *r, enum role role)
{
	bool content = role == ROLE_ADMIN || role == ROLE_READER;
	struct error err = ERROR_INIT;
	struct lane *lane = tool_lane(r);
	uint8_t bytes[2 * CHUNK_LEN];
	struct buf out = BUF_INIT(1 << 20);

	for (uint64_t i = 0; i < N_CHUNKS; i++) {
		size_t head_len = 999;

		tool_bytes(i, bytes, sizeof(bytes));
		buf_clear(&out);
		must(repo_read_head(lane, &s->node[i], &out, &err), &err);
		assert_int_equal(out.len, i * 20);
		assert_memory_equal(out.data, bytes, out.len);
		if (!content) {
			must_fail(repo_read_data(lane, &s->data[i], &out, &err),
				ERR_DENIED, &err, "cannot read content");
			must_fail(repo_read_node(lane, &s->node[i], &out,
					  &head_len, &err),
				ERR_DENIED, &err, role_name(role));
			continue;
		}
		buf_clear(&out);
		must(repo_read_node(lane, &s->node[i], &out, &head_len, &err),
			&err);
		assert_int_equal(head_len, i * 20);
		assert_int_equal(out.len, head_len + CHUNK_LEN);
		assert_memory_equal(out.data, bytes, head_len);
		assert_memory_equal(out.data + head_len, bytes + CHUNK_LEN,
			CHUNK_LEN);
		must(repo_read_data(lane, &s->data[i], &out, &err), &err);
		assert_memory_equal(out.data + head_len + CHUNK_LEN, bytes,
			1 + i * 20);
	}
	buf_fini(&out);
	lane_free(lane);
}

static void
test_read_by_role(void **state)
{
	static const char *const pass[] = { NULL, "secret", "two", "three",
		"four" };
	struct small s = small_repo();
	struct repo *r = tool_open(s.st, TOOL_PASS);
	struct error err = ERROR_INIT;
	struct lane *lane;

	for (enum role role = ROLE_READER; role <= ROLE_WRITER; role++)
		tool_add_key(s.st, r, role,
			(struct pass){ pass[role], strlen(pass[role]) });
	repo_close(r);
	for (enum role role = ROLE_ADMIN; role <= ROLE_WRITER; role++) {
		r = tool_open(s.st,
			(struct pass){ pass[role], strlen(pass[role]) });
		lane = tool_lane(r);
		read_as(&s, r, role);
		must(check(lane, &s, 0, true, &err), &err);
		must(check(lane, &s, 1, true, &err), &err);
		lane_free(lane);
		repo_close(r);
	}
	store_close(s.st);
}

static void
test_read_refused(void **state)
{
	struct small s = small_repo();
	struct repo *r = tool_open(s.st, TOOL_PASS);
	struct lane *lane = tool_lane(r);
	struct buf out = BUF_INIT(1 << 20);
	struct error err = ERROR_INIT;
	struct id none = { { 1 } };
	char name[PACK_NAME];

	must_fail(repo_read_data(lane, &none, &out, &err), ERR_NOTFOUND, &err,
		"chunk 0100");
	must_fail(repo_read_data(lane, &s.node[1], &out, &err), ERR_CORRUPT,
		&err, "is a node where data was expected");
	must_fail(repo_read_head(lane, &s.data[1], &out, &err), ERR_CORRUPT,
		&err, "is data where a node was expected");
	for (unsigned i = 0; i < 2; i++) {
		pack_name(name, &s.pack[i].id);
		must(store_del(s.st, name, &err), &err);
	}
	must_fail(repo_read_data(lane, &s.data[1], &out, &err), ERR_NOTFOUND,
		&err, "packs/");
	assert_int_equal(out.len, 0);
	buf_fini(&out);
	lane_free(lane);
	repo_close(r);
	store_close(s.st);
}

struct seen {
	unsigned good, bad;
	char name[STORE_NAME_MAX + 1];
};

static enum err
see(void *arg, const struct snapshot_ref *ref, struct error *err)
{
	struct seen *seen = arg;

	seen->good++;
	assert_int_equal(ref->len, 6);
	assert_memory_equal(ref->data, "record", 6);
	return ERR_OK;
}

static enum err
see_bad(void *arg, const char *name, const struct error *why, struct error *err)
{
	struct seen *seen = arg;

	seen->bad++;
	assert_non_null(strstr(why->msg, name));
	return ERR_OK;
}

static void
test_snapshots(void **state)
{
	static const char fence[] =
		"snapshots/0123456789abcdef0123456789abcdef/"
		"00000000000000000000000000000001";
	static const char junk[] = "snapshots/0123456789abcdef0123456789abcdef/"
				   "00000000000000000000000000000002";
	struct small s = small_repo();
	struct repo *r = tool_open(s.st, TOOL_PASS);
	struct error err = ERROR_INIT;
	struct seen seen = { 0 };
	char name[STORE_NAME_MAX + 1];

	must(store_put(s.st, fence, "FENCED", 6, &err), &err);
	must(repo_each_snapshot(r, see, NULL, &seen, &err), &err);
	assert_int_equal(seen.good, 1);
	must(store_list(s.st, "sessions", load, seen.name, &err), &err);
	assert_string_equal(seen.name, "");

	must(store_put(s.st, junk, "FENCED!", 7, &err), &err);
	must(store_put(s.st, "snapshots/x", "", 0, &err), &err);
	must(repo_each_snapshot(r, see, see_bad, &seen, &err), &err);
	assert_int_equal(seen.good, 2);
	assert_int_equal(seen.bad, 2);
	assert_int_equal(repo_each_snapshot(r, see, NULL, &seen, &err),
		ERR_CORRUPT);
	must(store_del(s.st, junk, &err), &err);
	must(store_del(s.st, "snapshots/x", &err), &err);
	must(store_del(s.st, fence, &err), &err);

	/* One bit, and it is bad. */
	must(store_list(s.st, "snapshots", load, name, &err), &err);
	must(store_mem_flip(s.st, name, 8 * 60, &err), &err);
	seen = (struct seen){ 0 };
	must(repo_each_snapshot(r, see, see_bad, &seen, &err), &err);
	assert_int_equal(seen.good, 0);
	assert_int_equal(seen.bad, 1);
	repo_close(r);
	store_close(s.st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_init_killed),
		cmocka_unit_test(test_not_exclusive),
		cmocka_unit_test(test_open_refused),
		cmocka_unit_test(test_check_every_bit),
		cmocka_unit_test(test_check_every_bit_renamed),
		cmocka_unit_test(test_check_sizes),
		cmocka_unit_test(test_read_by_role),
		cmocka_unit_test(test_read_refused),
		cmocka_unit_test(test_snapshots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
