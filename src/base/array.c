/* SPDX-License-Identifier: Apache-2.0 */
#include "base/array.h"

#include <stdlib.h>

enum { FIRST = 16 };

void *
array_grow(void *v, size_t n, size_t *cap, size_t each, struct error *err)
{
	size_t more = *cap > 0 ? *cap : FIRST / 2;
	void *moved = NULL;

	if (n < *cap)
		return v;
	if (!__builtin_mul_overflow(more, 2, &more))
		moved = reallocarray(v, more, each);
	if (moved != NULL)
		*cap = more;
	else
		(void)err_set(err, ERR_NOMEM, "no memory for %zu items", n);
	return moved;
}
