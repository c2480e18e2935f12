/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image: a large sparse content edited into a new one.
 *
 *   image_open (on an old extent tree, or on nothing)
 *     -> image_replace, image_punch, image_take, in ascending order of offsets;
 *        what none of them names stays as it was
 *     -> image_finish -> image_free
 *
 * Changed bytes are stored as they come: whole windows (IMAGE_WINDOW, aligned)
 * as chunks of their own, smaller pieces gathered with their neighbours into
 * shared chunks and referred to as slices, so that a scattered increment costs
 * its own bytes and not the windows around it.  Runs of zeroes of a whole
 * 4 KiB block become holes.
 *
 * What is taken from another place of the old image (image_take) is referred to
 * where it lies; what is taken from its own place costs nothing.
 *
 * A window that was changed again and again consists of many pieces, and what
 * they replaced lies dead in chunks that a restore has to fetch.  It is read
 * and stored anew as one chunk when it would end up in more than
 * IMAGE_FRAGMENTS_MIN to IMAGE_FRAGMENTS_MAX pieces, or when what has to be
 * fetched for it is IMAGE_EXCESS_MIN to IMAGE_EXCESS_MAX percent more than what
 * it holds.  Who reads on has the chunks of a window at hand for the next ones,
 * so these must not be too many: when they are more than IMAGE_CHUNKS_MIN to
 * IMAGE_CHUNKS_MAX, the pieces in all but one of them are gathered into one
 * new chunk.  Each stretch of the image has its own limits in between, so that
 * changes which are spread evenly do not make all of it due at once.
 *
 * Measured (bench/bench_image scatter) where 2 % of an image change each time,
 * block by block: the first thirty increments add what changed and 7 %; in the
 * long run 2.3 times what changed is stored, and a restore fetches 1.9 times
 * the image.  There a window has no more pieces than blocks.  Where records of
 * 44 bytes change all over and some come and go (bench_image records), each
 * extent takes some nine bytes of stored nodes every time: of 1 % changed
 * records an increment adds 13 % of what the whole image takes, and with a
 * limit of 512 pieces it added 65 %; of 0.3 % changed ones, 6 %.
 *
 * What did not change of such a window is read from the origin, all of the
 * window at once; without an origin from the old chunks.  Where those cannot
 * be read (ERR_DENIED: a key of role writer) the window stays in as many pieces
 * as there are.
 *
 * Memory: IMAGE_TICKETS chunks in flight at most, two windows, 3 MiB to plan
 * one, and where windows are stored anew from old chunks, 40 MiB of those.
 * Nothing of the old tree is read beyond the leaves that change, or that
 * something is taken from.
 */
#ifndef TREE_IMAGE_H
#define TREE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "model/entry.h"
#include "model/origin.h"
#include "tree/builder.h"
#include "tree/io.h"

enum {
	IMAGE_WINDOW = 1 << 20,
	IMAGE_FRAGMENTS_MIN = 3072,
	IMAGE_FRAGMENTS_MAX = 8192,
	IMAGE_CHUNKS_MIN = 32,
	IMAGE_CHUNKS_MAX = 56,
	IMAGE_EXCESS_MIN = 60,
	IMAGE_EXCESS_MAX = 140,
	IMAGE_TICKETS = 4
};

struct image;

struct image_conf {
	const struct id *old_root; /* NULL: a new image, one hole */
	/* Instead of old_root, where there is no tree; copied. */
	const struct slices *old_slices;
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

/* [off, off + len) now reads as the old image does at old_off.  ERR_USAGE also
 * where old_off is below the end of an earlier call's old range, or beyond
 * old_size. */
enum err image_take(struct image *img, uint64_t off, uint64_t old_off,
	uint64_t len, struct error *err) MUST_CHECK;

/* [off, off + len) now is a hole. */
enum err image_punch(struct image *img, uint64_t off, uint64_t len,
	struct error *err) MUST_CHECK;

struct image_figures {
	uint64_t bytes_stored; /* plain bytes in new chunks */
	uint64_t bytes_rewritten; /* of these, by the rewrite rule */
	uint64_t windows_rewritten; /* wholly or partly */
	/* should have been, and could not be read */
	uint64_t windows_in_pieces;
};

enum err image_finish(struct image *img, struct tree_root *root,
	struct image_figures *figures, struct error *err) MUST_CHECK;

#endif /* TREE_IMAGE_H */
