/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept: what an increment has changed lies in chunks that were gathered over
 * many windows, and so in many stretches.  Those stay until they are used up;
 * who fetches one does so outside of the lock.
 *
 * All are come back to about equally often, so where there is no room, those
 * that are there stay and the new one does not: a part of them is always at
 * hand, where giving up the oldest would lose each just before it is needed.
 */
#include "engine/restoring_image.h"

#include "repo/record.h"

/* Stretches after which a chunk that was not used is not expected again. */
enum { STALE = 2 };

void
kept_init(struct kept *k)
{
	(void)pthread_mutex_init(&k->lock, NULL);
	for (size_t i = 0; i < KEPT_CHUNKS; i++)
		buf_init(&k->v[i].data, (size_t)2 * CHUNK_MAX);
}

void
kept_fini(struct kept *k)
{
	for (size_t i = 0; i < KEPT_CHUNKS; i++)
		buf_fini(&k->v[i].data);
	(void)pthread_mutex_destroy(&k->lock);
}

static struct kept_chunk *
find(struct kept *k, const struct id *id)
{
	for (size_t i = 0; i < KEPT_CHUNKS; i++) {
		if (k->v[i].data.len > 0 && !k->v[i].spent &&
			id_eq(&k->v[i].id, id))
			return &k->v[i];
	}
	return NULL;
}

struct kept_chunk *
kept_get(struct kept *k, const struct id *id, uint64_t stretch)
{
	struct kept_chunk *c;

	(void)pthread_mutex_lock(&k->lock);
	c = find(k, id);
	if (c != NULL) {
		c->pins++;
		if (stretch > c->used)
			c->used = stretch;
	}
	(void)pthread_mutex_unlock(&k->lock);
	return c;
}

void
kept_put(struct kept *k, struct kept_chunk *c, bool spent)
{
	(void)pthread_mutex_lock(&k->lock);
	c->pins--;
	c->spent = c->spent || spent;
	(void)pthread_mutex_unlock(&k->lock);
}

static bool
may_go(const struct kept_chunk *c, uint64_t stretch)
{
	return c->data.len > 0 && c->pins == 0 &&
	       (c->spent || c->used + STALE < stretch);
}

/* An empty place such that len more bytes are not too many; NULL: none. */
static struct kept_chunk *
make_place(struct kept *k, size_t len, uint64_t stretch)
{
	struct kept_chunk *place = NULL;

	for (size_t i = 0; i < KEPT_CHUNKS; i++) {
		struct kept_chunk *c = &k->v[i];

		if (may_go(c, stretch))
			buf_clear(&c->data);
		/* Rather one that has the memory already. */
		if (c->data.len == 0 &&
			(place == NULL || c->data.cap > place->data.cap))
			place = c;
	}
	for (size_t i = 0; i < KEPT_CHUNKS && place != NULL; i++) {
		struct kept_chunk *c = &k->v[i];

		if (k->sum + len <= KEPT_MAX + place->data.cap)
			return place;
		if (c != place && c->data.len == 0) {
			k->sum -= c->data.cap;
			buf_fini(&c->data);
		}
	}
	return NULL;
}

void
kept_add(struct kept *k, const struct id *id, const struct buf *data,
	uint64_t stretch)
{
	struct error ignored = ERROR_INIT;
	struct kept_chunk *place = NULL;

	(void)pthread_mutex_lock(&k->lock);
	if (data->len > 0 && find(k, id) == NULL)
		place = make_place(k, data->len, stretch);
	if (place != NULL) {
		k->sum -= place->data.cap;
		if (place->data.cap < data->len)
			buf_fini(&place->data);
		if (buf_put(&place->data, data->data, data->len, &ignored) ==
			ERR_OK) {
			place->id = *id;
			place->used = stretch;
			place->spent = false;
		}
		k->sum += place->data.cap;
	}
	(void)pthread_mutex_unlock(&k->lock);
}
