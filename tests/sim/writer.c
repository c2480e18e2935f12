/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer: a backup.  It begins its session, then looks for a parent as
 * engine/backup does, stores a tree, and commits.
 */
#include <string.h>

#include "model/snapshot.h"
#include "repo/writer.h"
#include "tests/sim/oracle.h"
#include "tests/sim/store.h"

enum { RECORD_MAX = 1 << 16 };

struct backup {
	struct actor *a;
	struct repo *repo;
	struct lane *lane;
	struct writer *w;
	struct tree_io_repo io;
	bool gives_up, has_parent;
	struct model_parent parent;
	uint64_t passed_over; /* candidates */
	struct model m;
	struct id root;
};

/* Any of them with the same chance. */
static enum err
consider(void *arg, const struct snapshot_ref *ref, struct error *err)
{
	struct backup *b = arg;
	struct oracle *o = b->a->sim->oracle;
	const struct sim_snapshot *known = oracle_find(o, &ref->uid);
	struct snapshot snap;
	enum err rc;

	if (known == NULL || prng_below(&b->a->dice, ++b->passed_over) > 0)
		return ERR_OK;
	snapshot_init(&snap);
	rc = snapshot_decode(&snap, ref->data, ref->len, err);
	if (rc == ERR_OK) {
		b->has_parent = true;
		b->parent.m = known->m;
		b->parent.root = snap.root;
	}
	snapshot_fini(&snap);
	return rc;
}

static enum err
find_parent(struct backup *b, struct error *err)
{
	struct prng *d = &b->a->dice;

	if (b->a->key == KEY_ADMIN && prng_below(d, 4) > 0) {
		enum err rc =
			repo_each_snapshot(b->repo, consider, NULL, b, err);

		if (rc != ERR_OK)
			return rc;
	}
	model_random(&b->m, d);
	if (b->has_parent) {
		b->a->sim->n.parents++;
		b->m = b->parent.m;
		model_change(&b->m, d);
	}
	return ERR_OK;
}

/* What an interrupted run left, and what belongs to nobody. */
static enum err
put_extra(struct backup *b, struct error *err)
{
	struct prng *d = &b->a->dice;
	enum err rc = ERR_OK;

	for (uint64_t n = prng_below(d, 4); n > 0 && rc == ERR_OK; n--) {
		size_t len;
		const uint8_t *data =
			model_chunk((unsigned)prng_below(d, MODEL_CHUNKS),
				&len);
		struct id id;

		rc = writer_put_gathered(b->w, b->lane, data, len, &id, NULL,
			err);
	}
	if (rc == ERR_OK && prng_below(d, 2) == 0)
		rc = writer_flush(b->w, err);
	return rc;
}

static enum err
commit(struct backup *b, struct error *err)
{
	struct sim *s = b->a->sim;
	struct buf record = BUF_INIT(RECORD_MAX);
	struct snapshot snap;
	struct sim_snapshot *mine;
	enum err rc;

	snapshot_init(&snap);
	snap.root = b->root;
	snap.begin = snap.end = when_now();
	rc = snapshot_encode(&snap, &record, err);
	snapshot_fini(&snap);
	mine = oracle_intend(s->oracle, &repo_keys(b->repo)->ns,
		writer_uid(b->w), &b->m, &b->root);
	s->n.commits++;
	if (rc == ERR_OK)
		rc = writer_commit(b->w, record.data, record.len, err);
	if (rc == ERR_OK)
		oracle_ack(s->oracle, mine);
	buf_fini(&record);
	return rc;
}

static enum err
session(struct backup *b, struct error *err)
{
	const struct writer_conf conf = { .host = b->a->name,
		.verify_every = 1000,
		.inline_upload = true };
	enum err rc = writer_open(&b->w, b->repo, &conf, err);

	b->a->sim->n.sessions++;
	b->has_parent = false;
	b->passed_over = 0;
	tree_io_repo_init(&b->io, b->repo, b->lane, b->w);
	if (rc == ERR_OK)
		rc = put_extra(b, err);
	if (rc == ERR_OK)
		rc = find_parent(b, err);
	if (rc == ERR_OK)
		rc = model_build(&b->m, &b->io.io,
			b->has_parent ? &b->parent : NULL, &b->root, err);
	b->gives_up = prng_below(&b->a->dice, 12) == 0;
	if (rc == ERR_OK && !b->gives_up)
		rc = commit(b, err);
	writer_free(b->w);
	b->w = NULL;
	return rc;
}

void
writer_job(struct actor *a)
{
	struct backup b = { .a = a };
	struct store *st = sim_store_new(a);
	struct error err = ERROR_INIT;
	enum err rc;

	rc = sim_open(a->sim, st, a->key, a->cache[0] != '\0' ? a->cache : NULL,
		&b.repo, &err);
	if (rc == ERR_OK)
		rc = lane_new(&b.lane, b.repo, &err);
	/* A program may run several sessions. */
	do {
		if (rc == ERR_OK)
			rc = session(&b, &err);
	} while (rc == ERR_OK && !b.gives_up && prng_below(&a->dice, 3) == 0);
	sim_outcome(a, rc, &err);
	lane_free(b.lane);
	repo_close(b.repo);
	store_close(st);
}
