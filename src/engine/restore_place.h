/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_place: what stands where an entry belongs, and so how it is made.
 *
 *   stands there         always     if-changed  if-newer          never
 *   nothing              created    created     created           created
 *   the same (1)         replaced   left (2)    left              left
 *   other, older         replaced   replaced    replaced          left
 *   other, as new        replaced   replaced    left              left
 *   a directory          removed if it is empty, or with --delete; else a
 * problem
 *
 * (1) Type, size and mtime; for what has no content (links, devices) all of
 * it, and that is left even with always.  (2) Its attributes are set.  With
 * --delta a file that would be replaced is changed in place, unless it has
 * other names, which may lie outside the target.
 *
 * So "always" writes again what an earlier, killed run has written: size and
 * mtime are not taken for a proof.  Who takes them for one says if-changed.
 */
#ifndef ENGINE_RESTORE_PLACE_H
#define ENGINE_RESTORE_PLACE_H

#include "engine/restore_goal.h"

/* name in dir, which is there (or, in a dry run, would be); nothing is changed
 * in a dry run.  ERR_EXISTS where a directory is in the way. */
enum err restore_place(struct restoring *r, struct rdir *dir, const char *name,
	const struct entry *e, enum how *how, enum change *change,
	struct error *err) MUST_CHECK;

/*
 * Open the pending directory d, made where that is needed and allowed; its
 * parent is there.  guard: it lies above what was backed up: what stands
 * there is not replaced, and its attributes are its own.  With PASS_LINKS and
 * PASS_VERIFY nothing is made, and it is put back as it was found.
 */
enum err restore_place_dir(struct restoring *r, struct rdir *d, bool guard,
	enum change *change, struct error *err) MUST_CHECK;

/* The target itself is open under fd (fresh: it was made), and d stands for
 * it; and later, what the snapshot says of it, which is taken over. */
void restore_place_root(struct restoring *r, struct rdir *d, int fd);
void restore_place_root_attrs(struct restoring *r, struct rdir *d,
	struct attrs *attrs);

/* The end of a directory, as of rdir_done_fn; arg is the run. */
void restore_place_dir_done(void *arg, struct rdir *d);

#endif /* ENGINE_RESTORE_PLACE_H */
