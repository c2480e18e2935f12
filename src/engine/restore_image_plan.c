/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan: the pieces of the image, one after the other, become windows; equal
 * chunks of one stretch become one fetch.
 */
#include <string.h>

#include "engine/restoring_image.h"

/* A mark comes between stretches. */
static bool
is_full(const struct stretch *s, uint64_t at)
{
	uint64_t every = s->run->conf->mark_every;

	return (every > 0 && at - s->begin >= every) ||
	       s->n_windows >= STRETCH_WINDOWS || s->n_uses >= STRETCH_USES ||
	       s->n_fetches >= STRETCH_FETCHES ||
	       s->buffered >= STRETCH_BUFFERED;
}

/* ---- chunks ---- */

static struct fetch *
fetch_of(struct stretch *s, const struct id *chunk)
{
	size_t at = (size_t)id_prefix(chunk) & (STRETCH_TABLE - 1);
	struct fetch *f;

	while (s->table[at] != 0) {
		f = &s->fetches[s->table[at] - 1];
		if (id_eq(&f->chunk, chunk))
			return f;
		at = (at + 1) & (STRETCH_TABLE - 1);
	}
	f = &s->fetches[s->n_fetches++];
	s->table[at] = (uint16_t)s->n_fetches;
	*f = (struct fetch){ .job.run = imaging_run_fetch,
		.stretch = s,
		.chunk = *chunk,
		.first = NO_USE,
		.last = NO_USE };
	return f;
}

static void
use_chunk(struct stretch *s, struct use *u, const struct id *chunk)
{
	struct fetch *f = fetch_of(s, chunk);
	uint32_t number = (uint32_t)(u - s->uses);
	uint64_t end = (uint64_t)u->chunk_off + u->len;

	if (f->first == NO_USE)
		f->first = number;
	else
		s->uses[f->last].next = number;
	f->last = number;
	if (end > f->end)
		f->end = end;
	if ((u->window->off + u->at - u->chunk_off) % WINDOW != 0)
		f->gathered = true;
}

/* ---- windows ---- */

static struct window *
new_window(struct stretch *s, uint64_t off)
{
	struct window *w = &s->windows[s->n_windows++];

	*w = (struct window){ .job.run = imaging_run_window,
		.stretch = s,
		.off = off,
		.first = s->n_uses };
	return w;
}

/* One piece of a chunk is written from there; what is put together, or has to
 * wait for its turn, has a buffer. */
static void
close_window(struct stretch *s)
{
	struct window *w = s->open;

	s->open = NULL;
	if (w == NULL || (w->n_uses == 1 && s->uses[w->first].bytes == NULL &&
				 !imaging_in_order(s->run)))
		return;
	w->data = s->arena + s->buffered;
	s->buffered += w->len;
	for (uint32_t i = 0; i < w->n_uses; i++) {
		const struct use *u = &s->uses[w->first + i];

		if (u->bytes != NULL)
			memcpy(w->data + u->at, u->bytes, u->len);
	}
}

/* p, of which len bytes lie within one aligned window. */
static void
add_piece(struct stretch *s, const struct piece *p, uint32_t len)
{
	struct window *w = s->open;
	struct use *u;

	if (w != NULL && (w->off + w->len != p->off || p->off % WINDOW == 0)) {
		close_window(s);
		w = NULL;
	}
	if (w == NULL)
		w = s->open = new_window(s, p->off);
	u = &s->uses[s->n_uses++];
	*u = (struct use){ .window = w,
		.at = w->len,
		.len = len,
		.chunk_off = p->chunk_off,
		.next = NO_USE };
	w->len += len;
	w->n_uses++;
	if (p->kind == PIECE_BYTES) {
		u->bytes = p->bytes;
		return;
	}
	w->pending++;
	use_chunk(s, u, &p->chunk);
}

/* How much of [off, off + len) lies in one aligned window. */
static uint32_t
within_window(uint64_t off, uint64_t len)
{
	uint64_t room = WINDOW - off % WINDOW;

	return (uint32_t)(len < room ? len : room);
}

/* What of the hole [off, off + len) is to be looked at is a window; the result
 * is how much of it was dealt with. */
static uint64_t
add_hole(struct stretch *s, uint64_t off, uint64_t len)
{
	struct imaging *g = s->run;
	struct range there = { .off = off, .end = off + len };
	struct window *w;

	if (g->pass == IMAGE_FILL)
		return len;
	if (g->has_data && !ranges_next(&g->data, off, &there))
		return len;
	if (there.off >= off + len)
		return len;
	if (there.off > off)
		return there.off - off;
	if (there.end < off + len)
		len = there.end - off;
	w = new_window(s, off);
	w->len = within_window(off, len);
	w->hole = true;
	return w->len;
}

/* ---- the walk ---- */

/* The first range at or behind off that is to be looked at. */
static bool
next_range(const struct imaging *g, uint64_t off, struct range *out)
{
	struct range look = { .off = off, .end = g->size }, own = look;

	for (;;) {
		if (g->has_look && !ranges_next(&g->look, off, &look))
			return false;
		if (g->has_own && !ranges_next(&g->own, off, &own))
			return false;
		if (look.end > off && look.off <= off && own.off <= off)
			break;
		off = look.off > own.off ? look.off : own.off;
		if (off >= g->size)
			return false;
	}
	*out = (struct range){ .off = off,
		.end = look.end < own.end ? look.end : own.end };
	if (out->end > g->size)
		out->end = g->size;
	return off < g->size;
}

/* Count what is written without looking. */
static bool
is_only_counted(const struct imaging *g)
{
	return g->conf->dry_run && g->pass == IMAGE_FILL;
}

static enum err
plan_piece(struct stretch *s, const struct range *r, uint64_t *at,
	struct error *err)
{
	struct imaging *g = s->run;
	struct piece p;
	enum err rc = content_piece(g->view, r->off, &p, err);

	if (rc == ERR_OK && p.len == 0)
		rc = err_set(err, ERR_CORRUPT,
			"the image ends at %llu, before its size",
			(unsigned long long)r->off);
	if (rc != ERR_OK)
		return rc;
	if (p.len > r->end - r->off)
		p.len = r->end - r->off;
	if (p.kind == PIECE_HOLE) {
		*at = r->off + add_hole(s, r->off, p.len);
		return ERR_OK;
	}
	if (!is_only_counted(g))
		p.len = within_window(r->off, p.len);
	*at = r->off + p.len;
	if (g->pass != IMAGE_VERIFY)
		g->counts.data += p.len;
	if (is_only_counted(g))
		g->counts.written += p.len;
	else
		add_piece(s, &p, (uint32_t)p.len);
	return ERR_OK;
}

enum err
stretch_plan(struct stretch *s, uint64_t *at, struct error *err)
{
	struct imaging *g = s->run;
	enum err rc = ERR_OK;

	s->begin = *at;
	while (rc == ERR_OK && *at < g->size && !is_full(s, *at)) {
		struct range r;

		if (!next_range(g, *at, &r)) {
			*at = g->size;
			break;
		}
		rc = plan_piece(s, &r, at, err);
	}
	close_window(s);
	s->end = *at;
	g->report->progress->bytes_done += *at - s->begin;
	return rc;
}

void
stretch_drop_job(struct stretch *s)
{
	if (atomic_fetch_sub(&s->jobs, 1) == 1)
		gate_open(&s->done);
}

static bool
needs_no_chunk(const struct window *w)
{
	return w->pending == 0;
}

void
stretch_submit(struct stretch *s)
{
	struct pool *pool = s->run->crew.pool;

	gate_init(&s->done);
	s->under_way = true;
	s->jobs = s->n_fetches + 1;
	for (uint32_t i = 0; i < s->n_windows; i++)
		s->jobs += needs_no_chunk(&s->windows[i]) ? 1 : 0;
	/* No fetch has been submitted yet, so pending stands still. */
	for (uint32_t i = 0; i < s->n_windows; i++)
		if (needs_no_chunk(&s->windows[i]))
			pool_submit(pool, &s->windows[i].job);
	for (uint32_t i = 0; i < s->n_fetches; i++)
		pool_submit(pool, &s->fetches[i].job);
	stretch_drop_job(s);
}

void
stretch_wait(struct stretch *s)
{
	if (s->under_way)
		gate_wait(&s->done);
	s->under_way = false;
}

void
stretch_clear(struct stretch *s)
{
	s->n_windows = s->n_uses = s->n_fetches = 0;
	s->buffered = 0;
	s->open = NULL;
	memset(s->table, 0, sizeof(s->table));
}
