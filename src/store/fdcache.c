/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/fsx.h"
#include "store/fdcache.h"

/* FNV-1a: spares comparing long names that begin alike. */
static uint64_t
name_hash(const char *name)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3u;
	return h;
}

void
fdcache_init(struct fdcache *c)
{
	memset(c, 0, sizeof(*c));
	(void)pthread_mutex_init(&c->lock, NULL);
	for (int i = 0; i < FDCACHE_SLOTS; i++)
		c->slot[i].fd = -1;
}

void
fdcache_fini(struct fdcache *c)
{
	for (int i = 0; i < FDCACHE_SLOTS; i++) {
		assert(c->slot[i].holds == 0);
		fsx_close(&c->slot[i].fd);
	}
	(void)pthread_mutex_destroy(&c->lock);
}

static struct fdcache_slot *
slot_find(struct fdcache *c, const char *name, uint64_t hash)
{
	for (int i = 0; i < FDCACHE_SLOTS; i++) {
		struct fdcache_slot *s = &c->slot[i];

		if (s->fd >= 0 && !s->stale && s->hash == hash &&
			strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

static void
slot_hold(struct fdcache *c, struct fdcache_slot *s, struct fdcache_hold *hold)
{
	s->holds++;
	s->used = ++c->clock;
	hold->fd = s->fd;
	hold->slot = (int)(s - c->slot);
}

/* A slot for a new file: a free one, else the one to evict; NULL where all
 * are held. */
static struct fdcache_slot *
slot_victim(struct fdcache *c)
{
	struct fdcache_slot *best = NULL;

	for (int i = 0; i < FDCACHE_SLOTS; i++) {
		struct fdcache_slot *s = &c->slot[i];

		if (s->fd < 0)
			return s;
		if (s->holds == 0 && (best == NULL || s->used < best->used))
			best = s;
	}
	return best;
}

bool
fdcache_take(struct fdcache *c, const char *name, struct fdcache_hold *hold)
{
	uint64_t hash = name_hash(name);
	struct fdcache_slot *s;

	(void)pthread_mutex_lock(&c->lock);
	s = slot_find(c, name, hash);
	if (s != NULL)
		slot_hold(c, s, hold);
	(void)pthread_mutex_unlock(&c->lock);
	return s != NULL;
}

void
fdcache_add(struct fdcache *c, const char *name, int fd,
	struct fdcache_hold *hold)
{
	uint64_t hash = name_hash(name);
	struct fdcache_slot *s = NULL;
	int evicted = -1;

	assert(fd >= 0);
	*hold = (struct fdcache_hold){ .fd = fd, .slot = -1 };
	(void)pthread_mutex_lock(&c->lock);
	/* Two threads may have opened it at once: one entry is enough. */
	if (slot_find(c, name, hash) == NULL)
		s = slot_victim(c);
	if (s != NULL) {
		evicted = s->fd;
		s->fd = fd;
		s->stale = false;
		s->hash = hash;
		(void)snprintf(s->name, sizeof(s->name), "%s", name);
		slot_hold(c, s, hold);
	}
	(void)pthread_mutex_unlock(&c->lock);
	fsx_close(&evicted);
}

void
fdcache_release(struct fdcache *c, struct fdcache_hold *hold)
{
	int fd = -1;

	if (hold->slot < 0) {
		fsx_close(&hold->fd);
		return;
	}
	(void)pthread_mutex_lock(&c->lock);
	struct fdcache_slot *s = &c->slot[hold->slot];
	assert(s->holds > 0 && s->fd == hold->fd);
	s->holds--;
	if (s->stale && s->holds == 0) {
		fd = s->fd;
		s->fd = -1;
	}
	(void)pthread_mutex_unlock(&c->lock);
	fsx_close(&fd);
	*hold = FDCACHE_HOLD_NONE;
}

void
fdcache_drop(struct fdcache *c, const char *name)
{
	uint64_t hash = name_hash(name);
	struct fdcache_slot *s;
	int fd = -1;

	(void)pthread_mutex_lock(&c->lock);
	s = slot_find(c, name, hash);
	if (s != NULL && s->holds == 0) {
		fd = s->fd;
		s->fd = -1;
	} else if (s != NULL) {
		s->stale = true;
	}
	(void)pthread_mutex_unlock(&c->lock);
	fsx_close(&fd);
}
