/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta_anchors: what two files most likely have in common far ahead.
 *
 * Both are sampled where their content says so.  Of the samples that occur once
 * in each, the most that are in the same order in both are the anchors, as in
 * patience diff (Bram Cohen): what was moved stays aside and does not make all
 * that was between be passed over.  An anchor is a hint, that of one hash.
 *
 * Samples get as rare as it takes for them to fit into the memory; where they
 * repeat themselves some may be left out.  Memory: 36 bytes for each of at most
 * DELTA_ANCHORS_MAX while they are looked for, as many as the length asks for,
 * and then 16 for each anchor that was found.
 */
#ifndef CODEC_DELTA_ANCHORS_H
#define CODEC_DELTA_ANCHORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "codec/delta_gear.h"
#include "codec/delta_window.h"

enum {
	DELTA_ANCHORS_MAX = 1 << 16,
	DELTA_ANCHORS_SPACING = 1
				<< 10 /* bytes from one to the next, or more */
};

struct delta_anchor {
	uint64_t old, new;
};

struct delta_anchors {
	const struct delta_gear *gear;
	uint64_t spacing; /* bytes, on average */
	struct delta_anchor *v; /* they ascend in both files */
	size_t n;
};

/* Nothing is allocated before anchors are found. */
void delta_anchors_init(struct delta_anchors *a, const struct delta_gear *gear);
void delta_anchors_fini(struct delta_anchors *a);

/* Of what lies in [from, to) of both, in a pass over each.  Those of an earlier
 * call are gone. */
enum err delta_anchors_find(struct delta_anchors *a, struct delta_window *old,
	struct delta_window *new, const struct delta_anchor *from,
	const struct delta_anchor *to, struct error *err) MUST_CHECK;

#endif /* CODEC_DELTA_ANCHORS_H */
