/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pack's keys seal, the keys that a reader derives open, and nothing
 * else does; tables say what was put into them; moved records are found.
 */
#include "tests/lib/repo_tools.h"

#include <stdlib.h>

#include "codec/compress.h"
#include "codec/hash.h"
#include "repo/pack.h"

enum { LEN_MAX = 3000, MOVED = 3000 };

struct fixture {
	struct keyset ks;
	struct aead *aead;
};

static int
setup(void **state)
{
	static struct fixture f;
	struct error err = ERROR_INIT;

	must(keyset_new(&f.ks, &err), &err);
	must(aead_new(&f.aead, &err), &err);
	*state = &f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	keyset_wipe(&f->ks);
	aead_free(f->aead);
	return 0;
}

struct sample {
	struct record r;
	uint8_t head[LEN_MAX], body[LEN_MAX];
	uint8_t sealed[2 * LEN_MAX + 2 * AEAD_TAG];
};

static void
seal_sample(struct fixture *f, const struct pack_keys *keys, struct sample *s,
	struct prng *p, uint32_t number)
{
	struct error err = ERROR_INIT;
	struct pack_parts parts = { s->head, 0, s->body, 0 };

	s->r = (struct record){ .type = CHUNK_DATA,
		.codec = CODEC_RAW,
		.number = number,
		.plain_len = 1 + (uint32_t)prng_below(p, LEN_MAX) };
	prng_fill(p, s->r.id.b, ID_LEN);
	prng_fill(p, s->head, LEN_MAX);
	prng_fill(p, s->body, LEN_MAX);
	if (prng_below(p, 2) != 0) {
		s->r.type = CHUNK_NODE;
		s->r.head_len = (uint32_t)prng_below(p, LEN_MAX);
	}
	parts.head_len = s->r.head_len;
	parts.body_len = s->r.plain_len;
	s->r.stored_len =
		(uint32_t)(pack_sealed_head(&s->r) + s->r.plain_len + AEAD_TAG);
	must(pack_seal(f->aead, keys, &s->r, &parts, s->sealed, &err), &err);
}

/* ERR_OK only where both parts open as they were. */
static enum err
open_sample(struct fixture *f, const struct pack_keys *keys,
	const struct sample *s, struct error *err)
{
	uint8_t out[LEN_MAX + 1];
	enum err rc = ERR_OK;

	if (s->r.type == CHUNK_NODE)
		rc = pack_open_head(f->aead, keys, &s->r, s->sealed, out, err);
	if (rc == ERR_OK && s->r.type == CHUNK_NODE)
		assert_memory_equal(out, s->head, s->r.head_len);
	if (rc == ERR_OK)
		rc = pack_open_body(f->aead, keys, &s->r, s->sealed, out, err);
	if (rc == ERR_OK)
		assert_memory_equal(out, s->body, s->r.plain_len);
	return rc;
}

static void
test_seal_open(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct pack_keys writer, reader;
	struct envelope env;
	struct sample s;
	struct prng p;

	prng_init(&p, 1);
	must(pack_keys_make(&writer, &env, &f->ks, &err), &err);
	must(pack_keys_derive(&reader, &env, &f->ks, &err), &err);
	for (uint32_t n = 0; n < 300; n++) {
		struct sample bad;
		size_t bit;

		seal_sample(f, &writer, &s, &p, n);
		must(open_sample(f, &reader, &s, &err), &err);
		bad = s;
		bit = prng_below(&p, (uint64_t)s.r.stored_len * 8);
		bad.sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(open_sample(f, &reader, &bad, &err),
			ERR_CORRUPT);
		bad = s;
		bad.r.number++;
		assert_int_equal(open_sample(f, &reader, &bad, &err),
			ERR_CORRUPT);
		bad = s;
		bad.r.id.b[n % ID_LEN] ^= 1;
		assert_int_equal(open_sample(f, &reader, &bad, &err),
			ERR_CORRUPT);
	}
	env.epk.b[3] ^= 1;
	must(pack_keys_derive(&reader, &env, &f->ks, &err), &err);
	assert_int_equal(open_sample(f, &reader, &s, &err), ERR_CORRUPT);
}

/* A writer seals what it cannot open; a maintainer reads references only. */
static void
test_roles(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct pack_keys made, derived;
	struct epoch e = f->ks.epochs[0];
	struct keyset writer = f->ks, maintainer = f->ks;
	uint8_t out[LEN_MAX];
	struct envelope env;
	struct sample s;
	struct prng p;

	e.has_secret = false;
	memset(e.sec.b, 0, SECRET_LEN);
	writer.epochs = &e;
	writer.role = ROLE_WRITER;
	maintainer.n_epochs = 0;
	maintainer.role = ROLE_MAINTAINER;
	prng_init(&p, 2);

	must(pack_keys_make(&made, &env, &writer, &err), &err);
	do
		seal_sample(f, &made, &s, &p, 7);
	while (s.r.type != CHUNK_NODE);
	must(pack_keys_derive(&derived, &env, &f->ks, &err), &err);
	must(open_sample(f, &derived, &s, &err), &err);

	must(pack_keys_derive(&derived, &env, &writer, &err), &err);
	must_fail(open_sample(f, &derived, &s, &err), ERR_DENIED, &err,
		"cannot read content");
	must(pack_keys_derive(&derived, &env, &maintainer, &err), &err);
	must(pack_open_head(f->aead, &derived, &s.r, s.sealed, out, &err),
		&err);
	assert_memory_equal(out, s.head, s.r.head_len);
	must_fail(pack_keys_make(&made, &env, &maintainer, &err), ERR_DENIED,
		&err, "maintainer");
}

static struct record
some_line(struct prng *p, uint32_t number)
{
	struct record r = { .type = CHUNK_DATA,
		.codec = CODEC_RAW,
		.number = number,
		.plain_len = (uint32_t)prng_below(p, 1 << 20) };

	prng_fill(p, r.id.b, ID_LEN);
	r.stored_len = r.plain_len + AEAD_TAG;
	return r;
}

static void
check_walk(const struct buf *plain, const struct record *recs, uint32_t n,
	uint64_t body_len)
{
	struct error err = ERROR_INIT;
	uint64_t off, expect = PACK_HEADER;
	struct pack_table t;
	struct record r;

	must(pack_table_begin(&t, plain->data, plain->len, &err), &err);
	assert_int_equal(t.n_recs, n);
	for (uint32_t i = 0; i < n; i++) {
		memset(&r, 0, sizeof(r));
		must(pack_table_next(&t, &r, &off, &err), &err);
		assert_memory_equal(&r.id, &recs[i].id, ID_LEN);
		assert_int_equal(r.stored_len, recs[i].stored_len);
		assert_int_equal(off, expect);
		expect += r.stored_len;
	}
	must(pack_table_end(&t, body_len, &err), &err);
	must_fail(pack_table_end(&t, body_len + 1, &err), ERR_CORRUPT, &err,
		"table");
}

static void
test_table(void **state)
{
	struct fixture *f = *state;
	struct pack_header header = { PACK_DATA, { 1, { { 5 } } } };
	struct error err = ERROR_INIT;
	struct record recs[200];
	uint8_t bytes[PACK_HEADER];
	struct prng p;

	prng_init(&p, 3);
	for (int round = 0; round < 200; round++) {
		struct buf tail = BUF_INIT(1 << 20), plain = BUF_INIT(1 << 20);
		struct pack_table_conf conf = { .structure = &f->ks.structure,
			.header = &header,
			.recs = recs,
			.n_recs = (uint32_t)prng_below(&p, 200),
			.body_len = PACK_HEADER };
		uint32_t len;
		size_t bit;

		prng_fill(&p, header.env.epk.b, KX_PUBLIC);
		for (uint32_t i = 0; i < conf.n_recs; i++) {
			recs[i] = some_line(&p, i);
			conf.body_len += recs[i].stored_len;
		}
		must(pack_table_seal(&tail, &conf, &err), &err);
		assert_int_equal((conf.body_len + tail.len) % PACK_ALIGN, 0);
		must(pack_table_len(&len, tail.data + tail.len - PACK_TRAILER,
			     conf.body_len + tail.len, &err),
			&err);
		assert_int_equal(len, tail.len - PACK_TRAILER);
		pack_header_encode(&header, bytes);
		must(pack_table_open(&plain, &f->ks.structure, bytes, tail.data,
			     len, &err),
			&err);
		check_walk(&plain, recs, conf.n_recs, conf.body_len);

		bit = prng_below(&p, 8 * PACK_HEADER);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		must_fail(pack_table_open(&plain, &f->ks.structure, bytes,
				  tail.data, len, &err),
			ERR_CORRUPT, &err, "damaged");
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		bit = prng_below(&p, 8 * (uint64_t)len);
		tail.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		must_fail(pack_table_open(&plain, &f->ks.structure, bytes,
				  tail.data, len, &err),
			ERR_CORRUPT, &err, "damaged");
		buf_fini(&tail);
		buf_fini(&plain);
	}
}

/*
 * A pack as a prune would write it: MOVED records, each sealed in a pack of
 * its own, under as many foreign envelopes; more than the cache of keys holds.
 */
struct moved {
	struct location loc[MOVED];
	struct envelope env[MOVED];
	uint8_t data[MOVED][40];
	struct buf bytes;
};

static void
move_records(struct moved *m, struct repo *r, struct aead *aead)
{
	struct error err = ERROR_INIT;

	for (uint32_t i = 0; i < MOVED; i++) {
		struct record *rec = &m->loc[i].rec;
		struct pack_parts parts = { NULL, 0, m->data[i], 40 };
		struct pack_keys keys;
		uint8_t sealed[40 + AEAD_TAG];

		tool_bytes(i, m->data[i], 40);
		*rec = (struct record){ .type = CHUNK_DATA,
			.codec = CODEC_RAW,
			.envelope = (uint16_t)(i + 1),
			.number = 1000 + i,
			.stored_len = sizeof(sealed),
			.plain_len = 40 };
		repo_data_id(r, m->data[i], 40, &rec->id);
		must(pack_keys_make(&keys, &m->env[i], repo_keys(r), &err),
			&err);
		must(pack_seal(aead, &keys, rec, &parts, sealed, &err), &err);
		m->loc[i].off = (uint32_t)m->bytes.len;
		must(buf_put(&m->bytes, sealed, sizeof(sealed), &err), &err);
	}
}

static void
put_foreign_table(struct moved *m, const struct secret *structure,
	struct aead *aead)
{
	struct buf plain = BUF_INIT(1 << 20);
	struct error err = ERROR_INIT;
	struct secret key;
	struct aead_args args = { &key, 0, m->bytes.data, PACK_HEADER };
	static uint8_t sealed[1 << 19];

	must(buf_put_varint(&plain, MOVED, &err), &err);
	for (uint32_t i = 0; i < MOVED; i++) {
		must(buf_put_u32(&plain, m->env[i].epoch, &err), &err);
		must(buf_put(&plain, m->env[i].epk.b, KX_PUBLIC, &err), &err);
	}
	must(buf_put_varint(&plain, MOVED, &err), &err);
	for (uint32_t i = 0; i < MOVED; i++)
		must(record_put(&plain, &m->loc[i].rec, &err), &err);
	hash_derive(&key, "coffer 1 pack table", structure->b, SECRET_LEN,
		m->bytes.data + 16, KX_PUBLIC);
	must(aead_seal(aead, &args, plain.data, plain.len, sealed, &err), &err);
	must(buf_put(&m->bytes, sealed, plain.len + AEAD_TAG, &err), &err);
	must(buf_put_u32(&m->bytes, (uint32_t)plain.len + AEAD_TAG, &err),
		&err);
	must(buf_put_u32(&m->bytes, 0, &err), &err);
	must(buf_put(&m->bytes, "cofferPE", 8, &err), &err);
	buf_fini(&plain);
}

static void
store_moved(struct moved *m, struct repo *r, struct aead *aead)
{
	struct pack_header header = { PACK_DATA, { 1, { { 1 } } } };
	struct error err = ERROR_INIT;
	uint8_t bytes[PACK_HEADER];
	struct pack_keys unused;
	char name[PACK_NAME];
	struct id id;

	must(pack_keys_make(&unused, &header.env, repo_keys(r), &err), &err);
	m->bytes = BUF_INIT(1 << 20);
	pack_header_encode(&header, bytes);
	must(buf_put(&m->bytes, bytes, PACK_HEADER, &err), &err);
	move_records(m, r, aead);
	put_foreign_table(m, &repo_keys(r)->structure, aead);
	hash_plain(&id, m->bytes.data, m->bytes.len);
	pack_name(name, &id);
	must(store_put(repo_store(r), name, m->bytes.data, m->bytes.len, &err),
		&err);
	for (uint32_t i = 0; i < MOVED; i++)
		m->loc[i].pack = id;
}

static void
check_moved(struct moved *m, struct repo *r)
{
	struct pack_info info = { m->loc[0].pack, m->bytes.len, MOVED };
	struct error err = ERROR_INIT;
	struct lane *lane = tool_lane(r);
	static struct record recs[MOVED];
	struct buf out = BUF_INIT(1 << 20);
	struct prng p;

	prng_init(&p, 4);
	for (int i = 0; i < 2 * MOVED; i++) {
		const uint64_t n = prng_below(&p, MOVED);

		buf_clear(&out);
		must(repo_read_at(lane, &m->loc[n], &out, NULL, &err), &err);
		assert_int_equal(out.len, 40);
		assert_memory_equal(out.data, m->data[n], 40);
	}
	m->loc[0].rec.envelope = MOVED + 1;
	must_fail(repo_read_at(lane, &m->loc[0], &out, NULL, &err), ERR_CORRUPT,
		&err, "no envelope");
	m->loc[0].rec.envelope = 1;
	for (uint32_t i = 0; i < MOVED; i++)
		recs[i] = m->loc[i].rec;
	must(repo_check_pack(lane, &info, recs, true, &err), &err);
	buf_fini(&out);
	lane_free(lane);
}

static void
test_moved(void **state)
{
	static struct moved m;
	struct fixture *f = *state;
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);

	store_moved(&m, r, f->aead);
	check_moved(&m, r);
	buf_fini(&m.bytes);
	repo_close(r);
	store_close(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_seal_open, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_roles, setup, teardown),
		cmocka_unit_test_setup_teardown(test_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moved, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
