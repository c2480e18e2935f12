/* SPDX-License-Identifier: Apache-2.0 */
/* shorthash: SipHash-2-4 (Aumasson and Bernstein, 2012), for places in tables
 * and boundaries of nodes; never for names of things. */
#ifndef CODEC_SHORTHASH_H
#define CODEC_SHORTHASH_H

#include <stddef.h>
#include <stdint.h>

struct shorthash_key {
	uint8_t b[16];
};

uint64_t shorthash(const struct shorthash_key *key, const void *data,
	size_t len);

#endif /* CODEC_SHORTHASH_H */
