/* SPDX-License-Identifier: Apache-2.0 */
/* runs: which blocks of a window hold data.  Private to src/tree. */
#ifndef TREE_RUNS_H
#define TREE_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tree/image.h"

enum { RUN_BLOCK = 4096 };

/* A range of bytes within a window; to is behind it. */
struct run {
	uint32_t from, to;
};

/* len > 0 */
bool runs_zero(const uint8_t *bytes, size_t len);

#endif /* TREE_RUNS_H */
