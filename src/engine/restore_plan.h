/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_plan: pieces of files gathered by the chunk that they come from.
 *
 * Small files share chunks in the order of the walk, so a chunk is mostly
 * needed by neighbours; after incremental backups the references go to and
 * fro between an old chunk and newer ones.  RESTORE_OPEN_CHUNKS groups are
 * kept open, so that each chunk is fetched about once; the one that was not
 * added to for longest goes to the workers when there are more, or when the
 * plan has grown to its limit of memory, and any one when it is full.
 */
#ifndef ENGINE_RESTORE_PLAN_H
#define ENGINE_RESTORE_PLAN_H

#include "engine/restore_goal.h"

enum {
	RESTORE_OPEN_CHUNKS = 64,
	RESTORE_GROUP_PIECES = 4096,
	RESTORE_GROUP_WEIGHT = 1 << 20, /* memory of a group's goals */
	RESTORE_PLAN_WEIGHT = 16 << 20 /* of all open groups */
};

/* Bytes of a goal: a part of the group's chunk, or, in a group without one, a
 * hole or what the goal itself holds. */
struct planned {
	struct goal *goal; /* a reference */
	uint64_t off, len;
	uint32_t chunk_off;
	bool hole;
};

struct group {
	struct job job;
	struct restoring *run;
	struct id chunk;
	bool has_chunk;
	struct planned *v;
	size_t n, cap;
	size_t weight;
	uint64_t used; /* when something was added last */
};

enum err restore_plan_new(struct restore_plan **out, struct restoring *r,
	struct error *err) MUST_CHECK;
/* What is still open is dropped. */
void restore_plan_free(struct restore_plan *p);

/* Takes a reference of its own to piece->goal.  chunk NULL: none is needed. */
enum err restore_plan_add(struct restore_plan *p, const struct id *chunk,
	const struct planned *piece, struct error *err) MUST_CHECK;

/* Everything to the workers, and wait until they are done. */
void restore_plan_finish(struct restore_plan *p);

/* restore_work.c: the job of a group, which it frees. */
void restore_work_run(struct job *job, unsigned worker);

#endif /* ENGINE_RESTORE_PLAN_H */
