/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept: what an increment has changed lies in chunks that were gathered over
 * many windows, and so in many stretches.  Those stay, as long as they are
 * used; who fetches one does so outside of the lock.
 */
#include "engine/restoring_image.h"

#include "repo/record.h"

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
		if (k->v[i].data.len > 0 && id_eq(&k->v[i].id, id))
			return &k->v[i];
	}
	return NULL;
}

struct kept_chunk *
kept_get(struct kept *k, const struct id *id)
{
	struct kept_chunk *c;

	(void)pthread_mutex_lock(&k->lock);
	c = find(k, id);
	if (c != NULL) {
		c->pins++;
		c->used = ++k->clock;
	}
	(void)pthread_mutex_unlock(&k->lock);
	return c;
}

void
kept_put(struct kept *k, struct kept_chunk *c)
{
	(void)pthread_mutex_lock(&k->lock);
	c->pins--;
	(void)pthread_mutex_unlock(&k->lock);
}

/* The one that was not used for the longest time goes; false where all are
 * pinned. */
static bool
evict(struct kept *k)
{
	struct kept_chunk *oldest = NULL;

	for (size_t i = 0; i < KEPT_CHUNKS; i++) {
		struct kept_chunk *c = &k->v[i];

		if (c->data.len > 0 && c->pins == 0 &&
			(oldest == NULL || c->used < oldest->used))
			oldest = c;
	}
	if (oldest == NULL)
		return false;
	k->sum -= oldest->data.cap;
	buf_fini(&oldest->data);
	return true;
}

static struct kept_chunk *
find_place(struct kept *k)
{
	for (size_t i = 0; i < KEPT_CHUNKS; i++) {
		if (k->v[i].data.len == 0)
			return &k->v[i];
	}
	return NULL;
}

static struct kept_chunk *
make_place(struct kept *k, size_t cap)
{
	struct kept_chunk *place;

	while (k->sum + cap > KEPT_MAX)
		if (!evict(k))
			return NULL;
	place = find_place(k);
	if (place == NULL && evict(k))
		place = find_place(k);
	return place;
}

void
kept_add(struct kept *k, const struct id *id, struct buf *data)
{
	struct kept_chunk *place = NULL;

	if (data->len == 0 || data->cap > KEPT_MAX)
		return;
	(void)pthread_mutex_lock(&k->lock);
	if (find(k, id) == NULL)
		place = make_place(k, data->cap);
	if (place != NULL) {
		k->sum += data->cap;
		place->id = *id;
		place->used = ++k->clock;
		place->data = *data;
		*data = BUF_INIT(data->max);
	}
	(void)pthread_mutex_unlock(&k->lock);
}
