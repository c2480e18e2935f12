/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export_rbd: images of snapshots as what Ceph's own tools take: a difference
 * for `rbd import-diff`, or the container for `rbd import --export-format 2`.
 */
#ifndef VIEW_EXPORT_RBD_H
#define VIEW_EXPORT_RBD_H

#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"
#include "format/rbd_out.h"
#include "view/export.h"

/* An image, and the name of the snapshot of Ceph that it is to be. */
struct export_state {
	const struct export_image *image;
	const char *name; /* NULL: the head */
};

/* from NULL: a full one.  Flushes out. */
enum err export_rbd_diff(struct repo *r, struct tree_io *io,
	const struct export_state *from, const struct export_state *to,
	const struct export_conf *conf, struct rbd_out *out,
	struct error *err) MUST_CHECK;

/*
 * n > 0 states of one image, each becoming a snapshot, and the last one the
 * head as well.  The image is set up as the last one's record says, where it
 * has one.  Flushes out.
 */
enum err export_rbd_image(struct repo *r, struct tree_io *io,
	const struct export_state *states, size_t n,
	const struct export_conf *conf, struct rbd_out *out,
	struct error *err) MUST_CHECK;

#endif /* VIEW_EXPORT_RBD_H */
