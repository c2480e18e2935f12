/* SPDX-License-Identifier: Apache-2.0 */
/* image_view_repo: a view's ways to a repository: a lane for each thread. */
#include <stdlib.h>

#include "model/path.h"
#include "tree/cursor.h"
#include "view/image_view.h"

static enum err
way_open(void *arg, struct tree_io **out, struct error *err)
{
	struct tree_io_repo *way = malloc(sizeof(*way));
	struct repo *r = arg;
	struct lane *lane;
	enum err rc;

	if (way == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a reader");
	rc = lane_new(&lane, r, err);
	if (rc != ERR_OK) {
		free(way);
		return rc;
	}
	tree_io_repo_init(way, r, lane, NULL);
	*out = &way->io;
	return ERR_OK;
}

static void
way_close(void *arg, struct tree_io *io)
{
	struct tree_io_repo *way = container_of(io, struct tree_io_repo, io);

	lane_free(way->lane);
	free(way);
}

static enum err
open_item(struct image_view **out, struct repo *r, const struct id *root,
	const struct item *item, const struct image_view_conf *conf,
	struct error *err)
{
	const struct image_view_ways ways = { way_open, way_close, r };
	struct entry e;
	enum err rc;

	entry_init(&e);
	rc = entry_decode(&e, item->val.data, item->val.len, item->refs,
		item->n_refs, err);
	if (rc == ERR_OK)
		rc = image_view_open_by(out, &ways, root, &e, conf, err);
	entry_fini(&e);
	return rc;
}

static enum err
wrap_key(struct bytes key, struct error *err)
{
	struct buf text = BUF_INIT(4 * (size_t)KEY_MAX + 2);
	struct error ignored = ERROR_INIT;

	if (key_to_text(&text, key.data, key.len, &ignored) == ERR_OK)
		(void)err_wrap(err, "%.*s", (int)text.len,
			(const char *)text.data);
	buf_fini(&text);
	return err->code;
}

enum err
image_view_open_key(struct image_view **out, struct repo *r,
	const struct id *root, struct bytes key,
	const struct image_view_conf *conf, struct error *err)
{
	struct tree_io *io = NULL;
	struct cursor *c = NULL;
	bool found = false;
	struct item item;
	enum err rc;

	rc = way_open(r, &io, err);
	if (rc != ERR_OK)
		return rc;
	rc = cursor_open(&c, io, TREE_ENTRIES, root, err);
	if (rc == ERR_OK)
		rc = cursor_find(c, key, &item, &found, err);
	if (rc == ERR_OK && !found)
		rc = err_set(err, ERR_NOTFOUND, "it is not in the snapshot");
	if (rc == ERR_OK)
		rc = open_item(out, r, root, &item, conf, err);
	if (rc != ERR_OK)
		rc = wrap_key(key, err);
	cursor_close(c);
	way_close(r, io);
	return rc;
}
