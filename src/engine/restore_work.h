/* SPDX-License-Identifier: Apache-2.0 */
/* restore_work: a worker with a group of pieces. */
#ifndef ENGINE_RESTORE_WORK_H
#define ENGINE_RESTORE_WORK_H

#include "engine/restore_plan.h"

struct restore_work {
	struct restoring *run;
	struct lane *lane;
	struct restore_scratch *scratch;
	struct group *group;
	struct rdir *dir; /* the one pinned, or NULL */
	int dirfd;
	bool fetched; /* the chunk, with rc */
	enum err rc;
	struct error why;
};

/* The part of the chunk that the piece needs, fetched when it is needed. */
enum err restore_work_bytes(struct restore_work *w, const struct planned *p,
	struct bytes *out, struct error *err) MUST_CHECK;

#endif /* ENGINE_RESTORE_WORK_H */
