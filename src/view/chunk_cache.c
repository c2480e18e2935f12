/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunk_cache: a hash table whose ready entries also stand in a list, the one
 * used last first.
 *
 * An entry is WANTED (nobody fetches it yet), LOADING (one thread does), READY
 * or FAILED.  Only who set LOADING touches its buffer until it sets another
 * state under the lock; from READY on the buffer does not change.  FAILED ones
 * have left the table, and live as long as those who waited need the reason.
 *
 * Who wanted an entry and has not come to load it holds the struct, but not
 * the bytes: those may be dropped before, when others have fetched them.
 */
#include "view/chunk_cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "repo/record.h"
#include "tree/node.h"

enum { SLOTS = 4096, GUESS = 1 << 20 };

enum state { WANTED, LOADING, READY, FAILED };

struct cached {
	struct id id;
	bool node;
	bool ahead; /* nobody has asked for it yet */
	bool queued; /* chunk_cache_load will come */
	enum state state;
	unsigned pins;
	size_t charge; /* of memory; a guess before it is READY */
	struct buf buf;
	size_t head_len;
	struct error err;
	struct cached *next; /* in its slot */
	struct cached *newer, *older; /* READY */
};

struct chunk_cache {
	pthread_mutex_t lock;
	pthread_cond_t settled;
	size_t max, sum, ahead;
	size_t typical; /* charge of a data chunk, of late */
	uint64_t fetched;
	struct cached *newest, *oldest;
	struct cached *slots[SLOTS];
};

static void
must(int rc)
{
	assert(rc == 0);
}

enum err
chunk_cache_new(struct chunk_cache **out, size_t max, struct error *err)
{
	struct chunk_cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a cache");
	c->max = max;
	c->typical = GUESS;
	must(pthread_mutex_init(&c->lock, NULL));
	must(pthread_cond_init(&c->settled, NULL));
	*out = c;
	return ERR_OK;
}

static void
entry_free(struct cached *e)
{
	buf_fini(&e->buf);
	free(e);
}

void
chunk_cache_free(struct chunk_cache *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < SLOTS; i++) {
		while (c->slots[i] != NULL) {
			struct cached *e = c->slots[i];

			assert(e->pins == 0);
			c->slots[i] = e->next;
			entry_free(e);
		}
	}
	must(pthread_cond_destroy(&c->settled));
	must(pthread_mutex_destroy(&c->lock));
	free(c);
}

/* Where the entry is, or would be. */
static struct cached **
slot_of(struct chunk_cache *c, const struct id *id, bool node)
{
	struct cached **at = &c->slots[id_prefix(id) % SLOTS];

	while (*at != NULL && ((*at)->node != node || !id_eq(&(*at)->id, id)))
		at = &(*at)->next;
	return at;
}

static void
leave_table(struct chunk_cache *c, struct cached *e)
{
	struct cached **at = slot_of(c, &e->id, e->node);

	assert(*at == e);
	*at = e->next;
	e->next = NULL;
}

static void
leave_list(struct chunk_cache *c, struct cached *e)
{
	*(e->newer != NULL ? &e->newer->older : &c->newest) = e->older;
	*(e->older != NULL ? &e->older->newer : &c->oldest) = e->newer;
	e->newer = e->older = NULL;
}

static void
enter_list(struct chunk_cache *c, struct cached *e)
{
	e->older = c->newest;
	*(c->newest != NULL ? &c->newest->newer : &c->oldest) = e;
	c->newest = e;
}

static void
no_longer_ahead(struct chunk_cache *c, struct cached *e)
{
	if (e->ahead)
		c->ahead -= e->charge;
	e->ahead = false;
}

/* Once it has left the table and nobody holds it any more. */
static void
release(struct cached *e)
{
	if (e->state != FAILED || e->pins > 0)
		return;
	if (e->queued)
		buf_fini(&e->buf);
	else
		entry_free(e);
}

static void
drop(struct chunk_cache *c, struct cached *e)
{
	no_longer_ahead(c, e);
	leave_list(c, e);
	leave_table(c, e);
	c->sum -= e->charge;
	e->state = FAILED;
	release(e);
}

static void
shrink(struct chunk_cache *c)
{
	struct cached *e = c->oldest, *newer;

	for (; e != NULL && c->sum > c->max; e = newer) {
		newer = e->newer;
		if (e->pins == 0)
			drop(c, e);
	}
}

/* A new entry at its place; NULL where there is no memory. */
static struct cached *
enter(struct chunk_cache *c, struct cached **at, const struct id *id, bool node)
{
	struct cached *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	*e = (struct cached){ .id = *id,
		.node = node,
		.charge = c->typical,
		.buf = BUF_INIT(node ? 2 * (size_t)NODE_MAX : CHUNK_MAX),
		.err = ERROR_INIT };
	*at = e;
	return e;
}

static enum err
fetch(struct tree_io *io, struct cached *e)
{
	if (e->node)
		return io->ops->get_node(io, &e->id, &e->buf, &e->head_len,
			&e->err);
	return io->ops->get_data(io, &e->id, &e->buf, &e->err);
}

/* With the lock held: how the fetch went.  unpin makes room. */
static void
settle(struct chunk_cache *c, struct cached *e, enum err rc)
{
	bool ahead = e->ahead;

	c->fetched++;
	no_longer_ahead(c, e);
	if (rc == ERR_OK) {
		e->state = READY;
		e->charge = sizeof(*e) + e->buf.cap;
		e->ahead = ahead;
		c->ahead += ahead ? e->charge : 0;
		c->sum += e->charge;
		if (!e->node)
			c->typical = (7 * c->typical + e->charge) / 8;
		enter_list(c, e);
	} else {
		e->state = FAILED;
		leave_table(c, e);
	}
	must(pthread_cond_broadcast(&c->settled));
}

/* Fetch e, which is LOADING and pinned by the caller; the lock is held before
 * and after. */
static void
load(struct chunk_cache *c, struct tree_io *io, struct cached *e)
{
	enum err rc;

	must(pthread_mutex_unlock(&c->lock));
	rc = fetch(io, e);
	must(pthread_mutex_lock(&c->lock));
	settle(c, e, rc);
}

static void
unpin(struct chunk_cache *c, struct cached *e)
{
	assert(e->pins > 0);
	e->pins--;
	if (e->pins > 0)
		return;
	release(e);
	shrink(c);
}

void
chunk_cache_unpin(struct chunk_cache *c, struct cached *e)
{
	must(pthread_mutex_lock(&c->lock));
	unpin(c, e);
	must(pthread_mutex_unlock(&c->lock));
}

/* With the lock held and e pinned: until it is READY or FAILED. */
static enum err
await(struct chunk_cache *c, struct tree_io *io, struct cached *e,
	struct error *err)
{
	if (e->state == WANTED) {
		e->state = LOADING;
		load(c, io, e);
	}
	while (e->state == LOADING)
		must(pthread_cond_wait(&c->settled, &c->lock));
	if (e->state == FAILED) {
		*err = e->err;
		return err->code;
	}
	no_longer_ahead(c, e);
	leave_list(c, e);
	enter_list(c, e);
	return ERR_OK;
}

enum err
chunk_cache_get(struct chunk_cache *c, struct tree_io *io, const struct id *id,
	bool node, struct cached **out, struct error *err)
{
	struct cached **at, *e;
	enum err rc;

	must(pthread_mutex_lock(&c->lock));
	at = slot_of(c, id, node);
	e = *at != NULL ? *at : enter(c, at, id, node);
	if (e == NULL) {
		must(pthread_mutex_unlock(&c->lock));
		return err_set(err, ERR_NOMEM, "no memory for a chunk");
	}
	e->pins++;
	rc = await(c, io, e, err);
	if (rc != ERR_OK)
		unpin(c, e);
	must(pthread_mutex_unlock(&c->lock));
	if (rc == ERR_OK)
		*out = e;
	return rc;
}

const uint8_t *
cached_data(const struct cached *e, size_t *len)
{
	*len = e->buf.len;
	return e->buf.data;
}

size_t
cached_head_len(const struct cached *e)
{
	return e->head_len;
}

enum want
chunk_cache_want(struct chunk_cache *c, const struct id *id,
	struct cached **out)
{
	enum want want = WANT_FULL;
	struct cached **at, *e;

	must(pthread_mutex_lock(&c->lock));
	at = slot_of(c, id, false);
	if (*at != NULL) {
		want = WANT_HAVE;
		goto out;
	}
	if (c->ahead + c->typical > c->max / 2)
		goto out;
	e = enter(c, at, id, false);
	if (e == NULL)
		goto out;
	e->state = WANTED;
	e->ahead = e->queued = true;
	c->ahead += e->charge;
	*out = e;
	want = WANT_NEW;
out:
	must(pthread_mutex_unlock(&c->lock));
	return want;
}

void
chunk_cache_load(struct chunk_cache *c, struct tree_io *io, struct cached *e)
{
	must(pthread_mutex_lock(&c->lock));
	e->queued = false;
	e->pins++;
	if (e->state == WANTED) {
		e->state = LOADING;
		load(c, io, e);
	}
	unpin(c, e);
	must(pthread_mutex_unlock(&c->lock));
}

struct chunk_cache_count
chunk_cache_count(struct chunk_cache *c)
{
	struct chunk_cache_count n;

	must(pthread_mutex_lock(&c->lock));
	n = (struct chunk_cache_count){ c->sum, c->ahead, c->fetched };
	must(pthread_mutex_unlock(&c->lock));
	return n;
}
