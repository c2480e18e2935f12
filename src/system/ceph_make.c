/* SPDX-License-Identifier: Apache-2.0 */
/* ceph_make: images come, change their size, and go. */
#include <rbd/librbd.h>

#include "system/ceph.h"
#include "system/ceph_lib.h"

#include <errno.h>

static int
set_number(const struct ceph_lib *lib, rbd_image_options_t opts, int which,
	uint64_t value)
{
	return value == 0
		       ? 0
		       : lib->rbd_image_options_set_uint64(opts, which, value);
}

static int
set_options(const struct ceph_lib *lib, rbd_image_options_t opts,
	const struct ceph_create *conf)
{
	int r = 0;

	if (conf->has_features)
		r = lib->rbd_image_options_set_uint64(opts,
			RBD_IMAGE_OPTION_FEATURES, conf->features);
	if (r == 0)
		r = set_number(lib, opts, RBD_IMAGE_OPTION_ORDER, conf->order);
	if (r == 0)
		r = set_number(lib, opts, RBD_IMAGE_OPTION_STRIPE_UNIT,
			conf->stripe_unit);
	if (r == 0)
		r = set_number(lib, opts, RBD_IMAGE_OPTION_STRIPE_COUNT,
			conf->stripe_count);
	if (r == 0 && conf->data_pool != NULL)
		r = lib->rbd_image_options_set_string(opts,
			RBD_IMAGE_OPTION_DATA_POOL, conf->data_pool);
	return r;
}

static enum err
not_made(const char *label, int r, struct error *err)
{
	if (r == -EEXIST)
		return err_set(err, ERR_EXISTS, "%s: it exists already", label);
	return ceph_fail(err, r, "%s: cannot create it", label);
}

enum err
ceph_image_create(struct ceph_pool *p, const char *name,
	const struct ceph_create *conf, struct error *err)
{
	const struct ceph_lib *lib = p->c->lib;
	char label[CEPH_LABEL_MAX];
	rbd_image_options_t opts;
	int r;

	ceph_label_image(label, p, name);
	lib->rbd_image_options_create(&opts);
	r = set_options(lib, opts, conf);
	if (r == 0)
		r = lib->rbd_create4(p->io, name, conf->size, opts);
	lib->rbd_image_options_destroy(opts);
	return r < 0 ? not_made(label, r, err) : ERR_OK;
}

enum err
ceph_image_clone(struct ceph_pool *parent_pool, const char *parent,
	const char *snap, struct ceph_pool *p, const char *name,
	const struct ceph_create *conf, struct error *err)
{
	const struct ceph_lib *lib = p->c->lib;
	char label[CEPH_LABEL_MAX];
	rbd_image_options_t opts;
	int r;

	ceph_label_image(label, p, name);
	lib->rbd_image_options_create(&opts);
	r = set_options(lib, opts, conf);
	if (r == 0)
		r = lib->rbd_clone3(parent_pool->io, parent, snap, p->io, name,
			opts);
	/* Where the cluster admits old clients, and nobody said otherwise,
	 * librbd makes clones of format 1, whose parents are protected. */
	if (r == -EINVAL && lib->rbd_image_options_set_uint64(opts,
				    RBD_IMAGE_OPTION_CLONE_FORMAT, 2) == 0)
		r = lib->rbd_clone3(parent_pool->io, parent, snap, p->io, name,
			opts);
	lib->rbd_image_options_destroy(opts);
	return r < 0 ? not_made(label, r, err) : ERR_OK;
}

enum err
ceph_image_resize(struct ceph_image *img, uint64_t size, struct error *err)
{
	uint64_t is = 0;
	int r = img->lib->rbd_resize2(img->rbd, size, true, ceph_no_progress,
		NULL);

	/* Success may not be one, see ceph_snap.c. */
	if (r == 0)
		r = img->lib->rbd_get_size(img->rbd, &is);
	if (r == 0 && is != size)
		r = -ETIMEDOUT;
	return r < 0 ? ceph_fail(err, r, "%s: cannot resize it to %llu bytes",
			       img->label, (unsigned long long)size)
		     : ERR_OK;
}
