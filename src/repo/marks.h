/* SPDX-License-Identifier: Apache-2.0 */
/*
 * marks: snapshots that are forgotten, and snapshots that are held
 * (docs/format.md, section 11).
 *
 * A forgotten snapshot stays whole until a prune sweeps it; until then it can
 * be undeleted.  Which of the two happens is decided by the exclusive creation
 * of forgotten/NS/SID.K.end.
 *
 * Crash argument: hold and forget look for the other's mark after they made
 * their own, so that of the two at least one sees both, and the hold wins;
 * where both die before they look, marks_read says the same.  See marks.c.
 *
 * Any of these functions may run at once, here and elsewhere.
 */
#ifndef REPO_MARKS_H
#define REPO_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/time.h"
#include "repo/epoch.h"
#include "repo/keys.h"
#include "store/store.h"

struct mark {
	struct snapshot_name name;
	bool forgotten; /* and neither undeleted nor held before a prune */
	bool swept; /* forgotten, and a prune has decided so */
	bool held;
	uint64_t k; /* of the newest forgotten mark, where there is one; of
		       those that have no end, if any has none */
	bool has_k;
	struct when forgotten_at; /* by that mark */
	struct when held_at;
};

struct marks {
	struct mark *v; /* ascending by name; only snapshots with a mark */
	size_t n;
};

/* Marks with a wrong signature are left out; bad, which may be NULL, is told
 * of them. */
typedef void marks_bad_fn(void *arg, const char *name, const struct error *why);
enum err marks_read(struct marks *out, struct store *st,
	const struct keyset *ks, marks_bad_fn *bad, void *arg,
	struct error *err) MUST_CHECK;
void marks_fini(struct marks *m);
/* NULL where it has none. */
const struct mark *marks_find(const struct marks *m,
	const struct snapshot_name *name);

/* ERR_DENIED by role; ERR_USAGE where it is held.  Nothing to do where it is
 * forgotten already. */
enum err marks_forget(struct store *st, const struct keyset *ks,
	const struct snapshot_name *name, const char *reason,
	struct error *err) MUST_CHECK;
/* ERR_NOTFOUND where it is not forgotten; ERR_EXISTS where a prune was
 * first, also where it has removed the snapshot and its marks meanwhile: after
 * the end was created, the snapshot has to be there still. */
enum err marks_undelete(struct store *st, const struct keyset *ks,
	const struct snapshot_name *name, struct error *err) MUST_CHECK;
/* The prune's side: *swept is false where an undelete was first. */
enum err marks_sweep(struct store *st, const struct keyset *ks,
	const struct doomed *d, bool *swept, struct error *err) MUST_CHECK;
/* After the snapshot's object was removed: remove its marks.  Where there is
 * no first one, this costs a listing, and removes what came late. */
enum err marks_remove(struct store *st, const struct snapshot_name *name,
	struct error *err) MUST_CHECK;

/* ERR_USAGE where it is forgotten: it is undeleted first.  Nothing to do where
 * it is held already; the reason stays the first one.  ERR_NOTFOUND where there
 * is no such snapshot. */
enum err marks_hold(struct store *st, const struct keyset *ks,
	const struct snapshot_name *name, const char *reason,
	struct error *err) MUST_CHECK;
/* ERR_NOTFOUND where it is not held. */
enum err marks_release(struct store *st, const struct keyset *ks,
	const struct snapshot_name *name, struct error *err) MUST_CHECK;

/* The reason given (of the hold, where it is held), appended to out as text
 * without its NUL. */
enum err marks_reason(struct store *st, const struct keyset *ks,
	const struct mark *m, struct buf *out, struct error *err) MUST_CHECK;

#endif /* REPO_MARKS_H */
