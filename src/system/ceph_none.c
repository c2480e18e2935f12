/* SPDX-License-Identifier: Apache-2.0 */
/* ceph_none: what a program says that was built without librbd's headers.
 * Where nothing can be connected to, nothing else can be reached. */
#include "system/ceph.h"

#define NEVER(name, ...)                                                    \
	enum err name(__VA_ARGS__, struct error *err)                       \
	{                                                                   \
		return err_set(err, ERR_VERSION,                            \
			"this coffer was built without Ceph (librbd-dev)"); \
	}

/* clang-format off */
NEVER(ceph_connect, struct ceph **out, const struct ceph_conf *conf)
NEVER(ceph_pool_open, struct ceph_pool **out, struct ceph *c,
	const char *pool, const char *ns)
NEVER(ceph_each_image, struct ceph_pool *p, ceph_name_fn *fn, void *arg)
NEVER(ceph_each_group_image, struct ceph_pool *p, const char *group,
	ceph_name_fn *fn, void *arg)
NEVER(ceph_group_snap_create, struct ceph_pool *p, const char *group,
	const char *snap)
NEVER(ceph_group_snap_remove, struct ceph_pool *p, const char *group,
	const char *snap)
NEVER(ceph_image_open, struct ceph_image **out, struct ceph_pool *p,
	const char *name, const struct ceph_open *how)
NEVER(ceph_image_info, struct ceph_image *img, struct ceph_info *out)
NEVER(ceph_each_meta, struct ceph_image *img, ceph_meta_fn *fn, void *arg)
NEVER(ceph_meta_get, struct ceph_image *img, const char *key, char **value)
NEVER(ceph_meta_set, struct ceph_image *img, const char *key,
	const char *value)
NEVER(ceph_meta_remove, struct ceph_image *img, const char *key)
NEVER(ceph_each_snap, struct ceph_image *img, ceph_snap_fn *fn, void *arg)
NEVER(ceph_snap_create, struct ceph_image *img, const char *name,
	bool quiesce)
NEVER(ceph_snap_remove, struct ceph_image *img, const char *name)
NEVER(ceph_watchers, struct ceph_image *img, unsigned *n)
NEVER(ceph_lock, struct ceph_image *img)
/* NOLINTNEXTLINE(readability-function-size): as in ceph_diff.c */
NEVER(ceph_diff, struct ceph_image *img, const char *from, uint64_t off,
	uint64_t len, unsigned flags, ceph_diff_fn *fn, void *arg)
NEVER(ceph_read, struct ceph_op *op, struct ceph_image *img, uint64_t off,
	void *data, size_t len)
NEVER(ceph_write, struct ceph_op *op, struct ceph_image *img, uint64_t off,
	const void *data, size_t len)
NEVER(ceph_zero, struct ceph_op *op, struct ceph_image *img, uint64_t off,
	uint64_t len)
NEVER(ceph_flush, struct ceph_op *op, struct ceph_image *img)
NEVER(ceph_op_wait, struct ceph_op *op)
NEVER(ceph_image_create, struct ceph_pool *p, const char *name,
	const struct ceph_create *conf)
NEVER(ceph_image_clone, struct ceph_pool *parent_pool, const char *parent,
	const char *snap, struct ceph_pool *p, const char *name,
	const struct ceph_create *conf)
NEVER(ceph_image_resize, struct ceph_image *img, uint64_t size)
/* clang-format on */

void
ceph_disconnect(struct ceph *c)
{
}

void
ceph_pool_close(struct ceph_pool *p)
{
}

void
ceph_image_close(struct ceph_image *img)
{
}

const char *
ceph_fsid(const struct ceph *c)
{
	return "";
}

const char *
ceph_pool_name(const struct ceph_pool *p)
{
	return "";
}

const char *
ceph_pool_ns(const struct ceph_pool *p)
{
	return "";
}
