/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore: entries of a snapshot written to a directory.
 *
 * Everything is written relative to directory descriptors that were opened
 * below the target without following links (openat2, RESOLVE_BENEATH and
 * RESOLVE_NO_SYMLINKS), so that no snapshot, however it was made, writes
 * outside of it.  Nothing that is half-made looks finished (restore_goal.c),
 * so a killed restore is run again: with if-changed what is there and right is
 * left alone, with always it is made again (restore_place.h).
 *
 * What was backed up is made as it was, with --delete exactly so.  The
 * directories above it only lead there: where they exist they are neither
 * changed nor replaced, and nothing in them is deleted.  Which they are is
 * known from the snapshot's "files:" sources; where it has none, nothing is
 * deleted.
 *
 * Workers take a chunk each and write all pieces of it.  Memory: workers *
 * (4 * chunk max) + RESTORE_PLAN_WEIGHT + (workers + 2) * RESTORE_GROUP_WEIGHT
 * + a node per level; it grows neither with entries nor with files.
 */
#ifndef ENGINE_RESTORE_H
#define ENGINE_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "engine/report.h"
#include "model/pattern.h"
#include "model/snapshot.h"
#include "repo/repo.h"

enum overwrite {
	OVERWRITE_ALWAYS, /* make it as in the snapshot; the default */
	OVERWRITE_IF_CHANGED, /* leave what has the same size and mtime */
	OVERWRITE_IF_NEWER, /* leave what has the same or a later mtime */
	OVERWRITE_NEVER
};

struct restore_conf {
	const char *target; /* "/" is in place */
	const char *subpath; /* restore what is below it, as the target's
				top; NULL: everything, at its full path */
	const struct patterns *exclude; /* or NULL */
	const struct patterns *include; /* or NULL: only what they match
					   (and its parents) */
	enum overwrite overwrite;
	bool delta; /* compare an existing file's blocks with the snapshot's
		       and write only those that differ */
	bool delete; /* remove what the snapshot does not have, within the
			restored directories */
	bool verify; /* read back and compare with the chunk ids */
	bool dry_run;
	bool no_owner; /* do not even try to set owners */
	unsigned workers; /* 0: one per processor */
};

struct restore_result {
	uint64_t entries, files, bytes; /* restored */
	uint64_t entries_same, bytes_same; /* left alone: right already */
	uint64_t bytes_written;
	uint64_t deleted;
	uint64_t verified; /* files read back */
	uint64_t errors; /* each was reported */
};

enum err restore_run(struct repo *r, const struct snapshot *snap,
	const struct restore_conf *conf, const struct report *report,
	struct restore_result *result, struct error *err) MUST_CHECK;

#endif /* ENGINE_RESTORE_H */
