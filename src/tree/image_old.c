/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/image_old.h"

enum err
image_old_open(struct image_old *old, struct tree_io *io, const struct id *root,
	uint64_t size, struct error *err)
{
	*old = (struct image_old){ .size = size };
	if (root == NULL)
		return ERR_OK;
	return cursor_open(&old->cursor, io, TREE_EXTENTS, root, err);
}

void
image_old_close(struct image_old *old)
{
	cursor_close(old->cursor);
	*old = (struct image_old){ 0 };
}

void
image_old_back(struct image_old *old)
{
	old->known = false;
}

/* The next one, which begins at from at the least. */
static enum err
take(struct image_old *old, uint64_t from, struct error *err)
{
	struct extent e = { 0 };
	struct item item;
	enum err rc;

	old->known = false;
	rc = cursor_next(old->cursor, &item, err);
	if (rc == ERR_OK && item.key.data != NULL)
		rc = extent_decode(&item, &e, err);
	if (rc == ERR_OK && e.len > 0 &&
		(e.off < from || extent_end(&e) > old->size))
		rc = err_set(err, ERR_CORRUPT,
			"the old image has an extent at %llu that overlaps "
			"another or its end",
			(unsigned long long)e.off);
	if (rc != ERR_OK)
		return rc;
	old->e = e;
	old->known = true;
	return ERR_OK;
}

enum err
image_old_next(struct image_old *old, struct error *err)
{
	if (old->e.len == 0)
		return ERR_OK;
	return take(old, extent_end(&old->e), err);
}

enum err
image_old_at(struct image_old *old, uint64_t pos, struct error *err)
{
	uint8_t key[EXTENT_KEY];
	enum err rc;

	if (old->cursor == NULL ||
		(old->known && (old->e.len == 0 || extent_end(&old->e) > pos)))
		return ERR_OK;
	extent_key(pos, key);
	rc = cursor_seek_le(old->cursor, (struct bytes){ key, EXTENT_KEY },
		err);
	if (rc == ERR_OK)
		rc = take(old, 0, err);
	/* At most the last one with a key <= pos ends before it. */
	if (rc == ERR_OK && old->e.len > 0 && extent_end(&old->e) <= pos)
		rc = image_old_next(old, err);
	return rc;
}

struct extent
image_old_part(const struct extent *e, uint64_t from, uint64_t to)
{
	struct extent part = *e;

	part.off = from;
	part.len = to - from;
	part.chunk_off += (uint32_t)(from - e->off);
	return part;
}
