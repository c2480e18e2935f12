/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restoring: what the parts of one restore share; private to restore*.c.
 *
 *   restore.c         the run: its passes, what it counts and reports
 *   restore_walk.c    entries in key order: sub-path, rules, directories
 *   restore_entry.c   what becomes of an entry: content into pieces by chunk
 *   restore_place.c   what stands there already, and what is done about it
 *   restore_plan.c    pieces gathered by chunk, and handed to the workers
 *   restore_work.c    a worker: the chunk fetched, its pieces written
 *   restore_goal.c    one file, link or node, from nothing to its last
 * attribute restore_delta.c   bytes that are there compared with those of the
 * snapshot restore_attrs.c   owner, mode, extended attributes, times, flags
 *   restore_dirs.c    directories by descriptor, few of them open
 *   restore_delete.c  removal of what the snapshot does not have
 *   restore_links.c   further names of one file
 */
#ifndef ENGINE_RESTORING_H
#define ENGINE_RESTORING_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "codec/shorthash.h"
#include "engine/crew.h"
#include "engine/restore.h"
#include "model/entry.h"

struct rdir;
struct restore_dirs;
struct restore_plan;
struct restore_owners;

/* Each is one walk over the tree, begun when the one before is done. */
enum restore_pass {
	PASS_MAKE, /* directories, files and all but further names */
	PASS_LINKS, /* further names of what the first has made */
	PASS_VERIFY
};

/* What the target's file system or our rights may refuse, told once a kind. */
enum refused {
	REFUSED_OWNER,
	REFUSED_SETID,
	REFUSED_MODE,
	REFUSED_XATTR,
	REFUSED_TIME,
	REFUSED_FLAGS,
	REFUSED_DEVICE,
	N_REFUSED
};

struct refusal {
	_Atomic uint64_t n;
	_Atomic int errnum; /* of one of them */
};

struct restore_counts {
	_Atomic uint64_t entries, files, bytes;
	_Atomic uint64_t entries_same, bytes_same;
	_Atomic uint64_t bytes_written, deleted, verified, errors;
};

/* A worker's own. */
struct restore_scratch {
	struct buf chunk; /* the one at hand */
	struct buf there; /* what a file holds */
};

struct restoring {
	struct repo *repo;
	const struct snapshot *snap;
	const struct restore_conf *conf;
	const struct report *report;
	enum restore_pass pass;
	uid_t euid;
	uint32_t mask; /* the process's umask */
	struct shorthash_key temp_key; /* of temporary names */

	struct crew crew;
	struct restore_scratch *scratch; /* by worker */
	struct lane *lane; /* the walk's */
	struct restore_dirs *dirs;
	struct restore_plan *plan;
	struct restore_owners *owners;

	struct restore_counts counts;
	struct refusal refusals[N_REFUSED];
	_Atomic unsigned goals_open; /* files, between their pieces */
	bool met_links; /* PASS_LINKS has something to do */

	pthread_mutex_t lock; /* of the report, and of why */
	struct error why; /* what ended the run */
	atomic_bool ended;
};

/* Tell that the entry name in d (NULL: d itself) is not as it should be. */
void restoring_problem(struct restoring *r, const struct rdir *d,
	const char *name, const struct error *why);
void restoring_problem_key(struct restoring *r, struct bytes key,
	const struct error *why);
void restoring_entry(struct restoring *r, struct bytes key,
	const struct entry *e, enum change change);

/* End the run; the first reason stays. */
void restoring_end(struct restoring *r, const struct error *why);
/* Whether why is a reason to end the run rather than one entry's problem. */
bool restoring_is_fatal(const struct error *why);
/* ERR_OK while it goes on. */
enum err restoring_check(struct restoring *r, struct error *err) MUST_CHECK;

void restoring_refused(struct restoring *r, enum refused kind, int errnum);

#endif /* ENGINE_RESTORING_H */
