/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/restore_entry.h"

#include <stdlib.h>
#include <string.h>

#include "engine/restore_place.h"
#include "engine/restore_plan.h"
#include "tree/content.h"

/* Of one entry: what XFS keeps at most for many names. */
enum { XATTRS_MAX = 16 << 20 };

/* ---- extended attributes ---- */

static enum err
fetch_xattrs(struct restoring *r, const struct slices *s, struct buf *out,
	struct error *err)
{
	struct buf chunk = BUF_INIT((size_t)2 * CHUNK_MAX);
	enum err rc = ERR_OK;

	for (size_t i = 0; i < s->n && rc == ERR_OK; i++) {
		const struct slice *v = &s->v[i];

		if (v->hole)
			rc = buf_put_zero(out, (size_t)v->len, err);
		if (rc != ERR_OK || v->hole)
			continue;
		buf_clear(&chunk);
		rc = repo_read_data(r->lane, &v->chunk, &chunk, err);
		if (rc == ERR_OK &&
			(v->len > chunk.len || v->off > chunk.len - v->len))
			rc = err_set(err, ERR_CORRUPT,
				"refers to more of a chunk than there is");
		if (rc == ERR_OK)
			rc = buf_put(out, chunk.data + v->off, (size_t)v->len,
				err);
	}
	buf_fini(&chunk);
	return rc;
}

/* Wherever they are kept; room is for those that are kept elsewhere. */
static enum err
xattrs_of(struct restoring *r, const struct entry *e, struct buf *room,
	struct bytes *out, struct error *err)
{
	enum err rc;

	*out = e->xattrs;
	if (e->xattr_slices.n == 0)
		return ERR_OK;
	rc = fetch_xattrs(r, &e->xattr_slices, room, err);
	*out = (struct bytes){ room->data, room->len };
	return rc == ERR_OK ? ERR_OK : err_wrap(err, "extended attributes");
}

enum err
restore_entry_attrs(struct restoring *r, const struct entry *e,
	struct attrs **out, struct error *err)
{
	struct buf room = BUF_INIT(XATTRS_MAX);
	struct bytes xattrs;
	struct attrs *a = NULL;
	enum err rc = xattrs_of(r, e, &room, &xattrs, err);

	if (rc == ERR_OK) {
		a = malloc(sizeof(*a) + xattrs.len);
		if (a == NULL)
			rc = err_set(err, ERR_NOMEM, "out of memory");
	}
	if (rc == ERR_OK) {
		restore_attrs_of(r, e, a);
		a->xattrs = (const uint8_t *)(a + 1);
		a->xattrs_len = xattrs.len;
		if (xattrs.len > 0)
			memcpy(a + 1, xattrs.data, xattrs.len);
		*out = a;
	}
	buf_fini(&room);
	return rc;
}

/* ---- content ---- */

static enum err
plan_slices(struct restoring *r, struct goal *g, const struct slices *s,
	struct error *err)
{
	struct planned p = { .goal = g };
	enum err rc = ERR_OK;

	for (size_t i = 0; i < s->n && rc == ERR_OK; i++) {
		const struct slice *v = &s->v[i];

		p.len = v->len;
		p.chunk_off = v->off;
		p.hole = v->hole;
		rc = restore_plan_add(r->plan, v->hole ? NULL : &v->chunk, &p,
			err);
		p.off += v->len;
	}
	return rc;
}

static enum err
plan_extents(struct restoring *r, struct goal *g, struct content_view *v,
	struct error *err)
{
	struct planned p = { .goal = g };
	struct piece piece;
	enum err rc;

	for (;; p.off += p.len) {
		rc = content_piece(v, p.off, &piece, err);
		if (rc == ERR_OK)
			rc = restoring_check(r, err);
		if (rc != ERR_OK || piece.len == 0 || g->failed)
			return rc;
		p.len = piece.len;
		p.hole = piece.kind == PIECE_HOLE;
		p.chunk_off = piece.chunk_off;
		rc = restore_plan_add(r->plan,
			piece.kind == PIECE_CHUNK ? &piece.chunk : NULL, &p,
			err);
		if (rc != ERR_OK)
			return rc;
	}
}

/* All in one piece, which whoever takes it can make from nothing. */
static bool
is_single(const struct goal *g, const struct entry *e)
{
	const struct slices *s = &e->content.slices;

	if (g->how == HOW_ATTRS)
		return true;
	if (g->how == HOW_PATCH || g->how == HOW_VERIFY)
		return false;
	if (e->content.kind == CONTENT_SLICES)
		return s->n == 1 && !s->v[0].hole;
	return e->content.kind != CONTENT_EXTENTS;
}

static enum err
plan_content(struct restoring *r, struct tree_io *io, struct goal *g,
	const struct entry *e, struct error *err)
{
	struct planned all = { .goal = g, .len = e->size };
	struct content_view *v = NULL;
	enum err rc;

	g->single = is_single(g, e);
	if (g->how != HOW_ATTRS && e->content.kind == CONTENT_SLICES)
		return plan_slices(r, g, &e->content.slices, err);
	if (g->how == HOW_ATTRS || e->content.kind != CONTENT_EXTENTS)
		return restore_plan_add(r->plan, NULL, &all, err);
	rc = content_open(&v, io, &r->snap->root, e, err);
	if (rc == ERR_OK)
		rc = plan_extents(r, g, v, err);
	content_close(v);
	return rc;
}

static bool
is_file(const struct entry *e)
{
	return e->type == ENTRY_FILE || e->type >= ENTRY_IMAGE;
}

static bool
is_readable(const struct entry *e)
{
	return (e->marks & MARK_UNREADABLE) == 0 &&
	       (!is_file(e) || e->size == 0 || e->content.kind != CONTENT_NONE);
}

static enum err
make_goal(struct restoring *r, struct tree_io *io, struct rdir *dir,
	const char *name, const struct entry *e, enum how how,
	struct error *err)
{
	struct buf room = BUF_INIT(XATTRS_MAX);
	struct bytes xattrs;
	struct goal *g = NULL;
	enum err rc;

	rc = xattrs_of(r, e, &room, &xattrs, err);
	if (rc == ERR_OK)
		rc = restore_goal_new(&g, r, dir, name, e, xattrs, err);
	buf_fini(&room);
	if (rc != ERR_OK)
		return rc;
	g->how = how;
	rc = plan_content(r, io, g, e, err);
	if (rc != ERR_OK)
		g->failed = true;
	restore_goal_drop(g);
	return rc;
}

static void
count_left(struct restoring *r, const struct entry *e, enum how how,
	enum change change)
{
	uint64_t size = is_file(e) ? e->size : 0;

	r->report->progress->items_done++;
	r->report->progress->bytes_done += size;
	if (how == HOW_LEAVE || change == CHANGE_SAME) {
		r->counts.entries_same++;
		r->counts.bytes_same += size;
	} else {
		r->counts.entries++;
		r->counts.files += is_file(e);
		r->counts.bytes += size;
	}
}

enum err
restore_entry(struct restoring *r, struct tree_io *io, struct rdir *dir,
	const char *name, struct bytes key, const struct entry *e,
	struct error *err)
{
	enum change change;
	enum how how;
	enum err rc;

	if (r->pass == PASS_VERIFY && (!is_file(e) || !is_readable(e)))
		return ERR_OK;
	if (!is_readable(e))
		return err_set(err, ERR_NOTFOUND,
			"could not be read when it was backed up");
	rc = restore_place(r, dir, name, e, &how, &change, err);
	if (rc != ERR_OK)
		return rc;
	if (r->pass != PASS_VERIFY)
		restoring_entry(r, key, e, change);
	if (how != HOW_LEAVE && !r->conf->dry_run)
		return make_goal(r, io, dir, name, e, how, err);
	if (r->pass != PASS_VERIFY)
		count_left(r, e, how, change);
	return ERR_OK;
}
