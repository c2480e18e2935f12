/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/restoring_image.h"

/* One job at work. */
struct work {
	struct imaging *run;
	struct fetch *fetch;
	struct lane *lane;
	struct image_scratch *scratch;
	const struct buf *chunk; /* NULL: not fetched yet */
	struct kept_chunk *kept; /* that chunk is, or NULL */
};

/* ---- the chunk ---- */

static enum err
get_chunk(struct work *w, struct error *err)
{
	enum err rc;

	if (w->chunk != NULL)
		return ERR_OK;
	w->kept = kept_get(&w->run->kept, &w->fetch->chunk,
		w->fetch->stretch->number);
	if (w->kept != NULL) {
		w->chunk = &w->kept->data;
		return ERR_OK;
	}
	buf_clear(&w->scratch->chunk);
	rc = repo_read_data(w->lane, &w->fetch->chunk, &w->scratch->chunk, err);
	if (rc == ERR_OK)
		w->chunk = &w->scratch->chunk;
	return rc;
}

static enum err
use_bytes(struct work *w, const struct use *u, const uint8_t **out,
	struct error *err)
{
	enum err rc = get_chunk(w, err);

	if (rc != ERR_OK)
		return rc;
	if (u->len > w->chunk->len || u->chunk_off > w->chunk->len - u->len)
		return err_set(err, ERR_CORRUPT,
			"the image at %llu: refers to more of a chunk than "
			"there is",
			(unsigned long long)(u->window->off + u->at));
	*out = w->chunk->data + u->chunk_off;
	return ERR_OK;
}

/* A chunk that is used to its end is used up: what is gathered is referred to
 * in ascending order. */
static void
put_chunk(struct work *w)
{
	const struct fetch *f = w->fetch;
	bool spent = w->chunk != NULL && f->end >= w->chunk->len;

	if (w->kept != NULL)
		kept_put(&w->run->kept, w->kept, spent);
	else if (w->chunk != NULL && f->gathered && !spent)
		kept_add(&w->run->kept, &f->chunk, &w->scratch->chunk,
			f->stretch->number);
}

/* ---- what is there, and what shall be ---- */

static enum err
read_there(struct imaging *g, const struct window *win, uint8_t *there,
	struct error *err)
{
	enum err rc =
		g->target->ops->read(g->target, win->off, there, win->len, err);

	if (rc != ERR_OK)
		return rc;
	if (g->pass == IMAGE_VERIFY)
		g->counts.verified += win->len;
	else
		g->counts.compared += win->len;
	return ERR_OK;
}

/* [at, at + len) of the window reads otherwise; want NULL: it shall be
 * zeroes. */
static enum err
mend(struct imaging *g, const struct window *win, const uint8_t *want,
	size_t at, size_t len, struct error *err)
{
	const struct target_ops *ops = g->target->ops;
	uint64_t off = win->off + at;
	enum err rc = ERR_OK;

	if (g->pass == IMAGE_VERIFY)
		return err_set(err, ERR_CORRUPT,
			"%s:%s does not hold what was written: it differs in "
			"the block at %llu",
			ops->scheme, g->conf->rest, (unsigned long long)off);
	if (want == NULL) {
		g->counts.zeroed += len;
		if (!g->conf->dry_run)
			rc = ops->zero(g->target, off, len, err);
		return rc;
	}
	g->counts.written += len;
	if (!g->conf->dry_run)
		rc = ops->write(g->target, off, want + at, len, err);
	return rc;
}

static bool
same_block(const uint8_t *there, const uint8_t *want, size_t at, size_t len)
{
	static const uint8_t zeroes[BLOCK];

	return memcmp(there + at, want != NULL ? want + at : zeroes, len) == 0;
}

/* Blocks that differ are mended, together with their neighbours. */
static enum err
compare(struct imaging *g, const struct window *win, const uint8_t *want,
	const uint8_t *there, struct error *err)
{
	size_t from = 0, at = 0;
	bool differs = false;
	enum err rc = ERR_OK;

	while (at < win->len && rc == ERR_OK) {
		size_t len = BLOCK - (size_t)((win->off + at) % BLOCK);
		bool same;

		if (len > win->len - at)
			len = win->len - at;
		same = same_block(there, want, at, len);
		if (same && differs)
			rc = mend(g, win, want, from, at - from, err);
		if (!same && !differs)
			from = at;
		differs = !same;
		at += len;
	}
	if (rc == ERR_OK && differs)
		rc = mend(g, win, want, from, win->len - from, err);
	return rc;
}

static enum err
write_window(struct imaging *g, const struct window *win, const uint8_t *data,
	struct error *err)
{
	g->counts.written += win->len;
	return g->target->ops->write(g->target, win->off, data, win->len, err);
}

/* What the target reads as zeroes differs wherever there is data. */
static bool
is_zero_there(const struct imaging *g, const struct window *win)
{
	struct range r;

	return g->pass == IMAGE_PATCH && g->has_data &&
	       (!ranges_next(&g->data, win->off, &r) ||
		       r.off >= win->off + win->len);
}

static enum err
finish_window(struct imaging *g, const struct window *win, const uint8_t *data,
	struct image_scratch *scratch, struct error *err)
{
	enum err rc;

	if (g->pass == IMAGE_FILL)
		return write_window(g, win, data, err);
	if (is_zero_there(g, win) && !win->hole) {
		if (!g->conf->dry_run)
			return write_window(g, win, data, err);
		g->counts.written += win->len;
		return ERR_OK;
	}
	rc = read_there(g, win, scratch->there, err);
	if (rc == ERR_OK)
		rc = compare(g, win, data, scratch->there, err);
	return rc;
}

/* ---- jobs ---- */

/*
 * A window of one piece.  Where that is the whole chunk, what is there proves
 * itself by its name, and the chunk is not fetched.
 */
static enum err
do_direct(struct work *w, const struct use *u, struct error *err)
{
	struct imaging *g = w->run;
	const struct window *win = u->window;
	uint8_t *there = w->scratch->there;
	const uint8_t *data;
	struct id id;
	enum err rc;

	if (g->pass == IMAGE_FILL || is_zero_there(g, win)) {
		rc = use_bytes(w, u, &data, err);
		return rc == ERR_OK
			       ? finish_window(g, win, data, w->scratch, err)
			       : rc;
	}
	rc = read_there(g, win, there, err);
	if (rc == ERR_OK && u->chunk_off == 0 && w->chunk == NULL) {
		repo_data_id(g->repo, there, win->len, &id);
		if (id_eq(&id, &w->fetch->chunk))
			return ERR_OK;
	}
	if (rc == ERR_OK)
		rc = use_bytes(w, u, &data, err);
	if (rc == ERR_OK)
		rc = compare(g, win, data, there, err);
	return rc;
}

static enum err
complete_window(struct work *w, struct window *win, struct error *err)
{
	if (imaging_in_order(w->run))
		return ERR_OK;
	return finish_window(w->run, win, win->data, w->scratch, err);
}

static enum err
do_use(struct work *w, const struct use *u, struct error *err)
{
	struct window *win = u->window;
	const uint8_t *data;
	enum err rc = imaging_check(w->run, err);

	if (rc != ERR_OK)
		return rc;
	if (win->data == NULL)
		return do_direct(w, u, err);
	rc = use_bytes(w, u, &data, err);
	if (rc != ERR_OK)
		return rc;
	memcpy(win->data + u->at, data, u->len);
	if (atomic_fetch_sub(&win->pending, 1) > 1)
		return ERR_OK;
	return complete_window(w, win, err);
}

void
imaging_run_fetch(struct job *job, unsigned worker)
{
	struct fetch *f = container_of(job, struct fetch, job);
	struct stretch *s = f->stretch;
	struct imaging *g = s->run;
	struct work w = { .run = g,
		.fetch = f,
		.lane = g->crew.lanes[worker],
		.scratch = &g->scratch[worker] };
	struct error err = ERROR_INIT;
	enum err rc = ERR_OK;

	for (uint32_t i = f->first; i != NO_USE && rc == ERR_OK;
		i = s->uses[i].next)
		rc = do_use(&w, &s->uses[i], &err);
	if (rc != ERR_OK)
		imaging_end(g, &err);
	put_chunk(&w);
	stretch_drop_job(s);
}

void
imaging_run_window(struct job *job, unsigned worker)
{
	struct window *win = container_of(job, struct window, job);
	struct stretch *s = win->stretch;
	struct imaging *g = s->run;
	struct work w = { .run = g, .scratch = &g->scratch[worker] };
	struct error err = ERROR_INIT;
	enum err rc = imaging_check(g, &err);

	if (rc == ERR_OK)
		rc = complete_window(&w, win, &err);
	if (rc != ERR_OK)
		imaging_end(g, &err);
	stretch_drop_job(s);
}
