/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/image_old.h"

#include <stdlib.h>

#include "repo/record.h"

static enum err
list_slices(struct image_old *old, const struct slices *s, struct error *err)
{
	uint64_t off = 0, end;

	old->list = calloc(s->n + 1, sizeof(*old->list));
	if (old->list == NULL)
		return err_set(err, ERR_NOMEM, "no memory for an image");
	for (size_t i = 0; i < s->n; i++, off = end) {
		const struct slice *from = &s->v[i];

		if (__builtin_add_overflow(off, from->len, &end) ||
			(!from->hole &&
				(from->len > CHUNK_MAX ||
					from->off > CHUNK_MAX - from->len)))
			return err_set(err, ERR_CORRUPT,
				"the old image has a slice at %llu that cannot "
				"be",
				(unsigned long long)off);
		if (!from->hole)
			old->list[old->n++] = (struct extent){ off, from->len,
				from->chunk, from->off };
	}
	return ERR_OK;
}

enum err
image_old_open(struct image_old *old, struct tree_io *io,
	const struct image_conf *conf, struct error *err)
{
	*old = (struct image_old){ .size = conf->old_size };
	if (conf->old_slices != NULL)
		return list_slices(old, conf->old_slices, err);
	if (conf->old_root == NULL)
		return ERR_OK;
	return cursor_open(&old->cursor, io, TREE_EXTENTS, conf->old_root, err);
}

void
image_old_close(struct image_old *old)
{
	cursor_close(old->cursor);
	free(old->list);
	*old = (struct image_old){ 0 };
}

void
image_old_back(struct image_old *old)
{
	old->known = false;
	old->next = 0;
}

static enum err
read_next(struct image_old *old, struct extent *e, struct error *err)
{
	struct item item;
	enum err rc = ERR_OK;

	if (old->cursor != NULL) {
		rc = cursor_next(old->cursor, &item, err);
		if (rc == ERR_OK && item.key.data != NULL)
			rc = extent_decode(&item, e, err);
	} else if (old->next < old->n) {
		*e = old->list[old->next++];
	}
	return rc;
}

/* The next one, which begins at from at the least. */
static enum err
take(struct image_old *old, uint64_t from, struct error *err)
{
	struct extent e = { 0 };
	enum err rc;

	old->known = false;
	rc = read_next(old, &e, err);
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

/* Seeking in a list is reading it. */
static enum err
seek_list(struct image_old *old, uint64_t pos, struct error *err)
{
	enum err rc = ERR_OK;

	if (!old->known)
		rc = take(old, 0, err);
	while (rc == ERR_OK && old->e.len > 0 && extent_end(&old->e) <= pos)
		rc = image_old_next(old, err);
	return rc;
}

enum err
image_old_at(struct image_old *old, uint64_t pos, struct error *err)
{
	uint8_t key[EXTENT_KEY];
	enum err rc;

	if ((old->cursor == NULL && old->list == NULL) ||
		(old->known && (old->e.len == 0 || extent_end(&old->e) > pos)))
		return ERR_OK;
	if (old->cursor == NULL)
		return seek_list(old, pos, err);
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
