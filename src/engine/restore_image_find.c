/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/restoring_image.h"
#include "model/path.h"
#include "tree/cursor.h"

enum { NAME_ROOM = 5 * KEY_MAX };

/* The entry of that key; val keeps what e borrows. */
static enum err
find_entry(struct imaging *g, const struct id *root, struct bytes key,
	struct entry *e, struct buf *val, bool *found, struct error *err)
{
	struct cursor *c = NULL;
	struct item item = { 0 };
	enum err rc;

	*found = false;
	rc = cursor_open(&c, &g->io.io, TREE_ENTRIES, root, err);
	if (rc == ERR_OK)
		rc = cursor_find(c, key, &item, found, err);
	if (rc == ERR_OK && *found)
		rc = buf_put(val, item.val.data, item.val.len, err);
	if (rc == ERR_OK && *found)
		rc = entry_decode(e, val->data, val->len, item.refs,
			item.n_refs, err);
	cursor_close(c);
	return rc;
}

/* The content of the entry beside the image, KEY and suffix; NULL where there
 * is none. */
static enum err
open_beside(struct imaging *g, const struct id *root, const char *suffix,
	struct content_view **out, struct error *err)
{
	struct buf key = BUF_INIT(KEY_MAX), val = BUF_INIT(VALUE_MAX);
	struct entry e;
	bool found = false;
	enum err rc;

	*out = NULL;
	entry_init(&e);
	rc = buf_put(&key, g->key.data, g->key.len, err);
	if (rc == ERR_OK)
		rc = buf_put(&key, suffix, strlen(suffix), err);
	if (rc == ERR_OK)
		rc = find_entry(g, root, (struct bytes){ key.data, key.len },
			&e, &val, &found, err);
	if (rc == ERR_OK && found)
		rc = content_open(out, &g->io.io, root, &e, err);
	entry_fini(&e);
	buf_fini(&key);
	buf_fini(&val);
	return rc;
}

static enum err
load_record(struct imaging *g, const struct id *root, struct buf *out,
	struct error *err)
{
	struct content_view *v = NULL;
	uint64_t size;
	size_t got;
	enum err rc = open_beside(g, root, "@rbd.json", &v, err);

	if (rc != ERR_OK || v == NULL)
		return rc;
	size = content_size(v);
	if (size > RECORD_MAX)
		rc = err_set(err, ERR_CORRUPT,
			"the record beside the image is too large");
	if (rc == ERR_OK)
		rc = buf_reserve(out, (size_t)size, err);
	if (rc == ERR_OK)
		rc = content_read(v, 0, out->data, (size_t)size, &got, err);
	if (rc == ERR_OK)
		out->len = got;
	content_close(v);
	return rc;
}

/* ---- the image ---- */

static enum err
not_there(struct imaging *g, enum err code, const char *what, struct error *err)
{
	struct buf text = BUF_INIT(NAME_ROOM);
	struct error ignored = ERROR_INIT;
	enum err rc;

	if (key_to_text(&text, g->key.data, g->key.len, &ignored) != ERR_OK ||
		buf_put_u8(&text, 0, &ignored) != ERR_OK)
		rc = err_set(err, code, "the image %s", what);
	else
		rc = err_set(err, code, "%s %s", (const char *)text.data, what);
	buf_fini(&text);
	return rc;
}

/* The key of the only image that the snapshot has. */
static enum err
find_only(struct imaging *g, struct error *err)
{
	struct cursor *c = NULL;
	struct entry_stamp stamp;
	struct item item;
	unsigned n = 0;
	enum err rc;

	rc = cursor_open(&c, &g->io.io, TREE_ENTRIES, &g->snap->root, err);
	while (rc == ERR_OK && n < 2) {
		rc = cursor_next(c, &item, err);
		if (rc != ERR_OK || item.key.data == NULL)
			break;
		rc = entry_decode_stamp(&stamp, item.val.data, item.val.len,
			err);
		if (rc != ERR_OK || stamp.type != ENTRY_IMAGE || n++ > 0)
			continue;
		rc = buf_put(&g->key, item.key.data, item.key.len, err);
	}
	cursor_close(c);
	if (rc == ERR_OK && n == 0)
		rc = err_set(err, ERR_NOTFOUND,
			"the snapshot has no image; a file is named as "
			"SNAPSHOT:PATH");
	if (rc == ERR_OK && n > 1)
		rc = err_set(err, ERR_USAGE,
			"the snapshot has several images; say which, as "
			"SNAPSHOT:PATH (coffer ls tells)");
	return rc;
}

static enum err
open_image(struct imaging *g, const struct entry *e, struct error *err)
{
	if (e->type != ENTRY_IMAGE && e->type != ENTRY_FILE &&
		e->type != ENTRY_STREAM)
		return not_there(g, ERR_USAGE, "is no image and no file", err);
	g->size = e->size;
	if (e->content.kind == CONTENT_EXTENTS) {
		g->root = e->content.root;
		g->has_root = true;
	}
	return content_open(&g->view, &g->io.io, &g->snap->root, e, err);
}

enum err
imaging_find(struct imaging *g, struct error *err)
{
	struct buf val = BUF_INIT(VALUE_MAX);
	struct entry e;
	bool found = false;
	enum err rc;

	entry_init(&e);
	rc = g->conf->subpath != NULL
		     ? key_from_path(&g->key, g->conf->subpath, err)
		     : find_only(g, err);
	if (rc == ERR_OK)
		rc = find_entry(g, &g->snap->root,
			(struct bytes){ g->key.data, g->key.len }, &e, &val,
			&found, err);
	if (rc == ERR_OK && !found)
		rc = not_there(g, ERR_NOTFOUND, "is not in the snapshot", err);
	if (rc == ERR_OK)
		rc = open_image(g, &e, err);
	if (rc == ERR_OK)
		rc = load_record(g, &g->snap->root, &g->record, err);
	entry_fini(&e);
	buf_fini(&val);
	return rc;
}

enum err
imaging_find_other(struct imaging *g, const struct id *root, struct buf *record,
	struct id *extents, uint64_t *size, bool *found, struct error *err)
{
	struct buf val = BUF_INIT(VALUE_MAX);
	struct entry e;
	enum err rc;

	entry_init(&e);
	rc = find_entry(g, root, (struct bytes){ g->key.data, g->key.len }, &e,
		&val, found, err);
	if (rc == ERR_OK && *found && e.content.kind != CONTENT_EXTENTS)
		*found = false;
	if (rc == ERR_OK && *found) {
		*extents = e.content.root;
		*size = e.size;
		rc = load_record(g, root, record, err);
		*found = record->len > 0;
	}
	entry_fini(&e);
	buf_fini(&val);
	return rc;
}

/* ---- objects of a clone's own ---- */

static enum err
add_bits(struct ranges *own, const uint8_t *bits, size_t n, uint64_t first,
	unsigned order, struct error *err)
{
	enum err rc = ERR_OK;

	for (size_t i = 0; i < n * 8 && rc == ERR_OK; i++) {
		if (bits[i / 8] >> i % 8 & 1)
			rc = ranges_add(own, (first + i) << order,
				UINT64_C(1) << order, err);
	}
	return rc;
}

enum err
imaging_find_own(struct imaging *g, unsigned order, struct error *err)
{
	uint8_t bits[4096];
	struct content_view *v = NULL;
	uint64_t at = 0, objects = g->size >> order;
	size_t got = sizeof(bits);
	enum err rc = open_beside(g, &g->snap->root, "@rbd.own", &v, err);

	if (rc == ERR_OK && v == NULL)
		rc = not_there(g, ERR_CORRUPT,
			"is a clone without its parent's data, and no list of "
			"its own objects is beside it",
			err);
	if (rc == ERR_OK && content_size(v) > objects / 8 + 1)
		rc = not_there(g, ERR_CORRUPT,
			"has a list of more objects than there can be", err);
	while (rc == ERR_OK && got == sizeof(bits)) {
		rc = content_read(v, at, bits, sizeof(bits), &got, err);
		if (rc == ERR_OK)
			rc = add_bits(&g->own, bits, got, at * 8, order, err);
		at += got;
	}
	g->has_own = rc == ERR_OK;
	content_close(v);
	return rc;
}
