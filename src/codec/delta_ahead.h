/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta_ahead: anchors for who has lost his way, and how much is sampled for
 * that.
 *
 * What comes next is sampled first, 4 MiB of both files, then 64 MiB and so on;
 * at last all that is left, which is done again only where that has become half
 * of what it was, with samples twice as dense.
 */
#ifndef CODEC_DELTA_AHEAD_H
#define CODEC_DELTA_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "codec/delta_anchors.h"

struct delta_ahead {
	struct delta_window *old, *new;
	struct delta_anchors anchors;
	size_t next;
	struct delta_anchor from; /* where the last sampling began */
	uint64_t reach; /* of that one, in bytes of either file */
	uint64_t reached; /* bytes of both, in all but the wholes */
	bool whole; /* to the files' ends */
	unsigned wholes;
	uint64_t whole_left; /* bytes, at the last one of these */
};

/* Both windows stay the caller's, and are used when there is sampling. */
void delta_ahead_init(struct delta_ahead *a, const struct delta_gear *gear,
	struct delta_window *old, struct delta_window *new);
void delta_ahead_fini(struct delta_ahead *a);

/* The next anchor known that is not before at in either file.  Behind all
 * anchors to the files' ends come those themselves. */
bool delta_ahead_next(struct delta_ahead *a, const struct delta_anchor *at,
	struct delta_anchor *out);

/* That one is of no use. */
void delta_ahead_pass(struct delta_ahead *a);

/* After all that are known: look for others behind at.  *more is false where
 * there is no point in that; where it is true there may be none, either. */
enum err delta_ahead_sample(struct delta_ahead *a,
	const struct delta_anchor *at, bool *more,
	struct error *err) MUST_CHECK;

#endif /* CODEC_DELTA_AHEAD_H */
