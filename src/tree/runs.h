/* SPDX-License-Identifier: Apache-2.0 */
/* runs: which blocks of a window hold data.  Private to src/tree. */
#ifndef TREE_RUNS_H
#define TREE_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tree/image.h"

enum { RUN_BLOCK = 4096, RUNS_MOST = IMAGE_WINDOW / RUN_BLOCK / 2 };

/* A range of bytes within a window; to is behind it. */
struct run {
	uint32_t from, to;
};

/* len > 0 */
bool runs_zero(const uint8_t *bytes, size_t len);

/* The runs of blocks that are not zero, of a window of len bytes; how many. */
size_t runs_find(const uint8_t *bytes, size_t len, struct run runs[RUNS_MOST]);

/* Close the smallest gaps between n runs until there are at most max > 0. */
size_t runs_join(struct run *runs, size_t n, size_t max);

#endif /* TREE_RUNS_H */
