/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ceph_changes: what of an image changed since a snapshot, or what it holds.
 *
 * Asking each object what changed costs a round trip, a second for 100 GiB.  So
 * with a valid object map it is asked first which objects changed at all
 * (fast-diff), and only those are looked at closely; without one, all are.
 *
 * fast-diff of Ceph 16 is wrong after a rollback: the object map of the older
 * snapshot becomes that of the head, marks and all, and says of an object that
 * was changed between that snapshot and a later one, and so was changed back,
 * that it is clean since the later one.  The close look is right.  Who asks
 * for what changed since a snapshot therefore says what may differ between it
 * and those before it, and there it is always looked at closely.
 *
 * Memory: some 24 MiB where nearly all of a large image changed in small
 * pieces, else little.
 */
#ifndef SYSTEM_CEPH_CHANGES_H
#define SYSTEM_CEPH_CHANGES_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/ranges.h"
#include "system/ceph.h"

struct ceph_since {
	const char *from; /* NULL: an empty image */
	bool parent; /* with what is seen through from the parent */
	/* What may differ between from and any older snapshot; NULL: it is
	 * not known, and the object map is not asked. */
	const struct ranges *older;
	/* Of this, that is told and not what was found; NULL: nothing. */
	const struct ranges *known;
};

/* May use the image. */
typedef enum err ceph_change_fn(void *arg, const struct range *change,
	struct error *err);

/*
 * What may differ between since->from and what is opened, which info tells of,
 * in ascending order.  Of what lies below a clone's own objects, zero says
 * nothing: it is that the clone has no object there.  Errors are ceph_diff's.
 */
enum err ceph_changes(struct ceph_image *img, const struct ceph_info *info,
	const struct ceph_since *since, ceph_change_fn *fn, void *arg,
	struct error *err) MUST_CHECK;

#endif /* SYSTEM_CEPH_CHANGES_H */
