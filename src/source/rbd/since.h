/* SPDX-License-Identifier: Apache-2.0 */
/*
 * since: from when on an image's changes have to be read.
 *
 * The record beside the image in the previous snapshot names the snapshot at
 * the cluster that it was read at.  That is the base if all of this still
 * holds: the same cluster and image, that snapshot by name and id, no smaller
 * size, the same view of its parent.  Else the image is read whole, and why
 * says why, in one sentence without a subject.
 */
#ifndef SOURCE_RBD_SINCE_H
#define SOURCE_RBD_SINCE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "model/rbd_record.h"
#include "source/rbd/state.h"

struct since {
	bool has_base;
	bool first; /* there was nothing to begin from */
	struct rbd_record old; /* where it has a base */
	struct buf own; /* its bitmap of own objects, where it has one */
	char why[300]; /* "" where it has a base */
};

void since_init(struct since *s);
void since_fini(struct since *s);

/* now is what the image is, with parent_data as it will be stored; img is open
 * at what is read. */
enum err since_choose(struct since *s, struct pick *p, struct ceph_image *img,
	const struct rbd_record *now, struct sink *sink,
	struct error *err) MUST_CHECK;

#endif /* SOURCE_RBD_SINCE_H */
