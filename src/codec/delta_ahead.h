/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta_ahead: anchors for who has lost his way, and how much is sampled for
 * that.
 *
 * What comes next is sampled first, 4 MiB of both files and then 64 MiB, as
 * often as it takes but for a limit that grows with the way.  Where that does
 * not help, all that is left is, once: those anchors, which are further apart,
 * are kept to the end.
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
	struct delta_anchor from; /* where the way was lost last */
	uint64_t reach; /* of the last sampling but for the far one */
	uint64_t reached; /* bytes of both, of all of these */
	struct delta_anchors anchors; /* of that */
	bool complete; /* up to the files' ends, which are the last one */
	size_t next;
	struct delta_anchor *far; /* those to the end, and that; or NULL */
	size_t n_far, next_far;
	bool far_turn; /* as long as the way is lost */
};

/* Both windows stay the caller's, and are used when there is sampling. */
void delta_ahead_init(struct delta_ahead *a, const struct delta_gear *gear,
	struct delta_window *old, struct delta_window *new);
void delta_ahead_fini(struct delta_ahead *a);

/* The next anchor known that is not before at in either file. */
bool delta_ahead_next(struct delta_ahead *a, const struct delta_anchor *at,
	struct delta_anchor *out);

/* That one, and those up to that many bytes behind it, are of no use. */
void delta_ahead_pass(struct delta_ahead *a, uint64_t behind);

/* After all that are known: look for others behind at.  *more is false where
 * there is no point in that; where it is true there may be none, either. */
enum err delta_ahead_sample(struct delta_ahead *a,
	const struct delta_anchor *at, bool *more,
	struct error *err) MUST_CHECK;

#endif /* CODEC_DELTA_AHEAD_H */
