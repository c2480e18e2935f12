/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mover: packs made of records that lie in other packs, moved as they are
 * sealed, so that no content key is needed (docs/format.md, section 5).
 *
 *   mover_new -> mover_add... -> mover_finish -> mover_free
 *
 * A mover is a session, as a writer is, but one that never commits: a prune
 * that meets it fences it at once, without harm to either.
 *
 * Data and nodes go to packs of their own.  A pack is stored when it reaches
 * the target; its records then lie in the index of r, and a segment names them
 * after mover_finish.  One thread.  Memory: two packs, and one read of 8 MiB.
 *
 * Crash argument: as for any writer, pack, then segment; the records moved
 * are copies, and nothing refers to their new place before it is durable.
 */
#ifndef REPO_MOVER_H
#define REPO_MOVER_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "repo/repo.h"

struct mover;

/* What the host of a mover's session begins with. */
#define MOVER_HOST "prune@"

enum err mover_new(struct mover **out, struct repo *r,
	struct error *err) MUST_CHECK;
void mover_free(struct mover *m);

/* The record at loc.  Its tags are verified as far as the key can: the
 * references of a node by the structure key. */
enum err mover_add(struct mover *m, const struct location *loc,
	struct error *err) MUST_CHECK;

/* What was added is read some time later, with its neighbours; read it now, so
 * that a failure is known to be that of the pack it comes from.  After one of
 * ERR_CORRUPT or ERR_NOTFOUND the mover goes on with others. */
enum err mover_settle(struct mover *m, struct error *err) MUST_CHECK;

/* Store what is open, publish, and end the session. */
enum err mover_finish(struct mover *m, struct error *err) MUST_CHECK;

uint64_t mover_bytes(const struct mover *m); /* stored so far */

/* After mover_finish: the packs that were made, ascending; the caller frees
 * what is returned, which is NULL where there are none. */
struct id *mover_packs(struct mover *m, size_t *n);

#endif /* REPO_MOVER_H */
