/* SPDX-License-Identifier: Apache-2.0 */
/* array: room for one more in an array that doubles. */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"

/*
 * v, which holds n items of each bytes and has room for *cap, with room for
 * one more; it may have moved.  NULL and ERR_NOMEM where there is no memory: v
 * and *cap are then as they were.
 */
void *array_grow(void *v, size_t n, size_t *cap, size_t each,
	struct error *err) MUST_CHECK;

#endif /* BASE_ARRAY_H */
