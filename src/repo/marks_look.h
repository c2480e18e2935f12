/* SPDX-License-Identifier: Apache-2.0 */
/* marks_look: what lies in a store of the marks of one snapshot.  Private to
 * marks. */
#ifndef REPO_MARKS_LOOK_H
#define REPO_MARKS_LOOK_H

#include "base/compiler.h"
#include "base/err.h"
#include "repo/mark_object.h"
#include "repo/marks.h"

/* Nothing but the name where it has no mark. */
enum err marks_look(struct store *st, const struct keyset *ks,
	const struct snapshot_name *name, struct mark *out,
	struct error *err) MUST_CHECK;

#endif /* REPO_MARKS_LOOK_H */
