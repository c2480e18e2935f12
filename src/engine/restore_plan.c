/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/restore_plan.h"

#include <stdlib.h>

enum { PIECES_FIRST = 64 };

struct restore_plan {
	struct restoring *run;
	struct group *open[RESTORE_OPEN_CHUNKS];
	unsigned n_open;
	unsigned last; /* where something was added last */
	uint64_t clock;
	size_t weight;
};

enum err
restore_plan_new(struct restore_plan **out, struct restoring *r,
	struct error *err)
{
	*out = calloc(1, sizeof(**out));
	if (*out == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	(*out)->run = r;
	return ERR_OK;
}

static void
submit(struct restore_plan *p, unsigned i)
{
	struct group *g = p->open[i];

	p->open[i] = p->open[--p->n_open];
	p->last = 0;
	p->weight -= g->weight;
	g->job.run = restore_work_run;
	pool_submit(p->run->crew.pool, &g->job);
}

static void
submit_oldest(struct restore_plan *p)
{
	unsigned oldest = 0;

	for (unsigned i = 1; i < p->n_open; i++)
		if (p->open[i]->used < p->open[oldest]->used)
			oldest = i;
	submit(p, oldest);
}

void
restore_plan_finish(struct restore_plan *p)
{
	while (p->n_open > 0)
		submit_oldest(p);
	pool_drain(p->run->crew.pool);
}

void
restore_plan_free(struct restore_plan *p)
{
	if (p == NULL)
		return;
	/* The run has ended or everything is done; then the workers only let
	 * go of what they are given. */
	restore_plan_finish(p);
	free(p);
}

static bool
is_for(const struct group *g, const struct id *chunk)
{
	if (chunk == NULL)
		return !g->has_chunk;
	return g->has_chunk && id_eq(&g->chunk, chunk);
}

/* The open group for chunk; a new one where there is none. */
static enum err
find(struct restore_plan *p, const struct id *chunk, struct error *err)
{
	struct group *g;

	if (p->n_open > 0 && is_for(p->open[p->last], chunk))
		return ERR_OK;
	for (p->last = 0; p->last < p->n_open; p->last++)
		if (is_for(p->open[p->last], chunk))
			return ERR_OK;
	p->last = 0;
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	g->run = p->run;
	g->has_chunk = chunk != NULL;
	if (chunk != NULL)
		g->chunk = *chunk;
	if (p->n_open == RESTORE_OPEN_CHUNKS)
		submit_oldest(p);
	p->last = p->n_open;
	p->open[p->n_open++] = g;
	return ERR_OK;
}

static enum err
make_room(struct group *g, struct error *err)
{
	size_t cap = g->cap > 0 ? 2 * g->cap : PIECES_FIRST;
	struct planned *v;

	if (g->n < g->cap)
		return ERR_OK;
	v = reallocarray(g->v, cap, sizeof(*v));
	if (v == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	g->v = v;
	g->cap = cap;
	return ERR_OK;
}

enum err
restore_plan_add(struct restore_plan *p, const struct id *chunk,
	const struct planned *piece, struct error *err)
{
	size_t weight = sizeof(*piece);
	struct group *g;
	enum err rc;

	rc = find(p, chunk, err);
	if (rc != ERR_OK)
		return rc;
	g = p->open[p->last];
	rc = make_room(g, err);
	if (rc != ERR_OK)
		return rc;
	restore_goal_ref(piece->goal);
	g->v[g->n++] = *piece;
	g->used = ++p->clock;
	/* A goal of many pieces is counted with its first. */
	if (piece->off == 0)
		weight += piece->goal->weight;
	g->weight += weight;
	p->weight += weight;
	if (g->n == RESTORE_GROUP_PIECES || g->weight > RESTORE_GROUP_WEIGHT)
		submit(p, p->last);
	while (p->weight > RESTORE_PLAN_WEIGHT)
		submit_oldest(p);
	return ERR_OK;
}
