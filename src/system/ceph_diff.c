/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ceph_diff: what changed between a snapshot and what is opened.
 *
 * librbd tells extents object by object.  With the usual layout that is in
 * ascending order, and they are passed on as they come; where several objects
 * share a stripe they are collected, some stripes at a time, and sorted.
 *
 * The object maps (fast-diff) of Ceph 16 forget what lies behind the end of a
 * snapshot between the two, where the image was shrunk and grew again: the
 * maps are compared one after the other, and what the shorter one lacks counts
 * as new, and so as unchanged where there is nothing now.  So what lies between
 * the shortest one's end and that of the older snapshot is asked of the objects
 * themselves.  Older releases tell wrong offsets where a range does not begin
 * with an object, hence all ranges do, and what is told is cut.
 */
#include <rbd/librbd.h>

#include "system/ceph.h"
#include "system/ceph_lib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	bool whole, parent;
	uint64_t period; /* bytes of the objects that share a stripe */
	bool striped; /* they are several */
	ceph_diff_fn *fn;
	void *arg;
	uint64_t begin, end; /* what was asked for */
	uint64_t at; /* how far that was told */
	struct extent *v;
	size_t n, cap;
	enum err status;
	struct error *err;
};

static enum err
pass(struct walk *w, struct extent x)
{
	uint64_t stop;

	if (__builtin_add_overflow(x.off, x.len, &stop))
		stop = UINT64_MAX;
	if (stop > w->end)
		stop = w->end;
	if (x.off < w->begin)
		x.off = w->begin;
	if (x.off >= stop)
		return ERR_OK;
	if (x.off < w->at)
		return err_set(w->err, ERR_IO,
			"%s: librbd told of %llu bytes at %llu out of order",
			w->img->label, (unsigned long long)x.len,
			(unsigned long long)x.off);
	w->at = stop;
	return w->fn(w->arg, x.off, stop - x.off, x.exists, w->err);
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
		w->status = w->striped ? collect(w, &x) : pass(w, x);
	return w->status == ERR_OK ? 0 : -ECANCELED;
}

static enum err
iterate(struct walk *w, uint64_t off, uint64_t len, bool whole)
{
	int r = w->img->lib->rbd_diff_iterate2(w->img->rbd, w->from, off, len,
		w->parent, whole, told, w);
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

/* [off, stop), which begins and ends with a period or the image. */
static enum err
iterate_sorted(struct walk *w, uint64_t off, uint64_t stop, bool whole)
{
	uint64_t window = WINDOW - WINDOW % w->period, len;
	enum err e = ERR_OK;

	if (window == 0)
		window = w->period;
	for (; e == ERR_OK && off < stop; off += len) {
		len = window < stop - off ? window : stop - off;
		w->n = 0;
		e = iterate(w, off, len, whole);
		if (w->n > 1)
			qsort(w->v, w->n, sizeof(*w->v), by_offset);
		for (size_t i = 0; e == ERR_OK && i < w->n; i++)
			e = pass(w, w->v[i]);
	}
	return e;
}

static enum err
piece(struct walk *w, uint64_t off, uint64_t stop, bool whole)
{
	if (off >= stop)
		return ERR_OK;
	return w->striped ? iterate_sorted(w, off, stop, whole)
			  : iterate(w, off, stop - off, whole);
}

/* ---- where the object maps can be believed ---- */

struct sizes {
	const char *from;
	bool found;
	uint64_t from_size;
	uint64_t least; /* of the later snapshots */
};

static enum err
look(void *arg, const struct ceph_snap *snap, struct error *err)
{
	struct sizes *s = arg;

	if (s->found && snap->size < s->least)
		s->least = snap->size;
	if (snap->user && strcmp(snap->name, s->from) == 0) {
		s->found = true;
		s->from_size = snap->size;
	}
	return ERR_OK;
}

/* All but [*from, *to), in whole periods; *from == *to: everywhere. */
static enum err
distrusted(struct walk *w, uint64_t *from, uint64_t *to)
{
	struct sizes s = { .from = w->from, .least = UINT64_MAX };
	enum err e;

	*from = *to = 0;
	if (!w->whole || w->from == NULL)
		return ERR_OK;
	e = ceph_each_snap(w->img, look, &s, w->err);
	if (e != ERR_OK || s.least >= s.from_size)
		return e;
	*from = s.least - s.least % w->period;
	*to = s.from_size;
	if (*to % w->period != 0 &&
		__builtin_add_overflow(*to, w->period - *to % w->period, to))
		*to = UINT64_MAX;
	return ERR_OK;
}

static uint64_t
within(uint64_t x, uint64_t from, uint64_t to)
{
	return x < from ? from : x > to ? to : x;
}

static enum err
describe(struct walk *w, struct ceph_image *img, uint64_t off, uint64_t len)
{
	rbd_image_info_t stat = { .size = 0 };
	uint64_t stripes = 0;
	int r = img->lib->rbd_stat(img->rbd, &stat, sizeof(stat));

	if (r == 0)
		r = img->lib->rbd_get_stripe_count(img->rbd, &stripes);
	if (r < 0)
		return ceph_fail(w->err, r, "%s: cannot ask what it is",
			img->label);
	w->striped = stripes > 1;
	if (stat.obj_size == 0 || stripes == 0 ||
		__builtin_mul_overflow(stripes, stat.obj_size, &w->period))
		return err_set(w->err, ERR_CORRUPT,
			"%s: stripes of %llu objects", img->label,
			(unsigned long long)stripes);
	w->begin = off < stat.size ? off : stat.size;
	w->end = len < stat.size - w->begin ? w->begin + len : stat.size;
	w->at = w->begin;
	return ERR_OK;
}

enum err /* NOLINTNEXTLINE(readability-function-size): eight, as librbd has */
ceph_diff(struct ceph_image *img, const char *from, uint64_t off, uint64_t len,
	unsigned flags, ceph_diff_fn *fn, void *arg, struct error *err)
{
	struct walk w = { .img = img,
		.from = from,
		.whole = (flags & CEPH_DIFF_WHOLE) != 0,
		.parent = (flags & CEPH_DIFF_PARENT) != 0,
		.fn = fn,
		.arg = arg,
		.status = ERR_OK,
		.err = err };
	uint64_t first, lo, hi;
	enum err e;

	e = describe(&w, img, off, len);
	if (e != ERR_OK || w.begin >= w.end)
		return e;
	e = distrusted(&w, &lo, &hi);
	first = w.begin - w.begin % w.period;
	lo = within(lo, first, w.end);
	hi = within(hi, lo, w.end);
	if (e == ERR_OK)
		e = piece(&w, first, lo, w.whole);
	if (e == ERR_OK)
		e = piece(&w, lo, hi, false);
	if (e == ERR_OK)
		e = piece(&w, hi, w.end, w.whole);
	free(w.v);
	return e;
}
