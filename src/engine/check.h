/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: whether everything that the snapshots need is there and right.
 *
 * Structure: every snapshot record opens; every node reachable from a root
 * opens and is well-formed (each once, however many snapshots share it); every
 * chunk that is referred to is in the index; every pack of the index is there,
 * with its size and its table; every segment that the last prune named is
 * there.  With data, packs are read whole, sampled by percentage.  A key that
 * cannot read content follows the references of nodes only.  Findings go to
 * report->problem; the check goes on after each.
 *
 * Memory: 43 to 85 bytes per node in the repository (not per chunk), and what
 * the workers hold: a node, or a record, each.
 */
#ifndef ENGINE_CHECK_H
#define ENGINE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "engine/report.h"
#include "repo/repo.h"

struct check_conf {
	double read_data_percent; /* 0: structure only; 100: everything */
	unsigned workers;
};

struct check_result {
	uint64_t snapshots;
	uint64_t nodes; /* distinct ones reached */
	uint64_t references; /* from them to data chunks, each looked up */
	uint64_t packs, packs_read;
	uint64_t packs_unlisted; /* in no segment that counts: garbage of a
				    killed run, or of one at work */
	uint64_t packs_condemned; /* by the prune that is under way, ... */
	struct when condemned_since; /* ... where there are any */
	uint64_t snapshots_forgotten; /* of those above; not removed yet */
	/* Objects that mean nothing and go with the next prune. */
	uint64_t snapshots_void, segments_void;
	uint64_t fences; /* of sessions that were ended by a prune */
	uint64_t sessions; /* at work, or killed */
	/* A prune made its list or deleted meanwhile: what is missing may be
	 * no damage. */
	bool pruned_meanwhile;
	uint64_t bytes_read;
	uint64_t errors;
};

/* ERR_OK also where result->errors is not 0. */
enum err check_run(struct repo *r, const struct check_conf *conf,
	const struct report *report, struct check_result *result,
	struct error *err) MUST_CHECK;

#endif /* ENGINE_CHECK_H */
