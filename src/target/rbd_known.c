/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known: differences in two passes.  Where the object map can tell, it names
 * objects in no time, and only those are asked what in them it is; else every
 * object is asked, which takes a second for 100 GiB.
 *
 * After a rollback to an older snapshot the map takes for unchanged what was
 * rolled back.  The record says what may differ from older snapshots, and that
 * is always asked.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "target/rbd.h"

/* Of the image, at a time: bounds how many runs there can be. */
#define SLICE (UINT64_C(1) << 40)

struct run {
	uint64_t off, end;
};

struct diff {
	struct ceph_image *img;
	const char *from;
	unsigned flags;
	bool fast;
	const struct rbd_record *record; /* of from; NULL: of nothing */
	uint64_t off, end; /* of the slice */
	struct run *runs;
	size_t n, cap;
	target_range_fn *fn;
	void *arg;
};

static enum err
add_run(struct diff *d, uint64_t off, uint64_t end, struct error *err)
{
	void *v;

	if (d->n > 0 && d->runs[d->n - 1].end == off) {
		d->runs[d->n - 1].end = end;
		return ERR_OK;
	}
	v = array_grow(d->runs, d->n, &d->cap, sizeof(*d->runs), err);
	if (v == NULL)
		return err->code;
	d->runs = v;
	d->runs[d->n++] = (struct run){ off, end };
	return ERR_OK;
}

static enum err
on_object(void *arg, uint64_t off, uint64_t len, bool exists, struct error *err)
{
	return add_run(arg, off, off + len, err);
}

static enum err
on_extent(void *arg, uint64_t off, uint64_t len, bool exists, struct error *err)
{
	struct diff *d = arg;

	if (!exists && d->from == NULL)
		return ERR_OK;
	return d->fn(d->arg, off, len, err);
}

static int
by_offset(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return (x->off > y->off) - (x->off < y->off);
}

/* Ascending, and apart. */
static void
sort_runs(struct diff *d)
{
	size_t n = 0;

	if (d->n == 0)
		return;
	qsort(d->runs, d->n, sizeof(*d->runs), by_offset);
	for (size_t i = 1; i < d->n; i++) {
		if (d->runs[i].off > d->runs[n].end)
			d->runs[++n] = d->runs[i];
		else if (d->runs[i].end > d->runs[n].end)
			d->runs[n].end = d->runs[i].end;
	}
	d->n = n + 1;
}

static enum err
add_older(struct diff *d, struct error *err)
{
	enum err rc = ERR_OK;

	for (size_t i = 0; i < d->record->n_older && rc == ERR_OK; i++) {
		const struct rbd_run *o = &d->record->older[i];
		uint64_t off = o->off > d->off ? o->off : d->off, end;

		if (__builtin_add_overflow(o->off, o->len, &end) ||
			end > d->end)
			end = d->end;
		if (off < end)
			rc = add_run(d, off, end, err);
	}
	return rc;
}

static enum err
find_runs(struct diff *d, struct error *err)
{
	enum err rc;

	d->n = 0;
	if (!d->fast)
		return add_run(d, d->off, d->end, err);
	rc = ceph_diff(d->img, d->from, d->off, d->end - d->off,
		d->flags | CEPH_DIFF_WHOLE, on_object, d, err);
	if (rc == ERR_OK && d->record != NULL)
		rc = add_older(d, err);
	if (rc == ERR_OK)
		sort_runs(d);
	return rc;
}

static enum err
each_extent(struct diff *d, uint64_t size, struct error *err)
{
	enum err rc = ERR_OK;

	for (d->off = 0; d->off < size && rc == ERR_OK; d->off = d->end) {
		d->end = size - d->off < SLICE ? size : d->off + SLICE;
		rc = find_runs(d, err);
		for (size_t i = 0; i < d->n && rc == ERR_OK; i++)
			rc = ceph_diff(d->img, d->from, d->runs[i].off,
				d->runs[i].end - d->runs[i].off, d->flags,
				on_extent, d, err);
	}
	free(d->runs);
	return rc;
}

enum err
rbd_target_each_data(struct target *t, target_range_fn *fn, void *arg,
	struct error *err)
{
	struct rbd_target *r = container_of(t, struct rbd_target, base);
	struct diff d = { .img = r->img,
		.fast = r->info.fast_diff && !r->info.has_parent,
		.flags = r->info.has_parent ? CEPH_DIFF_PARENT : 0,
		.fn = fn,
		.arg = arg };

	if (r->img == NULL)
		return ERR_OK;
	return each_extent(&d, r->info.size, err);
}

/* ---- since a restore point ---- */

struct wanted {
	const struct rbd_record *record;
	bool found;
};

static enum err
on_snap(void *arg, const struct ceph_snap *snap, struct error *err)
{
	struct wanted *w = arg;

	if (snap->user && snap->id == w->record->snap_id &&
		strcmp(snap->name, w->record->snap) == 0)
		w->found = true;
	return ERR_OK;
}

static enum err
not_known(struct error *err)
{
	return err_set(err, ERR_NOTFOUND,
		"the image has no snapshot of that restore point");
}

static enum err
each_since(struct rbd_target *r, const struct rbd_record *record,
	target_range_fn *fn, void *arg, struct error *err)
{
	struct wanted w = { .record = record };
	struct diff d = { .img = r->img,
		.from = record->snap,
		.fast = r->info.fast_diff && record->older_known,
		.record = record,
		.fn = fn,
		.arg = arg };
	enum err rc;

	if (r->img == NULL || record->fsid == NULL || record->snap == NULL ||
		record->image_id == NULL || record->snap_id == 0 ||
		strcmp(record->fsid, ceph_fsid(r->cluster)) != 0 ||
		strcmp(record->image_id, r->info.id) != 0)
		return not_known(err);
	/* What a clone shows through its parent is no change of its own. */
	if (record->has_parent && !record->parent_data)
		return not_known(err);
	rc = ceph_each_snap(r->img, on_snap, &w, err);
	if (rc == ERR_OK && !w.found)
		rc = not_known(err);
	return rc == ERR_OK ? each_extent(&d, r->info.size, err) : rc;
}

enum err
rbd_target_each_changed(struct target *t, const uint8_t *bytes, size_t len,
	target_range_fn *fn, void *arg, struct error *err)
{
	struct rbd_target *r = container_of(t, struct rbd_target, base);
	struct rbd_record record;
	enum err rc;

	rbd_record_init(&record);
	rc = rbd_record_decode(&record, bytes, len, err);
	if (rc == ERR_OK)
		rc = each_since(r, &record, fn, arg, err);
	rbd_record_fini(&record);
	return rc;
}
