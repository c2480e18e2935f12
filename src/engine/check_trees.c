/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_trees: a stack of nodes to visit, worked on by all workers; a set of
 * those already met, so that what snapshots share is visited once.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/checking.h"
#include "engine/idset.h"
#include "engine/select.h"
#include "model/entry.h"
#include "model/path.h"
#include "tree/extents.h"
#include "tree/node.h"

struct walk {
	struct checking *c;
	struct index *index;
	pthread_mutex_t lock; /* of everything below */
	pthread_cond_t more;
	struct idset met;
	struct id *stack;
	size_t n, cap;
	unsigned n_busy;
	struct error err; /* what ends the check */
};

struct walker {
	struct job job;
	struct walk *w;
	struct buf bytes;
	uint64_t n_refs; /* to data, of the node at hand */
};

static enum err
push(struct walk *w, const struct id *id, struct error *err)
{
	size_t cap = w->cap > 0 ? 2 * w->cap : 1024;
	struct id *v;
	bool added;
	enum err rc;

	rc = idset_add(&w->met, id, &added, err);
	if (rc != ERR_OK || !added)
		return rc;
	if (w->n == w->cap) {
		v = realloc(w->stack, cap * sizeof(*v));
		if (v == NULL)
			return err_set(err, ERR_NOMEM, "out of memory");
		w->stack = v;
		w->cap = cap;
	}
	w->stack[w->n++] = *id;
	pthread_cond_signal(&w->more);
	return ERR_OK;
}

/* The next node; false when there are none left, or the check has ended. */
static bool
pop(struct walk *w, struct id *id)
{
	const _Atomic bool *stop = w->c->report->stop;
	bool have;

	pthread_mutex_lock(&w->lock);
	while (w->n == 0 && w->n_busy > 0 && w->err.code == ERR_OK)
		pthread_cond_wait(&w->more, &w->lock);
	if (stop != NULL && *stop && w->err.code == ERR_OK)
		(void)err_set(&w->err, ERR_CANCELLED, "interrupted");
	have = w->n > 0 && w->err.code == ERR_OK;
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
check_ref(struct walk *w, const struct ref *ref, struct error *err)
{
	char name[ID_HEX + 1];
	struct location loc;
	bool found;
	enum err rc;

	if (ref->node) {
		pthread_mutex_lock(&w->lock);
		rc = push(w, &ref->id, err);
		pthread_mutex_unlock(&w->lock);
		return rc;
	}
	rc = index_find(w->index, &ref->id, &loc, &found, err);
	if (rc != ERR_OK)
		return rc;
	if (found && loc.rec.type == CHUNK_DATA)
		return ERR_OK;
	hex_encode(ref->id.b, ID_LEN, name);
	return err_set(err, ERR_CORRUPT, "data chunk %s is missing", name);
}

static enum err
on_ref(void *arg, const struct ref *ref, struct error *err)
{
	struct walker *k = arg;

	k->n_refs += !ref->node;
	return check_ref(k->w, ref, err);
}

static enum err
check_item(const struct node *n, size_t i, struct error *err)
{
	struct item item;
	struct extent extent;
	struct entry e;
	enum err rc;

	node_item(n, i, &item);
	if (node_kind(n) == TREE_EXTENTS)
		return extent_decode(&item, &extent, err);
	if (!key_ok(item.key.data, item.key.len))
		return err_set(err, ERR_CORRUPT, "an entry's name is not one");
	entry_init(&e);
	rc = entry_decode(&e, item.val.data, item.val.len, item.refs,
		item.n_refs, err);
	entry_fini(&e);
	return rc;
}

/* Read one node, prove it, and follow its references. */
static enum err
check_node(struct walker *k, struct lane *lane, const struct id *id,
	struct error *err)
{
	struct node *n = NULL;
	size_t head_len;
	enum err rc;

	buf_clear(&k->bytes);
	rc = repo_read_node(lane, id, &k->bytes, &head_len, err);
	if (rc == ERR_OK)
		rc = node_decode(&n, k->bytes.data, k->bytes.len, head_len,
			err);
	for (size_t i = 0;
		rc == ERR_OK && node_level(n) == 0 && i < node_count(n); i++)
		rc = check_item(n, i, err);
	if (rc == ERR_OK)
		rc = node_each_ref(k->bytes.data, head_len, on_ref, k, err);
	node_free(n);
	return rc;
}

static void
walker_run(struct job *job, unsigned worker)
{
	struct walker *k = container_of(job, struct walker, job);
	struct walk *w = k->w;
	char name[ID_HEX + 1];
	struct error why;
	struct id id;

	while (pop(w, &id)) {
		why = ERROR_INIT;
		k->n_refs = 0;
		if (check_node(k, w->c->crew.lanes[worker], &id, &why) !=
			ERR_OK) {
			hex_encode(id.b, ID_LEN, name);
			(void)err_wrap(&why, "node %s", name);
			checking_found(w->c, &why);
		}
		pthread_mutex_lock(&w->lock);
		w->c->result->nodes++;
		w->c->result->references += k->n_refs;
		if (why.code == ERR_NOMEM)
			w->err = why;
		if (--w->n_busy == 0)
			pthread_cond_broadcast(&w->more);
		pthread_mutex_unlock(&w->lock);
		w->c->report->progress->items_done++;
	}
}

static enum err
on_snapshot(void *arg, const struct snapshot_ref *ref, struct error *err)
{
	struct walk *w = arg;
	struct error why = ERROR_INIT;
	char name[UID_HEX + 1];
	struct snapshot s;
	enum err rc = ERR_OK;

	w->c->result->snapshots++;
	snapshot_init(&s);
	if (snapshot_decode(&s, ref->data, ref->len, &why) == ERR_OK) {
		rc = push(w, &s.root, err);
	} else {
		hex_encode(ref->uid.b, UID_LEN, name);
		(void)err_wrap(&why, "snapshot %s", name);
		checking_found(w->c, &why);
	}
	snapshot_fini(&s);
	return rc;
}

static enum err
on_bad_snapshot(void *arg, const char *name, const struct error *why,
	struct error *err)
{
	struct walk *w = arg;

	w->c->result->snapshots++;
	checking_found(w->c, why);
	return ERR_OK;
}

static enum err
walk_all(struct walk *w, struct error *err)
{
	struct walker *team = calloc(w->c->crew.n, sizeof(*team));

	if (team == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (unsigned i = 0; i < w->c->crew.n; i++) {
		team[i] = (struct walker){ { .run = walker_run }, w,
			BUF_INIT((size_t)2 * CHUNK_MAX), 0 };
		pool_submit(w->c->crew.pool, &team[i].job);
	}
	pool_drain(w->c->crew.pool);
	for (unsigned i = 0; i < w->c->crew.n; i++)
		buf_fini(&team[i].bytes);
	free(team);
	if (w->err.code != ERR_OK)
		*err = w->err;
	return w->err.code;
}

enum err
check_trees(struct checking *c, struct error *err)
{
	struct walk w = { .c = c,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.more = PTHREAD_COND_INITIALIZER };
	enum err rc;

	rc = repo_index(c->repo, &w.index, err);
	if (rc == ERR_OK)
		rc = repo_each_snapshot(c->repo, on_snapshot, on_bad_snapshot,
			&w, err);
	if (rc == ERR_OK)
		rc = walk_all(&w, err);
	idset_fini(&w.met);
	free(w.stack);
	pthread_cond_destroy(&w.more);
	pthread_mutex_destroy(&w.lock);
	return rc;
}
