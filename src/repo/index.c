/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index: lookups in what is pending and in the runs of the catalog.
 *
 * A chunk goes from being pending into a run.  It leaves the pending ones only
 * after the set with that run was installed; so who looks among the pending
 * first and takes the set afterwards finds it in one or the other.  A claim
 * looks in the other order, because most chunks are in the runs or nowhere,
 * and asks again where a newer set was installed meanwhile.
 *
 * Crash argument: a segment is published after its packs are durable, and
 * chunks leave the pending ones after it is.  A crash in between loses
 * nothing but the local runs' knowledge of it, which the next listing brings.
 */
#include "repo/index.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "repo/catalog.h"
#include "repo/pending.h"
#include "repo/run_merge.h"

enum { SEGMENT_RECORDS = 64 << 10, TRIES = 4, VAIN_MAX = 16 };

struct index {
	struct index_conf conf;
	struct catalog *catalog;
	struct pending *pending;
	pthread_mutex_t publish; /* one at a time; and the next three */
	struct segment_owner owner;
	/* The oldest packs that the segment names which was published last,
	 * where no run could be made of them yet. */
	uint32_t n_published;
	struct segment_ref published;

	pthread_mutex_t again; /* and the next two */
	struct epoch_state state; /* when it was last looked again */
	unsigned vain;
};

enum err
index_open(struct index **out, const struct index_conf *conf, struct error *err)
{
	struct index *idx = calloc(1, sizeof(*idx));
	enum err rc;

	if (idx == NULL)
		return err_set(err, ERR_NOMEM, "no memory for an index");
	idx->conf = *conf;
	idx->conf.view = NULL; /* it is the catalog's now */
	(void)pthread_mutex_init(&idx->publish, NULL);
	(void)pthread_mutex_init(&idx->again, NULL);
	rc = catalog_open(&idx->catalog, conf, err);
	if (rc == ERR_OK)
		rc = pending_new(&idx->pending, err);
	if (rc == ERR_OK)
		rc = conf->view != NULL ? index_begin(idx, conf->view, err)
					: index_refresh(idx, err);
	if (rc == ERR_OK)
		*out = idx;
	else
		index_close(idx);
	return rc;
}

void
index_close(struct index *idx)
{
	if (idx == NULL)
		return;
	pending_free(idx->pending);
	catalog_close(idx->catalog);
	(void)pthread_mutex_destroy(&idx->publish);
	(void)pthread_mutex_destroy(&idx->again);
	free(idx);
}

enum err
index_refresh(struct index *idx, struct error *err)
{
	return catalog_refresh(idx->catalog, NULL, err);
}

enum err
index_begin(struct index *idx, struct view *view, struct error *err)
{
	enum err rc = ERR_OK;

	(void)pthread_mutex_lock(&idx->publish);
	if (pending_packs(idx->pending) > 0)
		rc = err_set(err, ERR_USAGE,
			"an earlier session left packs that no segment names");
	else
		idx->owner = view->owner;
	(void)pthread_mutex_unlock(&idx->publish);
	return rc == ERR_OK ? catalog_refresh(idx->catalog, view, err) : rc;
}

enum err
index_look_again(struct index *idx, bool *looked, struct error *err)
{
	struct epoch_state now;
	bool moved;
	enum err rc;

	(void)pthread_mutex_lock(&idx->again);
	rc = epoch_read(idx->conf.store, &now, err);
	if (rc != ERR_OK)
		goto out;
	moved = now.newest != idx->state.newest || now.step != idx->state.step;
	if (moved)
		idx->vain = 0;
	idx->state = now;
	*looked = idx->vain < VAIN_MAX;
	if (*looked) {
		idx->vain++;
		rc = index_refresh(idx, err);
	}
out:
	(void)pthread_mutex_unlock(&idx->again);
	return rc;
}

/* What is looked for in the runs. */
struct quest {
	const struct id *id;
	struct filter_key key;
	bool claim; /* only where the view allows to rely on it */
	const struct location *tried; /* not these */
	size_t n_tried;

	struct location *loc; /* where it goes that is found */
	bool found;
	bool settled; /* there is no better one */
};

static bool
same_place(const struct location *a, const struct location *b)
{
	return id_eq(&a->pack, &b->pack) && a->off == b->off;
}

static bool
was_tried(const struct quest *q, const struct location *loc)
{
	for (size_t i = 0; i < q->n_tried; i++)
		if (same_place(&q->tried[i], loc))
			return true;
	return false;
}

/* Take the hit, or leave it. */
static enum err
weigh(struct quest *q, const struct view *view, struct run *r,
	const struct run_hit *hit, struct error *err)
{
	bool condemned = view != NULL && view_condemns(view, &hit->loc.pack);
	struct segment_ref seg;
	enum err rc;

	if (was_tried(q, &hit->loc) || (condemned && (q->claim || q->found)))
		return ERR_OK;
	if (q->claim && view != NULL && view->open) {
		rc = run_seg(r, hit->seg, &seg, err);
		if (rc != ERR_OK || !view_allows(view, &seg))
			return rc;
	}
	*q->loc = hit->loc;
	q->found = true;
	q->settled = !condemned;
	return ERR_OK;
}

static enum err
look_in_run(struct quest *q, const struct view *view, struct run *r,
	struct error *err)
{
	struct run_hit hit;
	bool there;
	enum err rc = run_find(r, q->id, &q->key, &hit, &there, err);

	while (rc == ERR_OK && there) {
		rc = weigh(q, view, r, &hit, err);
		if (rc != ERR_OK || q->settled)
			break;
		rc = run_find_next(r, &hit, &there, err);
	}
	return rc;
}

/* Look in the runs; *gen is the set that was asked. */
static enum err
lookup(struct index *idx, struct quest *q, uint64_t *gen, struct error *err)
{
	enum err rc = ERR_OK;

	filter_key(&q->key, q->id);
	for (unsigned i = 0; i < TRIES && rc == ERR_OK; i++) {
		struct run_set *set = catalog_get(idx->catalog);

		*gen = set->gen;
		q->found = q->settled = false;
		for (size_t k = 0; k < set->n; k++)
			run_prefetch(set->runs[k], &q->key);
		for (size_t k = set->n; k-- > 0 && rc == ERR_OK && !q->settled;)
			rc = look_in_run(q, set->view, set->runs[k], err);
		catalog_put(set);
		if (rc == ERR_OK)
			return ERR_OK;
		rc = catalog_heal(idx->catalog, *gen, err);
	}
	if (rc != ERR_OK)
		return rc;
	return err_set(err, ERR_IO, "the index cache is damaged repeatedly");
}

enum err
index_find_other(struct index *idx, const struct id *id,
	const struct location *tried, size_t n, struct location *out,
	bool *found, struct error *err)
{
	struct location loc;
	struct quest q = { .id = id,
		.tried = tried,
		.n_tried = n,
		.loc = &loc };
	uint64_t gen;
	enum err rc = ERR_OK;

	q.found = pending_find(idx->pending, id, &loc) && !was_tried(&q, &loc);
	if (!q.found)
		rc = lookup(idx, &q, &gen, err);
	if (rc != ERR_OK)
		return rc;
	if (q.found)
		*out = loc;
	*found = q.found;
	return ERR_OK;
}

enum err
index_find(struct index *idx, const struct id *id, struct location *out,
	bool *found, struct error *err)
{
	return index_find_other(idx, id, NULL, 0, out, found, err);
}

enum err
index_claim(struct index *idx, const struct id *id, enum claim *claim,
	struct error *err)
{
	struct location loc;
	struct quest q = { .id = id, .claim = true, .loc = &loc };
	enum pending_claim got;
	uint64_t gen;
	enum err rc;

	do {
		rc = lookup(idx, &q, &gen, err);
		if (rc != ERR_OK)
			return rc;
		if (q.found) {
			*claim = CLAIM_HAVE;
			return ERR_OK;
		}
		rc = pending_claim(idx->pending, id, catalog_gen(idx->catalog),
			gen, &got, err);
		if (rc != ERR_OK)
			return rc;
	} while (got == PENDING_STALE);
	*claim = got == PENDING_TAKEN ? CLAIM_MINE : CLAIM_HAVE;
	return ERR_OK;
}

enum err
index_add(struct index *idx, const struct pack_info *pack,
	const struct record *recs, struct error *err)
{
	enum err rc = pending_add(idx->pending, pack, recs, err);

	/* Packs of very small chunks fill a segment, and memory, long before
	 * the writer comes to publish. */
	if (rc == ERR_OK && pending_records(idx->pending) >= SEGMENT_RECORDS)
		rc = index_publish(idx, err);
	return rc;
}

void
index_forget(struct index *idx)
{
	(void)pthread_mutex_lock(&idx->publish);
	pending_clear(idx->pending);
	idx->n_published = 0;
	(void)pthread_mutex_unlock(&idx->publish);
}

uint32_t
index_unpublished(const struct index *idx)
{
	return pending_packs(idx->pending);
}

/* Create the segment of the oldest packs, as many as fit, of n. */
static enum err
publish_segment(struct index *idx, uint32_t n, struct error *err)
{
	const struct pending_pack *pack = pending_first(idx->pending);
	struct segment seg;
	uint64_t records = 0;
	enum err rc = ERR_OK;

	segment_init(&seg);
	while (seg.n_packs < n && rc == ERR_OK) {
		records += pack->info.n_records;
		if (seg.n_packs > 0 && records > SEGMENT_RECORDS)
			break;
		rc = segment_add(&seg, &pack->info, pack->recs, err);
		if (rc == ERR_OK && seg.n_packs < n)
			pack = pack->next;
	}
	if (rc == ERR_OK)
		rc = segment_publish(&seg, idx->conf.store,
			&idx->conf.keys->structure, &idx->owner,
			&idx->published, err);
	if (rc == ERR_OK)
		idx->n_published = seg.n_packs;
	segment_fini(&seg);
	return rc;
}

/* Take the packs of the segment just published into the runs. */
static enum err
take_up_segment(struct index *idx, struct error *err)
{
	const struct pending_pack *pack = pending_first(idx->pending);
	struct run_batch b = { 0 };
	enum err rc = run_batch_seg(&b, &idx->published, err);

	for (uint32_t i = 0; i < idx->n_published && rc == ERR_OK; i++) {
		if (i > 0)
			pack = pack->next;
		rc = run_batch_pack(&b, &pack->info, err);
		for (uint32_t k = 0; k < pack->info.n_records; k++)
			if (rc == ERR_OK)
				rc = run_batch_item(&b, &pack->recs[k],
					pack->offs[k], err);
	}
	if (rc == ERR_OK)
		rc = catalog_add(idx->catalog, &b, err);
	if (rc == ERR_OK) {
		pending_drop(idx->pending, idx->n_published);
		idx->n_published = 0;
	}
	run_batch_fini(&b);
	return rc;
}

enum err
index_publish(struct index *idx, struct error *err)
{
	uint32_t left;
	enum err rc = ERR_OK;

	(void)pthread_mutex_lock(&idx->publish);
	/* What others add meanwhile is not waited for. */
	left = pending_packs(idx->pending);
	while (left > 0 && rc == ERR_OK) {
		uint32_t n;

		if (idx->n_published == 0)
			rc = publish_segment(idx, left, err);
		n = idx->n_published;
		if (rc == ERR_OK)
			rc = take_up_segment(idx, err);
		left -= n < left ? n : left;
	}
	(void)pthread_mutex_unlock(&idx->publish);
	return rc;
}

static bool
set_is_bad(const struct run_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		if (run_is_bad(set->runs[i]))
			return true;
	return false;
}

/* A walk over all runs, which goes on behind what it handed out last when a
 * run was damaged and replaced. */
struct walk {
	index_each_fn *fn;
	index_pack_fn *pack_fn;
	void *arg;
	bool any;
	struct location last;
	struct id last_pack;
	bool ended; /* by fn */
};

static bool
is_behind(const struct walk *walk, const struct location *loc)
{
	const struct location *last = &walk->last;
	int cmp = id_cmp(&loc->rec.id, &last->rec.id);

	if (cmp == 0)
		cmp = id_cmp(&loc->pack, &last->pack);
	return !walk->any || cmp > 0 || (cmp == 0 && loc->off > last->off);
}

static enum err
walk_records(struct walk *walk, const struct run_set *set, struct error *err)
{
	struct run_merge *m = NULL;
	struct run_step step;
	struct run_pack pack;
	bool got;
	enum err rc = run_merge_new(&m, set->runs, set->n, err);

	while (rc == ERR_OK && !walk->ended) {
		struct location loc;

		rc = run_merge_next(m, &step, &got, err);
		if (rc != ERR_OK || !got)
			break;
		rc = run_pack(set->runs[step.run], step.item.pack, &pack, err);
		if (rc != ERR_OK)
			break;
		loc = (struct location){ pack.info.id, step.item.off,
			step.item.rec };
		if (!is_behind(walk, &loc))
			continue;
		walk->last = loc;
		walk->any = true;
		rc = walk->fn(walk->arg, &loc, err);
		walk->ended = rc != ERR_OK;
	}
	run_merge_free(m);
	return rc;
}

static enum err
walk_pack(void *arg, size_t run, uint64_t number, const struct run_pack *pack,
	struct error *err)
{
	struct walk *walk = arg;
	enum err rc;

	if (walk->any && id_cmp(&pack->info.id, &walk->last_pack) <= 0)
		return ERR_OK;
	walk->last_pack = pack->info.id;
	walk->any = true;
	rc = walk->pack_fn(walk->arg, &pack->info, err);
	walk->ended = rc != ERR_OK;
	return rc;
}

static enum err
walk_all(struct index *idx, struct walk *walk, struct error *err)
{
	enum err rc = ERR_OK;

	for (unsigned i = 0; i < TRIES; i++) {
		struct run_set *set = catalog_get(idx->catalog);
		uint64_t gen = set->gen;
		bool bad;

		if (walk->fn != NULL)
			rc = walk_records(walk, set, err);
		else
			rc = run_merge_packs(set->runs, set->n, walk_pack, walk,
				err);
		bad = set_is_bad(set);
		catalog_put(set);
		if (rc == ERR_OK || walk->ended || !bad)
			return rc;
		rc = catalog_heal(idx->catalog, gen, err);
		if (rc != ERR_OK)
			return rc;
	}
	return err_set(err, ERR_IO, "the index cache is damaged repeatedly");
}

enum err
index_each(struct index *idx, index_each_fn *fn, void *arg, struct error *err)
{
	struct walk walk = { .fn = fn, .arg = arg };

	return walk_all(idx, &walk, err);
}

enum err
index_each_pack(struct index *idx, index_pack_fn *fn, void *arg,
	struct error *err)
{
	struct walk walk = { .pack_fn = fn, .arg = arg };

	return walk_all(idx, &walk, err);
}
