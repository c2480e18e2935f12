/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world: a scratch directory with a small tree in it, and the main jobs of the
 * engine in one call each, for tests.
 */
#ifndef TESTS_ENGINE_WORLD_H
#define TESTS_ENGINE_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/check.h"
#include "model/snapshot.h"
#include "repo/repo.h"
#include "tests/lib/repo_tools.h"

struct world {
	char dir[64];
	char tree[80]; /* what is backed up */
	uint64_t problems; /* reported so far */
	char last_problem[512];
	struct progress progress;
};

/* A tree of n_files files of up to size_max random bytes, some of them
 * compressible, in a few directories. */
void world_init(struct world *w, uint64_t seed, unsigned n_files,
	unsigned size_max);
void world_fini(struct world *w);

/* Change the tree a little. */
void world_change(struct world *w, uint64_t seed);

/* Each opens st anew, with a temporary index, and closes it. */
enum err world_repo_init(struct store *st, struct error *err);
enum err world_backup(struct world *w, struct store *st, struct snapshot *snap,
	struct error *err);
enum err world_check(struct world *w, struct store *st,
	struct check_result *result, struct error *err);
/* Every content of the newest snapshot, read and compared with the tree. */
enum err world_compare(struct world *w, struct store *st, bool *equal,
	struct error *err);
/* How many snapshots there are. */
enum err world_snapshots(struct store *st, size_t *n, struct error *err);

#endif /* TESTS_ENGINE_WORLD_H */
