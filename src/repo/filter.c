/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/filter.h"

enum { BITS_PER_KEY = 12, BLOCK_BITS = 8 * FILTER_BLOCK, LANES = 8 };

static const uint32_t salts[LANES] = { 0x47b6137b, 0x44974d91, 0x8824ad5b,
	0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31 };

uint64_t
filter_blocks(uint64_t n_keys)
{
	return n_keys * BITS_PER_KEY / BLOCK_BITS + 1;
}

/* Bits that took no part in the choice of the block. */
static uint32_t
lane_bits(const struct id *id)
{
	return (uint32_t)id->b[8] | (uint32_t)id->b[9] << 8 |
	       (uint32_t)id->b[10] << 16 | (uint32_t)id->b[11] << 24;
}

void
filter_key(struct filter_key *key, const struct id *id)
{
	uint32_t bits = lane_bits(id);

	*key = (struct filter_key){ .prefix = id_prefix(id) };
	for (unsigned i = 0; i < LANES; i++) {
		uint32_t bit = bits * salts[i] >> 27;

		key->mask[4 * i + bit / 8] = (uint8_t)(1u << bit % 8);
	}
}

void
filter_add(uint8_t block[FILTER_BLOCK], const struct filter_key *key)
{
	for (unsigned i = 0; i < FILTER_BLOCK; i++)
		block[i] |= key->mask[i];
}
