/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ceph_lib: librados and librbd as a table of functions, and what the files
 * of ceph share.  Who includes this includes <rbd/librbd.h> before, whose
 * types and prototypes the table has.
 */
#ifndef SYSTEM_CEPH_LIB_H
#define SYSTEM_CEPH_LIB_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "system/ceph.h"

/* clang-format off */
#define CEPH_RADOS_CALLS(X)                                                   \
	X(rados_create) X(rados_conf_read_file) X(rados_conf_set)             \
	X(rados_connect) X(rados_shutdown) X(rados_cluster_fsid)              \
	X(rados_get_instance_id) X(rados_pool_reverse_lookup)                 \
	X(rados_ioctx_create) X(rados_ioctx_destroy)                          \
	X(rados_ioctx_set_namespace) X(rados_set_pool_full_try)

#define CEPH_RBD_CALLS(X)                                                     \
	X(rbd_list2) X(rbd_image_spec_list_cleanup) X(rbd_namespace_exists)   \
	X(rbd_group_list)                                                     \
	X(rbd_group_image_list) X(rbd_group_image_list_cleanup)               \
	X(rbd_group_snap_create2) X(rbd_group_snap_remove)                    \
	X(rbd_open) X(rbd_open_read_only) X(rbd_close)                        \
	X(rbd_snap_set_by_id) X(rbd_snap_get_id)                              \
	X(rbd_get_old_format) X(rbd_get_id) X(rbd_stat) X(rbd_get_size)       \
	X(rbd_get_features)                                                   \
	X(rbd_get_flags) X(rbd_get_stripe_unit) X(rbd_get_stripe_count)       \
	X(rbd_get_data_pool_id) X(rbd_get_create_timestamp)                   \
	X(rbd_get_overlap) X(rbd_get_parent)                                  \
	X(rbd_linked_image_spec_cleanup) X(rbd_snap_spec_cleanup)             \
	X(rbd_metadata_list) X(rbd_metadata_get) X(rbd_metadata_set)          \
	X(rbd_metadata_remove)                                                \
	X(rbd_snap_list) X(rbd_snap_list_end) X(rbd_snap_get_timestamp)       \
	X(rbd_snap_get_namespace_type) X(rbd_snap_create2)                    \
	X(rbd_snap_remove)                                                    \
	X(rbd_snap_is_protected)                                              \
	X(rbd_watchers_list) X(rbd_watchers_list_cleanup)                     \
	X(rbd_lock_acquire)                                                   \
	X(rbd_diff_iterate2)                                                  \
	X(rbd_aio_create_completion) X(rbd_aio_is_complete)                   \
	X(rbd_aio_wait_for_complete) X(rbd_aio_get_return_value)              \
	X(rbd_aio_release) X(rbd_aio_read2) X(rbd_aio_write2)                 \
	X(rbd_aio_write_zeroes) X(rbd_aio_flush)                              \
	X(rbd_image_options_create) X(rbd_image_options_destroy)              \
	X(rbd_image_options_set_uint64) X(rbd_image_options_set_string)       \
	X(rbd_create4) X(rbd_clone3) X(rbd_resize2)
/* clang-format on */

struct ceph_lib {
#define X(name) __typeof__(name) *name;
	CEPH_RADOS_CALLS(X)
	CEPH_RBD_CALLS(X)
#undef X
};

/* The same table in each call, which lives as long as the process. */
enum err ceph_lib_get(const struct ceph_lib **out,
	struct error *err) MUST_CHECK;

struct ceph {
	const struct ceph_lib *lib;
	rados_t cluster;
	uint64_t client; /* the number that the cluster knows us by */
	char fsid[40];
	unsigned timeout_sec;
	/* A call did not come back: nothing of this is used or closed any
	 * more (ceph_patience.h). */
	_Atomic bool lost;
};

/* Names as messages show them: not in full where they are very long, and
 * nothing in them moves a terminal. */
enum { CEPH_LABEL_MAX = 320 };

struct ceph_pool {
	struct ceph *c;
	rados_ioctx_t io;
	char *name, *ns;
	char label[CEPH_LABEL_MAX]; /* POOL[/NS] */
};

struct ceph_image {
	const struct ceph_lib *lib;
	struct ceph *c;
	rados_t cluster;
	rbd_image_t rbd;
	bool write;
	char label[CEPH_LABEL_MAX]; /* POOL[/NS]/IMAGE[@SNAP] */
};

/* Append text, or its beginning, to what is in label. */
void ceph_label_add(char label[CEPH_LABEL_MAX], const char *text);
/* POOL[/NS]/IMAGE */
void ceph_label_image(char label[CEPH_LABEL_MAX], const struct ceph_pool *p,
	const char *image);

/* What librados or librbd answered: r < 0 is an errno. */
enum err ceph_fail(struct error *err, int r, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* For calls that insist on telling how far they are. */
int ceph_no_progress(uint64_t done, uint64_t total, void *arg);

#endif /* SYSTEM_CEPH_LIB_H */
