/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state: what the parts of this driver share.
 *
 *   pick (which images) -> still (their snapshots) -> capture, for each
 *   image: since (from when) -> take (what changed) -> about (its record)
 *
 * All of it is used by one thread at a time.
 */
#ifndef SOURCE_RBD_STATE_H
#define SOURCE_RBD_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/time.h"
#include "source/source.h"
#include "system/ceph.h"

enum { STILL_NAME_MAX = 128, JOB_MAX = 64 };

/* POOL[/NS]/NAME, cut. */
struct place {
	char *pool, *ns, *name; /* ns "" for none; one allocation: pool */
};

/* An image that is backed up. */
struct pick {
	struct ceph_pool *pool; /* borrowed */
	char *name;
	char *label; /* POOL[/NS]/IMAGE */
	bool named; /* and not found by a pattern */
	struct buf key; /* in the snapshot */
	struct error trouble; /* why it is left out */

	/* freeze */
	struct ceph_image *rw;
	bool tried; /* its snapshot may be there */
	uint64_t snap_id; /* of our snapshot; 0: the head is read */
	uint64_t read_id; /* what is read: that, or the group's */
	struct when taken;

	/* capture: what follows the image, until its turn comes */
	struct buf record, own;
};

struct rbd {
	struct source base;
	struct source_conf conf; /* args and texts are copies */
	struct ceph *ceph;
	struct ceph_pool **pools;
	size_t n_pools, cap_pools;
	struct pick **picks; /* ascending by key */
	size_t n_picks, cap_picks;

	char job[JOB_MAX + 1];
	bool dry_run;
	char snap[STILL_NAME_MAX]; /* of this run */
	struct ceph_pool *group_pool; /* NULL: no group */
	const char *group; /* its name there */
	bool group_tried;
	struct place group_place;
	struct when first, last; /* begin and end of making them */

	unsigned depth, hook_sec;
	bool parent, together, quiesce;
	const char *hook; /* NULL: none */
};

#endif /* SOURCE_RBD_STATE_H */
