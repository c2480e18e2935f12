/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunker: content-defined cuts by the Gear hash with normalised lengths
 * (Xia et al., FastCDC, USENIX ATC 2016).
 *
 * Definition.  T is a table of 256 64-bit words.  Over the bytes b of a
 * stream, from h = 0 at its start (not at each cut):
 *
 *     h = (h << 1) + T[b]        modulo 2^64
 *
 * so h at a position depends on the 64 bytes that end there.  Let n be the
 * length of the current chunk including that position.  The chunk ends there
 *     if n >= min and n < target and the top BITS + 2 bits of h are zero, or
 *     if n >= target and the top BITS - 2 bits of h are zero, or
 *     if n == max,
 * where BITS = log2(target).  A stream's last chunk may be shorter than min.
 *
 * Cuts depend on the bytes only: not on how they are handed over, nor on
 * which of the implementations (one lane, four lanes) runs.
 */
#ifndef CODEC_CHUNKER_H
#define CODEC_CHUNKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/secret.h"

struct chunker_params {
	uint32_t min; /* >= 64, <= target */
	uint32_t target; /* a power of two */
	uint32_t max; /* >= target, <= 8 MiB */
};

#define CHUNKER_DEFAULT ((struct chunker_params){ 512 << 10, 1 << 20, 8 << 20 })

bool chunker_params_ok(const struct chunker_params *p) MUST_CHECK;

/* The table; one per repository, shared by all its chunkers. */
struct gear {
	uint64_t t[256];
};

/* T[i] = the i-th little-endian word of hash_expand(key, "gear"). */
void gear_init(struct gear *g, const struct secret *key);

struct chunker {
	const struct gear *gear;
	struct chunker_params params;
	uint64_t h;
	size_t n; /* length of the current chunk so far */
};

/* gear must outlive c.  params must be ok. */
void chunker_init(struct chunker *c, const struct gear *gear,
	const struct chunker_params *params);

/*
 * Take bytes up to the next cut.  True: a chunk ends after the first *used
 * bytes of data.  False: all len bytes were taken (*used == len), no cut yet.
 */
bool chunker_feed(struct chunker *c, const uint8_t *data, size_t len,
	size_t *used);

/* The same by the definition, a byte at a time: what tests compare with. */
bool chunker_feed_scalar(struct chunker *c, const uint8_t *data, size_t len,
	size_t *used);

#endif /* CODEC_CHUNKER_H */
