/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_diff: two cursors side by side, as in tree/diff.c, and with each the
 * extent that was read last.
 *
 * Where both stand before subtrees with the same id, both step over: what the
 * extents of such a subtree cover lies before the next key of either tree, and
 * nothing read so far reaches into it.  Otherwise the one that stands further
 * in front goes down to its extent.  A stretch in which neither side begins or
 * ends is then decided on at once: the same part of the same chunk is equal,
 * everything else differs, or is compared block by block.
 */
#include "tree/image_diff.h"

#include <stdlib.h>
#include <string.h>

#include "tree/chunks.h"
#include "tree/cursor.h"
#include "tree/extents.h"
#include "tree/runs.h"
#include "tree/walk.h"

enum {
	STEP = 256 << 10, /* compared at a time */
	/* Of a side.  Windows side by side have their pieces in the same
	 * chunks. */
	CHUNKS_AT_HAND = 64 << 20
};

/* One of the two images. */
struct side {
	struct cursor *cursor; /* NULL: an empty image */
	uint64_t size;
	struct place place; /* of the cursor, while there is no extent */
	struct extent e; /* len 0: not read, or passed */
	uint64_t next; /* where it goes on; UINT64_MAX: nowhere */
	uint64_t end; /* of the last extent that was read */
	struct chunks chunks;
	uint8_t *bytes; /* STEP */
};

struct image_differ {
	struct side a, b;
	uint64_t pos; /* all below is decided */
	image_diff_fn *fn;
	void *arg;
	/* Not told yet; len 0: nothing. */
	uint64_t off, len;
	bool hole;
};

static uint64_t
extent_to(const struct extent *e)
{
	return e->off + e->len;
}

/* Find where a side goes on, without reading a node. */
static enum err
look(struct side *s, uint64_t pos, struct error *err)
{
	const struct bytes *key = &s->place.key;

	if (s->e.len > 0 && extent_to(&s->e) > pos) {
		s->next = s->e.off > pos ? s->e.off : pos;
		return ERR_OK;
	}
	s->e.len = 0;
	s->next = UINT64_MAX;
	if (s->cursor == NULL)
		return ERR_OK;
	cursor_place(s->cursor, &s->place);
	if (key->data == NULL)
		return ERR_OK;
	if (key->len != EXTENT_KEY)
		return err_set(err, ERR_CORRUPT, "an extent that cannot be");
	s->next = 0;
	for (size_t i = 0; i < EXTENT_KEY; i++)
		s->next = s->next << 8 | key->data[i];
	if (s->next < pos)
		return err_set(err, ERR_CORRUPT,
			"an image has an extent at %llu that overlaps another",
			(unsigned long long)s->next);
	return ERR_OK;
}

/* One step down to the extent at the place. */
static enum err
descend(struct side *s, struct error *err)
{
	struct item item;
	struct extent e;
	enum err rc;

	if (s->place.level >= 0)
		return cursor_descend(s->cursor, err);
	rc = cursor_next(s->cursor, &item, err);
	if (rc == ERR_OK)
		rc = extent_decode(&item, &e, err);
	if (rc != ERR_OK)
		return rc;
	if (e.off < s->end || extent_to(&e) > s->size)
		return err_set(err, ERR_CORRUPT,
			"an image has an extent at %llu that overlaps another "
			"or its end",
			(unsigned long long)e.off);
	s->e = e;
	s->end = extent_to(&e);
	return ERR_OK;
}

/* Step over the largest subtree that begins at both places. */
static bool
skip_equal(struct side *a, struct side *b)
{
	const struct place *pa = &a->place, *pb = &b->place;
	int l = pa->level_max < pb->level_max ? pa->level_max : pb->level_max;
	struct child ca, cb;

	for (; l >= 0 && l >= pa->level && l >= pb->level; l--) {
		cursor_subtree(a->cursor, (unsigned)l, &ca);
		cursor_subtree(b->cursor, (unsigned)l, &cb);
		if (!id_eq(&ca.id, &cb.id))
			continue;
		cursor_skip(a->cursor, (unsigned)l);
		cursor_skip(b->cursor, (unsigned)l);
		return true;
	}
	return false;
}

/* Both stand before something unread at the same offset. */
static enum err
step_both(struct image_differ *d, struct error *err)
{
	const int a = d->a.place.level, b = d->b.place.level;
	enum err rc = ERR_OK;

	if (skip_equal(&d->a, &d->b))
		return ERR_OK;
	if (a >= b)
		rc = descend(&d->a, err);
	if (rc == ERR_OK && b >= a)
		rc = descend(&d->b, err);
	return rc;
}

static enum err
flush(struct image_differ *d, struct error *err)
{
	uint64_t len = d->len;

	d->len = 0;
	return len > 0 ? d->fn(d->arg, d->off, len, d->hole, err) : ERR_OK;
}

static enum err
differs(struct image_differ *d, uint64_t from, uint64_t to, bool hole,
	struct error *err)
{
	enum err rc = ERR_OK;

	if (d->len > 0 && (d->off + d->len != from || d->hole != hole))
		rc = flush(d, err);
	if (rc != ERR_OK)
		return rc;
	if (d->len == 0)
		d->off = from;
	d->len += to - from;
	d->hole = hole;
	return ERR_OK;
}

/* Whether the side has an extent at from, rather than a hole. */
static bool
covers(const struct side *s, uint64_t from)
{
	return s->e.len > 0 && s->e.off <= from;
}

static enum err
read_side(struct side *s, uint64_t from, size_t len, struct error *err)
{
	const struct extent *e = &s->e;

	if (!covers(s, from)) {
		memset(s->bytes, 0, len);
		return ERR_OK;
	}
	return chunks_read(&s->chunks, &e->chunk,
		e->chunk_off + (uint32_t)(from - e->off), s->bytes, len, err);
}

static enum err
compare(struct image_differ *d, uint64_t from, uint64_t to, struct error *err)
{
	const bool hole = !covers(&d->b, from);
	uint64_t pos = from, next;
	enum err rc = ERR_OK;

	for (; pos < to && rc == ERR_OK; pos = next) {
		next = (pos / STEP + 1) * STEP;
		if (next > to)
			next = to;
		rc = read_side(&d->a, pos, (size_t)(next - pos), err);
		if (rc == ERR_OK)
			rc = read_side(&d->b, pos, (size_t)(next - pos), err);
		for (uint64_t i = pos, k; i < next && rc == ERR_OK; i = k) {
			k = (i / RUN_BLOCK + 1) * RUN_BLOCK;
			if (k > next)
				k = next;
			if (memcmp(d->a.bytes + (i - pos),
				    d->b.bytes + (i - pos), k - i) != 0)
				rc = differs(d, i, k, hole, err);
		}
	}
	return rc;
}

static bool
same_part(const struct extent *a, const struct extent *b)
{
	return a->off - a->chunk_off == b->off - b->chunk_off &&
	       id_eq(&a->chunk, &b->chunk);
}

/* The stretch that begins with an extent of s; other begins later, or also
 * with one. */
static enum err
decide(struct image_differ *d, const struct side *s, const struct side *other,
	struct error *err)
{
	uint64_t from = s->next, to = extent_to(&s->e);
	bool both = other->next == from;

	if (both && extent_to(&other->e) < to)
		to = extent_to(&other->e);
	if (!both && other->next < to)
		to = other->next;
	d->pos = to;
	if (both && same_part(&d->a.e, &d->b.e))
		return ERR_OK;
	if (to > d->b.size)
		to = d->b.size;
	if (d->a.bytes != NULL)
		return compare(d, from, to, err);
	return differs(d, from, to, !covers(&d->b, from), err);
}

static enum err
walk(struct image_differ *d, struct error *err)
{
	for (;;) {
		struct side *s = &d->a, *other = &d->b;
		enum err rc;

		rc = look(&d->a, d->pos, err);
		if (rc == ERR_OK)
			rc = look(&d->b, d->pos, err);
		if (rc != ERR_OK)
			return rc;
		if (other->next < s->next) {
			s = &d->b;
			other = &d->a;
		}
		if (s->next >= d->b.size)
			return flush(d, err);
		if (s->next == other->next && s->e.len == 0 &&
			other->e.len == 0)
			rc = step_both(d, err);
		else if (s->e.len == 0)
			rc = descend(s, err);
		else if (s->next == other->next && other->e.len == 0)
			rc = descend(other, err);
		else
			rc = decide(d, s, other, err);
		if (rc != ERR_OK)
			return rc;
	}
}

static enum err
side_open(struct side *s, struct tree_io *io, const struct image_ref *ref,
	bool compare_bytes, struct error *err)
{
	chunks_init(&s->chunks, io, CHUNKS_AT_HAND);
	if (compare_bytes) {
		s->bytes = malloc(STEP);
		if (s->bytes == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory to compare images");
	}
	if (ref == NULL)
		return ERR_OK;
	s->size = ref->size;
	return cursor_open(&s->cursor, io, TREE_EXTENTS, &ref->root, err);
}

static void
side_close(struct side *s)
{
	cursor_close(s->cursor);
	chunks_fini(&s->chunks);
	free(s->bytes);
}

enum err
image_diff(struct tree_io *io, const struct image_ref *a,
	const struct image_ref *b, bool compare_bytes, image_diff_fn *fn,
	void *arg, struct error *err)
{
	struct image_differ *d;
	enum err rc;

	if (a != NULL && id_eq(&a->root, &b->root))
		return ERR_OK;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return err_set(err, ERR_NOMEM, "no memory to compare images");
	d->fn = fn;
	d->arg = arg;
	rc = side_open(&d->a, io, a, compare_bytes, err);
	if (rc == ERR_OK)
		rc = side_open(&d->b, io, b, compare_bytes, err);
	if (rc == ERR_OK)
		rc = walk(d, err);
	side_close(&d->a);
	side_close(&d->b);
	free(d);
	return rc;
}
