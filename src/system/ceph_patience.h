/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ceph_patience: calls of librbd that may never return.
 *
 * What changes an image's header asks for its lock first, and where the OSD
 * stops at the wrong moment librbd 16 waits for that without end, whatever the
 * time limits say.  Such a call is made by a thread of its own.  Who has waited
 * for too long goes on without it; the connection is lost from then on, and
 * nothing of it is closed, which would wait for the same.
 */
#ifndef SYSTEM_CEPH_PATIENCE_H
#define SYSTEM_CEPH_PATIENCE_H

#include "system/ceph_lib.h"

/* An image's call; a, b and n as it needs them. */
struct ceph_call {
	const struct ceph_lib *lib;
	rbd_image_t rbd;
	const char *a, *b;
	uint64_t n;
};
typedef int ceph_call_fn(const struct ceph_call *call);

/* What run answers, or -ETIMEDOUT.  Texts (NULL: none) are copied. */
int ceph_patiently(struct ceph_image *img, ceph_call_fn *run, const char *a,
	const char *b, uint64_t n);

/*
 * Waits for an operation that writes.  False: it did not end, and the
 * connection is lost; librbd has a copy of what is written.  (Reads ask for no
 * lock, and end by the time limit of the OSD.)
 */
bool ceph_await_write(struct ceph_image *img, rbd_completion_t op);

/* The same for the end of a connection. */
void ceph_shut_patiently(struct ceph *c);

#endif /* SYSTEM_CEPH_PATIENCE_H */
