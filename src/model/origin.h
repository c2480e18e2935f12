/* SPDX-License-Identifier: Apache-2.0 */
/*
 * origin: the image that is being captured, read at any offset.
 *
 * Where a window of an image is stored anew although only a part of it has
 * changed, the rest is read from here.  Without an origin it is read from the
 * repository, which a key of role writer cannot do.
 */
#ifndef MODEL_ORIGIN_H
#define MODEL_ORIGIN_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct origin {
	/* All len bytes at off, as they are in the image that is captured;
	 * the range lies within it. */
	enum err (*read)(const struct origin *o, uint64_t off, void *data,
		size_t len, struct error *err);
};

#endif /* MODEL_ORIGIN_H */
