/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring: a bounded number of writes on their way, each with a copy of its bytes.
 *
 * Whoever lets go of a slot wakes all who wait: after a failure each of them
 * has to hear of it.
 *
 * Who needs a slot takes a free one, or waits for the oldest: it holds that
 * slot meanwhile, outside of the lock, and has it when the write is done.
 */
#include "target/rbd.h"

#include <stdlib.h>
#include <string.h>

enum err
rbd_ring_init(struct rbd_ring *ring, struct ceph_image *img, unsigned depth,
	struct error *err)
{
	*ring = (struct rbd_ring){ .img = img, .n = depth > 0 ? depth : 1 };
	ring->slots = calloc(ring->n, sizeof(*ring->slots));
	if (ring->slots == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	(void)pthread_mutex_init(&ring->lock, NULL);
	(void)pthread_cond_init(&ring->freed, NULL);
	return ERR_OK;
}

/* The slot is busy and the lock held; it is free afterwards. */
static void
reap(struct rbd_ring *ring, struct rbd_slot *slot)
{
	struct error err = ERROR_INIT;
	enum err rc;

	slot->state = SLOT_HELD;
	(void)pthread_mutex_unlock(&ring->lock);
	rc = ceph_op_wait(&slot->op, &err);
	(void)pthread_mutex_lock(&ring->lock);
	if (rc != ERR_OK && ring->why.code == ERR_OK)
		ring->why = err;
	slot->state = SLOT_FREE;
	(void)pthread_cond_broadcast(&ring->freed);
}

/* With the lock held: a free slot, or the oldest that is busy and that nobody
 * waits for; NULL where there is neither. */
static struct rbd_slot *
best_slot(struct rbd_ring *ring)
{
	struct rbd_slot *oldest = NULL;

	for (unsigned i = 0; i < ring->n; i++) {
		struct rbd_slot *s = &ring->slots[i];

		if (s->state == SLOT_FREE)
			return s;
		if (s->state == SLOT_BUSY &&
			(oldest == NULL || s->serial < oldest->serial))
			oldest = s;
	}
	return oldest;
}

/* With the lock held. */
static void
reap_all(struct rbd_ring *ring)
{
	for (unsigned i = 0; i < ring->n; i++)
		if (ring->slots[i].state == SLOT_BUSY)
			reap(ring, &ring->slots[i]);
}

void
rbd_ring_fini(struct rbd_ring *ring)
{
	if (ring->slots == NULL)
		return;
	(void)pthread_mutex_lock(&ring->lock);
	reap_all(ring);
	(void)pthread_mutex_unlock(&ring->lock);
	for (unsigned i = 0; i < ring->n; i++)
		free(ring->slots[i].data);
	free(ring->slots);
	(void)pthread_cond_destroy(&ring->freed);
	(void)pthread_mutex_destroy(&ring->lock);
	*ring = (struct rbd_ring){ 0 };
}

/* A slot that is ours alone; NULL where an earlier write has failed. */
static struct rbd_slot *
hold_slot(struct rbd_ring *ring, struct error *err)
{
	struct rbd_slot *slot = NULL;

	(void)pthread_mutex_lock(&ring->lock);
	while (ring->why.code == ERR_OK) {
		slot = best_slot(ring);
		if (slot != NULL && slot->state == SLOT_FREE)
			break;
		if (slot != NULL)
			reap(ring, slot);
		else
			(void)pthread_cond_wait(&ring->freed, &ring->lock);
		slot = NULL;
	}
	if (slot == NULL) {
		*err = ring->why;
	} else {
		slot->state = SLOT_HELD;
		slot->serial = ++ring->serial;
	}
	(void)pthread_mutex_unlock(&ring->lock);
	return slot;
}

static enum err
begin(struct rbd_ring *ring, struct rbd_slot *slot, uint64_t off,
	const void *data, uint64_t len, struct error *err)
{
	if (data == NULL)
		return ceph_zero(&slot->op, ring->img, off, len, err);
	if (slot->cap < len) {
		free(slot->data);
		slot->data = malloc((size_t)len);
		slot->cap = slot->data != NULL ? (size_t)len : 0;
	}
	if (slot->data == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	memcpy(slot->data, data, (size_t)len);
	return ceph_write(&slot->op, ring->img, off, slot->data, (size_t)len,
		err);
}

enum err
rbd_ring_write(struct rbd_ring *ring, uint64_t off, const void *data,
	uint64_t len, struct error *err)
{
	struct rbd_slot *slot = hold_slot(ring, err);
	enum err rc;

	if (slot == NULL)
		return err->code;
	rc = begin(ring, slot, off, data, len, err);
	(void)pthread_mutex_lock(&ring->lock);
	slot->state = rc == ERR_OK ? SLOT_BUSY : SLOT_FREE;
	(void)pthread_cond_broadcast(&ring->freed);
	(void)pthread_mutex_unlock(&ring->lock);
	return rc;
}

enum err
rbd_ring_drain(struct rbd_ring *ring, struct error *err)
{
	enum err rc;

	(void)pthread_mutex_lock(&ring->lock);
	reap_all(ring);
	rc = ring->why.code;
	if (rc != ERR_OK)
		*err = ring->why;
	(void)pthread_mutex_unlock(&ring->lock);
	return rc;
}
