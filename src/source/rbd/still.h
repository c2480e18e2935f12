/* SPDX-License-Identifier: Apache-2.0 */
/* still: the snapshots that a run makes, and which of them are left. */
#ifndef SOURCE_RBD_STILL_H
#define SOURCE_RBD_STILL_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"
#include "source/rbd/state.h"

/* Whether a snapshot of that name is one of this job's: coffer.JOB.TIME. */
bool still_is_ours(const struct rbd *r, const char *name);

/*
 * Make a snapshot of every pick, and of the group.  A pick that a pattern
 * found and that is gone since has its trouble set.  After an error still_end
 * is needed, too.
 */
enum err still_make(struct rbd *r, struct error *err) MUST_CHECK;

/*
 * Whether what was read is what it was taken for: a snapshot that is removed
 * under its reader goes on being read, as something else.  Asked of the cluster
 * anew, after the last read: ERR_IO unless p's snapshots and base_id (0: none)
 * are still there.
 */
enum err still_present(const struct rbd *r, const struct pick *p,
	uint64_t base_id, struct error *err) MUST_CHECK;

/*
 * Committed: remove older snapshots of the job; else those of this run.  The
 * error names the first that could not be removed, and says how many others
 * there are.
 */
enum err still_end(struct rbd *r, bool committed, struct error *err) MUST_CHECK;

#endif /* SOURCE_RBD_STILL_H */
