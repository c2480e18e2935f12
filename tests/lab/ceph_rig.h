/* SPDX-License-Identifier: Apache-2.0 */
/* ceph_rig: a real Ceph for a test program, below a scratch directory. */
#ifndef TESTS_LAB_CEPH_RIG_H
#define TESTS_LAB_CEPH_RIG_H

#include <stdbool.h>

#include "system/ceph.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"

struct rig {
	char dir[64], conf[80];
	struct ceph *c; /* as client.admin */
	struct ceph_pool *volumes, *backups;
};

/* Start a cluster on the ports from port on; options as of ceph-up, NULL at
 * the end.  Ends the program with 77, a skip, where Ceph is not installed. */
void rig_start(struct rig *w, const char *port, ...) __attribute__((sentinel));
void rig_stop(struct rig *w);

/* A connection of its own. */
struct ceph *rig_connect(const struct rig *w, unsigned timeout_sec);
struct ceph_pool *rig_pool(struct ceph *c, const char *pool, const char *ns);
struct ceph_image *rig_open(struct ceph_pool *p, const char *name,
	const char *snap, bool write);
void rig_create(struct ceph_pool *p, const char *name, uint64_t size);

/* A program, "rbd" and "ceph" on this cluster; false: it failed.  NULL at the
 * end of the words. */
bool rig_try(struct rig *w, const char *program, ...) __attribute__((sentinel));
void rig_run(struct rig *w, const char *program, ...) __attribute__((sentinel));

/* Daemons: "osd.0", "mon.a". */
void rig_kill(struct rig *w, const char *daemon);
/* SIGSTOP and SIGCONT: it does not answer, and nobody is told. */
void rig_pause(struct rig *w, const char *daemon);
void rig_resume(struct rig *w, const char *daemon);
void rig_start_again(struct rig *w, const char *daemon);

/* Read, write or zero, and wait. */
void rig_write(struct ceph_image *img, uint64_t off, const void *data,
	size_t len);
void rig_read(struct ceph_image *img, uint64_t off, void *data, size_t len);

#endif /* TESTS_LAB_CEPH_RIG_H */
