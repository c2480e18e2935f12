/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_dirs: directories below the target, without a descriptor for each.
 *
 *   restore_dirs_below -> restore_dirs_opened -> (pin -> unpin) ... -> unref
 *
 * A directory knows its parent and its name and keeps its parent alive.
 * Whoever has something to do in it (the walk, each file not yet written)
 * holds a reference; when the last one goes, everything in it is done, and
 * done is called: that is when its own attributes are set.
 *
 * Descriptors: RESTORE_DIRS_OPEN at most, beyond those that are pinned.  The
 * least recently used is closed, and opened again when it is needed by walking
 * down, a name at a time, from the nearest one that is open; so a path may be
 * longer than PATH_MAX.  No step follows a link (openat2(2),
 * RESOLVE_NO_SYMLINKS), so none leads out of the target.
 *
 * Any thread may use pin, unpin, ref, unref and key.
 */
#ifndef ENGINE_RESTORE_DIRS_H
#define ENGINE_RESTORE_DIRS_H

#include "engine/restore_attrs.h"
#include "engine/restoring.h"

enum { RESTORE_DIRS_OPEN = 128 };

enum rdir_state {
	RDIR_PENDING, /* not needed yet */
	RDIR_THERE,
	RDIR_ABSENT /* in a dry run: would be made */
};

struct rdir {
	struct restore_dirs *all;
	struct rdir *parent; /* NULL: the target */
	_Atomic unsigned refs;
	enum rdir_state state; /* the walk's */
	bool fresh; /* we made it: nobody else has a name in it */
	bool implied; /* no entry tells of it */
	bool hands_on; /* has a default ACL, which what is made in it gets */
	bool put_back; /* at the end as it was found, not by attrs */
	struct stat found; /* when it was opened */
	uint32_t found_flags;
	_Atomic uint64_t given; /* restore_goal: whose new files are */
	struct attrs *attrs; /* to be set at the end, or NULL; owned */

	/* restore_dirs.c's */
	int fd;
	unsigned pins;
	struct rdir *older, *newer; /* open ones */
	struct rdir *down; /* scratch: the step towards what is opened */
	size_t name_len;
	char name[];
};

typedef void rdir_done_fn(void *arg, struct rdir *d);

/* root_key is what the target stands for; it is copied. */
enum err restore_dirs_new(struct restore_dirs **out, struct bytes root_key,
	rdir_done_fn *done, void *arg, struct error *err) MUST_CHECK;
/* Every directory must be gone. */
void restore_dirs_free(struct restore_dirs *all);

/* Pending, with one reference.  parent NULL: the target itself. */
enum err restore_dirs_below(struct restore_dirs *all, struct rdir *parent,
	struct bytes name, struct rdir **out, struct error *err) MUST_CHECK;
/* It is there, under fd, which is taken over. */
void restore_dirs_opened(struct rdir *d, int fd);

struct rdir *restore_dirs_ref(struct rdir *d);
void restore_dirs_unref(struct rdir *d);

/* *fd is valid until unpin. */
enum err restore_dirs_pin(struct rdir *d, int *fd,
	struct error *err) MUST_CHECK;
void restore_dirs_unpin(struct rdir *d);

/* Append the key of name in d (NULL: of d) as the snapshot has it. */
enum err restore_dirs_key(const struct rdir *d, const char *name,
	struct buf *out, struct error *err) MUST_CHECK;

size_t restore_dirs_root_len(const struct restore_dirs *all);

/* Open the directory name in at, no link followed; -1 with errno. */
int restore_dirs_step(int at, const char *name);

#endif /* ENGINE_RESTORE_DIRS_H */
