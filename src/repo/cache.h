/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache: the files of the local cache of one repository's index.
 *
 *   manifest       which runs make up the cache, in one authenticated page
 *   run-UID        a run (repo/run.h)
 *   lock           locked by whoever changes the other two
 *
 * A cache is shared, or private.  A shared one lies in a directory that
 * several processes may use at once.  A private one has no names at all: its
 * files are removed while they are open, so nothing stays behind.  A cache is
 * private where no directory is given, where the directory cannot be used,
 * and from the moment on in which something fails in it; so a full disk or
 * another's lock makes a command slower but does not end it.
 *
 * A cache is used by one thread at a time.
 *
 * Crash argument: the manifest is replaced by rename, and names only runs that
 * were whole before.  Nothing is synced; what a loss of power tears does not
 * pass its MAC, and is made again from the store.  What the manifest does not
 * name is removed by whoever locks the cache next.
 */
#ifndef REPO_CACHE_H
#define REPO_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "base/secret.h"

struct cache;

enum { CACHE_RUNS_MAX = 4096 };

/* dir may be NULL.  structure is borrowed. */
enum err cache_open(struct cache **out, const char *dir,
	const struct secret *structure, struct error *err) MUST_CHECK;
void cache_close(struct cache *c); /* NULL is allowed */

bool cache_is_shared(const struct cache *c);

/* Change nothing in the directory any more; also unlocks. */
void cache_detach(struct cache *c);

/* Wait for the lock of a shared cache, as long as its holder gets on with
 * its work; then, or where locking fails, the cache becomes private. */
void cache_lock(struct cache *c);
void cache_unlock(struct cache *c);

/* The runs that the manifest names; none where it is missing or damaged.  A
 * cache that became private can still read what the shared one has. */
struct cache_list {
	struct uid *uids;
	size_t n;
};
enum err cache_load(struct cache *c, struct cache_list *out,
	struct error *err) MUST_CHECK;
void cache_list_fini(struct cache_list *list);

/* Make these the cache, and remove all other runs from it.  Only while
 * locked, as cache_create. */
enum err cache_save(struct cache *c, const struct cache_list *list,
	struct error *err) MUST_CHECK;

/* A file for a new run. */
enum err cache_create(struct cache *c, struct uid *uid, int *fd,
	struct error *err) MUST_CHECK;
/* The file of a run that the manifest names. */
enum err cache_get(struct cache *c, const struct uid *uid, int *fd,
	struct error *err) MUST_CHECK;

#endif /* REPO_CACHE_H */
