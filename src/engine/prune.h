/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune: delete what no snapshot needs, beside writers, readers and other
 * prunes (docs/decisions/0008).
 *
 *   mark -> plan -> move -> condemn | resolve sessions -> judge -> final ->
 *   delete -> done
 *
 * A run first ends the epoch that is open, if there is one and its delay is
 * over; then it begins the next, and ends it too where the delay is 0 and no
 * session stands in the way.  It may be killed anywhere: the next run goes on.
 *
 * Memory: 56 bytes a pack, 43 to 85 a node, and 50 MB of buffers; live chunks
 * are sorted in a temporary file of 8 bytes for each reference.
 */
#ifndef ENGINE_PRUNE_H
#define ENGINE_PRUNE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/time.h"
#include "engine/report.h"
#include "repo/repo.h"

struct prune_conf {
	double max_unused; /* of the bytes kept, 0 to 1: packs are rewritten
			      until no more than this is unused, ... */
	uint64_t max_unused_size; /* ... or no more than so many bytes */
	uint64_t max_repack; /* bytes moved at most; 0: no limit */
	uint64_t delay_sec; /* from condemning to deleting */
	uint64_t grace_sec; /* a session without a sign of life for so long is
			       fenced */
	uint64_t wait_sec; /* wait at most so long for sessions to end */
	bool dry_run;
	bool list_sessions; /* note each one that is in the way */
	unsigned workers; /* 0: one per processor */
	struct when (*now)(void *arg); /* NULL: the clock */
	void *now_arg;
	const char *scratch_dir; /* for the temporary file; NULL: TMPDIR */
};

struct prune_figures {
	uint64_t epoch; /* 0: none was worked on */
	uint64_t snapshots, snapshots_swept;
	uint64_t chunks_live, chunks_dead;
	uint64_t packs, packs_condemned, packs_spared, packs_deleted;
	uint64_t packs_orphaned; /* in no segment that counts */
	uint64_t bytes, bytes_unused, bytes_moved, bytes_freed;
	uint64_t sessions_open, sessions_fenced;
	uint64_t retained; /* objects that the store would not delete yet */
	bool waiting; /* for sessions, or for the delay: run it again */
	struct when not_before; /* where the delay is what it waits for */
};

/* ERR_DENIED without the maintenance key. */
enum err prune_run(struct repo *r, const struct prune_conf *conf,
	const struct report *report, struct prune_figures *figures,
	struct error *err) MUST_CHECK;

#endif /* ENGINE_PRUNE_H */
