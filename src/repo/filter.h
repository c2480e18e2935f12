/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter: a split block Bloom filter (Putze, Sanders and Singler, "Cache-,
 * hash- and space-efficient Bloom filters", 2007; the blocks and salts are
 * those of the Parquet format's specification).  One probe reads one block of
 * 32 bytes.  About 12 bits a key: less than 1 % of the ids that were never
 * added are told to be there, and none of those that were are told not to be.
 *
 * Ids are uniformly distributed, so their own first bits choose the block:
 * keys that come in ascending order fill the blocks in ascending order, and a
 * filter of any size is made in one pass with the memory of one block.
 *
 * Pure functions on bytes that are the same on every machine.
 */
#ifndef REPO_FILTER_H
#define REPO_FILTER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/id.h"

enum { FILTER_BLOCK = 32 };

/* Blocks for so many keys; at least 1. */
uint64_t filter_blocks(uint64_t n_keys);

/* An id as filters see it, worked out once for probes of many. */
struct filter_key {
	uint64_t prefix;
	uint8_t mask[FILTER_BLOCK];
};

void filter_key(struct filter_key *key, const struct id *id);

/* The block of a key in a filter of n of them; ascends with the ids. */
static inline uint64_t
filter_place(const struct filter_key *key, uint64_t n_blocks)
{
	return (uint64_t)((unsigned __int128)key->prefix * n_blocks >> 64);
}

void filter_add(uint8_t block[FILTER_BLOCK], const struct filter_key *key);

static inline bool
filter_test(const uint8_t block[FILTER_BLOCK], const struct filter_key *key)
{
	uint64_t missing = 0, have, want;

	for (unsigned i = 0; i < FILTER_BLOCK; i += 8) {
		memcpy(&have, block + i, 8);
		memcpy(&want, key->mask + i, 8);
		missing |= want & ~have;
	}
	return missing == 0;
}

#endif /* REPO_FILTER_H */
