/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ranges: a set of byte ranges, of which it may hold somewhat more than was
 * added: where there are too many, those with little between them become one.
 *
 * Memory: RANGES_MAX * 16 bytes.  One thread adds; then any may ask.
 */
#ifndef ENGINE_RANGES_H
#define ENGINE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum { RANGES_MAX = 1 << 18 };

struct range {
	uint64_t off, end;
};

struct ranges {
	struct range *v; /* ascending, apart */
	size_t n, cap;
	size_t max; /* at least 2; 0: RANGES_MAX */
	uint64_t gap; /* what lies closer together is one */
};

void ranges_fini(struct ranges *r);

/* In ascending order of off; ranges may overlap.  One that is out of order
 * is joined with all that lies behind it. */
enum err ranges_add(struct ranges *r, uint64_t off, uint64_t len,
	struct error *err) MUST_CHECK;

/* All of both; out was zeroed, but for its gap. */
enum err ranges_union(struct ranges *out, const struct ranges *a,
	const struct ranges *b, struct error *err) MUST_CHECK;

/* The first range that has something at or behind off, from off on; false
 * where there is none. */
bool ranges_next(const struct ranges *r, uint64_t off, struct range *out);

#endif /* ENGINE_RANGES_H */
