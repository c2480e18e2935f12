/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ceph_patience: calls of librados and librbd that may never return.
 *
 * What changes an image's header asks for its lock first, and where the OSD
 * stops at the wrong moment librbd 16 waits for that without end, whatever the
 * time limits say.  librados has none for asking a monitor what the newest map
 * is, as it does for a pool that it does not know.  So what changes a header,
 * takes a lock or registers a watch (opening for writing), and what may ask for
 * a map, is called by a thread of its own, with what it needs and what it makes
 * in a record that is the thread's.  Who has waited for too long goes on
 * without it; the connection is lost from then on, and nothing of it is closed,
 * which would wait for the same.
 *
 * What is read of an image that was opened without write ends by the time limit
 * of the OSD: it asks for no lock, and has no watch.  One that is open for
 * writing takes notice of changes first, behind whatever it waits for, so all
 * that is asked of it is asked patiently, or of another handle.
 */
#ifndef SYSTEM_CEPH_PATIENCE_H
#define SYSTEM_CEPH_PATIENCE_H

#include "system/ceph_lib.h"

enum { CEPH_CALL_TEXTS = 4 };

/* What a call needs, and what it makes. */
struct ceph_call {
	const struct ceph_lib *lib;
	rados_t cluster;
	rados_ioctx_t io, from;
	rbd_image_t rbd;
	const char *text[CEPH_CALL_TEXTS]; /* copied; NULL: none */
	struct ceph_create make; /* its data_pool is one of the texts */
	uint64_t n;
	void *made;
	bool gone; /* the thread has it, and goes on alone */
};
typedef int ceph_call_fn(struct ceph_call *call);

/*
 * What run answers, or -ETIMEDOUT.  What it has set in its call is set in this
 * one then, but for texts.  Where nobody waits any more when run ends well, the
 * thread calls late (NULL: nothing) to undo it.
 */
int ceph_patiently(struct ceph *c, struct ceph_call *call, ceph_call_fn *run,
	ceph_call_fn *late);

/* The same for an image's call that needs no more than a, b and n. */
int ceph_patiently_on(struct ceph_image *img, ceph_call_fn *run, const char *a,
	const char *b, uint64_t n);

/*
 * What fn finds out of an image, patiently where it is open for writing: then
 * it gets a copy of img, whose c is NULL.  It fills found, which is freed by
 * drop where nobody waits any more: *lost says that it is not the caller's now.
 */
typedef enum err ceph_ask_fn(struct ceph_image *img, void *found,
	struct error *err);
enum err ceph_ask(struct ceph_image *img, ceph_ask_fn *fn, void *found,
	void (*drop)(void *found), bool *lost, struct error *err) MUST_CHECK;

/*
 * Waits for an operation of an image that is open for writing.  False: it did
 * not end, and the connection is lost; librbd may still use its buffer, if it
 * has not a copy of it.
 */
bool ceph_await(struct ceph_image *img, rbd_completion_t op);

/* The end of a connection. */
void ceph_shut_patiently(struct ceph *c);

#endif /* SYSTEM_CEPH_PATIENCE_H */
