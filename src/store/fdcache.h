/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdcache: the files read last, kept open.
 *
 *   fdcache_take (or, after opening the file, fdcache_add) -> use hold.fd
 *   -> fdcache_release
 *
 * The least recently used file that nobody holds makes room for a new one.
 * Any number of threads may use one cache, and one file of it, at once (so
 * with pread, which moves no offset).
 */
#ifndef STORE_FDCACHE_H
#define STORE_FDCACHE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "store/store.h"

enum { FDCACHE_SLOTS = 128 };

struct fdcache {
	pthread_mutex_t lock;
	uint64_t clock;
	/* Of slot i; apart from it, as all of them are searched. */
	uint64_t hash[FDCACHE_SLOTS];
	uint64_t used[FDCACHE_SLOTS]; /* 0: the slot is free */
	struct fdcache_slot {
		int fd; /* -1: the slot is free */
		bool stale; /* closed by the last one to release it */
		unsigned holds;
		char name[STORE_NAME_MAX + 1];
	} slot[FDCACHE_SLOTS];
};

struct fdcache_hold {
	int fd;
	int slot; /* -1: not in the cache, closed when released */
};

#define FDCACHE_HOLD_NONE ((struct fdcache_hold){ .fd = -1, .slot = -1 })

void fdcache_init(struct fdcache *c);
/* Closes all; nothing may be held. */
void fdcache_fini(struct fdcache *c);

/* The open file of that name, if it is here. */
bool fdcache_take(struct fdcache *c, const char *name,
	struct fdcache_hold *hold) MUST_CHECK;

/* Hand over fd, just opened, and hold it. */
void fdcache_add(struct fdcache *c, const char *name, int fd,
	struct fdcache_hold *hold);

/* End a hold; one that is FDCACHE_HOLD_NONE is allowed. */
void fdcache_release(struct fdcache *c, struct fdcache_hold *hold);

/* Forget name; those that hold it go on with the file they have. */
void fdcache_drop(struct fdcache *c, const char *name);

#endif /* STORE_FDCACHE_H */
