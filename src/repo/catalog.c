/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog: the present set of runs, and who may replace it.
 */
#include "repo/catalog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "repo/cache.h"
#include "repo/change.h"

struct catalog {
	struct index_conf conf;
	struct cache *cache;
	pthread_mutex_t change; /* one at a time; of the next two, too */
	struct view *view; /* or NULL */
	struct counting counting; /* as of the last listing */
	pthread_rwlock_t lock; /* of set, for as long as it takes to copy it */
	struct run_set *set;
	_Atomic uint64_t gen;
};

static enum err
set_new(struct run_set **out, struct run *const *runs, size_t n,
	struct error *err)
{
	struct run_set *set = malloc(sizeof(*set) + n * sizeof(set->runs[0]));

	if (set == NULL)
		return err_set(err, ERR_NOMEM, "no memory for %zu runs", n);
	atomic_init(&set->refs, 1);
	set->gen = 0;
	set->view = NULL;
	set->n = n;
	for (size_t i = 0; i < n; i++)
		set->runs[i] = run_ref(runs[i]);
	*out = set;
	return ERR_OK;
}

struct run_set *
catalog_get(struct catalog *c)
{
	struct run_set *set;

	(void)pthread_rwlock_rdlock(&c->lock);
	set = c->set;
	atomic_fetch_add(&set->refs, 1);
	(void)pthread_rwlock_unlock(&c->lock);
	return set;
}

void
catalog_put(struct run_set *set)
{
	if (set == NULL || atomic_fetch_sub(&set->refs, 1) != 1)
		return;
	for (size_t i = 0; i < set->n; i++)
		run_unref(set->runs[i]);
	view_unref(set->view);
	free(set);
}

const _Atomic uint64_t *
catalog_gen(const struct catalog *c)
{
	return &c->gen;
}

static enum err
install(struct catalog *c, const struct change *ch, struct error *err)
{
	struct run_set *set = NULL, *old;
	enum err rc = set_new(&set, ch->runs, ch->n, err);

	if (rc != ERR_OK)
		return rc;
	set->gen = c->set->gen + 1;
	if (c->view != NULL && view_restricts(c->view))
		set->view = view_ref(c->view);
	(void)pthread_rwlock_wrlock(&c->lock);
	old = c->set;
	c->set = set;
	atomic_store(&c->gen, set->gen);
	(void)pthread_rwlock_unlock(&c->lock);
	catalog_put(old);
	return ERR_OK;
}

/* The caller holds the lock of changes, under which the set stays. */
static enum err
change(struct catalog *c, struct run_batch *batch, bool full, struct error *err)
{
	struct change ch = { .conf = &c->conf,
		.cache = c->cache,
		.old = c->set->runs,
		.n_old = c->set->n,
		.counting = &c->counting,
		.batch = batch,
		.full = full };
	enum err rc = change_make(&ch, err);

	if (rc == ERR_OK)
		rc = install(c, &ch, err);
	change_fini(&ch);
	return rc;
}

enum err
catalog_refresh(struct catalog *c, struct view *view, struct error *err)
{
	enum err rc;

	(void)pthread_mutex_lock(&c->change);
	if (view != NULL) {
		view_unref(c->view);
		c->view = view_ref(view);
	}
	rc = change(c, NULL, true, err);
	(void)pthread_mutex_unlock(&c->change);
	return rc;
}

enum err
catalog_heal(struct catalog *c, uint64_t gen, struct error *err)
{
	enum err rc = ERR_OK;

	(void)pthread_mutex_lock(&c->change);
	if (c->set->gen == gen)
		rc = change(c, NULL, true, err);
	(void)pthread_mutex_unlock(&c->change);
	return rc;
}

enum err
catalog_add(struct catalog *c, struct run_batch *batch, struct error *err)
{
	enum err rc;

	(void)pthread_mutex_lock(&c->change);
	rc = change(c, batch, false, err);
	(void)pthread_mutex_unlock(&c->change);
	return rc;
}

enum err
catalog_open(struct catalog **out, const struct index_conf *conf,
	struct error *err)
{
	struct catalog *c = calloc(1, sizeof(*c));
	enum err rc;

	if (c == NULL)
		return err_set(err, ERR_NOMEM, "no memory for an index");
	c->conf = *conf;
	rc = set_new(&c->set, NULL, 0, err);
	if (rc == ERR_OK)
		rc = cache_open(&c->cache, conf->cache_dir,
			&conf->keys->structure, err);
	if (rc != ERR_OK) {
		free(c->set);
		free(c);
		return rc;
	}
	(void)pthread_mutex_init(&c->change, NULL);
	(void)pthread_rwlock_init(&c->lock, NULL);
	*out = c;
	return ERR_OK;
}

void
catalog_close(struct catalog *c)
{
	if (c == NULL)
		return;
	catalog_put(c->set);
	view_unref(c->view);
	counting_fini(&c->counting);
	cache_close(c->cache);
	(void)pthread_mutex_destroy(&c->change);
	(void)pthread_rwlock_destroy(&c->lock);
	free(c);
}
