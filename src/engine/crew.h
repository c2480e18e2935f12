/* SPDX-License-Identifier: Apache-2.0 */
/* crew: a pool of workers, each with a lane of the repository. */
#ifndef ENGINE_CREW_H
#define ENGINE_CREW_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/pool.h"
#include "repo/repo.h"

struct crew {
	struct pool *pool;
	struct lane **lanes; /* by the number of the worker */
	unsigned n;
};

/* workers 0: one per processor.  queue_max: see pool_new. */
enum err crew_init(struct crew *c, struct repo *r, unsigned workers,
	unsigned queue_max, struct error *err) MUST_CHECK;

/* Waits for the jobs submitted.  A zeroed crew is allowed. */
void crew_fini(struct crew *c);

#endif /* ENGINE_CREW_H */
