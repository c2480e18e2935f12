/* SPDX-License-Identifier: Apache-2.0 */
/* restore_entry: an entry that is no directory, from the tree to the plan. */
#ifndef ENGINE_RESTORE_ENTRY_H
#define ENGINE_RESTORE_ENTRY_H

#include "engine/restore_goal.h"
#include "tree/io.h"

/*
 * Plan e, which belongs under name into dir; io reads its tree.  An error is
 * of this entry unless it is fatal (restoring_is_fatal).
 */
enum err restore_entry(struct restoring *r, struct tree_io *io,
	struct rdir *dir, const char *name, struct bytes key,
	const struct entry *e, struct error *err) MUST_CHECK;

/* Attributes of a directory, in one allocation. */
enum err restore_entry_attrs(struct restoring *r, const struct entry *e,
	struct attrs **out, struct error *err) MUST_CHECK;

#endif /* ENGINE_RESTORE_ENTRY_H */
