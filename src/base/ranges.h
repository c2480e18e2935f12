/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ranges: byte ranges, ascending and apart, in bounded room.
 *
 * Where there are too many, those with little between them become one: a set
 * may hold somewhat more than was added.  What lay between, or is covered by
 * ranges of both kinds, is not known to be zeroes.
 *
 * Memory: max * 24 bytes.  One thread adds; then any may ask.
 */
#ifndef BASE_RANGES_H
#define BASE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum { RANGES_MAX = 1 << 18 };

struct range {
	uint64_t off, end;
	bool zero; /* it reads as zeroes */
};

/* All zero: empty. */
struct ranges {
	struct range *v; /* side by side only where one of two is zero */
	size_t n, cap;
	size_t max; /* at least 2; 0: RANGES_MAX */
	uint64_t gap; /* what lies closer together is one */
};

void ranges_fini(struct ranges *r);

/* In ascending order of off; ranges may overlap.  One that is out of order
 * is joined with all that lies behind it.  Empty ones are passed over. */
enum err ranges_put(struct ranges *r, struct range one,
	struct error *err) MUST_CHECK;

/* The same for [off, off + len), which is not zero. */
enum err ranges_add(struct ranges *r, uint64_t off, uint64_t len,
	struct error *err) MUST_CHECK;

/* To out, which is empty: what lies in [off, end) of lower, and of upper, which
 * hides it where they overlap. */
enum err ranges_overlay(struct ranges *out, const struct ranges *lower,
	const struct ranges *upper, uint64_t off, uint64_t end,
	struct error *err) MUST_CHECK;

/* The first range that has something at or behind off, from off on; false
 * where there is none. */
bool ranges_next(const struct ranges *r, uint64_t off, struct range *out);

#endif /* BASE_RANGES_H */
