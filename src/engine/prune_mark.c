/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune_mark: a stack of nodes, and a set of those already met, so that what
 * snapshots share is followed once.  Only the head of a node is read, which
 * takes no content key; that of every copy, because a copy may lie.
 *
 * Reading waits for the store, so several workers do it; one lock guards the
 * stack and both sets, and is taken once for the reading of a node.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/array.h"
#include "engine/crew.h"
#include "engine/idset.h"
#include "engine/pruning.h"
#include "tree/node.h"

struct mark_walk {
	struct pruning *p;
	struct live *live;
	pthread_mutex_t lock; /* of everything below, and of live */
	pthread_cond_t more;
	struct idset met;
	struct id *stack;
	size_t n, cap;
	unsigned n_busy;
	struct error failure; /* ends the walk */
};

struct walker {
	struct job job;
	struct mark_walk *w;
	struct crew *crew;
};

static enum err
push(struct mark_walk *w, const struct id *id, struct error *err)
{
	struct id *v;
	bool added;
	enum err rc = idset_add(&w->met, id, &added, err);

	if (rc != ERR_OK || !added)
		return rc;
	v = array_grow(w->stack, w->n, &w->cap, sizeof(*v), err);
	if (v == NULL)
		return err->code;
	w->stack = v;
	w->stack[w->n++] = *id;
	w->p->report->progress->items_total++;
	return live_add(w->live, id, err);
}

static enum err
on_ref(void *arg, const struct ref *ref, struct error *err)
{
	struct mark_walk *w = arg;

	return ref->node ? push(w, &ref->id, err)
			 : live_add(w->live, &ref->id, err);
}

/* The next node; false when there are none left, or the walk has failed. */
static bool
pop(struct mark_walk *w, struct id *id)
{
	bool have;

	pthread_mutex_lock(&w->lock);
	while (w->n == 0 && w->n_busy > 0 && w->failure.code == ERR_OK)
		pthread_cond_wait(&w->more, &w->lock);
	if (w->failure.code == ERR_OK)
		(void)!pruning_going(w->p, &w->failure);
	have = w->n > 0 && w->failure.code == ERR_OK;
	if (have) {
		*id = w->stack[--w->n];
		w->n_busy++;
	} else {
		pthread_cond_broadcast(&w->more);
	}
	pthread_mutex_unlock(&w->lock);
	return have;
}

static enum err
on_head(void *arg, const void *head, size_t len, struct error *err)
{
	struct mark_walk *w = arg;
	enum err rc;

	pthread_mutex_lock(&w->lock);
	rc = node_each_ref(head, len, on_ref, w, err);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

/* A node was followed, or could not be. */
static void
settle(struct mark_walk *w, enum err rc, const struct error *why)
{
	pthread_mutex_lock(&w->lock);
	if (rc != ERR_OK && w->failure.code == ERR_OK)
		w->failure = *why;
	w->n_busy--;
	pthread_cond_broadcast(&w->more);
	pthread_mutex_unlock(&w->lock);
	w->p->report->progress->items_done++;
}

static void
walker_run(struct job *job, unsigned worker)
{
	struct walker *k = container_of(job, struct walker, job);
	struct id id;

	while (pop(k->w, &id)) {
		struct error why = ERROR_INIT;
		enum err rc;

		rc = repo_each_head(k->crew->lanes[worker], &id, on_head, k->w,
			&why);
		settle(k->w, rc, &why);
	}
}

static enum err
walk_with_crew(struct mark_walk *w, struct error *err)
{
	struct crew crew = { 0 };
	struct walker *team = NULL;
	enum err rc =
		crew_init(&crew, w->p->repo, w->p->workers, w->p->workers, err);

	if (rc == ERR_OK) {
		team = calloc(crew.n, sizeof(*team));
		if (team == NULL)
			rc = err_set(err, ERR_NOMEM, "out of memory");
	}
	for (unsigned i = 0; rc == ERR_OK && i < crew.n; i++) {
		team[i] = (struct walker){ { .run = walker_run }, w, &crew };
		pool_submit(crew.pool, &team[i].job);
	}
	if (rc == ERR_OK)
		pool_drain(crew.pool);
	free(team);
	crew_fini(&crew);
	return rc;
}

static enum err
walk_alone(struct mark_walk *w, struct error *err)
{
	struct lane *lane = NULL;
	struct crew crew = { .lanes = &lane, .n = 1 };
	struct walker k = { { NULL }, w, &crew };
	enum err rc = lane_new(&lane, w->p->repo, err);

	if (rc == ERR_OK)
		walker_run(&k.job, 0);
	lane_free(lane);
	return rc;
}

enum err
prune_mark(struct pruning *p, const struct id *roots, size_t n_roots,
	struct live *live, struct error *err)
{
	struct mark_walk w = { .p = p,
		.live = live,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.more = PTHREAD_COND_INITIALIZER };
	enum err rc = ERR_OK;

	for (size_t i = 0; i < n_roots && rc == ERR_OK; i++)
		rc = push(&w, &roots[i], err);
	if (rc == ERR_OK)
		rc = p->workers == 1 ? walk_alone(&w, err)
				     : walk_with_crew(&w, err);
	if (rc == ERR_OK && w.failure.code != ERR_OK) {
		*err = w.failure;
		rc = err->code;
	}
	idset_fini(&w.met);
	free(w.stack);
	pthread_cond_destroy(&w.more);
	pthread_mutex_destroy(&w.lock);
	return rc;
}
