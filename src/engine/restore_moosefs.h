/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_moosefs: the metadata of a MooseFS, as a set of files that a master
 * starts from.
 *
 *   restore_moosefs_write -> restore_moosefs_prove -> restore_moosefs_next
 *
 * Three steps that know of each other by the result alone, so that each can
 * be taken by itself and at another time: write makes the directory and the
 * two files in it; prove runs mfsmaster on them, offline, and looks at what
 * came out; next tells what remains to be done.
 *
 * Source of the set and of what mfsmaster makes of others: mfsmaster 3.0.117
 * and 4.59.2; tests/lab/mfs_restore.bats shows it.
 */
#ifndef ENGINE_RESTORE_MOOSEFS_H
#define ENGINE_RESTORE_MOOSEFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"
#include "engine/mfs_moment.h"
#include "engine/mfs_set.h"
#include "engine/report.h"
#include "model/options.h"
#include "model/snapshot.h"
#include "repo/repo.h"

/* What is set by -o NAME=VALUE. */
extern const struct option_spec restore_moosefs_options[];

struct restore_moosefs_conf {
	const char *dir; /* empty, or not there yet */
	const char *subpath; /* NULL: the only file system of the snapshot */
	struct mfs_moment until;
	const char *owner; /* USER[:GROUP]; NULL: mfs, where we are root and
			    * there is one, else who we are */
	bool dry_run; /* walk everything, write nothing */
};

enum restore_moosefs_proof {
	RESTORE_MOOSEFS_UNPROVEN, /* nobody asked for it */
	RESTORE_MOOSEFS_NO_MASTER, /* mfsmaster is not installed here */
	RESTORE_MOOSEFS_PROVEN
};

struct restore_moosefs_result {
	char name[MFS_SET_NAME]; /* the file system */
	uint64_t id;
	uint64_t version; /* of the image */
	uint64_t lines; /* of the log: version to last */
	uint64_t last; /* the last change; version - 1 where there are none */
	uint64_t last_seconds; /* of that change; 0 where there are none */
	uint64_t bytes_image, bytes_log;
	uid_t uid; /* of the files */
	gid_t gid;
	enum restore_moosefs_proof proof;
};

/*
 * Write metadata.mfs.back and changelog.0.mfs, both durable.  ERR_EXISTS where
 * the directory is not empty; ERR_CORRUPT names what of the set is wrong, an
 * image that is not what its record has the hash of among it;
 * ERR_NOTFOUND where the set does not reach the moment.  After a failure the
 * directory is as it was.
 */
enum err restore_moosefs_write(struct repo *r, const struct snapshot *snap,
	const struct restore_moosefs_conf *conf, const struct report *report,
	struct restore_moosefs_result *result, struct error *err) MUST_CHECK;

/*
 * Run "mfsmaster -a restore" on what write left in dir, and compare the image
 * that it made with result->id and result->last + 1.  ERR_CORRUPT where that
 * is another one: it is removed, so that no master starts from it.  Where
 * there is no mfsmaster it says so in result->proof and is no failure.
 */
enum err restore_moosefs_prove(const char *dir, const struct report *report,
	struct restore_moosefs_result *result, struct error *err) MUST_CHECK;

/* Sentences to be followed in order, added to out. */
enum err restore_moosefs_next(const char *dir,
	const struct restore_moosefs_result *result, struct strings *out,
	struct error *err) MUST_CHECK;

#endif /* ENGINE_RESTORE_MOOSEFS_H */
