/* SPDX-License-Identifier: Apache-2.0 */
/* known: what is there, and what was written since a restore point. */
#include <string.h>

#include "system/ceph_changes.h"
#include "target/rbd.h"

struct telling {
	target_range_fn *fn;
	void *arg;
};

static enum err
on_change(void *arg, const struct range *r, struct error *err)
{
	const struct telling *t = arg;

	return t->fn(t->arg, r->off, r->end - r->off, err);
}

static enum err
on_data(void *arg, const struct range *r, struct error *err)
{
	return r->zero ? ERR_OK : on_change(arg, r, err);
}

enum err
rbd_target_each_data(struct target *t, target_range_fn *fn, void *arg,
	struct error *err)
{
	struct rbd_target *r = container_of(t, struct rbd_target, base);
	const struct ceph_since since = { .parent = r->info.has_parent };
	struct telling telling = { fn, arg };

	if (r->see == NULL)
		return ERR_OK;
	return ceph_changes(r->see, &r->info, &since, on_data, &telling, err);
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
	const struct ceph_since since = { .from = record->snap,
		.older = record->older_known ? &record->older : NULL };
	struct telling telling = { fn, arg };
	enum err rc;

	if (r->see == NULL || record->fsid == NULL || record->snap == NULL ||
		record->image_id == NULL || record->snap_id == 0 ||
		strcmp(record->fsid, ceph_fsid(r->cluster)) != 0 ||
		strcmp(record->image_id, r->info.id) != 0)
		return not_known(err);
	/* What a clone shows through its parent is no change of its own. */
	if (record->has_parent && !record->parent_data)
		return not_known(err);
	rc = ceph_each_snap(r->see, on_snap, &w, err);
	if (rc == ERR_OK && !w.found)
		rc = not_known(err);
	if (rc == ERR_OK)
		rc = ceph_changes(r->see, &r->info, &since, on_change, &telling,
			err);
	return rc;
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
