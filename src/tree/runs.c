/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/runs.h"

#include <string.h>

/* The first byte is zero and each one equals the next. */
bool
runs_zero(const uint8_t *bytes, size_t len)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

size_t
runs_find(const uint8_t *bytes, size_t len, struct run runs[RUNS_MOST])
{
	size_t n = 0, next;

	for (size_t pos = 0; pos < len; pos = next) {
		next = pos + RUN_BLOCK < len ? pos + RUN_BLOCK : len;
		if (runs_zero(bytes + pos, next - pos))
			continue;
		if (n > 0 && runs[n - 1].to == pos)
			runs[n - 1].to = (uint32_t)next;
		else
			runs[n++] =
				(struct run){ (uint32_t)pos, (uint32_t)next };
	}
	return n;
}

size_t
runs_join(struct run *runs, size_t n, size_t max)
{
	for (; n > max; n--) {
		size_t best = 1;

		for (size_t i = 2; i < n; i++) {
			if (runs[i].from - runs[i - 1].to <
				runs[best].from - runs[best - 1].to)
				best = i;
		}
		runs[best - 1].to = runs[best].to;
		memmove(runs + best, runs + best + 1,
			(n - best - 1) * sizeof(*runs));
	}
	return n;
}
