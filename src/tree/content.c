/* SPDX-License-Identifier: Apache-2.0 */
/*
 * content: one run of bytes at a time, found in what the entry says.
 *
 * A run is what one slice or extent covers, or the hole between two extents.
 * content_piece hands out the part of the run that begins at the offset; who
 * goes front to back passes each slice and each extent once.
 */
#include "tree/content.h"

#include <stdlib.h>
#include <string.h>

#include "tree/chunks.h"
#include "tree/cursor.h"
#include "tree/extents.h"

/* An image of many increments has its bytes in as many chunks as a window may
 * have pieces, and comes back to each of them in each window. */
enum { EXTENTS_CACHE = 3 * CONTENT_CACHE };

struct content_view {
	enum content_kind kind;
	uint64_t size;
	uint8_t *bytes; /* INLINE */
	struct slice *slices; /* SLICES */
	uint64_t *ends; /* of each slice, in the content */
	size_t n_slices;
	struct cursor *cursor; /* EXTENTS */
	struct piece run; /* len 0: none yet */
	struct extent next; /* behind the run; len 0: none */
	struct chunks chunks;
};

static enum err
no_memory(struct error *err)
{
	return err_set(err, ERR_NOMEM, "no memory for a content");
}

/* entry_decode refuses such an entry; not every entry comes from there. */
static enum err
wrong_size(struct error *err)
{
	return err_set(err, ERR_CORRUPT, "a content that has not its size");
}

static enum err
open_inline(struct content_view *v, const struct content *c, struct error *err)
{
	if (c->bytes.len != v->size)
		return wrong_size(err);
	if (c->bytes.len == 0)
		return ERR_OK;
	v->bytes = malloc(c->bytes.len);
	if (v->bytes == NULL)
		return no_memory(err);
	memcpy(v->bytes, c->bytes.data, c->bytes.len);
	return ERR_OK;
}

static enum err
open_slices(struct content_view *v, const struct slices *s, struct error *err)
{
	uint64_t end = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (__builtin_add_overflow(end, s->v[i].len, &end))
			return wrong_size(err);
	}
	if (end != v->size)
		return wrong_size(err);
	if (s->n == 0)
		return ERR_OK;
	v->slices = reallocarray(NULL, s->n, sizeof(*v->slices));
	v->ends = reallocarray(NULL, s->n, sizeof(*v->ends));
	if (v->slices == NULL || v->ends == NULL)
		return no_memory(err);
	memcpy(v->slices, s->v, s->n * sizeof(*v->slices));
	end = 0;
	for (size_t i = 0; i < s->n; i++)
		v->ends[i] = end += s->v[i].len;
	v->n_slices = s->n;
	return ERR_OK;
}

/* e is no link. */
static enum err
open_entry(struct content_view *v, struct tree_io *io, const struct entry *e,
	struct error *err)
{
	const struct content *c = &e->content;

	v->kind = c->kind;
	v->size = e->size;
	switch (c->kind) {
	case CONTENT_NONE:
		if (e->size == 0)
			return ERR_OK;
		return err_set(err, ERR_NOTFOUND, "its content was not stored");
	case CONTENT_INLINE:
		return open_inline(v, c, err);
	case CONTENT_SLICES:
		return open_slices(v, &c->slices, err);
	case CONTENT_EXTENTS:
		return cursor_open(&v->cursor, io, TREE_EXTENTS, &c->root, err);
	case CONTENT_LINK:
		break;
	}
	return err_set(err, ERR_CORRUPT, "a link to a link");
}

static enum err
open_link(struct content_view *v, struct tree_io *io, const struct id *root,
	const struct entry *link, struct error *err)
{
	struct cursor *c = NULL;
	bool found = false;
	struct entry to;
	struct item item;
	enum err rc;

	entry_init(&to);
	rc = cursor_open(&c, io, TREE_ENTRIES, root, err);
	if (rc == ERR_OK)
		rc = cursor_find(c, link->content.bytes, &item, &found, err);
	if (rc == ERR_OK && !found)
		rc = err_set(err, ERR_CORRUPT, "a link to nothing");
	if (rc == ERR_OK)
		rc = entry_decode(&to, item.val.data, item.val.len, item.refs,
			item.n_refs, err);
	if (rc == ERR_OK && to.type != link->type)
		rc = err_set(err, ERR_CORRUPT, "a link to another type");
	if (rc == ERR_OK)
		rc = open_entry(v, io, &to, err);
	entry_fini(&to);
	cursor_close(c);
	return rc;
}

/* The view of nothing; its chunks stay. */
static void
drop_entry(struct content_view *v)
{
	struct chunks kept = v->chunks;

	cursor_close(v->cursor);
	free(v->bytes);
	free(v->slices);
	free(v->ends);
	*v = (struct content_view){ .chunks = kept };
}

enum err
content_open(struct content_view **out, struct tree_io *io,
	const struct id *root, const struct entry *e, struct error *err)
{
	struct content_view *v = calloc(1, sizeof(*v));
	enum err rc;

	if (v == NULL)
		return no_memory(err);
	chunks_init(&v->chunks, io, CONTENT_CACHE);
	rc = content_reopen(v, root, e, err);
	if (rc != ERR_OK) {
		content_close(v);
		return rc;
	}
	*out = v;
	return ERR_OK;
}

enum err
content_reopen(struct content_view *v, const struct id *root,
	const struct entry *e, struct error *err)
{
	struct tree_io *io = v->chunks.io;
	enum err rc;

	drop_entry(v);
	if (e->content.kind == CONTENT_LINK)
		rc = open_link(v, io, root, e, err);
	else
		rc = open_entry(v, io, e, err);
	if (rc != ERR_OK) {
		drop_entry(v);
		return rc;
	}
	v->chunks.max =
		v->kind == CONTENT_EXTENTS ? EXTENTS_CACHE : CONTENT_CACHE;
	return ERR_OK;
}

void
content_close(struct content_view *v)
{
	if (v == NULL)
		return;
	drop_entry(v);
	chunks_fini(&v->chunks);
	free(v);
}

uint64_t
content_size(const struct content_view *v)
{
	return v->size;
}

static uint64_t
end_of(const struct piece *run)
{
	return run->off + run->len;
}

/* The first slice that ends behind off. */
static size_t
slice_at(const struct content_view *v, uint64_t off)
{
	size_t low = 0, high = v->n_slices;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (v->ends[mid] > off)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static void
run_of_slice(struct content_view *v, uint64_t off)
{
	size_t i = slice_at(v, off);
	const struct slice *s = &v->slices[i];

	v->run = (struct piece){ .off = v->ends[i] - s->len,
		.len = s->len,
		.kind = s->hole ? PIECE_HOLE : PIECE_CHUNK,
		.chunk = s->chunk,
		.chunk_off = s->off };
}

/* The extent at the cursor, which must begin at from at the least. */
static enum err
take_extent(struct content_view *v, uint64_t from, struct extent *e,
	struct error *err)
{
	struct item item;
	enum err rc;

	rc = cursor_next(v->cursor, &item, err);
	if (rc != ERR_OK)
		return rc;
	*e = (struct extent){ 0 };
	if (item.key.data == NULL)
		return ERR_OK;
	rc = extent_decode(&item, e, err);
	if (rc == ERR_OK && (e->off < from || e->off > v->size ||
				    e->len > v->size - e->off))
		rc = err_set(err, ERR_CORRUPT,
			"an extent at %llu overlaps another or the end",
			(unsigned long long)e->off);
	return rc;
}

/* The run is the extent e. */
static enum err
run_of_extent(struct content_view *v, const struct extent *e, struct error *err)
{
	v->run = (struct piece){ .off = e->off,
		.len = e->len,
		.kind = PIECE_CHUNK,
		.chunk = e->chunk,
		.chunk_off = e->chunk_off };
	return take_extent(v, e->off + e->len, &v->next, err);
}

/* The run is the hole from off to the next extent. */
static void
run_of_gap(struct content_view *v, uint64_t off)
{
	uint64_t end = v->next.len > 0 ? v->next.off : v->size;

	v->run = (struct piece){ .off = off, .len = end - off };
}

/* The run at off, where the tree has to be searched for it. */
static enum err
seek_extent(struct content_view *v, uint64_t off, struct error *err)
{
	uint8_t raw[EXTENT_KEY];
	struct extent e;
	enum err rc;

	extent_key(off, raw);
	rc = cursor_seek_le(v->cursor, (struct bytes){ raw, EXTENT_KEY }, err);
	if (rc == ERR_OK)
		rc = take_extent(v, 0, &e, err);
	if (rc != ERR_OK)
		return rc;
	if (e.len == 0 || e.off > off) {
		v->next = e;
		run_of_gap(v, 0);
		return ERR_OK;
	}
	rc = run_of_extent(v, &e, err);
	if (rc == ERR_OK && off - e.off >= e.len)
		run_of_gap(v, e.off + e.len);
	return rc;
}

static enum err
run_in_extents(struct content_view *v, uint64_t off, struct error *err)
{
	struct extent next = v->next;
	enum err rc;

	if (v->run.len > 0 && off == end_of(&v->run)) {
		if (next.len == 0 || next.off > off) {
			run_of_gap(v, off);
			return ERR_OK;
		}
		rc = run_of_extent(v, &next, err);
	} else {
		rc = seek_extent(v, off, err);
	}
	/* Half of a step is no place to go on from. */
	if (rc != ERR_OK)
		v->run.len = 0;
	return rc;
}

/* So that the run covers off, which lies before the end. */
static enum err
find_run(struct content_view *v, uint64_t off, struct error *err)
{
	if (off >= v->run.off && off - v->run.off < v->run.len)
		return ERR_OK;
	switch (v->kind) {
	case CONTENT_INLINE:
		v->run = (struct piece){ .len = v->size,
			.kind = PIECE_BYTES,
			.bytes = v->bytes };
		return ERR_OK;
	case CONTENT_SLICES:
		run_of_slice(v, off);
		return ERR_OK;
	case CONTENT_EXTENTS:
		return run_in_extents(v, off, err);
	case CONTENT_NONE:
	case CONTENT_LINK:
		break;
	}
	return err_set(err, ERR_CORRUPT, "content that cannot be");
}

enum err
content_piece(struct content_view *v, uint64_t off, struct piece *out,
	struct error *err)
{
	uint64_t skip;
	enum err rc;

	if (off >= v->size) {
		*out = (struct piece){ .off = v->size };
		return ERR_OK;
	}
	rc = find_run(v, off, err);
	if (rc != ERR_OK)
		return rc;
	skip = off - v->run.off;
	*out = v->run;
	out->off = off;
	out->len -= skip;
	if (out->kind == PIECE_BYTES)
		out->bytes += skip;
	else if (out->kind == PIECE_CHUNK)
		out->chunk_off += (uint32_t)skip;
	return ERR_OK;
}

static enum err
read_piece(struct content_view *v, const struct piece *p, uint8_t *out,
	size_t len, struct error *err)
{
	switch (p->kind) {
	case PIECE_HOLE:
		memset(out, 0, len);
		return ERR_OK;
	case PIECE_BYTES:
		memcpy(out, p->bytes, len);
		return ERR_OK;
	case PIECE_CHUNK:
		break;
	}
	return chunks_read(&v->chunks, &p->chunk, p->chunk_off, out, len, err);
}

enum err
content_read(struct content_view *v, uint64_t off, void *data, size_t len,
	size_t *got, struct error *err)
{
	uint8_t *out = data;
	size_t done = 0;

	while (done < len) {
		struct piece p;
		size_t n;
		enum err rc = content_piece(v, off + done, &p, err);

		if (rc != ERR_OK)
			return rc;
		if (p.len == 0)
			break;
		n = p.len < len - done ? (size_t)p.len : len - done;
		rc = read_piece(v, &p, out + done, n, err);
		if (rc != ERR_OK)
			return rc;
		done += n;
	}
	*got = done;
	return ERR_OK;
}
