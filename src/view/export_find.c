/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "model/path.h"
#include "tree/content.h"
#include "tree/cursor.h"
#include "view/export.h"

static const char suffix[] = "@rbd.json";

static enum err
take_entry(struct export_image *image, const struct item *item,
	struct error *err)
{
	struct entry e;
	enum err rc;

	entry_init(&e);
	rc = entry_decode(&e, item->val.data, item->val.len, item->refs,
		item->n_refs, err);
	if (rc == ERR_OK) {
		image->size = e.size;
		image->has_extents = e.content.kind == CONTENT_EXTENTS;
		image->extents = e.content.root;
		buf_clear(&image->key);
		rc = buf_put(&image->key, item->key.data, item->key.len, err);
	}
	entry_fini(&e);
	return rc;
}

/* What item is: 0 neither, or whether it is below's entry, or an image. */
enum kind { KIND_OTHER, KIND_NAMED, KIND_IMAGE };

static enum err
look_at(const struct item *item, struct bytes below, enum kind *kind,
	struct error *err)
{
	struct entry_stamp stamp;
	enum err rc =
		entry_decode_stamp(&stamp, item->val.data, item->val.len, err);

	*kind = KIND_OTHER;
	if (rc == ERR_OK && stamp.type == ENTRY_IMAGE)
		*kind = KIND_IMAGE;
	else if (rc == ERR_OK && item->key.len == below.len &&
		 (stamp.type == ENTRY_FILE || stamp.type == ENTRY_STREAM))
		*kind = KIND_NAMED;
	return rc;
}

/* images of those at or below the key: the first one is taken. */
static enum err
scan(struct export_image *image, struct cursor *c, struct bytes below,
	unsigned *images, struct error *err)
{
	enum kind kind = KIND_OTHER;
	struct item item;
	enum err rc = cursor_seek(c, below, err);

	while (rc == ERR_OK && *images < 2) {
		rc = cursor_next(c, &item, err);
		if (rc != ERR_OK || item.key.data == NULL ||
			!key_below(item.key.data, item.key.len, below.data,
				below.len))
			break;
		rc = look_at(&item, below, &kind, err);
		if (rc != ERR_OK || kind == KIND_OTHER)
			continue;
		if ((*images)++ == 0)
			rc = take_entry(image, &item, err);
		if (item.key.len == below.len)
			break;
	}
	return rc;
}

static enum err
read_whole(struct content_view *v, struct buf *out, struct error *err)
{
	uint64_t size = content_size(v);
	size_t got = 0;
	enum err rc;

	if (size > out->max)
		return err_set(err, ERR_CORRUPT, "a record of %llu bytes",
			(unsigned long long)size);
	rc = buf_reserve(out, (size_t)size, err);
	if (rc == ERR_OK)
		rc = content_read(v, 0, out->data, (size_t)size, &got, err);
	if (rc == ERR_OK)
		out->len = got;
	return rc;
}

static enum err
read_record(struct export_image *image, struct tree_io *io,
	const struct item *item, struct error *err)
{
	struct buf text = BUF_INIT(RBD_RECORD_MAX);
	struct content_view *v = NULL;
	struct entry e;
	enum err rc;

	entry_init(&e);
	rc = entry_decode(&e, item->val.data, item->val.len, item->refs,
		item->n_refs, err);
	if (rc == ERR_OK)
		rc = content_open(&v, io, &image->root, &e, err);
	if (rc == ERR_OK)
		rc = read_whole(v, &text, err);
	if (rc == ERR_OK)
		rc = rbd_record_decode(&image->record, text.data, text.len,
			err);
	image->has_record = rc == ERR_OK;
	content_close(v);
	entry_fini(&e);
	buf_fini(&text);
	return rc;
}

static enum err
find_record(struct export_image *image, struct tree_io *io, struct cursor *c,
	struct error *err)
{
	struct buf key = BUF_INIT(KEY_MAX);
	struct item item;
	bool found = false;
	enum err rc = buf_put(&key, image->key.data, image->key.len, err);

	if (rc == ERR_OK)
		rc = buf_put(&key, suffix, sizeof(suffix) - 1, err);
	if (rc == ERR_OK)
		rc = cursor_find(c, (struct bytes){ key.data, key.len }, &item,
			&found, err);
	if (rc == ERR_OK && found)
		rc = read_record(image, io, &item, err);
	buf_fini(&key);
	return rc;
}

enum err
export_find(struct export_image *out, struct tree_io *io, const struct id *root,
	struct bytes below, struct error *err)
{
	struct cursor *c = NULL;
	unsigned images = 0;
	enum err rc;

	*out = (struct export_image){ .root = *root, .key = BUF_INIT(KEY_MAX) };
	rbd_record_init(&out->record);
	rc = cursor_open(&c, io, TREE_ENTRIES, root, err);
	if (rc == ERR_OK)
		rc = scan(out, c, below, &images, err);
	if (rc == ERR_OK && images == 0)
		rc = err_set(err, ERR_NOTFOUND,
			"there is no image in the snapshot%s",
			below.len > 0 ? " by this path" : "");
	if (rc == ERR_OK && images > 1)
		rc = err_set(err, ERR_USAGE,
			"the snapshot has several images: name one");
	if (rc == ERR_OK)
		rc = find_record(out, io, c, err);
	cursor_close(c);
	if (rc != ERR_OK)
		export_image_fini(out);
	return rc;
}

void
export_image_fini(struct export_image *image)
{
	buf_fini(&image->key);
	rbd_record_fini(&image->record);
	image->has_record = false;
}
