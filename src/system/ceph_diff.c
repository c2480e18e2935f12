/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ceph_diff: what changed between a snapshot and what is opened.
 *
 * librbd tells extents object by object.  With the usual layout that is in
 * ascending order, and they are passed on as they come; where several objects
 * share a stripe they are collected, some stripes at a time, and sorted.
 */
#include <rbd/librbd.h>

#include "system/ceph.h"
#include "system/ceph_lib.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"

/* Image bytes that are collected at a time: of 4 KiB extents, some 12 MiB. */
#define WINDOW ((uint64_t)2 << 30)

struct extent {
	uint64_t off, len;
	bool exists;
};

struct walk {
	struct ceph_image *img;
	const char *from;
	unsigned flags;
	ceph_diff_fn *fn;
	void *arg;
	uint64_t at, end; /* what may still come */
	bool collects;
	struct extent *v;
	size_t n, cap;
	enum err status;
	struct error *err;
};

static enum err
pass(struct walk *w, const struct extent *x)
{
	if (x->off < w->at || x->len > w->end - x->off)
		return err_set(w->err, ERR_IO,
			"%s: librbd told of %llu bytes at %llu out of order",
			w->img->label, (unsigned long long)x->len,
			(unsigned long long)x->off);
	w->at = x->off + x->len;
	return w->fn(w->arg, x->off, x->len, x->exists, w->err);
}

static enum err
collect(struct walk *w, const struct extent *x)
{
	struct extent *v = array_grow(w->v, w->n, &w->cap, sizeof(*v), w->err);

	if (v == NULL)
		return ERR_NOMEM;
	w->v = v;
	w->v[w->n++] = *x;
	return ERR_OK;
}

static int
told(uint64_t off, size_t len, int exists, void *arg)
{
	struct extent x = { off, len, exists != 0 };
	struct walk *w = arg;

	if (w->status == ERR_OK && len > 0)
		w->status = w->collects ? collect(w, &x) : pass(w, &x);
	return w->status == ERR_OK ? 0 : -ECANCELED;
}

static enum err
iterate(struct walk *w, uint64_t off, uint64_t len)
{
	int r = w->img->lib->rbd_diff_iterate2(w->img->rbd, w->from, off, len,
		(w->flags & CEPH_DIFF_PARENT) != 0,
		(w->flags & CEPH_DIFF_WHOLE) != 0, told, w);
	char from[CEPH_LABEL_MAX] = "";

	if (w->status != ERR_OK || r >= 0)
		return w->status;
	if (w->from == NULL)
		return ceph_fail(w->err, r, "%s: cannot ask what it holds",
			w->img->label);
	ceph_label_add(from, w->from);
	return ceph_fail(w->err, r, "%s: cannot ask what changed since @%s",
		w->img->label, from);
}

static int
by_offset(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

/* In windows of whole stripes, as far as off allows. */
static enum err
iterate_sorted(struct walk *w, uint64_t period)
{
	uint64_t window = WINDOW - WINDOW % period, off = w->at, end = w->end;
	enum err e = ERR_OK;

	if (window == 0)
		window = period;
	while (e == ERR_OK && off < end) {
		uint64_t len = window - off % window;

		if (len > end - off)
			len = end - off;
		w->n = 0;
		w->collects = true;
		e = iterate(w, off, len);
		w->collects = false;
		if (w->n > 1)
			qsort(w->v, w->n, sizeof(*w->v), by_offset);
		for (size_t i = 0; e == ERR_OK && i < w->n; i++)
			e = pass(w, &w->v[i]);
		off += len;
	}
	free(w->v);
	return e;
}

enum err
ceph_diff(struct ceph_image *img, const char *from, uint64_t off, uint64_t len,
	unsigned flags, ceph_diff_fn *fn, void *arg, struct error *err)
{
	struct walk w = { .img = img,
		.from = from,
		.flags = flags,
		.fn = fn,
		.arg = arg,
		.at = off,
		.status = ERR_OK,
		.err = err };
	rbd_image_info_t stat;
	uint64_t stripes = 0, period;
	int r = img->lib->rbd_stat(img->rbd, &stat, sizeof(stat));

	if (r == 0)
		r = img->lib->rbd_get_stripe_count(img->rbd, &stripes);
	if (r < 0)
		return ceph_fail(err, r, "%s: cannot ask what it is",
			img->label);
	if (off >= stat.size)
		return ERR_OK;
	w.end = len < stat.size - off ? off + len : stat.size;
	if (stripes <= 1)
		return iterate(&w, off, w.end - off);
	if (__builtin_mul_overflow(stripes, stat.obj_size, &period))
		return err_set(err, ERR_CORRUPT, "%s: stripes of %llu objects",
			img->label, (unsigned long long)stripes);
	return iterate_sorted(&w, period);
}
