/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known: what of a target that has something need not be read.
 *
 * If the target still has the point in time of an earlier restore point, it can
 * tell what was written since.  Then it differs from the image at most there,
 * and where the two restore points differ.
 */
#include "engine/restoring_image.h"

#include "engine/select.h"
#include "tree/image_diff.h"

enum {
	/* Restore points that are asked about. */
	CANDIDATES = 64,
	/* What lies closer together is read at once: a round trip takes longer
	 * than so many bytes more. */
	LOOK_GAP = 128 << 10
};

static enum err
add_range(void *arg, uint64_t off, uint64_t len, struct error *err)
{
	return ranges_add(arg, off, len, err);
}

static enum err
add_diff(void *arg, uint64_t off, uint64_t len, bool hole, struct error *err)
{
	return ranges_add(arg, off, len, err);
}

/* Where the image is another than the one at extents. */
static enum err
look_between(struct imaging *g, const struct id *extents, uint64_t size,
	const struct ranges *changed, struct error *err)
{
	struct image_ref old = { *extents, size }, new = { g->root, g->size };
	struct ranges differ = { 0 };
	enum err rc = image_diff(&g->io.io, &old, &new, false, add_diff,
		&differ, err);

	g->look.gap = LOOK_GAP;
	if (rc == ERR_OK)
		rc = ranges_overlay(&g->look, &differ, changed, 0, UINT64_MAX,
			err);
	g->has_look = rc == ERR_OK;
	ranges_fini(&differ);
	return rc;
}

static enum err
try_snapshot(struct imaging *g, const struct snapshot *snap, bool *known,
	struct error *err)
{
	struct buf record = BUF_INIT(RECORD_MAX);
	struct ranges changed = { 0 };
	struct target *t = g->target;
	struct id extents;
	bool found = false;
	uint64_t size;
	enum err rc;

	rc = imaging_find_other(g, &snap->root, &record, &extents, &size,
		&found, err);
	if (rc == ERR_OK && found) {
		rc = t->ops->each_changed(t, record.data, record.len, add_range,
			&changed, err);
		*known = rc == ERR_OK;
		if (rc == ERR_NOTFOUND)
			rc = ERR_OK;
	}
	if (rc == ERR_OK && *known)
		rc = look_between(g, &extents, size, &changed, err);
	ranges_fini(&changed);
	buf_fini(&record);
	return rc;
}

enum err
imaging_know(struct imaging *g, struct error *err)
{
	struct snapshot_filter filter = { .sources = g->snap->sources };
	struct snapshot_list list = { NULL, 0 };
	bool known = false;
	enum err rc;

	if (g->target->ops->each_changed == NULL || !g->has_root ||
		g->record.len == 0)
		return ERR_OK;
	rc = snapshot_list_load(&list, g->repo, &filter, err);
	for (size_t i = 0; i < CANDIDATES && i < list.n && !known; i++) {
		if (rc != ERR_OK)
			break;
		rc = try_snapshot(g, &list.v[list.n - 1 - i], &known, err);
	}
	snapshot_list_fini(&list);
	return rc;
}

enum err
imaging_know_data(struct imaging *g, struct error *err)
{
	struct target *t = g->target;
	enum err rc;

	ranges_fini(&g->data);
	g->has_data = false;
	if (t->ops->each_data == NULL)
		return ERR_OK;
	rc = t->ops->each_data(t, add_range, &g->data, err);
	g->has_data = rc == ERR_OK;
	return rc;
}
