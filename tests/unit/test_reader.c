/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chunk is read as long as one of its copies is whole, wherever it went
 * since the index was read; else one sentence says which chunk or pack is
 * gone.
 */
#include "repo/pack.h"
#include "tests/lib/chunk_tools.h"

enum { N = 24, COPIES = 4 };

struct copying {
	struct store *from, *to;
};

static enum err
copy_one(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct copying *c = arg;
	struct buf bytes = BUF_INIT(64 << 20);
	enum err rc = store_get_all(c->from, name, bytes.max, &bytes, err);

	if (rc == ERR_OK)
		rc = store_put(c->to, name, bytes.data, bytes.len, err);
	buf_fini(&bytes);
	return rc;
}

/* The same chunks, stored by somebody who knew of no others: two packs and a
 * segment. */
struct copy {
	struct store *st; /* all by itself */
	struct id ids[N];
	bool whole[2]; /* data, nodes: it has been left alone */
};

static void
copy_make(struct copy *c, const struct store *empty)
{
	struct writer_conf conf = { .host = "there" };
	struct error err = ERROR_INIT;
	uint8_t *memory = malloc(CHUNK_LEN_MAX);
	struct writer *w;
	struct lane *lane;
	struct repo *r;

	assert_non_null(memory);
	must(store_mem_clone(&c->st, empty, &err), &err);
	r = tool_open(c->st, TOOL_PASS);
	lane = tool_lane(r);
	must(writer_open(&w, r, &conf, &err), &err);
	for (uint64_t n = 0; n < N; n++)
		must(put_chunk(w, lane, n, memory, &c->ids[n], &err), &err);
	must(writer_flush(w, &err), &err);
	writer_free(w);
	lane_free(lane);
	repo_close(r);
	c->whole[0] = c->whole[1] = true;
	free(memory);
}

static void
copy_add(const struct copy *c, struct store *st)
{
	struct copying arg = { c->st, st };
	struct error err = ERROR_INIT;

	must(store_list(c->st, "packs", copy_one, &arg, &err), &err);
	must(store_list(c->st, "index", copy_one, &arg, &err), &err);
}

static enum err
delete_one(void *arg, const char *name, uint64_t size, struct error *err)
{
	return store_del(arg, name, err);
}

static void
copy_remove(const struct copy *c, struct store *st)
{
	struct error err = ERROR_INIT;

	must(store_list(c->st, "packs", delete_one, st, &err), &err);
	must(store_list(c->st, "index", delete_one, st, &err), &err);
}

/* Of a pack of c in st: its records are spoilt, or it is gone. */
struct harm {
	struct copy *c;
	struct store *st;
	struct prng *p;
	unsigned of; /* so many of 10 */
};

static enum err
harm_one(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct harm *h = arg;
	struct buf b = BUF_INIT(64 << 20);
	unsigned kind;

	if (prng_below(h->p, 10) >= h->of)
		return ERR_OK;
	must(store_get_all(h->st, name, b.max, &b, err), err);
	kind = b.data[10] - PACK_DATA;
	h->c->whole[kind] = false;
	must(store_del(h->st, name, err), err);
	if (prng_below(h->p, 2) == 0) {
		for (size_t i = PACK_HEADER; i < b.len; i++)
			b.data[i] ^= 0x10;
		must(store_put(h->st, name, b.data, b.len, err), err);
	}
	buf_fini(&b);
	return ERR_OK;
}

static enum err
read_one(struct lane *lane, uint64_t n, const struct id *id, struct buf *out,
	struct error *err)
{
	size_t head;

	buf_clear(out);
	return is_node(n) ? repo_read_node(lane, id, out, &head, err)
			  : repo_read_data(lane, id, out, err);
}

static void
expect(struct lane *lane, const struct copy *copies)
{
	struct buf out = BUF_INIT(1 << 24);

	for (uint64_t n = 0; n < N; n++) {
		const struct id *id = &copies[0].ids[n];
		struct error err = ERROR_INIT;
		char hex[ID_HEX + 1];
		bool whole = false;
		enum err rc;

		for (unsigned k = 0; k < COPIES; k++)
			whole = whole || copies[k].whole[is_node(n)];
		if (whole) {
			check_chunk(lane, n, id);
			continue;
		}
		rc = read_one(lane, n, id, &out, &err);
		assert_true(rc == ERR_NOTFOUND || rc == ERR_CORRUPT);
		hex_encode(id->b, ID_LEN, hex);
		assert_non_null(strstr(err.msg, hex));
		assert_int_equal(rc == ERR_NOTFOUND,
			strstr(err.msg, " is gone") != NULL);
		assert_int_equal(out.len, 0);
	}
	buf_fini(&out);
}

static void
test_any_whole_copy_will_do(void **state)
{
	for (uint64_t seed = 1; seed <= 15; seed++) {
		struct store *st = tool_repo_store(), *empty;
		struct copy copies[COPIES];
		struct error err = ERROR_INIT;
		struct lane *lane;
		struct repo *r;
		struct prng p;

		prng_init(&p, seed);
		must(store_mem_clone(&empty, st, &err), &err);
		for (unsigned k = 0; k < COPIES; k++) {
			copy_make(&copies[k], empty);
			copy_add(&copies[k], st);
		}
		for (unsigned k = 0; k < COPIES; k++) {
			struct harm h = { &copies[k], st, &p, 7 };

			must(store_list(copies[k].st, "packs", harm_one, &h,
				     &err),
				&err);
		}
		r = tool_open(st, TOOL_PASS);
		lane = tool_lane(r);
		expect(lane, copies);
		lane_free(lane);
		repo_close(r);
		for (unsigned k = 0; k < COPIES; k++)
			store_close(copies[k].st);
		store_close(empty);
		store_close(st);
	}
}

/* The copy that the index knows is gone, and another has come. */
static void
test_what_moved_is_found(void **state)
{
	struct store *st = tool_repo_store(), *empty;
	struct copy a, b;
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(1 << 24);
	struct location loc;
	struct index *idx;
	struct lane *lane;
	struct repo *r;
	bool found;
	size_t head;

	must(store_mem_clone(&empty, st, &err), &err);
	copy_make(&a, empty);
	copy_make(&b, empty);
	copy_add(&a, st);
	r = tool_open(st, TOOL_PASS);
	lane = tool_lane(r);
	must(repo_index(r, &idx, &err), &err);
	must(index_find(idx, &a.ids[0], &loc, &found, &err), &err);
	assert_true(found);
	copy_remove(&a, st);
	copy_add(&b, st);
	must(repo_read_at(lane, &loc, &out, &head, &err), &err);
	assert_int_equal(out.len, chunk_len(0));
	for (uint64_t n = 0; n < N; n++)
		check_chunk(lane, n, &a.ids[n]);
	copy_remove(&b, st);
	must_fail(read_one(lane, 1, &a.ids[1], &out, &err), ERR_NOTFOUND, &err,
		" is gone");
	/* By now the index knows, too. */
	must_fail(read_one(lane, 1, &a.ids[1], &out, &err), ERR_NOTFOUND, &err,
		"not in the repository");
	buf_fini(&out);
	lane_free(lane);
	repo_close(r);
	store_close(a.st);
	store_close(b.st);
	store_close(empty);
	store_close(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_whole_copy_will_do),
		cmocka_unit_test(test_what_moved_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
