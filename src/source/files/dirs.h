/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirs: directories that are needed later, without a descriptor for each.
 *
 * A struct dir remembers its parent and its name.  Its descriptor is opened
 * when someone acquires it and stays open until others are needed more: the
 * number of open ones is bounded, the least recently used is closed first.
 * It is then opened again by walking down from the nearest ancestor that is
 * open, however long the path is, without following symbolic links; where
 * another directory stands in its place by then, acquiring fails with
 * ERR_NOTFOUND.
 *
 *   dirs_top, dirs_below -> (dirs_acquire -> dirs_release) ... -> dirs_unref
 *
 * All of it may be used by any thread.  A dir keeps its parent alive.
 */
#ifndef SOURCE_FILES_DIRS_H
#define SOURCE_FILES_DIRS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"

struct dirs;
struct dir;

enum err dirs_new(struct dirs **out, unsigned open_max,
	struct error *err) MUST_CHECK;
/* Every dir must be gone. */
void dirs_free(struct dirs *all);

/*
 * The root of the file system, and a directory in parent.  One that is only
 * passed through (through) may be a symbolic link, need not be readable, and
 * its descriptor is O_PATH.
 */
enum err dirs_top(struct dirs *all, struct dir **out, bool through,
	struct error *err) MUST_CHECK;
enum err dirs_below(struct dir *parent, struct dir **out, const char *name,
	size_t len, bool through, struct error *err) MUST_CHECK;

struct dir *dirs_ref(struct dir *d);
void dirs_unref(struct dir *d); /* NULL is allowed */

/* The descriptor is valid until the matching release. */
enum err dirs_acquire(struct dir *d, int *fd, struct error *err) MUST_CHECK;
void dirs_release(struct dir *d);

size_t dirs_key_len(const struct dir *d);
/* Append its key (model/path.h). */
enum err dirs_key(const struct dir *d, struct buf *out,
	struct error *err) MUST_CHECK;

#endif /* SOURCE_FILES_DIRS_H */
