/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change: how one set of runs becomes the next.
 *
 *   gather the runs that there are, take up a batch or compare with the
 *   store, fold tiers that are full, save
 *
 * A step that meets a damaged run starts over without it, one that fails in
 * the shared cache starts over in a private one.  One change at a time may
 * use a cache.
 */
#ifndef REPO_CHANGE_H
#define REPO_CHANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"
#include "repo/cache.h"
#include "repo/index.h"
#include "repo/listing.h"
#include "repo/run.h"
#include "repo/run_batch.h"

struct change {
	/* given; borrowed */
	const struct index_conf *conf;
	struct cache *cache;
	struct run *const *old; /* the set before */
	size_t n_old;
	struct counting *counting; /* as of the last comparison with the
				      store; a new one replaces it */
	struct run_batch *batch; /* of one segment in the store; or NULL */
	bool full; /* compare with the store in any case */

	/* made */
	struct run **runs;
	size_t n;

	/* its own */
	size_t cap;
	struct listing listing;
	bool relist;
	bool cache_failed;
};

/* Locks the cache meanwhile. */
enum err change_make(struct change *ch, struct error *err) MUST_CHECK;
void change_fini(struct change *ch); /* also drops the runs made */

#endif /* REPO_CHANGE_H */
