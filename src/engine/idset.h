/* SPDX-License-Identifier: Apache-2.0 */
/* idset: a set of ids in memory (ids are uniform, so they are their own
 * hashes).  One thread at a time. */
#ifndef ENGINE_IDSET_H
#define ENGINE_IDSET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"

struct idset {
	struct id *v; /* open addressing, up to 3/4 full; all zero: free */
	size_t n, cap;
	bool has_zero;
};

void idset_fini(struct idset *s);

/* *added false where it was there. */
enum err idset_add(struct idset *s, const struct id *id, bool *added,
	struct error *err) MUST_CHECK;

bool idset_has(const struct idset *s, const struct id *id);

#endif /* ENGINE_IDSET_H */
