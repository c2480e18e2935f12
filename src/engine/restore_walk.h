/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_walk: the entries of the snapshot in key order, each handed to what
 * makes it.  Directories are made when something in them is, so that with
 * --include only those exist that lead to what was asked for.
 */
#ifndef ENGINE_RESTORE_WALK_H
#define ENGINE_RESTORE_WALK_H

#include "engine/restore_dirs.h"
#include "engine/restore_links.h"

struct restore_scope {
	struct bytes range; /* what is restored: this key and what is below */
	struct bytes root; /* what the target stands for: it or its parent */
};

/*
 * One pass, run->pass.  target has a reference of the caller's and is there,
 * or absent.  Problems of entries are told; an error ends the run.  *met:
 * entries that lay in the scope.
 */
enum err restore_walk(struct restoring *r, const struct restore_scope *scope,
	struct rdir *target, struct restore_links *links, uint64_t *met,
	struct error *err) MUST_CHECK;

#endif /* ENGINE_RESTORE_WALK_H */
