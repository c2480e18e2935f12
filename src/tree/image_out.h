/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_out: the extents of the new image on their way into its tree.
 * Private to src/tree.
 *
 * They are given in ascending order, but what a chunk is called is known only
 * when it is stored, and a shared chunk is stored only when it is full.  So
 * they wait in a queue, and go on from its head as far as their chunks have
 * names.  Two that continue each other become one on the way.
 *
 * A shared chunk whose extents lie far apart ends before it is full: once
 * IMAGE_OUT_MANY operations wait and it has IMAGE_OUT_ENOUGH bytes.  What is
 * stored is the same, and who reads a stretch of the image fetches less that
 * belongs to others (measured: an eighth less with bench_image scatter).
 *
 * Memory: the shared chunk being filled, and IMAGE_OUT_QUEUE operations.
 */
#ifndef TREE_IMAGE_OUT_H
#define TREE_IMAGE_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "tree/edit.h"
#include "tree/extents.h"
#include "tree/image.h"
#include "tree/io.h"
#include "tree/runs.h"

enum {
	IMAGE_OUT_QUEUE = IMAGE_FRAGMENTS_MAX,
	IMAGE_OUT_MANY = 4096,
	IMAGE_OUT_ENOUGH = 64 << 10
};

struct image_op;

struct image_out {
	struct tree_io *io;
	struct edit *edit;
	struct image_op *ops; /* a ring */
	size_t head, n;
	struct ticket tickets[IMAGE_TICKETS]; /* a ring */
	unsigned first, in_flight;
	uint8_t *shared; /* IMAGE_WINDOW bytes */
	size_t shared_len;
	struct extent last; /* may be continued; len 0: none */
	uint64_t settled; /* old extents below are in the new tree, or not */
	uint64_t bytes_stored;
};

/* In place; out was zeroed. */
enum err image_out_open(struct image_out *out, struct tree_io *io,
	const struct id *old_root, struct error *err) MUST_CHECK;
/* Waits for what is being stored. */
void image_out_close(struct image_out *out);

/* Old extents that begin in [from, to) stay.  Those in no such range go. */
enum err image_out_keep(struct image_out *out, uint64_t from, uint64_t to,
	struct error *err) MUST_CHECK;

/* An extent whose chunk is stored already. */
enum err image_out_extent(struct image_out *out, const struct extent *e,
	struct error *err) MUST_CHECK;

/*
 * Bytes for the shared chunk.  For each window, image_out_reserve comes first,
 * with the sum of its bytes, at most IMAGE_WINDOW, and the number of all its
 * extents: then these bytes come into one and the same chunk.
 */
enum err image_out_reserve(struct image_out *out, size_t len, size_t n_ops,
	struct error *err) MUST_CHECK;
enum err image_out_shared(struct image_out *out, uint64_t off, const void *data,
	size_t len, struct error *err) MUST_CHECK;

/* A chunk of its own: data are the bytes of the n runs of the window at off,
 * one behind the other. */
enum err image_out_chunk(struct image_out *out, uint64_t off, const void *data,
	const struct run *runs, size_t n, struct error *err) MUST_CHECK;

/* Old extents that begin at end or behind go. */
enum err image_out_finish(struct image_out *out, uint64_t end,
	struct tree_root *root, struct error *err) MUST_CHECK;

#endif /* TREE_IMAGE_OUT_H */
