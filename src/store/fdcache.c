/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
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

static int
slot_find(const struct fdcache *c, const char *name, uint64_t hash)
{
	for (int i = 0; i < FDCACHE_SLOTS; i++) {
		const struct fdcache_slot *s = &c->slot[i];

		if (c->hash[i] == hash && s->fd >= 0 && !s->stale &&
			strcmp(s->name, name) == 0)
			return i;
	}
	return -1;
}

static void
slot_hold(struct fdcache *c, int i, struct fdcache_hold *hold)
{
	c->slot[i].holds++;
	c->used[i] = ++c->clock;
	*hold = (struct fdcache_hold){ .fd = c->slot[i].fd, .slot = i };
}

/* The descriptor that was there, -1 if none, for the caller to close. */
static int
slot_clear(struct fdcache *c, int i)
{
	int fd = c->slot[i].fd;

	assert(c->slot[i].holds == 0);
	c->slot[i].fd = -1;
	c->slot[i].stale = false;
	c->used[i] = 0;
	return fd;
}

/* The slot for a new file: a free one, else the one to evict; -1 where all
 * are held. */
static int
slot_victim(const struct fdcache *c)
{
	uint64_t best_used = UINT64_MAX;
	int best = -1;

	for (int i = 0; i < FDCACHE_SLOTS; i++)
		if (c->used[i] < best_used && c->slot[i].holds == 0) {
			best_used = c->used[i];
			best = i;
		}
	return best;
}

bool
fdcache_take(struct fdcache *c, const char *name, struct fdcache_hold *hold)
{
	uint64_t hash = name_hash(name);
	int i;

	(void)pthread_mutex_lock(&c->lock);
	i = slot_find(c, name, hash);
	if (i >= 0)
		slot_hold(c, i, hold);
	(void)pthread_mutex_unlock(&c->lock);
	return i >= 0;
}

void
fdcache_add(struct fdcache *c, const char *name, int fd,
	struct fdcache_hold *hold)
{
	uint64_t hash = name_hash(name);
	size_t len = strlen(name);
	int i = -1, evicted = -1;

	assert(fd >= 0 && len <= STORE_NAME_MAX);
	*hold = (struct fdcache_hold){ .fd = fd, .slot = -1 };
	(void)pthread_mutex_lock(&c->lock);
	/* Two threads may have opened it at once: one entry is enough. */
	if (slot_find(c, name, hash) < 0)
		i = slot_victim(c);
	if (i >= 0) {
		evicted = slot_clear(c, i);
		c->slot[i].fd = fd;
		c->hash[i] = hash;
		memcpy(c->slot[i].name, name, len + 1);
		slot_hold(c, i, hold);
	}
	(void)pthread_mutex_unlock(&c->lock);
	fsx_close(&evicted);
}

void
fdcache_release(struct fdcache *c, struct fdcache_hold *hold)
{
	struct fdcache_slot *s;
	int fd = -1;

	if (hold->slot < 0) {
		fsx_close(&hold->fd);
		return;
	}
	(void)pthread_mutex_lock(&c->lock);
	s = &c->slot[hold->slot];
	assert(s->holds > 0 && s->fd == hold->fd);
	if (--s->holds == 0 && s->stale)
		fd = slot_clear(c, hold->slot);
	(void)pthread_mutex_unlock(&c->lock);
	fsx_close(&fd);
	*hold = FDCACHE_HOLD_NONE;
}

void
fdcache_drop(struct fdcache *c, const char *name)
{
	uint64_t hash = name_hash(name);
	int i, fd = -1;

	(void)pthread_mutex_lock(&c->lock);
	i = slot_find(c, name, hash);
	if (i >= 0 && c->slot[i].holds == 0)
		fd = slot_clear(c, i);
	else if (i >= 0)
		c->slot[i].stale = true;
	(void)pthread_mutex_unlock(&c->lock);
	fsx_close(&fd);
}
