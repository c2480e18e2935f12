/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbd: what the parts of the rbd: target share; private to src/target.
 *
 *   rbd.c        names, the marks, the life of a restore
 *   rbd_make.c   a new image, set up as the recorded one
 *   rbd_ring.c   writes on their way
 *   rbd_known.c  what is there, and what was written since
 */
#ifndef TARGET_RBD_H
#define TARGET_RBD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "model/rbd_record.h"
#include "system/ceph.h"
#include "target/target.h"

/* ---- writes on their way ---- */

struct rbd_slot {
	struct ceph_op op;
	uint8_t *data;
	size_t cap;
	uint64_t serial;
	enum { SLOT_FREE, SLOT_BUSY, SLOT_HELD } state;
};

struct rbd_ring {
	struct ceph_image *img; /* borrowed */
	struct rbd_slot *slots;
	unsigned n;
	uint64_t serial;
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct error why; /* the first failure */
};

enum err rbd_ring_init(struct rbd_ring *ring, struct ceph_image *img,
	unsigned depth, struct error *err) MUST_CHECK;
/* Waits for what is on its way.  A zeroed ring is allowed. */
void rbd_ring_fini(struct rbd_ring *ring);

/* Any thread; data NULL: zeroes.  Fails for an earlier one, too. */
enum err rbd_ring_write(struct rbd_ring *ring, uint64_t off, const void *data,
	uint64_t len, struct error *err) MUST_CHECK;

/* Until nothing is on its way; no other call is at work. */
enum err rbd_ring_drain(struct rbd_ring *ring, struct error *err) MUST_CHECK;

/* ---- the image ---- */

extern const struct option_spec rbd_target_options[];

struct rbd_target {
	struct target base;
	struct ceph *cluster;
	struct ceph_pool *pool;
	struct ceph_image *img; /* to write; NULL in a dry run */
	struct ceph_image *see; /* to read; NULL: there is none yet */
	struct ceph_info info;
	struct rbd_ring ring;
	struct rbd_record record;
	bool has_record;
	char *pool_name, *ns, *name;
	uint64_t size;
	bool is_new; /* made by this restore, or one that it goes on with */
};

/* Whether the image is stored without what it sees through its parent. */
bool rbd_target_is_layer(const struct rbd_target *r);

enum err rbd_target_make(struct rbd_target *r, const struct settings *s,
	struct error *err) MUST_CHECK;

enum err rbd_target_each_data(struct target *t, target_range_fn *fn, void *arg,
	struct error *err) MUST_CHECK;
enum err rbd_target_each_changed(struct target *t, const uint8_t *record,
	size_t len, target_range_fn *fn, void *arg,
	struct error *err) MUST_CHECK;

#endif /* TARGET_RBD_H */
