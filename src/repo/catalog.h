/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog: the runs that together hold what the segments in the store say,
 * a log-structured merge tree (O'Neil et al., 1996) with tiers of runs of
 * similar size.
 *
 *   segments in the store -> runs of a batch -> merged runs, tier by tier
 *
 * Readers take the present set of runs and keep it as long as they like; what
 * changes the catalog puts another set in its place.  Any number of threads
 * may take sets; changes wait for each other, and a reader never for them.
 *
 * A run that turns out to be damaged is left out of the next set and its
 * segments are loaded again.  A segment that is in the store and cannot be
 * read is told to conf->bad.
 */
#ifndef REPO_CATALOG_H
#define REPO_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "repo/index.h"
#include "repo/run.h"
#include "repo/run_batch.h"
#include "repo/view.h"

struct catalog;

struct run_set {
	_Atomic unsigned refs;
	uint64_t gen; /* ascends from set to set */
	struct view *view; /* NULL where nothing is forbidden */
	size_t n;
	struct run *runs[];
};

/* The catalog is empty until it is refreshed. */
enum err catalog_open(struct catalog **out, const struct index_conf *conf,
	struct error *err) MUST_CHECK;
void catalog_close(struct catalog *c); /* NULL is allowed */

struct run_set *catalog_get(struct catalog *c);
void catalog_put(struct run_set *set);

/* gen of the present set; set before its first reader can have it. */
const _Atomic uint64_t *catalog_gen(const struct catalog *c);

/* Take up what is new in the store, leave out what does not count any more.
 * With a view that is not NULL, that is the one of this and all later sets. */
enum err catalog_refresh(struct catalog *c, struct view *view,
	struct error *err) MUST_CHECK;

/* A run of the set gen is damaged: make a set without it, unless there is a
 * newer one already. */
enum err catalog_heal(struct catalog *c, uint64_t gen,
	struct error *err) MUST_CHECK;

/* Take up the one segment of the batch, which is in the store.  The caller
 * still frees the batch. */
enum err catalog_add(struct catalog *c, struct run_batch *batch,
	struct error *err) MUST_CHECK;

#endif /* REPO_CATALOG_H */
