/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_goal: one entry that is no directory, on its way into the target.
 *
 *   restore_goal_new -> (acquire -> release, or fail) ... -> restore_goal_drop
 *
 * The walk holds one reference, each piece of content that is planned another
 * one.  Workers acquire the open file for a piece; the last drop finishes it:
 * attributes, and the name where it was made under another one.  A goal that
 * failed is told once, and what was made of it is removed.
 *
 * Open files: a goal of one piece is opened, written and closed by one worker.
 * Others stay open between their pieces as long as RESTORE_GOALS_OPEN allows,
 * and are opened again, and compared by device and inode, after that.
 */
#ifndef ENGINE_RESTORE_GOAL_H
#define ENGINE_RESTORE_GOAL_H

#include "engine/restore_attrs.h"
#include "engine/restoring.h"

enum { RESTORE_GOALS_OPEN = 256 };

/* rdir.given before a file was made there. */
#define RESTORE_GIVEN_UNKNOWN UINT64_MAX

enum how {
	HOW_CREATE, /* nothing stands there */
	HOW_REPLACE, /* made under another name, renamed over what is there */
	HOW_PATCH, /* compared with what is there, and changed in place */
	HOW_ATTRS, /* content is right, attributes may not be */
	HOW_VERIFY, /* compared, nothing is changed */
	HOW_LEAVE /* nothing is to be done */
};

struct goal {
	struct restoring *run;
	struct rdir *dir;
	_Atomic unsigned refs;
	atomic_bool failed;
	atomic_bool changed; /* PATCH: a byte was written */
	enum how how;
	bool temp; /* made under a temporary name */
	bool single; /* all of it is one piece */
	uint32_t major, minor;
	uint64_t size;
	struct attrs attrs; /* xattrs point behind name */

	/* Under the lock unless it is single. */
	pthread_mutex_t lock;
	int fd;
	unsigned users;
	bool begun; /* there is something under its name */
	struct stat found; /* when it was opened first */

	size_t weight; /* bytes of memory */
	size_t body_len;
	const uint8_t *body; /* inline content, or a link's target and NUL */
	char name[];
};

/*
 * name in dir as e, whose extended attributes are xattrs (e's may be kept
 * elsewhere).  Owned by its references; dir is referred to.
 */
enum err restore_goal_new(struct goal **out, struct restoring *r,
	struct rdir *dir, const char *name, const struct entry *e,
	struct bytes xattrs, struct error *err) MUST_CHECK;
void restore_goal_ref(struct goal *g);
void restore_goal_drop(struct goal *g);

/* The file, open, until release; with dirfd, the directory's descriptor. */
enum err restore_goal_acquire(struct goal *g, int dirfd, int *fd,
	struct error *err) MUST_CHECK;
void restore_goal_release(struct goal *g);

/* All of a single goal: data is its content (len 0: none). */
enum err restore_goal_write(struct goal *g, int dirfd, struct bytes data,
	struct error *err) MUST_CHECK;

/* It cannot be made: told, unless it was before. */
void restore_goal_fail(struct goal *g, const struct error *why);

/* The name under which it is written before it is whole. */
enum { RESTORE_TEMP_NAME = 32 };
void restore_goal_temp_name(const struct restoring *r, const char *name,
	char out[RESTORE_TEMP_NAME]);

#endif /* ENGINE_RESTORE_GOAL_H */
