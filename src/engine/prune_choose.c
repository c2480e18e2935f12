/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune_choose: which packs may go.
 *
 * Packs where nothing lives go as they are.  Others are worth the more the
 * more is freed for each byte that has to be moved; they are taken in this
 * order until what stays unused is little enough.
 *
 * Nothing here is a matter of safety but this: of a live record in a pack with
 * PLAN_GONE the same sealed bytes are in a pack without it.
 */
#include <stdlib.h>

#include "engine/pruning.h"

enum {
	/* So many packs that are smaller than this part of the target are made
	 * one. */
	MERGE_MIN = 16,
	MERGE_PART = 8
};

/* What is freed for each byte moved, the most first. */
static int
cmp_worth(const void *a, const void *b, void *arg)
{
	const struct plan *plan = arg;
	const size_t *i = a, *k = b;
	const struct plan_pack *x = &plan->v[*i], *y = &plan->v[*k];
	uint64_t left = (uint64_t)x->dead * y->live;
	uint64_t right = (uint64_t)y->dead * x->live;

	if (left != right)
		return left > right ? -1 : 1;
	return *i < *k ? -1 : *i > *k;
}

struct choice {
	struct plan *plan;
	size_t *v; /* packs that may be moved */
	size_t n;
	uint64_t n_gone, moved;
};

static bool
may_add(const struct choice *c, uint64_t bytes)
{
	uint64_t max = c->plan->p->conf->max_repack;

	return c->n_gone < CONDEMNED_PACKS_MAX &&
	       (max == 0 || c->moved + bytes <= max);
}

static void
take(struct choice *c, struct plan_pack *pack)
{
	c->plan->kept -= pack->dead;
	c->plan->unused -= pack->dead;
	c->moved += pack->live;
	c->n_gone++;
	pack->flags |= PLAN_MOVE;
	c->plan->moves[c->plan->n_moves++] = (size_t)(pack - c->plan->v);
}

static void
sort_out(struct choice *c)
{
	struct plan *plan = c->plan;

	for (size_t i = 0; i < plan->n; i++) {
		struct plan_pack *pack = &plan->v[i];
		bool orphan = (pack->flags & PLAN_NAMED) == 0;
		bool stays = (pack->flags & (PLAN_BUSY | PLAN_YOUNG)) != 0;

		if (pack->n_live == 0 && !stays &&
			c->n_gone < CONDEMNED_PACKS_MAX) {
			pack->flags |= PLAN_GONE;
			c->n_gone++;
			continue;
		}
		if (orphan)
			continue;
		plan->kept += pack->size;
		plan->unused += pack->dead;
		if (!stays && pack->n_live > 0 &&
			(pack->flags & PLAN_LISTED) != 0)
			c->v[c->n++] = i;
	}
}

static uint64_t
allowed(const struct plan *plan)
{
	const struct prune_conf *conf = plan->p->conf;
	double share = conf->max_unused * (double)plan->kept;

	if (share > (double)conf->max_unused_size)
		return share < 1e18 ? (uint64_t)share : UINT64_MAX;
	return conf->max_unused_size;
}

static void
take_sparse(struct choice *c)
{
	struct plan *plan = c->plan;

	for (size_t i = 0; i < c->n; i++) {
		struct plan_pack *pack = &plan->v[c->v[i]];

		if (pack->dead == 0 || plan->unused <= allowed(plan))
			break;
		if (may_add(c, pack->live))
			take(c, pack);
	}
}

static bool
is_small(const struct plan *plan, const struct plan_pack *pack)
{
	uint32_t target = repo_config(plan->p->repo)->pack_target;

	return (pack->flags & PLAN_MOVE) == 0 &&
	       pack->size < target / MERGE_PART;
}

/* Every backup leaves packs that are not full. */
static void
take_small(struct choice *c)
{
	struct plan *plan = c->plan;
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += is_small(plan, &plan->v[c->v[i]]);
	if (n < MERGE_MIN || plan->p->conf->max_unused >= 1)
		return;
	for (size_t i = 0; i < c->n; i++) {
		struct plan_pack *pack = &plan->v[c->v[i]];

		if (is_small(plan, pack) && may_add(c, pack->live))
			take(c, pack);
	}
}

enum err
prune_choose(struct plan *plan, struct error *err)
{
	struct choice c = { .plan = plan };

	c.v = calloc(plan->n + 1, sizeof(*c.v));
	plan->moves = calloc(plan->n + 1, sizeof(*plan->moves));
	if (c.v == NULL || plan->moves == NULL) {
		free(c.v);
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	sort_out(&c);
	if (c.n > 0)
		qsort_r(c.v, c.n, sizeof(*c.v), cmp_worth, plan);
	take_sparse(&c);
	take_small(&c);
	free(c.v);
	return ERR_OK;
}
