/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spans: parts of an image, ascending and apart, in bounded room.
 *
 * Where there are more than max, the smallest gaps are closed until half are
 * left; what lay in a gap then counts as something that has to be looked at,
 * which is never wrong.
 */
#ifndef SOURCE_RBD_SPANS_H
#define SOURCE_RBD_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

struct span {
	uint64_t off, len;
	bool exists; /* else it reads as zeroes */
};

struct spans {
	struct span *v;
	size_t n, cap, max;
	uint64_t gap; /* that is closed */
};

void spans_init(struct spans *s, size_t max);
void spans_fini(struct spans *s);
void spans_clear(struct spans *s);

/* What touches the last one joins it; where the two are not of one kind and
 * overlap, all of it exists.  ERR_IO where off lies before the last one. */
enum err spans_add(struct spans *s, uint64_t off, uint64_t len, bool exists,
	struct error *err) MUST_CHECK;

/* To out, which is empty: what lies in [off, end) of lower, and of upper, which
 * hides it where they overlap. */
enum err spans_overlay(struct spans *out, const struct spans *lower,
	const struct spans *upper, uint64_t off, uint64_t end,
	struct error *err) MUST_CHECK;

#endif /* SOURCE_RBD_SPANS_H */
