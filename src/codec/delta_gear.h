/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta_gear: the rolling hash by which delta knows bytes again.
 *
 * FastCDC's gear (Xia et al. 2016): h at a position depends on the DELTA_GRAM
 * bytes that end there and on nothing else, its upper bits on all of them.
 * Equal hashes are a hint; delta compares the bytes.
 */
#ifndef CODEC_DELTA_GEAR_H
#define CODEC_DELTA_GEAR_H

#include <stddef.h>
#include <stdint.h>

#include "codec/delta.h"

/* Wherever DELTA_MIN bytes are alike, a whole aligned gram lies in them. */
enum { DELTA_GRAM = 64 };

_Static_assert(2 * DELTA_GRAM <= DELTA_MIN, "a take may hold no aligned gram");

struct delta_gear {
	uint64_t t[256];
};

static inline uint64_t
delta_gear_step(const struct delta_gear *g, uint64_t h, uint8_t b)
{
	return (h << 1) + g->t[b];
}

/* A number of bits bits, for tables: neighbouring h lie apart. */
static inline size_t
delta_gear_slot(uint64_t h, unsigned bits)
{
	return (size_t)((h * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - bits));
}

void delta_gear_init(struct delta_gear *g);

#endif /* CODEC_DELTA_GEAR_H */
