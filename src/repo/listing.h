/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing: the index segments in the store, and which of them count.
 *
 *   listing_read -> listing_mark for every run -> ask -> listing_fini
 *
 * A segment counts unless one that is in the store replaces it.  What is
 * known of replacing comes from the runs, so the marks are made anew whenever
 * the runs change.
 */
#ifndef REPO_LISTING_H
#define REPO_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "repo/run.h"
#include "store/store.h"

struct listed {
	struct id id;
	uint8_t level;
	bool covered; /* by some run */
	bool replaced;
	bool unread; /* could not be read; is not tried again */
};

struct listing {
	struct listed *segs; /* higher levels first, then by id */
	size_t n, cap;
};

enum err listing_read(struct listing *l, struct store *st,
	struct error *err) MUST_CHECK;
void listing_fini(struct listing *l);

void listing_unmark(struct listing *l);
enum err listing_mark(struct listing *l, struct run *r,
	struct error *err) MUST_CHECK;

/* NULL where the store does not have it. */
struct listed *listing_find(const struct listing *l, unsigned level,
	const struct id *id);

/* Whether a run that is written anew should still have this line. */
bool listing_keeps(const struct listing *l, const struct run_seg *seg);

#endif /* REPO_LISTING_H */
