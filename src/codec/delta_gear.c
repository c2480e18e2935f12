/* SPDX-License-Identifier: Apache-2.0 */
/* delta_gear: see delta_gear.h. */
#include "codec/delta_gear.h"

#include "base/compiler.h"

/* SplitMix64 (Steele et al. 2014).  Nothing that is kept depends on these. */
void
delta_gear_init(struct delta_gear *g)
{
	uint64_t state = 0;

	for (size_t i = 0; i < ARRAY_LEN(g->t); i++) {
		uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));

		z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
		g->t[i] = z ^ (z >> 31);
	}
}
