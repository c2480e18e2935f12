/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An extent tree of arbitrary items, as a hostile repository may hold it, is
 * read, walked and edited.  If it is sound, it then reads as it did before but
 * for the changes.
 *
 * Input: one byte, how many items; for each 8 bytes: u16 offset in KiB units
 * added to the last one's, u16 length, u16 offset in the chunk, u8 which of
 * the chunks or a node, u8 how the value is damaged.  Then 4 bytes for each
 * change: u16 offset added, u8 length in KiB, u8 kind: a hole, a range of the
 * old image a little behind the last one, or bytes.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "tree/builder.h"
#include "tree/content.h"
#include "tree/extents.h"
#include "tree/image.h"

enum {
	N_CHUNKS = 3,
	CHUNK = 1 << 16,
	SIZE = (1 << 20) + (1 << 16),
	CUT = 1000
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t bytes[SIZE], old[SIZE], want[SIZE], have[SIZE];

static void
put_chunks(struct tree_io *io, struct id ids[N_CHUNKS])
{
	struct error err = ERROR_INIT;
	struct ticket t;

	for (size_t i = 0; i < N_CHUNKS; i++) {
		memset(bytes, (int)i + 1, CHUNK);
		if (io->ops->put_data(io, bytes, CHUNK, &t, &err) != ERR_OK)
			abort();
		ids[i] = t.id;
	}
}

/* ERR_OK, or the builder refused the order of the keys. */
static enum err
build(struct tree_io *io, struct rd *r, struct tree_root *root,
	struct error *err)
{
	struct extent e = { 0 };
	struct id ids[N_CHUNKS];
	struct extent_item it;
	struct builder *b;
	enum err rc;

	put_chunks(io, ids);
	rc = builder_new(&b, io, TREE_EXTENTS, err);
	if (rc != ERR_OK)
		return rc;
	for (unsigned n = rd_u8(r); n > 0 && rc == ERR_OK; n--) {
		uint8_t which, damage;

		e.off += (uint64_t)rd_u16(r) << 10;
		e.len = rd_u16(r);
		e.chunk_off = rd_u16(r);
		which = rd_u8(r);
		damage = rd_u8(r);
		e.chunk = ids[which % N_CHUNKS];
		extent_encode(&e, &it);
		it.ref.node = which == 0xff;
		if (damage % 8 == 7)
			it.item.val.len = damage / 8 % 4;
		rc = builder_add(b, &it.item, err);
	}
	if (rc == ERR_OK)
		rc = builder_finish(b, root, err);
	builder_free(b);
	return rc;
}

/* The pieces backwards, then everything. */
static enum err
read_all(struct tree_io *io, const struct id *root, size_t size, uint8_t *out,
	struct error *err)
{
	struct entry e = { .type = ENTRY_IMAGE, .size = size };
	struct content_view *v;
	struct piece p;
	size_t got = 0;
	enum err rc;

	e.content.kind = CONTENT_EXTENTS;
	e.content.root = *root;
	rc = content_open(&v, io, root, &e, err);
	if (rc != ERR_OK)
		return rc;
	for (uint64_t off = size; off > 30000; off -= 30000) {
		struct error why = ERROR_INIT;

		if (content_piece(v, off - 1, &p, &why) == ERR_OK)
			assert(p.off == off - 1 && p.len > 0);
	}
	rc = content_read(v, 0, out, size, &got, err);
	assert(rc != ERR_OK || got == size);
	content_close(v);
	return rc;
}

static enum err
edit(struct tree_io *io, struct rd *r, struct tree_root *root,
	struct error *err)
{
	struct image_conf conf = { .old_root = &root->id,
		.old_size = SIZE,
		.size = SIZE - CUT };
	struct image_figures figures;
	struct image *img;
	uint64_t off = 0, old_off = 0;
	enum err rc;

	memcpy(old, want, SIZE);
	rc = image_open(&img, io, &conf, err);
	if (rc != ERR_OK)
		return rc;
	while (rc == ERR_OK && rd_left(r) >= 4) {
		size_t len;
		uint8_t kind;

		off += rd_u16(r);
		len = (size_t)rd_u8(r) << 10;
		kind = rd_u8(r);
		if (off + len > conf.size)
			break;
		memset(bytes, kind, len);
		memset(want + off, kind % 4 == 1 ? 0 : kind, len);
		if (kind % 4 == 1) {
			rc = image_punch(img, off, len, err);
		} else if (kind % 4 == 2) {
			old_off += kind;
			if (old_off + len > SIZE)
				break;
			memcpy(want + off, old + old_off, len);
			rc = image_take(img, off, old_off, len, err);
			old_off += len;
		} else {
			rc = image_replace(img, off, bytes, len, err);
		}
		off += len;
	}
	if (rc == ERR_OK)
		rc = image_finish(img, root, &figures, err);
	image_free(img);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;
	struct tree_io_mem *mem;
	struct tree_root root;
	bool sound;
	struct rd r;

	rd_init(&r, data, len);
	if (tree_io_mem_new(&mem, &err) != ERR_OK)
		abort();
	if (build(tree_io_mem_io(mem), &r, &root, &err) == ERR_OK) {
		struct tree_io *io = tree_io_mem_io(mem);

		sound = read_all(io, &root.id, SIZE, want, &err) == ERR_OK;
		if (edit(io, &r, &root, &err) != ERR_OK) {
			assert(!sound);
		} else if (sound) {
			assert(read_all(io, &root.id, SIZE - CUT, have, &err) ==
				ERR_OK);
			assert(memcmp(want, have, SIZE - CUT) == 0);
		}
	}
	tree_io_mem_free(mem);
	return 0;
}
