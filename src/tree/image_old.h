/* SPDX-License-Identifier: Apache-2.0 */
/* image_old: the extents of the old image, front to back.  Private to
 * src/tree. */
#ifndef TREE_IMAGE_OLD_H
#define TREE_IMAGE_OLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "tree/cursor.h"
#include "tree/extents.h"
#include "tree/image.h"
#include "tree/io.h"

struct image_old {
	struct cursor *cursor; /* NULL: there is a list, or nothing */
	struct extent *list; /* of what was slices; owned */
	size_t n, next;
	uint64_t size;
	bool known; /* e is valid */
	struct extent e; /* len 0: none is left */
};

/* As conf describes it. */
enum err image_old_open(struct image_old *old, struct tree_io *io,
	const struct image_conf *conf, struct error *err) MUST_CHECK;
void image_old_close(struct image_old *old);

/* So that e is the first extent that ends behind pos, which may not be below
 * that of an earlier call unless image_old_back came between. */
enum err image_old_at(struct image_old *old, uint64_t pos,
	struct error *err) MUST_CHECK;
void image_old_back(struct image_old *old);

/* So that e is the one behind e. */
enum err image_old_next(struct image_old *old, struct error *err) MUST_CHECK;

/* The part of e from from to to; both lie in it or at its ends. */
struct extent image_old_part(const struct extent *e, uint64_t from,
	uint64_t to);

static inline uint64_t
extent_end(const struct extent *e)
{
	return e->off + e->len;
}

#endif /* TREE_IMAGE_OLD_H */
