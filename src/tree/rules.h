/* SPDX-License-Identifier: Apache-2.0 */
/* rules: the arithmetic of docs/format.md, section 8, that reading and
 * writing have in common.  Private to src/tree. */
#ifndef TREE_RULES_H
#define TREE_RULES_H

#include <stdint.h>

#include "base/id.h"

/* What an item counts for in its node, whatever its encoding takes. */
static inline uint64_t
item_size(uint64_t key_len, uint64_t val_len, uint64_t n_refs)
{
	return 32 + key_len + val_len + (uint64_t)ID_LEN * n_refs;
}

static inline uint64_t
child_size(uint64_t key_len)
{
	return 64 + key_len;
}

/* Three sparse files can pass 2^64 bytes, and must not break a backup: a sum
 * of weights stays at its maximum, in whatever order it is made. */
static inline uint64_t
weight_add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

#endif /* TREE_RULES_H */
