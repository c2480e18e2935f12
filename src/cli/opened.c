/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/opened.h"

#include <stdlib.h>
#include <string.h>

#include "cli/filter.h"
#include "engine/select.h"
#include "model/path.h"

static enum err
select_snapshot(struct opened *o, const struct cli *c, const char *name,
	struct error *err)
{
	struct snapshot_filter filter;
	enum err rc;

	rc = filter_fill(&filter, c, err);
	if (rc == ERR_OK)
		rc = snapshot_select(&o->snap, o->access.repo, name, &filter,
			err);
	filter_fini(&filter);
	return rc;
}

enum err
opened_open(struct opened *o, struct cli *c, const char *spec,
	struct error *err)
{
	char *copy = strdup(spec), *name, *subpath;
	enum err rc = ERR_OK;

	*o = (struct opened){ .sub = BUF_INIT(KEY_MAX) };
	snapshot_init(&o->snap);
	if (copy == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	snapshot_split(copy, &name, &subpath);
	if (subpath != NULL)
		rc = key_from_path(&o->sub, subpath, err);
	if (rc == ERR_OK)
		rc = access_open_for(&o->access, c, RIGHT_READ, err);
	if (rc == ERR_OK)
		rc = select_snapshot(o, c, name, err);
	if (rc == ERR_OK)
		rc = lane_new(&o->lane, o->access.repo, err);
	if (rc == ERR_OK)
		tree_io_repo_init(&o->io, o->access.repo, o->lane, NULL);
	free(copy);
	return rc;
}

void
opened_close(struct opened *o)
{
	lane_free(o->lane);
	snapshot_fini(&o->snap);
	access_close(&o->access);
	buf_fini(&o->sub);
}

static enum err
give_item(const struct item *item, opened_fn *fn, void *arg, struct error *err)
{
	struct entry e;
	enum err rc;

	entry_init(&e);
	rc = entry_decode(&e, item->val.data, item->val.len, item->refs,
		item->n_refs, err);
	if (rc == ERR_OK)
		rc = fn(arg, item->key, &e, err);
	entry_fini(&e);
	return rc;
}

enum err
opened_walk(struct opened *o, struct bytes prefix, opened_fn *fn, void *arg,
	struct error *err)
{
	struct cursor *cursor;
	struct item item;
	enum err rc;

	rc = cursor_open(&cursor, &o->io.io, TREE_ENTRIES, &o->snap.root, err);
	if (rc != ERR_OK)
		return rc;
	rc = cursor_seek(cursor, prefix, err);
	while (rc == ERR_OK) {
		rc = cursor_next(cursor, &item, err);
		if (rc != ERR_OK || item.key.data == NULL ||
			!key_below(item.key.data, item.key.len, prefix.data,
				prefix.len))
			break;
		rc = give_item(&item, fn, arg, err);
		if (rc == ERR_OK && cli_stop)
			rc = err_set(err, ERR_CANCELLED, "interrupted");
	}
	cursor_close(cursor);
	return rc;
}
