/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export: an image of a snapshot, or what differs between the images of two
 * snapshots, as ranges in ascending order.
 *
 *   export_find -> export_run -> export_image_fini
 *
 * The caller's thread tells the ranges; workers of a view (view/image_view.h)
 * fetch and decode what comes next meanwhile.  Memory: EXPORT_AHEAD of chunks
 * on their way, a piece of EXPORT_PIECE, and, where two images are compared,
 * what tree/image_diff.h takes.
 */
#ifndef VIEW_EXPORT_H
#define VIEW_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "model/entry.h"
#include "model/rbd_record.h"
#include "repo/repo.h"
#include "tree/io.h"

enum { EXPORT_AHEAD = 32 << 20, EXPORT_PIECE = 1 << 20 };

/* An entry with content, in a snapshot. */
struct export_image {
	struct id root; /* of the snapshot's tree */
	struct buf key;
	uint64_t size;
	bool has_extents; /* it can be compared with another one */
	struct id extents;
	bool has_record; /* something lies beside it that tells how it was set
			    up at Ceph */
	struct rbd_record record;
};

/*
 * The entry with this key, or the only image below it.  out is initialised by
 * it.  ERR_NOTFOUND where there is none, ERR_USAGE where there are several.
 */
enum err export_find(struct export_image *out, struct tree_io *io,
	const struct id *root, struct bytes below,
	struct error *err) MUST_CHECK;
void export_image_fini(struct export_image *image);

/* Where ranges go. */
struct export_sink {
	/* The next len bytes that put brings lie at off. */
	enum err (*data)(void *arg, uint64_t off, uint64_t len,
		struct error *err);
	enum err (*put)(void *arg, const void *data, size_t len,
		struct error *err);
	/* [off, off + len) is zero, and was not in the other image. */
	enum err (*zero)(void *arg, uint64_t off, uint64_t len,
		struct error *err);
	void *arg;
};

struct export_conf {
	unsigned workers; /* 0: one per processor */
	_Atomic uint64_t *bytes_done; /* counts what was put; or NULL */
	const _Atomic bool *stop; /* or NULL; ERR_CANCELLED */
};

/*
 * What `to` has and `from` has not; from NULL: an empty image, so that zeroes
 * are not told.  io is used by the calling thread alone, r by the workers.
 */
enum err export_run(struct repo *r, struct tree_io *io,
	const struct export_image *from, const struct export_image *to,
	const struct export_conf *conf, const struct export_sink *sink,
	struct error *err) MUST_CHECK;

#endif /* VIEW_EXPORT_H */
