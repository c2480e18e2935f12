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
	/* of the node at hand: */
	uint64_t n_refs, n_missing; /* to data; of them to none */
	struct id missing; /* the first */
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
on_ref(void *arg, const struct ref *ref, struct error *err)
{
	struct walker *k = arg;
	struct walk *w = k->w;
	struct location loc;
	bool found;
	enum err rc;

	if (ref->node) {
		pthread_mutex_lock(&w->lock);
		rc = push(w, &ref->id, err);
		pthread_mutex_unlock(&w->lock);
		return rc;
	}
	k->n_refs++;
	rc = index_find(w->index, &ref->id, &loc, &found, err);
	if (rc != ERR_OK || (found && loc.rec.type == CHUNK_DATA))
		return rc;
	if (k->n_missing++ == 0)
		k->missing = ref->id;
	return ERR_OK;
}

static enum err
check_refs(struct walker *k, size_t head_len, struct error *err)
{
	char name[ID_HEX + 1];
	enum err rc;

	rc = node_each_ref(k->bytes.data, head_len, on_ref, k, err);
	if (rc != ERR_OK || k->n_missing == 0)
		return rc;
	hex_encode(k->missing.b, ID_LEN, name);
	if (k->n_missing == 1)
		return err_set(err, ERR_CORRUPT, "data chunk %s is missing",
			name);
	return err_set(err, ERR_CORRUPT,
		"data chunk %s and %llu others are missing", name,
		(unsigned long long)k->n_missing - 1);
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

static enum err
read_node(struct walker *k, struct lane *lane, const struct id *id,
	size_t *head_len, struct error *err)
{
	struct location loc;
	bool found;
	enum err rc = index_find(k->w->index, id, &loc, &found, err);

	if (rc != ERR_OK)
		return rc;
	if (!found || loc.rec.type != CHUNK_NODE)
		return err_set(err, ERR_CORRUPT, "is missing");
	buf_clear(&k->bytes);
	if (!k->w->c->reads_content) {
		rc = repo_read_head(lane, id, &k->bytes, err);
		*head_len = k->bytes.len;
		return rc;
	}
	rc = repo_read_at(lane, &loc, &k->bytes, head_len, err);
	/* A prune may have moved it, or deleted this copy. */
	if (rc == ERR_NOTFOUND)
		rc = repo_read_node(lane, id, &k->bytes, head_len, err);
	return rc;
}

static enum err
check_items(const struct node *n, struct error *err)
{
	enum err rc = ERR_OK;

	if (node_level(n) > 0)
		return ERR_OK;
	for (size_t i = 0; rc == ERR_OK && i < node_count(n); i++)
		rc = check_item(n, i, err);
	return rc;
}

/* Read one node, prove it, and follow its references, also where an item of it
 * is none. */
static enum err
check_node(struct walker *k, struct lane *lane, const struct id *id,
	struct error *err)
{
	struct node *n = NULL;
	size_t head_len;
	enum err rc;

	rc = read_node(k, lane, id, &head_len, err);
	if (rc == ERR_OK && !k->w->c->reads_content)
		return check_refs(k, head_len, err);
	if (rc == ERR_OK)
		rc = node_decode(&n, k->bytes.data, k->bytes.len, head_len,
			err);
	if (rc == ERR_OK) {
		rc = check_refs(k, head_len, err);
		if (rc == ERR_OK)
			rc = check_items(n, err);
	}
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
		k->n_refs = k->n_missing = 0;
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
	w->c->result->snapshots_forgotten += ref->forgotten;
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
			BUF_INIT((size_t)2 * CHUNK_MAX), 0, 0, { { 0 } } };
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

static enum err
on_bad_segment(void *arg, const char *name, const struct error *why,
	struct error *err)
{
	return ERR_OK;
}

/* The repository's index; where a segment is damaged, which check_packs has
 * told, one of the others, to be closed. */
static enum err
open_index(struct walk *w, struct index **own, struct error *err)
{
	struct repo *r = w->c->repo;
	struct index_conf conf = { .store = repo_store(r),
		.keys = repo_keys(r),
		.bad = on_bad_segment };
	struct error why;
	enum err rc;

	rc = repo_index(r, &w->index, &why);
	if (rc == ERR_OK)
		rc = index_refresh(w->index, &why);
	if (rc == ERR_CORRUPT || rc == ERR_VERSION) {
		rc = index_open(own, &conf, err);
		w->index = *own;
	} else if (rc != ERR_OK) {
		*err = why;
	}
	return rc;
}

enum err
check_trees(struct checking *c, struct error *err)
{
	struct walk w = { .c = c,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.more = PTHREAD_COND_INITIALIZER };
	struct index *own = NULL;
	enum err rc;

	/* In this order: a snapshot that is there refers to what is in a
	 * segment by then. */
	rc = repo_each_snapshot_of(c->repo, SNAPSHOTS_FORGOTTEN, on_snapshot,
		on_bad_snapshot, &w, err);
	if (rc == ERR_OK)
		rc = open_index(&w, &own, err);
	if (rc == ERR_OK)
		rc = walk_all(&w, err);
	index_close(own);
	idset_fini(&w.met);
	free(w.stack);
	pthread_cond_destroy(&w.more);
	pthread_mutex_destroy(&w.lock);
	return rc;
}
