/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extents: a byte range as a tree of pieces of chunks, keyed by offset
 * (docs/format.md, section 8).  What is not covered is a hole.
 */
#ifndef TREE_EXTENTS_H
#define TREE_EXTENTS_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "tree/node.h"

struct extent {
	uint64_t off;
	uint64_t len;
	struct id chunk;
	uint32_t chunk_off;
};

enum { EXTENT_KEY = 8, EXTENT_VAL_MAX = 20 };

/* An item for e, in the memory given. */
struct extent_item {
	uint8_t key[EXTENT_KEY];
	uint8_t val[EXTENT_VAL_MAX];
	struct ref ref;
	struct item item;
};
void extent_encode(const struct extent *e, struct extent_item *out);

/* ERR_CORRUPT for anything that cannot be. */
enum err extent_decode(const struct item *item, struct extent *e,
	struct error *err) MUST_CHECK;

void extent_key(uint64_t off, uint8_t out[EXTENT_KEY]);

#endif /* TREE_EXTENTS_H */
