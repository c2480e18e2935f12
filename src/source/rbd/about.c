/* SPDX-License-Identifier: Apache-2.0 */
#include "source/rbd/about.h"

#include <stdlib.h>
#include <string.h>

#include "source/rbd/still.h"

static enum err
copy(char **out, const char *text, struct error *err)
{
	*out = strdup(text);
	return *out != NULL ? ERR_OK
			    : err_set(err, ERR_NOMEM,
				      "no memory for an image's record");
}

static enum err
about_parent(struct rbd_parent *to, const struct ceph_parent *from,
	struct error *err)
{
	enum err rc = copy(&to->pool, from->pool, err);

	if (rc == ERR_OK)
		rc = copy(&to->ns, from->ns, err);
	if (rc == ERR_OK)
		rc = copy(&to->image, from->image, err);
	if (rc == ERR_OK)
		rc = copy(&to->image_id, from->image_id, err);
	if (rc == ERR_OK)
		rc = copy(&to->snap, from->snap, err);
	to->snap_id = from->snap_id;
	to->overlap = from->overlap;
	return rc;
}

static enum err
about_where(struct rbd_record *record, const struct rbd *r,
	const struct pick *p, const struct ceph_info *info, struct error *err)
{
	enum err rc = copy(&record->fsid, ceph_fsid(r->ceph), err);

	if (rc == ERR_OK)
		rc = copy(&record->pool, ceph_pool_name(p->pool), err);
	if (rc == ERR_OK)
		rc = copy(&record->ns, ceph_pool_ns(p->pool), err);
	if (rc == ERR_OK)
		rc = copy(&record->image, p->name, err);
	if (rc == ERR_OK)
		rc = copy(&record->image_id, info->id, err);
	if (rc == ERR_OK && p->snap_id != 0)
		rc = copy(&record->snap, r->snap, err);
	if (rc == ERR_OK && info->data_pool[0] != '\0')
		rc = copy(&record->data_pool, info->data_pool, err);
	record->snap_id = p->snap_id;
	record->taken = p->taken;
	return rc;
}

static enum err
on_meta(void *arg, const char *key, const char *value, struct error *err)
{
	return rbd_record_add_meta(arg, key, value, err);
}

struct snaps {
	struct rbd_record *record;
	const struct rbd *r;
};

static enum err
on_snap(void *arg, const struct ceph_snap *s, struct error *err)
{
	struct snaps *to = arg;

	if (!s->user || still_is_ours(to->r, s->name))
		return ERR_OK;
	return rbd_record_add_snap(to->record, s->name, s->id, s->size,
		s->is_protected, err);
}

enum err
about_image(struct rbd_record *record, const struct rbd *r,
	const struct pick *p, struct ceph_image *img,
	const struct ceph_info *info, struct error *err)
{
	struct snaps snaps = { record, r };
	enum err rc = about_where(record, r, p, info, err);

	record->size = info->size;
	record->order = info->order;
	record->features = info->features;
	record->stripe_unit = info->stripe_unit;
	record->stripe_count = info->stripe_count;
	record->has_parent = info->has_parent;
	if (rc == ERR_OK && info->has_parent)
		rc = about_parent(&record->parent, &info->parent, err);
	if (rc == ERR_OK)
		rc = ceph_each_meta(img, on_meta, record, err);
	if (rc == ERR_OK)
		rc = ceph_each_snap(img, on_snap, &snaps, err);
	return rc;
}
