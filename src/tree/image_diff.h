/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_diff: where one image reads otherwise than another.
 *
 * Equal subtrees of the two are not read.  What refers to other chunks is
 * compared by its bytes where that is asked for (a window that was stored anew
 * by tree/image.h has other chunks and the same bytes): block by block, of
 * 4 KiB.  Else no data chunk is fetched.
 *
 * Memory: 64 MiB of chunks of each image where bytes are compared, and the
 * nodes on the path to one place of each.
 */
#ifndef TREE_IMAGE_DIFF_H
#define TREE_IMAGE_DIFF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "tree/io.h"

struct image_ref {
	struct id root; /* of an extent tree */
	uint64_t size;
};

/*
 * [off, off + len) may read otherwise in b; hole: it is a hole there.
 * Ascending, apart, and what touches and is of one kind is one range.  Nothing
 * lies behind b's size; what b has beyond a's size is compared with zeroes.
 */
typedef enum err image_diff_fn(void *arg, uint64_t off, uint64_t len, bool hole,
	struct error *err);

/* a NULL: an empty image.  Any result of fn but ERR_OK ends it. */
enum err image_diff(struct tree_io *io, const struct image_ref *a,
	const struct image_ref *b, bool compare_bytes, image_diff_fn *fn,
	void *arg, struct error *err) MUST_CHECK;

#endif /* TREE_IMAGE_DIFF_H */
