/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image: a large sparse content edited into a new one.
 *
 *   image_open (on an old extent tree, or on nothing)
 *     -> image_replace, image_punch, in ascending order of offsets
 *     -> image_finish -> image_free
 *
 * Changed bytes are stored as they come: whole windows (IMAGE_WINDOW, aligned)
 * as chunks of their own, smaller pieces gathered with their neighbours into
 * shared chunks and referred to as slices, so that a scattered increment costs
 * its own bytes and not the windows around it.  Runs of zeroes of a whole
 * 4 KiB block become holes.  A window that would end up in more than
 * IMAGE_FRAGMENTS pieces is read and stored anew as one chunk, so that the
 * hundredth increment restores about as fast as the first.
 *
 * Such a window is stored without its largest holes, but smaller ones are
 * stored as zeroes, so that it does not begin with many pieces again.
 *
 * Memory: IMAGE_TICKETS chunks in flight at most, two windows, and where
 * windows are stored anew, up to IMAGE_FRAGMENTS + 8 old chunks of a window's
 * size.  Nothing of the old tree is read beyond the leaves that change.
 */
#ifndef TREE_IMAGE_H
#define TREE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "model/origin.h"
#include "tree/builder.h"
#include "tree/io.h"

enum { IMAGE_WINDOW = 1 << 20, IMAGE_FRAGMENTS = 32, IMAGE_TICKETS = 4 };

struct image;

struct image_conf {
	const struct id *old_root; /* NULL: a new image, one hole */
	uint64_t old_size;
	uint64_t size; /* of the result; what lies beyond is dropped */
	const struct origin *origin; /* model/origin.h; or NULL */
};

enum err image_open(struct image **out, struct tree_io *io,
	const struct image_conf *conf, struct error *err) MUST_CHECK;
void image_free(struct image *img);

/* [off, off + len) now reads as data.  ERR_USAGE where off is below the end of
 * an earlier call's range or the end beyond size. */
enum err image_replace(struct image *img, uint64_t off, const void *data,
	size_t len, struct error *err) MUST_CHECK;

/* [off, off + len) now is a hole. */
enum err image_punch(struct image *img, uint64_t off, uint64_t len,
	struct error *err) MUST_CHECK;

struct image_figures {
	uint64_t bytes_stored; /* plain bytes in new chunks */
	uint64_t bytes_rewritten; /* of these, by the rewrite rule */
	uint64_t windows_rewritten;
};

enum err image_finish(struct image *img, struct tree_root *root,
	struct image_figures *figures, struct error *err) MUST_CHECK;

#endif /* TREE_IMAGE_H */
