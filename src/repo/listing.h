/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing: the index segments in the store that count, and which of them the
 * runs cover.
 *
 *   listing_read -> listing_mark for every run -> ask -> listing_fini
 *
 * The marks are made anew whenever the runs change.
 */
#ifndef REPO_LISTING_H
#define REPO_LISTING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"
#include "repo/run.h"
#include "repo/segment.h"
#include "store/store.h"

struct listed {
	struct segment_ref ref;
	bool covered; /* by some run */
	bool unread; /* could not be read; is not tried again */
};

struct listing {
	struct listed *segs; /* ascending */
	size_t n, cap;
	struct counting counting; /* read after the store was listed */
	/* Segments that the final names and the store does not have. */
	struct segment_ref *missing;
	size_t n_missing;
};

enum err listing_read(struct listing *l, struct store *st,
	const struct keyset *ks, struct error *err) MUST_CHECK;
void listing_fini(struct listing *l);

void listing_unmark(struct listing *l);
enum err listing_mark(struct listing *l, struct run *r,
	struct error *err) MUST_CHECK;

/* NULL where it is not there, or does not count. */
struct listed *listing_find(const struct listing *l,
	const struct segment_ref *ref);

#endif /* REPO_LISTING_H */
