/* SPDX-License-Identifier: Apache-2.0 */
/* prng: repeatable random numbers for tests (SplitMix64, Steele et al. 2014).
 */
#ifndef TESTS_LIB_PRNG_H
#define TESTS_LIB_PRNG_H

#include <stddef.h>
#include <stdint.h>

struct prng {
	uint64_t state;
};

static inline void
prng_init(struct prng *p, uint64_t seed)
{
	p->state = seed;
}

static inline uint64_t
prng_next(struct prng *p)
{
	uint64_t z = (p->state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* 0 .. n - 1; n > 0 */
static inline uint64_t
prng_below(struct prng *p, uint64_t n)
{
	return prng_next(p) % n;
}

static inline void
prng_fill(struct prng *p, void *data, size_t len)
{
	uint8_t *b = data;

	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)prng_next(p);
}

#endif /* TESTS_LIB_PRNG_H */
