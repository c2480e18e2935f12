/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/aead.h"
#include "codec/hash.h"
#include "repo/box.h"
#include "repo/segment.h"
#include "store/store_mem.h"
#include "tests/lib/packs.h"

enum { PACKS_MAX = 8, RECS_MAX = 50 };

static const struct secret key = { { 7, 8, 9 } };
static const struct segment_owner owner = { .epoch = 17,
	.session = { { 4, 5, 6 } } };

/* What a segment should say, and how far a visitor followed it. */
struct model {
	uint32_t n_packs;
	struct pack_info packs[PACKS_MAX];
	struct record recs[PACKS_MAX][RECS_MAX];
	uint32_t pack, rec, off;
	unsigned calls;
};

static enum err
see_pack(void *arg, const struct pack_info *pack, struct error *err)
{
	struct model *m = arg;

	if (m->pack > 0)
		assert_int_equal(m->rec, m->packs[m->pack - 1].n_records);
	assert_in_range(m->pack, 0, m->n_packs - 1);
	assert_true(id_eq(&pack->id, &m->packs[m->pack].id));
	assert_int_equal(pack->size, m->packs[m->pack].size);
	assert_int_equal(pack->n_records, m->packs[m->pack].n_records);
	m->pack++;
	m->rec = 0;
	m->off = PACK_HEADER;
	m->calls++;
	return ERR_OK;
}

static enum err
see_record(void *arg, const struct location *loc, struct error *err)
{
	struct model *m = arg;
	const struct record *want = &m->recs[m->pack - 1][m->rec++];

	assert_true(id_eq(&loc->pack, &m->packs[m->pack - 1].id));
	assert_int_equal(loc->off, m->off);
	assert_true(packs_same(&loc->rec, want));
	m->off += want->stored_len;
	m->calls++;
	return ERR_OK;
}

static enum err
see_session(void *arg, const struct uid *session, struct error *err)
{
	struct model *m = arg;

	assert_int_equal(m->pack, 0);
	assert_memory_equal(session->b, owner.session.b, UID_LEN);
	m->calls++;
	return ERR_OK;
}

static void
fill(struct prng *p, struct model *m, struct segment *seg)
{
	struct error err = ERROR_INIT;

	memset(m, 0, sizeof(*m));
	m->n_packs = 1 + (uint32_t)prng_below(p, PACKS_MAX);
	segment_init(seg);
	assert_true(segment_empty(seg));
	for (uint32_t i = 0; i < m->n_packs; i++) {
		packs_make(p, &m->packs[i], m->recs[i],
			(uint32_t)prng_below(p, RECS_MAX + 1));
		assert_int_equal(segment_add(seg, &m->packs[i], m->recs[i],
					 &err),
			ERR_OK);
	}
	assert_false(segment_empty(seg));
}

static void
test_round_trip_and_single_bits(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct error err = ERROR_INIT;
		struct store *st = NULL;
		struct segment seg;
		char name[SEGMENT_NAME_MAX];
		struct model m;
		struct prng p;
		struct segment_ref ref;
		uint64_t size;
		const struct segment_visitor v = { see_pack, see_record,
			see_session, &m };

		print_message("seed %lu\n", (unsigned long)seed);
		prng_init(&p, seed);
		fill(&p, &m, &seg);
		assert_int_equal(store_mem_new(&st, &err), ERR_OK);
		assert_int_equal(segment_publish(&seg, st, &key, &owner, &ref,
					 &err),
			ERR_OK);
		assert_int_equal(ref.epoch, owner.epoch);
		assert_false(ref.base);
		segment_name(&ref, name);
		assert_int_equal(segment_load(st, name, &key, &v, &err),
			ERR_OK);
		assert_int_equal(m.pack, m.n_packs);
		assert_int_equal(m.rec, m.packs[m.n_packs - 1].n_records);

		m.calls = 0;
		assert_int_equal(store_size(st, name, &size, &err), ERR_OK);
		for (unsigned i = 0; i < 50; i++) {
			uint64_t bit = prng_below(&p, size * 8);

			assert_int_equal(store_mem_flip(st, name, bit, &err),
				ERR_OK);
			assert_int_equal(segment_load(st, name, &key, &v, &err),
				ERR_CORRUPT);
			assert_int_equal(store_mem_flip(st, name, bit, &err),
				ERR_OK);
		}
		assert_int_equal(m.calls, 0);
		segment_fini(&seg);
		store_close(st);
	}
}

/* The plain bytes as they are published. */
static void
plain_of(const struct segment *seg, struct buf *out)
{
	struct error err = ERROR_INIT;

	buf_init(out, SEGMENT_MAX);
	assert_int_equal(buf_put(out, owner.session.b, UID_LEN, &err), ERR_OK);
	assert_int_equal(buf_put_varint(out, seg->n_packs, &err), ERR_OK);
	assert_int_equal(buf_put(out, seg->packs.data, seg->packs.len, &err),
		ERR_OK);
}

static void
test_nothing_of_a_malformed_one_is_handed_out(void **state)
{
	struct error err = ERROR_INIT;
	struct segment seg;
	struct buf plain;
	struct model m;
	struct prng p;
	const struct segment_visitor v = { see_pack, see_record, NULL, &m };

	prng_init(&p, 5);
	fill(&p, &m, &seg);
	plain_of(&seg, &plain);
	for (size_t len = 0; len < plain.len; len++)
		assert_int_equal(segment_parse(plain.data, len, &v, &err),
			ERR_CORRUPT);
	assert_int_equal(buf_put_u8(&plain, 0, &err), ERR_OK);
	assert_int_equal(segment_parse(plain.data, plain.len, &v, &err),
		ERR_CORRUPT);
	assert_int_equal(m.calls, 0);
	assert_int_equal(segment_parse(plain.data, plain.len - 1, &v, &err),
		ERR_OK);
	assert_int_not_equal(m.calls, 0);
	buf_fini(&plain);
	segment_fini(&seg);
}

static void
test_records_must_fit_into_their_pack(void **state)
{
	struct error err = ERROR_INIT;
	struct record recs[RECS_MAX];
	struct pack_info pack;
	struct segment seg;
	uint64_t full = PACK_HEADER + PACK_TRAILER;
	uint32_t off = UINT32_MAX - 10;
	struct prng p;

	prng_init(&p, 6);
	segment_init(&seg);
	packs_make(&p, &pack, recs, RECS_MAX);
	for (unsigned i = 0; i < RECS_MAX; i++)
		full += recs[i].stored_len;
	pack.size = full - 1;
	assert_int_equal(segment_add(&seg, &pack, recs, &err), ERR_CORRUPT);
	assert_true(segment_empty(&seg));
	assert_int_equal(seg.packs.len, 0);
	pack.size = full;
	assert_int_equal(segment_add(&seg, &pack, recs, &err), ERR_OK);

	pack.size = UINT64_MAX;
	assert_int_equal(segment_step(&pack, &recs[0], &off, &err),
		ERR_CORRUPT);
	assert_int_equal(off, UINT32_MAX - 10);
	pack.size = 3;
	off = PACK_HEADER;
	assert_int_equal(segment_step(&pack, &recs[0], &off, &err),
		ERR_CORRUPT);
	segment_fini(&seg);
}

static void
test_names(void **state)
{
	static const char *const wrong[] = { "", "index", "index/0/",
		"index/0/00", "packs/00/aa", "index/a/%s", "index/00/%s",
		"index/0/%s0", "indey/0/%s", "index/0.base/%s", "index//%s",
		"index/.base/%s", "index/1.bas/%s", "index/1.base%s",
		"index/01.base/%s", "index/-1/%s", "index/1/2/%s",
		"index/1000000000000000000/%s" };
	static const uint64_t epochs[] = { 0, 1, 9, 10, 12345,
		999999999999999999 };
	char name[SEGMENT_NAME_MAX], hex[ID_HEX + 1];
	struct error err = ERROR_INIT;
	const struct segment_visitor v = { .pack = NULL };
	struct store *st = NULL;
	struct segment_ref ref = { .id = { { 1, 2, 0xfe } } }, got;

	for (size_t i = 0; i < 2 * ARRAY_LEN(epochs); i++) {
		ref.epoch = epochs[i / 2];
		ref.base = i % 2 == 1 && ref.epoch > 0;
		segment_name(&ref, name);
		assert_true(segment_name_parse(name, &got));
		assert_int_equal(segment_cmp(&ref, &got), 0);
	}
	hex_encode(ref.id.b, ID_LEN, hex);
	assert_int_equal(store_mem_new(&st, &err), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		const char *at = strstr(wrong[i], "%s");
		size_t head =
			at != NULL ? (size_t)(at - wrong[i]) : strlen(wrong[i]);
		char text[160];

		(void)snprintf(text, sizeof(text), "%.*s%s%s", (int)head,
			wrong[i], at != NULL ? hex : "",
			at != NULL ? at + 2 : "");
		assert_false(segment_name_parse(text, &got));
		assert_int_equal(segment_load(st, text, &key, &v, &err),
			ERR_CORRUPT);
	}
	store_close(st);
}

/* A whole, authentic object under the name of another, and in the directory
 * of another epoch. */
static void
test_the_name_is_the_hash(void **state)
{
	struct error err = ERROR_INIT;
	const struct segment_visitor v = { .pack = NULL };
	struct buf obj = BUF_INIT(SEGMENT_MAX);
	char name[SEGMENT_NAME_MAX];
	static const uint8_t empty[UID_LEN + 1] = { 0 };
	struct store *st = NULL;
	struct segment_ref ref = { .epoch = 3, .base = true };

	assert_int_equal(store_mem_new(&st, &err), ERR_OK);
	assert_int_equal(box_seal(&obj, BOX_INDEX, "index/3.base", &key, empty,
				 sizeof(empty), &err),
		ERR_OK);
	hash_plain(&ref.id, obj.data, obj.len);
	for (unsigned i = 0; i < 4; i++) {
		if (i == 1)
			ref.base = false;
		if (i == 2)
			ref.epoch = 30;
		if (i == 3)
			ref = (struct segment_ref){ 3, true, ref.id };
		ref.id.b[5] ^= i == 3;
		segment_name(&ref, name);
		assert_int_equal(store_put(st, name, obj.data, obj.len, &err),
			ERR_OK);
		assert_int_equal(segment_load(st, name, &key, &v, &err),
			i == 0 ? ERR_OK : ERR_CORRUPT);
	}
	buf_fini(&obj);
	store_close(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip_and_single_bits),
		cmocka_unit_test(test_nothing_of_a_malformed_one_is_handed_out),
		cmocka_unit_test(test_records_must_fit_into_their_pack),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_the_name_is_the_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
