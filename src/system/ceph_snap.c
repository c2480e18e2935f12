/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ceph_snap: the snapshots of an image.
 *
 * Where an OSD does not answer, neither to the operation nor to the notice of
 * it that librbd 16 sends then, it forgets that the operation failed and tells
 * of success.  So what was done is looked for before it is believed.
 */
#include <rbd/librbd.h>

#include "system/ceph.h"
#include "system/ceph_lib.h"
#include "system/ceph_patience.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

enum { LIST_TRIES = 16, LIST_FIRST = 32 };

/* Those of an image: as librbd tells them, whose names they are, and as we do,
 * sorted. */
struct snaps {
	const struct ceph_lib *lib;
	rbd_snap_info_t *told;
	struct ceph_snap *v;
	size_t n;
};

static void
snaps_free(void *found)
{
	struct snaps *s = found;

	if (s->told != NULL)
		s->lib->rbd_snap_list_end(s->told);
	free(s->told);
	free(s->v);
	free(s);
}

static enum err
list(struct ceph_image *img, rbd_snap_info_t **out, size_t *n,
	struct error *err)
{
	rbd_snap_info_t *snaps = NULL;
	int room = LIST_FIRST, r = -ERANGE;

	for (int i = 0; i < LIST_TRIES && r == -ERANGE; i++) {
		free(snaps);
		snaps = calloc((size_t)room, sizeof(*snaps));
		if (snaps == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory for %d snapshots", room);
		/* Where it does not fit, room is what would. */
		r = img->lib->rbd_snap_list(img->rbd, snaps, &room);
	}
	if (r < 0) {
		free(snaps);
		return ceph_fail(err, r, "%s: cannot list its snapshots",
			img->label);
	}
	*out = snaps;
	*n = (size_t)r;
	return ERR_OK;
}

static int
by_id(const void *a, const void *b)
{
	const struct ceph_snap *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/* -ENOENT: it has gone meanwhile. */
static int
complete(struct ceph_image *img, struct ceph_snap *s)
{
	const struct ceph_lib *lib = img->lib;
	rbd_snap_namespace_type_t type;
	struct timespec t = { 0 };
	int on = 0, r;

	r = lib->rbd_snap_get_namespace_type(img->rbd, s->id, &type);
	if (r < 0)
		return r;
	s->user = type == RBD_SNAP_NAMESPACE_TYPE_USER;
	r = lib->rbd_snap_get_timestamp(img->rbd, s->id, &t);
	if (r < 0)
		return r;
	s->created.sec = t.tv_sec;
	s->created.nsec = (uint32_t)t.tv_nsec;
	if (!s->user)
		return 0;
	r = lib->rbd_snap_is_protected(img->rbd, s->name, &on);
	s->is_protected = on != 0;
	return r;
}

static enum err
ask_snaps(struct ceph_image *img, void *found, struct error *err)
{
	struct snaps *s = found;
	size_t told = 0;
	enum err e = list(img, &s->told, &told, err);
	int r;

	if (e != ERR_OK)
		return e;
	s->v = calloc(told + 1, sizeof(*s->v));
	if (s->v == NULL)
		return err_set(err, ERR_NOMEM, "no memory for %zu snapshots",
			told);
	for (size_t i = 0; i < told; i++) {
		struct ceph_snap *one = &s->v[s->n];

		*one = (struct ceph_snap){ .id = s->told[i].id,
			.size = s->told[i].size,
			.name = s->told[i].name };
		r = complete(img, one);
		if (r == 0)
			s->n++;
		else if (r != -ENOENT)
			return ceph_fail(err, r,
				"%s: cannot ask for a snapshot", img->label);
	}
	qsort(s->v, s->n, sizeof(*s->v), by_id);
	return ERR_OK;
}

enum err
ceph_each_snap(struct ceph_image *img, ceph_snap_fn *fn, void *arg,
	struct error *err)
{
	struct snaps *s = calloc(1, sizeof(*s));
	bool lost;
	enum err e;

	if (s == NULL)
		return err_set(err, ERR_NOMEM, "no memory for snapshots");
	s->lib = img->lib;
	e = ceph_ask(img, ask_snaps, s, snaps_free, &lost, err);
	if (lost)
		return e;
	for (size_t i = 0; e == ERR_OK && i < s->n; i++)
		e = fn(arg, &s->v[i], err);
	snaps_free(s);
	return e;
}

/* What failed for one of its snapshots. */
static enum err
fail(struct ceph_image *img, const char *name, int r, const char *what,
	struct error *err)
{
	char snap[CEPH_LABEL_MAX] = "";

	ceph_label_add(snap, name);
	return ceph_fail(err, r, "%s@%s: cannot %s", img->label, snap, what);
}

/* 0 where the snapshot is there, or is not, as it should be. */
static int
confirm(const struct ceph_call *call, bool there)
{
	uint64_t id = 0;
	int r = call->lib->rbd_snap_get_id(call->rbd, call->text[0], &id);

	if (r == -ENOENT)
		return there ? -ETIMEDOUT : 0;
	return r == 0 && !there ? -ETIMEDOUT : r;
}

static int
call_create(struct ceph_call *call)
{
	int r = call->lib->rbd_snap_create2(call->rbd, call->text[0],
		(uint32_t)call->n, ceph_no_progress, NULL);

	return r == 0 ? confirm(call, true) : r;
}

static int
call_remove(struct ceph_call *call)
{
	int r = call->lib->rbd_snap_remove(call->rbd, call->text[0]);

	return r == 0 ? confirm(call, false) : r;
}

enum err
ceph_snap_create(struct ceph_image *img, const char *name, bool quiesce,
	struct error *err)
{
	uint32_t flags = quiesce ? 0 : RBD_SNAP_CREATE_SKIP_QUIESCE;
	int r = ceph_patiently_on(img, call_create, name, NULL, flags);

	/* The watchers' answer, which did not come, is a broken one to it. */
	if (quiesce && r == -EBADMSG)
		r = -ETIMEDOUT;
	return r < 0 ? fail(img, name, r, "make the snapshot", err) : ERR_OK;
}

enum err
ceph_snap_remove(struct ceph_image *img, const char *name, struct error *err)
{
	int r = ceph_patiently_on(img, call_remove, name, NULL, 0);

	return r < 0 ? fail(img, name, r, "remove the snapshot", err) : ERR_OK;
}
