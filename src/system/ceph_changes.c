/* SPDX-License-Identifier: Apache-2.0 */
#include "system/ceph_changes.h"

/* Image bytes that are looked at closely at a time: what is found there is
 * kept until librbd is done. */
#define CLOSE_LOOK ((uint64_t)1 << 30)

static const struct ranges none;

static const struct ranges *
or_none(const struct ranges *r)
{
	return r != NULL ? r : &none;
}

static unsigned
flags_of(const struct ceph_since *since)
{
	return since->parent ? CEPH_DIFF_PARENT : 0;
}

static enum err
on_object(void *arg, uint64_t off, uint64_t len, bool exists, struct error *err)
{
	(void)exists;
	return ranges_add(arg, off, len, err);
}

/* What has to be looked at closely. */
static enum err
find_dirty(struct ranges *out, struct ceph_image *img,
	const struct ceph_info *info, const struct ceph_since *since,
	struct error *err)
{
	bool rolled_back = since->from != NULL && since->older == NULL;
	struct ranges fast = { .max = RANGES_MAX / 2 };
	enum err rc;

	if (!info->fast_diff || rolled_back)
		return ranges_add(out, 0, info->size, err);
	rc = ceph_diff(img, since->from, 0, info->size,
		CEPH_DIFF_WHOLE | flags_of(since), on_object, &fast, err);
	if (rc == ERR_OK)
		rc = ranges_overlay(out, &fast, or_none(since->older), 0,
			info->size, err);
	ranges_fini(&fast);
	return rc;
}

static enum err
on_extent(void *arg, uint64_t off, uint64_t len, bool exists, struct error *err)
{
	const struct range one = { off, off + len, !exists };

	return ranges_put(arg, one, err);
}

static enum err
look_closely(struct ceph_image *img, const struct range *at,
	const struct ceph_since *since, ceph_change_fn *fn, void *arg,
	struct error *err)
{
	struct ranges fine = { 0 };
	struct ranges all = { .max = 2UL * RANGES_MAX };
	enum err rc;

	rc = ceph_diff(img, since->from, at->off, at->end - at->off,
		flags_of(since), on_extent, &fine, err);
	if (rc == ERR_OK)
		rc = ranges_overlay(&all, &fine, or_none(since->known), at->off,
			at->end, err);
	for (size_t i = 0; rc == ERR_OK && i < all.n; i++)
		rc = fn(arg, &all.v[i], err);
	ranges_fini(&fine);
	ranges_fini(&all);
	return rc;
}

enum err
ceph_changes(struct ceph_image *img, const struct ceph_info *info,
	const struct ceph_since *since, ceph_change_fn *fn, void *arg,
	struct error *err)
{
	struct ranges dirty = { 0 };
	struct ranges all = { .max = 2UL * RANGES_MAX };
	enum err rc = find_dirty(&dirty, img, info, since, err);

	if (rc == ERR_OK)
		rc = ranges_overlay(&all, &dirty, or_none(since->known), 0,
			info->size, err);
	for (size_t i = 0; rc == ERR_OK && i < all.n; i++) {
		struct range at = { .off = all.v[i].off };

		for (; rc == ERR_OK && at.off < all.v[i].end; at.off = at.end) {
			uint64_t left = all.v[i].end - at.off;
			uint64_t room = CLOSE_LOOK - at.off % CLOSE_LOOK;

			at.end = at.off + (left < room ? left : room);
			rc = look_closely(img, &at, since, fn, arg, err);
		}
	}
	ranges_fini(&dirty);
	ranges_fini(&all);
	return rc;
}
