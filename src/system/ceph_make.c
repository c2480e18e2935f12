/* SPDX-License-Identifier: Apache-2.0 */
/* ceph_make: images come, change their size, and go. */
#include <rbd/librbd.h>

#include "system/ceph.h"
#include "system/ceph_lib.h"
#include "system/ceph_patience.h"

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
	const struct ceph_create *conf, const char *data_pool)
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
	if (r == 0 && data_pool != NULL)
		r = lib->rbd_image_options_set_string(opts,
			RBD_IMAGE_OPTION_DATA_POOL, data_pool);
	return r;
}

static enum err
not_made(const char *label, int r, struct error *err)
{
	if (r == -EEXIST)
		return err_set(err, ERR_EXISTS, "%s: it exists already", label);
	return ceph_fail(err, r, "%s: cannot create it", label);
}

/* The texts of what is made: its name, its data pool, its parent. */
enum { NAME, DATA_POOL, PARENT, SNAP };

static int
call_create(struct ceph_call *call)
{
	const struct ceph_lib *lib = call->lib;
	rbd_image_options_t opts;
	int r;

	lib->rbd_image_options_create(&opts);
	r = set_options(lib, opts, &call->make, call->text[DATA_POOL]);
	if (r == 0)
		r = lib->rbd_create4(call->io, call->text[NAME],
			call->make.size, opts);
	lib->rbd_image_options_destroy(opts);
	return r;
}

static int
clone_by(const struct ceph_call *call, rbd_image_options_t opts)
{
	return call->lib->rbd_clone3(call->from, call->text[PARENT],
		call->text[SNAP], call->io, call->text[NAME], opts);
}

static int
call_clone(struct ceph_call *call)
{
	const struct ceph_lib *lib = call->lib;
	rbd_image_options_t opts;
	int r;

	lib->rbd_image_options_create(&opts);
	r = set_options(lib, opts, &call->make, call->text[DATA_POOL]);
	if (r == 0)
		r = clone_by(call, opts);
	/* Where the cluster admits old clients, and nobody said otherwise,
	 * librbd makes clones of format 1, whose parents are protected. */
	if (r == -EINVAL && lib->rbd_image_options_set_uint64(opts,
				    RBD_IMAGE_OPTION_CLONE_FORMAT, 2) == 0)
		r = clone_by(call, opts);
	lib->rbd_image_options_destroy(opts);
	return r;
}

static enum err
make(struct ceph_pool *p, struct ceph_call *call, ceph_call_fn *run,
	const struct ceph_create *conf, struct error *err)
{
	char label[CEPH_LABEL_MAX];
	int r;

	call->io = p->io;
	call->text[DATA_POOL] = conf->data_pool;
	call->make = *conf;
	call->make.data_pool = NULL;
	ceph_label_image(label, p, call->text[NAME]);
	r = ceph_patiently(p->c, call, run, NULL);
	return r < 0 ? not_made(label, r, err) : ERR_OK;
}

enum err
ceph_image_create(struct ceph_pool *p, const char *name,
	const struct ceph_create *conf, struct error *err)
{
	struct ceph_call call = { .text = { [NAME] = name } };

	return make(p, &call, call_create, conf, err);
}

enum err
ceph_image_clone(struct ceph_pool *parent_pool, const char *parent,
	const char *snap, struct ceph_pool *p, const char *name,
	const struct ceph_create *conf, struct error *err)
{
	struct ceph_call call = { .from = parent_pool->io,
		.text = { [NAME] = name, [PARENT] = parent, [SNAP] = snap } };

	return make(p, &call, call_clone, conf, err);
}

static int
call_resize(struct ceph_call *call)
{
	uint64_t is = 0;
	int r = call->lib->rbd_resize2(call->rbd, call->n, true,
		ceph_no_progress, NULL);

	/* Success may not be one, see ceph_snap.c. */
	if (r == 0)
		r = call->lib->rbd_get_size(call->rbd, &is);
	return r == 0 && is != call->n ? -ETIMEDOUT : r;
}

enum err
ceph_image_resize(struct ceph_image *img, uint64_t size, struct error *err)
{
	int r = ceph_patiently_on(img, call_resize, NULL, NULL, size);

	return r < 0 ? ceph_fail(err, r, "%s: cannot resize it to %llu bytes",
			       img->label, (unsigned long long)size)
		     : ERR_OK;
}
