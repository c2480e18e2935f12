/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_plan: what a window of an image is going to consist of, and what of
 * which chunks has to be fetched for it.  Private to src/tree.
 *
 *   image_plan_begin -> image_plan_add...
 *
 * A plan is large and made once a window: to begin another one costs nothing,
 * however many spans the last one had.
 */
#ifndef TREE_IMAGE_PLAN_H
#define TREE_IMAGE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "tree/extents.h"
#include "tree/image.h"
#include "tree/runs.h"

enum { PLAN_SPANS = 2 * IMAGE_FRAGMENTS_MAX /* a power of two */ };

struct image_part {
	struct run run; /* where in the window it lies */
	bool is_old;
	struct extent old; /* its off is that of the new image, too */
};

/* What of a chunk lies between the first and the last piece of a window. */
struct image_span {
	struct id chunk;
	uint64_t plan; /* of another one: there is none here */
	uint64_t from, to;
	uint64_t live; /* of it, pieces */
};

struct image_plan {
	uint64_t number;
	size_t n; /* may be more than v holds */
	size_t n_old;
	size_t new_len;
	uint64_t len; /* of all parts */
	uint64_t spans_len; /* new_len and the sum of the spans */
	size_t n_chunks; /* old ones */
	struct image_part v[IMAGE_FRAGMENTS_MAX];
	struct image_span spans[PLAN_SPANS]; /* by their chunks' names */
};

/* Zeroed, or used before. */
void image_plan_begin(struct image_plan *plan);

void image_plan_add(struct image_plan *plan, const struct image_part *part);

/* The chunk that most of the old parts is in; n_old is not 0. */
const struct id *image_plan_largest(const struct image_plan *plan);

#endif /* TREE_IMAGE_PLAN_H */
