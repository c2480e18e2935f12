/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_view: the bytes of one entry of a snapshot (a file, an image, a
 * stream), read anywhere, by several threads at once.
 *
 *   image_view_open_key -> image_view_read, _extents, _ahead ...
 *     -> image_view_close, when no other call runs any more
 *
 * Everything between may be called by any number of threads.  As many as
 * conf.readers are served at the same time, each with a lane of the
 * repository and a place in the tree of its own; more of them wait.  Lanes are
 * made when they are needed first.
 *
 * The chunks that were read last are kept for all (view/chunk_cache.h): two
 * that read one chunk wait for one fetch.  Who reads front to back, also in
 * several places at once (view/streams.h), has the next chunks fetched by
 * workers before they are asked for.  The workers' threads begin with the
 * first such read, so that a process may fork after
 * image_view_open_key.
 *
 * Memory: conf.cache_max, plus for each reader and each worker a lane
 * (repo/lane.h) and the chunk at work.
 *
 * Errors: a chunk that is missing or damaged fails the reads that need it
 * (ERR_NOTFOUND, ERR_CORRUPT), with a message that tells the offset and the
 * chunk, and no others; asked again, it is fetched again.
 */
#ifndef VIEW_IMAGE_VIEW_H
#define VIEW_IMAGE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "model/entry.h"
#include "repo/repo.h"
#include "tree/io.h"

struct image_view;

enum {
	IMAGE_VIEW_CACHE = 72 << 20,
	IMAGE_VIEW_READERS = 8,
	IMAGE_VIEW_WORKERS_MAX = 8,
	IMAGE_VIEW_WINDOW = 8 << 20
};

/* Zeroes mean what stands above, and a worker for each processor, up to that
 * maximum: each has memory for the chunk that it opens. */
struct image_view_conf {
	unsigned readers, workers;
	size_t cache_max;
	uint64_t window; /* so far ahead is read */
	bool no_ahead;
};

/* The content of the entry with this key; root is the entries tree that it is
 * in.  ERR_NOTFOUND where there is none; what is no content (a directory, a
 * link to elsewhere, a device) is ERR_USAGE.  Borrows r. */
enum err image_view_open_key(struct image_view **out, struct repo *r,
	const struct id *root, struct bytes key,
	const struct image_view_conf *conf, struct error *err) MUST_CHECK;

/* Where the threads' ways to nodes and chunks come from: one for each, used by
 * one thread at a time.  open may be called by several threads. */
struct image_view_ways {
	enum err (*open)(void *arg, struct tree_io **out, struct error *err);
	void (*close)(void *arg, struct tree_io *io);
	void *arg;
};

/* Over other ways than a repository's, and for e, which is copied as far as it
 * is needed. */
enum err image_view_open_by(struct image_view **out,
	const struct image_view_ways *ways, const struct id *root,
	const struct entry *e, const struct image_view_conf *conf,
	struct error *err) MUST_CHECK;

void image_view_close(struct image_view *v);

uint64_t image_view_size(const struct image_view *v);

/* Exactly [off, off + len), holes as zeroes; beyond the end is ERR_USAGE.
 * After a failure data holds anything. */
enum err image_view_read(struct image_view *v, uint64_t off, void *data,
	size_t len, struct error *err) MUST_CHECK;

/* [off, off + len) is a hole, or data; false ends it. */
typedef bool image_view_extent_fn(void *arg, uint64_t off, uint64_t len,
	bool hole);
/* What [off, off + len) consists of, in order, neighbours of one kind as one.
 * No data is read.  A failure comes after what was told already. */
enum err image_view_extents(struct image_view *v, uint64_t off, uint64_t len,
	image_view_extent_fn *fn, void *arg, struct error *err) MUST_CHECK;

/* Have [off, off + len) fetched, as far as there is room; does not wait for
 * it.  Who reads it later is told what fails. */
enum err image_view_ahead(struct image_view *v, uint64_t off, uint64_t len,
	struct error *err) MUST_CHECK;

/* For tests: bytes kept now, and how many chunks and nodes were fetched. */
struct image_view_count {
	size_t bytes;
	uint64_t fetched;
};
struct image_view_count image_view_count(const struct image_view *v);

#endif /* VIEW_IMAGE_VIEW_H */
