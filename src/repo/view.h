/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view: what a session may deduplicate against, and what its segments are
 * called (docs/format.md, section 7; docs/decisions/0008).
 *
 * A view is counted, and never changes.  Memory: 32 bytes for each pack that
 * is condemned, 48 for each index segment that counted while the epoch is
 * open.
 */
#ifndef REPO_VIEW_H
#define REPO_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "repo/epoch.h"
#include "repo/segment.h"

struct view {
	_Atomic unsigned refs;
	struct segment_owner owner;
	bool open; /* the epoch has no final */
	struct condemned condemned; /* only packs, less those that were spared,
				       and, where open, counted */
};

/* Of a session with the view epoch; what the prune of that epoch says is
 * read.  ERR_NOTFOUND where that epoch is history already. */
enum err view_load(struct view **out, struct store *st, const struct keyset *ks,
	uint64_t epoch, const struct uid *session,
	struct error *err) MUST_CHECK;

struct view *view_ref(struct view *v);
void view_unref(struct view *v); /* NULL is allowed */

/* Whether there is anything that it forbids. */
bool view_restricts(const struct view *v);
bool view_condemns(const struct view *v, const struct id *pack);
/* seg counts; whether chunks that it names may be taken for present. */
bool view_allows(const struct view *v, const struct segment_ref *seg);

#endif /* REPO_VIEW_H */
