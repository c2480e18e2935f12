/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody with a writer's key tells the index of copies of everything, with
 * rubbish in them, and of nodes that refer to nothing.  A prune by who cannot
 * read content must not give up what is true for what he says. */
#include <stdio.h>
#include <stdlib.h>

#include "codec/hash.h"
#include "repo/pack.h"
#include "repo/writer.h"
#include "tests/engine/prunes.h"
#include "tests/lib/scale.h"

enum { CHUNKS_MAX = 4096, RUBBISH = 300 };

struct lie {
	struct record recs[CHUNKS_MAX];
	uint32_t n;
	enum chunk_type type;
};

/* Each chunk of the type, once. */
static enum err
note_chunk(void *arg, const struct location *loc, struct error *err)
{
	struct lie *lie = arg;
	struct record *last = lie->n > 0 ? &lie->recs[lie->n - 1] : NULL;

	if (loc->rec.type != lie->type || lie->n == CHUNKS_MAX ||
		(last != NULL && id_eq(&last->id, &loc->rec.id)))
		return ERR_OK;
	lie->recs[lie->n] = (struct record){ .id = loc->rec.id,
		.type = loc->rec.type,
		.number = lie->n,
		.plain_len = RUBBISH,
		.head_len = lie->type == CHUNK_NODE ? 8 : 0 };
	lie->recs[lie->n].stored_len =
		RUBBISH + AEAD_TAG +
		(lie->type == CHUNK_NODE ? 8 + AEAD_TAG : 0);
	lie->n++;
	return ERR_OK;
}

/* A pack that is right in everything but the truth. */
static void
make_pack(const struct keyset *ks, const struct lie *lie, struct buf *out)
{
	static const uint8_t nothing[8], rubbish[RUBBISH] = { 1 };
	struct pack_header header = {
		.kind = lie->type == CHUNK_NODE ? PACK_NODES : PACK_DATA
	};
	const struct pack_parts parts = { nothing,
		lie->type == CHUNK_NODE ? sizeof(nothing) : 0, rubbish,
		sizeof(rubbish) };
	struct pack_table_conf conf = { .structure = &ks->structure,
		.header = &header,
		.recs = lie->recs,
		.n_recs = lie->n };
	struct error err = ERROR_INIT;
	struct pack_keys keys;
	struct aead *aead;

	must(aead_new(&aead, &err), &err);
	must(pack_keys_make(&keys, &header.env, ks, &err), &err);
	must(buf_put_zero(out, PACK_HEADER, &err), &err);
	pack_header_encode(&header, out->data);
	for (uint32_t i = 0; i < lie->n; i++) {
		uint32_t len = lie->recs[i].stored_len;

		must(buf_reserve(out, len, &err), &err);
		must(pack_seal(aead, &keys, &lie->recs[i], &parts,
			     out->data + out->len, &err),
			&err);
		out->len += len;
	}
	conf.body_len = out->len;
	must(pack_table_seal(out, &conf, &err), &err);
	pack_keys_wipe(&keys);
	aead_free(aead);
}

static void
tell_lie(struct repo *r, struct index *idx, enum chunk_type type)
{
	struct lie *lie = calloc(1, sizeof(*lie));
	struct buf pack = BUF_INIT(PACK_MAX);
	struct error err = ERROR_INIT;
	struct pack_info info;
	char name[PACK_NAME];

	assert_non_null(lie);
	lie->type = type;
	must(index_each(idx, note_chunk, lie, &err), &err);
	assert_true(lie->n > 0);
	make_pack(repo_keys(r), lie, &pack);
	hash_plain(&info.id, pack.data, pack.len);
	info.size = pack.len;
	info.n_records = lie->n;
	pack_name(name, &info.id);
	must(store_put(repo_store(r), name, pack.data, pack.len, &err), &err);
	must(index_add(idx, &info, lie->recs, &err), &err);
	buf_fini(&pack);
	free(lie);
}

/* In a session of his own, as any writer. */
static void
lie_about_all(struct prunes *p)
{
	const struct writer_conf conf = { .host = "liar" };
	struct error err = ERROR_INIT;
	struct index *idx;
	struct writer *w;
	struct repo *r;

	r = tool_open(p->st, TOOL_PASS);
	must(writer_open(&w, r, &conf, &err), &err);
	must(repo_index(r, &idx, &err), &err);
	tell_lie(r, idx, CHUNK_DATA);
	tell_lie(r, idx, CHUNK_NODE);
	must(index_publish(idx, &err), &err);
	writer_free(w);
	repo_close(r);
}

static void
prune_twice(struct prunes *p, uint64_t *moved)
{
	struct prune_conf conf = prunes_conf(p);
	struct error err = ERROR_INIT;
	struct prune_figures f;

	for (unsigned i = 0; i < 2; i++) {
		must(prunes_prune(p, p->st, &conf, &f, &err), &err);
		*moved += f.bytes_moved;
	}
}

static void
test_true_copies_stay(void **state)
{
	struct error err = ERROR_INIT;
	struct prunes p;
	uint64_t moved = 0;

	for (unsigned seed = 1; seed <= test_scale(4); seed++) {
		prunes_init(&p, seed);
		for (unsigned round = 0; round < 4; round++) {
			prunes_change(&p);
			must(prunes_backup(&p, p.st, &err), &err);
			prunes_change(&p);
			must(prunes_backup(&p, p.st, &err), &err);
			lie_about_all(&p);
			must(prunes_forget(&p, p.st, 2 * round, &err), &err);
			prune_twice(&p, &moved);
			for (unsigned i = 1; i < p.n; i += 2)
				prunes_read(&p, p.st, i);
		}
		prunes_fini(&p);
	}
	assert_true(moved > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_true_copies_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
