/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune_move: the live records of sparse packs, in the order in which they
 * lie there.
 *
 * The index hands out records by chunk, so as many packs as have BATCH_MAX
 * live records are taken at a time, and the index is walked once for these.
 *
 * Crash argument: copies are made, and a pack is marked as gone only after
 * every live record of it was copied; the condemned list that names it is
 * created after mover_finish made the copies, and the segments that name
 * them, durable.
 */
#include <stdlib.h>

#include "base/array.h"
#include "engine/pruning.h"
#include "repo/mover.h"

enum { BATCH_MAX = 256 << 10 };

struct batch {
	struct plan *plan;
	struct live *live;
	struct mover *mover;
	struct plan_place *v;
	size_t n, cap;
};

static enum err
add_place(struct batch *b, const struct plan_place *place, struct error *err)
{
	struct plan_place *v = array_grow(b->v, b->n, &b->cap, sizeof(*v), err);

	if (v == NULL)
		return err->code;
	b->v = v;
	b->v[b->n++] = *place;
	return ERR_OK;
}

static enum err
on_chunk(void *arg, const struct plan_place *places, size_t n,
	struct error *err)
{
	struct batch *b = arg;
	bool has = true, lives;
	enum err rc = ERR_OK;

	for (size_t i = 0; i < n && rc == ERR_OK && has; i++) {
		if ((b->plan->v[places[i].pack].flags & PLAN_BATCH) == 0)
			continue;
		rc = live_has(b->live, &places[i].loc.rec.id, &has, err);
		if (rc != ERR_OK || !has)
			break;
		rc = prune_plan_lives(b->plan, places, n, i, &lives, err);
		if (rc == ERR_OK && lives)
			rc = add_place(b, &places[i], err);
	}
	return rc;
}

static int
cmp_places(const void *a, const void *b)
{
	const struct plan_place *x = a, *y = b;

	if (x->pack != y->pack)
		return x->pack < y->pack ? -1 : 1;
	return x->loc.off < y->loc.off ? -1 : x->loc.off > y->loc.off;
}

/* The records v[0 .. n), all of one pack. */
static enum err
move_pack(struct batch *b, const struct plan_place *v, size_t n,
	struct error *err)
{
	struct plan *plan = b->plan;
	const struct report *report = plan->p->report;
	struct error why = ERROR_INIT;
	enum err rc = pruning_going(plan->p, &why);

	for (size_t i = 0; i < n && rc == ERR_OK; i++)
		rc = mover_add(b->mover, &v[i].loc, &why);
	if (rc == ERR_OK)
		rc = mover_settle(b->mover, &why);
	if (rc == ERR_OK) {
		plan->v[v->pack].flags |= PLAN_GONE;
		report->progress->bytes_done += plan->v[v->pack].live;
		return ERR_OK;
	}
	if (rc != ERR_CORRUPT && rc != ERR_NOTFOUND) {
		*err = why;
		return rc;
	}
	/* It stays as it is; what was copied of it is there twice. */
	report->problem(report->arg, (struct bytes){ NULL, 0 }, &why);
	report->progress->errors++;
	plan->kept += plan->v[v->pack].dead;
	plan->unused += plan->v[v->pack].dead;
	return ERR_OK;
}

static enum err
move_batch(struct batch *b, struct error *err)
{
	size_t at = 0, end;
	enum err rc;

	b->n = 0;
	live_rewind(b->live);
	rc = prune_plan_each_chunk(b->plan, on_chunk, b, err);
	if (b->n > 0)
		qsort(b->v, b->n, sizeof(*b->v), cmp_places);
	while (rc == ERR_OK && at < b->n) {
		for (end = at; end < b->n && b->v[end].pack == b->v[at].pack;)
			end++;
		rc = move_pack(b, &b->v[at], end - at, err);
		at = end;
	}
	return rc;
}

static enum err
move_all(struct batch *b, struct error *err)
{
	struct plan *plan = b->plan;
	enum err rc = ERR_OK;

	for (size_t i = 0, k; i < plan->n_moves && rc == ERR_OK; i = k) {
		uint64_t n = 0;

		for (k = i; k < plan->n_moves; k++) {
			struct plan_pack *pack = &plan->v[plan->moves[k]];

			n += pack->n_live;
			if (k > i && n > BATCH_MAX)
				break;
			pack->flags |= PLAN_BATCH;
		}
		rc = move_batch(b, err);
		for (size_t j = i; j < k; j++)
			plan->v[plan->moves[j]].flags &= ~(uint32_t)PLAN_BATCH;
	}
	return rc;
}

static void
expect(const struct plan *plan)
{
	struct progress *progress = plan->p->report->progress;

	for (size_t i = 0; i < plan->n_moves; i++)
		progress->bytes_total += plan->v[plan->moves[i]].live;
}

enum err
prune_move(struct plan *plan, struct live *live, struct id **made,
	size_t *n_made, struct error *err)
{
	struct batch b = { .plan = plan, .live = live };
	enum err rc;

	if (plan->n_moves == 0)
		return ERR_OK;
	pruning_phase(plan->p, "moving what is used out of sparse packs");
	expect(plan);
	rc = mover_new(&b.mover, plan->p->repo, err);
	if (rc == ERR_OK)
		rc = move_all(&b, err);
	if (rc == ERR_OK)
		rc = mover_finish(b.mover, err);
	if (rc == ERR_OK) {
		plan->p->figures->bytes_moved += mover_bytes(b.mover);
		*made = mover_packs(b.mover, n_made);
	}
	mover_free(b.mover);
	free(b.v);
	return rc;
}
