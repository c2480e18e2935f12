/* SPDX-License-Identifier: Apache-2.0 */
/* ceph_image: opening an image, and what is known of it. */
#include <rbd/librbd.h>

#include "system/ceph.h"
#include "system/ceph_lib.h"
#include "system/ceph_patience.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening ---- */

static int
call_snap_id(struct ceph_call *call)
{
	return call->lib->rbd_snap_set_by_id(call->rbd, call->n);
}

static enum err
go_to_snap_id(struct ceph_image *img, uint64_t id, struct error *err)
{
	char number[32];
	int r = ceph_patiently_on(img, call_snap_id, NULL, NULL, id);

	(void)snprintf(number, sizeof(number), "@%llu", (unsigned long long)id);
	ceph_label_add(img->label, number);
	return r < 0 ? ceph_fail(err, r, "%s: no such snapshot", img->label)
		     : ERR_OK;
}

static enum err
missing(struct ceph_image *img, const char *snap, int r, struct error *err)
{
	if (r != -ENOENT)
		return ceph_fail(err, r, "%s: cannot open it", img->label);
	return err_set(err, ERR_NOTFOUND, "%s: there is no such image%s",
		img->label, snap != NULL ? " or snapshot" : "");
}

static int
call_close(struct ceph_call *call)
{
	return call->lib->rbd_close(call->rbd);
}

/* An image that was just opened; n: whether it is of the old format. */
static int
look_at(struct ceph_call *call)
{
	uint8_t old = 0;
	int r = call->lib->rbd_get_old_format(call->rbd, &old);

	if (r < 0)
		(void)call_close(call);
	call->n = old;
	return r;
}

static int
call_open(struct ceph_call *call)
{
	int r = call->lib->rbd_open(call->io, call->text[0], &call->rbd,
		call->text[1]);

	return r < 0 ? r : look_at(call);
}

static int
call_open_to_read(struct ceph_call *call)
{
	int r = call->lib->rbd_open_read_only(call->io, call->text[0],
		&call->rbd, call->text[1]);

	return r < 0 ? r : look_at(call);
}

static enum err
open_rbd(struct ceph_image *img, struct ceph_pool *p, const char *name,
	const struct ceph_open *how, struct error *err)
{
	struct ceph_call call = { .io = p->io, .text = { name, how->snap } };
	int r = ceph_patiently(p->c, &call,
		how->write ? call_open : call_open_to_read, call_close);

	if (r < 0)
		return missing(img, how->snap, r, err);
	img->rbd = call.rbd;
	if (call.n != 0)
		return err_set(err, ERR_VERSION,
			"%s: its format, 1, is not supported (rbd migration "
			"makes it 2)",
			img->label);
	if (how->snap == NULL && how->snap_id != 0)
		return go_to_snap_id(img, how->snap_id, err);
	return ERR_OK;
}

enum err
ceph_image_open(struct ceph_image **out, struct ceph_pool *p, const char *name,
	const struct ceph_open *how, struct error *err)
{
	struct ceph_image *img = calloc(1, sizeof(*img));
	enum err e;

	if (img == NULL)
		return err_set(err, ERR_NOMEM, "no memory for an image");
	img->lib = p->c->lib;
	img->c = p->c;
	img->cluster = p->c->cluster;
	img->write = how->write;
	ceph_label_image(img->label, p, name);
	if (how->snap != NULL) {
		ceph_label_add(img->label, "@");
		ceph_label_add(img->label, how->snap);
	}
	e = open_rbd(img, p, name, how, err);
	if (e == ERR_OK)
		*out = img;
	else
		ceph_image_close(img);
	return e;
}

void
ceph_image_close(struct ceph_image *img)
{
	if (img == NULL)
		return;
	if (img->rbd != NULL)
		(void)ceph_patiently_on(img, call_close, NULL, NULL, 0);
	free(img);
}

/* ---- what is known of it ---- */

static enum err
get_basics(struct ceph_image *img, struct ceph_info *info, struct error *err)
{
	const struct ceph_lib *lib = img->lib;
	rbd_image_info_t stat = { .size = 0 };
	struct timespec t = { 0 };
	uint64_t flags = 0;
	int r;

	r = lib->rbd_get_id(img->rbd, info->id, sizeof(info->id));
	if (r == 0)
		r = lib->rbd_stat(img->rbd, &stat, sizeof(stat));
	if (r == 0)
		r = lib->rbd_get_features(img->rbd, &info->features);
	if (r == 0)
		r = lib->rbd_get_flags(img->rbd, &flags);
	if (r == 0)
		r = lib->rbd_get_stripe_unit(img->rbd, &info->stripe_unit);
	if (r == 0)
		r = lib->rbd_get_stripe_count(img->rbd, &info->stripe_count);
	if (r == 0)
		r = lib->rbd_get_create_timestamp(img->rbd, &t);
	if (r < 0)
		return ceph_fail(err, r, "%s: cannot ask what it is",
			img->label);
	info->size = stat.size;
	info->order = (unsigned)stat.order;
	info->fast_diff = (info->features & RBD_FEATURE_FAST_DIFF) != 0 &&
			  (flags & (RBD_FLAG_FAST_DIFF_INVALID |
					   RBD_FLAG_OBJECT_MAP_INVALID)) == 0;
	info->created.sec = t.tv_sec;
	info->created.nsec = (uint32_t)t.tv_nsec;
	return ERR_OK;
}

static enum err
get_data_pool(struct ceph_image *img, struct ceph_info *info, struct error *err)
{
	int64_t id;
	int r;

	if ((info->features & RBD_FEATURE_DATA_POOL) == 0)
		return ERR_OK;
	id = img->lib->rbd_get_data_pool_id(img->rbd);
	r = img->lib->rados_pool_reverse_lookup(img->cluster, id,
		info->data_pool, sizeof(info->data_pool));
	return r < 0 ? ceph_fail(err, r, "%s: its data pool, number %lld",
			       img->label, (long long)id)
		     : ERR_OK;
}

static bool
keep_name(char *to, size_t size, const char *from)
{
	size_t len = from != NULL ? strlen(from) : 0;

	if (len >= size)
		return false;
	memcpy(to, from != NULL ? from : "", len + 1);
	return true;
}

static bool
keep_parent(struct ceph_parent *to, const rbd_linked_image_spec_t *image,
	const rbd_snap_spec_t *snap)
{
	to->snap_id = snap->id;
	return keep_name(to->pool, sizeof(to->pool), image->pool_name) &&
	       keep_name(to->ns, sizeof(to->ns), image->pool_namespace) &&
	       keep_name(to->image, sizeof(to->image), image->image_name) &&
	       keep_name(to->image_id, sizeof(to->image_id), image->image_id) &&
	       keep_name(to->snap, sizeof(to->snap), snap->name);
}

static enum err
get_parent(struct ceph_image *img, struct ceph_info *info, struct error *err)
{
	const struct ceph_lib *lib = img->lib;
	rbd_linked_image_spec_t image = { 0 };
	rbd_snap_spec_t snap = { 0 };
	bool fits;
	int r = lib->rbd_get_parent(img->rbd, &image, &snap);

	if (r == -ENOENT)
		return ERR_OK;
	if (r < 0)
		return ceph_fail(err, r, "%s: cannot ask for its parent",
			img->label);
	fits = keep_parent(&info->parent, &image, &snap);
	lib->rbd_linked_image_spec_cleanup(&image);
	lib->rbd_snap_spec_cleanup(&snap);
	if (!fits)
		return err_set(err, ERR_CORRUPT,
			"%s: a name of its parent is too long", img->label);
	r = lib->rbd_get_overlap(img->rbd, &info->parent.overlap);
	if (r < 0)
		return ceph_fail(err, r, "%s: cannot ask for its parent",
			img->label);
	info->has_parent = true;
	return ERR_OK;
}

static enum err
ask_info(struct ceph_image *img, void *found, struct error *err)
{
	struct ceph_info *info = found;
	enum err e = get_basics(img, info, err);

	if (e == ERR_OK)
		e = get_data_pool(img, info, err);
	if (e == ERR_OK)
		e = get_parent(img, info, err);
	return e;
}

enum err
ceph_image_info(struct ceph_image *img, struct ceph_info *out,
	struct error *err)
{
	struct ceph_info *info = calloc(1, sizeof(*info));
	bool lost;
	enum err e;

	if (info == NULL)
		return err_set(err, ERR_NOMEM, "no memory to ask what %s is",
			img->label);
	e = ceph_ask(img, ask_info, info, free, &lost, err);
	if (e == ERR_OK)
		*out = *info;
	if (!lost)
		free(info);
	return e;
}

/* ---- who else has it ---- */

struct watchers {
	uint64_t we; /* who are not counted */
	unsigned others;
};

static enum err
ask_watchers(struct ceph_image *img, void *found, struct error *err)
{
	const struct ceph_lib *lib = img->lib;
	struct watchers *w = found;
	rbd_image_watcher_t *list = NULL;
	size_t room = 8, len = 0;
	int r = -ERANGE;

	for (int i = 0; i < 16 && r == -ERANGE; i++) {
		free(list);
		room += 8;
		list = calloc(room, sizeof(*list));
		if (list == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory for watchers");
		len = room;
		r = lib->rbd_watchers_list(img->rbd, list, &len);
		if (r == -ERANGE)
			room = len;
	}
	if (r < 0) {
		free(list);
		return ceph_fail(err, r, "%s: cannot ask who has it open",
			img->label);
	}
	for (size_t i = 0; i < len; i++)
		if ((uint64_t)list[i].id != w->we)
			w->others++;
	lib->rbd_watchers_list_cleanup(list, len);
	free(list);
	return ERR_OK;
}

enum err
ceph_watchers(struct ceph_image *img, unsigned *n, struct error *err)
{
	struct watchers *w = calloc(1, sizeof(*w));
	bool lost;
	enum err e;

	if (w == NULL)
		return err_set(err, ERR_NOMEM, "no memory for watchers");
	w->we = img->c->client;
	e = ceph_ask(img, ask_watchers, w, free, &lost, err);
	if (e == ERR_OK)
		*n = w->others;
	if (!lost)
		free(w);
	return e;
}

/* n: whether the image lacks the feature. */
static int
call_lock(struct ceph_call *call)
{
	uint64_t features = 0;
	int r = call->lib->rbd_get_features(call->rbd, &features);

	call->n = r == 0 && (features & RBD_FEATURE_EXCLUSIVE_LOCK) == 0;
	return r < 0 || call->n != 0 ? r
				     : call->lib->rbd_lock_acquire(call->rbd,
					       RBD_LOCK_MODE_EXCLUSIVE);
}

enum err
ceph_lock(struct ceph_image *img, struct error *err)
{
	struct ceph_call call = { .rbd = img->rbd };
	int r = ceph_patiently(img->c, &call, call_lock, NULL);

	if (r >= 0 && call.n != 0)
		return err_set(err, ERR_VERSION,
			"%s: it has not the feature exclusive-lock",
			img->label);
	return r < 0 ? ceph_fail(err, r, "%s: cannot lock it", img->label)
		     : ERR_OK;
}
