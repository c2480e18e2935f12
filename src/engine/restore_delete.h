/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_delete: removal of what the snapshot does not have.  Nothing that
 * the rules exclude is removed, nothing on another file system that is mounted
 * below, and no link is followed.
 */
#ifndef ENGINE_RESTORE_DELETE_H
#define ENGINE_RESTORE_DELETE_H

#include "engine/restoring.h"
#include "tree/cursor.h"

/* What is in d, which is there, and not in the tree of c.  Problems are
 * told; an error ends the run. */
enum err restore_delete_others(struct restoring *r, struct cursor *c,
	struct rdir *d, struct error *err) MUST_CHECK;

/* All that is in the directory name in d, but not itself. */
enum err restore_delete_tree(struct restoring *r, struct rdir *d,
	const char *name, struct error *err) MUST_CHECK;

#endif /* ENGINE_RESTORE_DELETE_H */
