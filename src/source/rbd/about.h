/* SPDX-License-Identifier: Apache-2.0 */
/* about: what the cluster tells of an image, as its record. */
#ifndef SOURCE_RBD_ABOUT_H
#define SOURCE_RBD_ABOUT_H

#include "base/compiler.h"
#include "base/err.h"
#include "model/rbd_record.h"
#include "source/rbd/state.h"

/* What is known before it is read; record was initialised.  Own snapshots of
 * this job are left out. */
enum err about_image(struct rbd_record *record, const struct rbd *r,
	const struct pick *p, struct ceph_image *img,
	const struct ceph_info *info, struct error *err) MUST_CHECK;

#endif /* SOURCE_RBD_ABOUT_H */
