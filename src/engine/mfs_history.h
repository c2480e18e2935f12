/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_history: the changes of a MooseFS between two moments, with the paths
 * that were meant: those that the files had at that change.
 *
 * Two passes over the log and one over the image: which inodes are named, what
 * is in the way of them, what happened.  A change is told before the next one
 * is read.
 *
 * Memory: conf.memory_max for names (format/mfs_edges.h), 24 bytes and a mount
 * point for each session, HISTORY_SESSIONS at most, and what engine/mfs_set.h
 * takes.  One thread.
 *
 * Not told by a log: which client deleted or renamed something.  Where a line
 * names a session (files opened and closed, sessions themselves), its client is
 * told, where the image (of mfsmaster 3.0.117) or the log has it.
 */
#ifndef ENGINE_MFS_HISTORY_H
#define ENGINE_MFS_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "engine/mfs_moment.h"
#include "engine/mfs_set.h"
#include "format/mfs_log.h"

enum { HISTORY_MEMORY = 512 << 20, HISTORY_SESSIONS = 65536 };

struct mfs_history_conf {
	struct mfs_moment from; /* an id: this one is the first; a time: the
				 * first change at or behind that second */
	struct mfs_moment to; /* this one is the last */
	const char *path; /* only what is at or below it; NULL: all */
	const char *op; /* only this operation; NULL: all */
	size_t memory_max; /* 0: HISTORY_MEMORY */
};

/* Borrowed until the call returns; lens of 0: not known, or there is none. */
struct mfs_event {
	const struct mfs_change *change;
	struct mfs_text text; /* OP(args)[:results], as it stands in the log */
	uint32_t inode; /* of what was changed, or 0 */
	/* From "/", where it is known up to there; else it begins with the
	 * inode of a directory, "[123]/a", or with "[?]". */
	struct mfs_text path;
	struct mfs_text path_to; /* of MOVE and LINK: the new name */
	bool deleted; /* path is that of a file in the trash, or gone */
	uint32_t session; /* or 0 */
	bool has_client;
	uint32_t client; /* IPv4 */
	struct mfs_text mount; /* as the client named its mount point */
};

struct mfs_history_result {
	uint64_t first, last; /* of the lines that are there; last < first:
			       * none */
	uint64_t told;
	uint64_t gaps; /* changes that made names which are not known */
	bool no_paths; /* the image is of a kind that is not read */
};

typedef enum err mfs_event_fn(void *arg, const struct mfs_event *event,
	struct error *err);

enum err mfs_history_run(struct mfs_set *set,
	const struct mfs_history_conf *conf, mfs_event_fn *fn, void *arg,
	struct mfs_history_result *result, struct error *err) MUST_CHECK;

#endif /* ENGINE_MFS_HISTORY_H */
