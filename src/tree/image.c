/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image: the changes of one window at a time are gathered, and when the next
 * window begins, the extents of this one are decided on.
 *
 *  - What is new comes as it is into the shared chunk; where nothing old is
 *    left and at least a quarter of the window is data, into a chunk of its
 *    own, so that equal windows of other images are equal chunks.
 *  - If that makes more than IMAGE_FRAGMENTS extents, the window is read and
 *    stored anew as one chunk: of what lies between its zero blocks, but only
 *    the largest gaps stay holes (RUNS_MAX - 1 of them), and smaller ones are
 *    stored as zeroes.  So the window has room for some more changes before it
 *    is the turn of this rule again.
 *
 * An old extent that crosses the edge of a changed window is given out in two
 * parts, which become one again on the way into the tree.
 *
 * Nothing here makes anything durable or visible: there are new chunks and
 * nodes, and who commits their root waits for them.
 */
#include "tree/image.h"

#include <stdlib.h>
#include <string.h>

#include "tree/chunks.h"
#include "tree/image_old.h"
#include "tree/image_out.h"
#include "tree/runs.h"

enum {
	RUNS_MAX = IMAGE_FRAGMENTS / 4,
	OWN_CHUNK_MIN = IMAGE_WINDOW / 4,
	/* Windows side by side have their pieces in the same chunks, one for
	 * each fragment at worst; those should be fetched once. */
	OLD_CHUNKS_MAX = (IMAGE_FRAGMENTS + 8) * IMAGE_WINDOW
};

/* A range of the window that now reads as data, or is a hole. */
struct change {
	struct run run;
	bool data;
};

/* What a window is going to consist of. */
struct part {
	struct run run;
	bool is_old;
	struct extent old;
};

struct plan {
	struct part v[IMAGE_FRAGMENTS];
	size_t n;
	bool too_many;
	size_t n_old;
	size_t new_len;
};

struct image {
	struct tree_io *io;
	uint64_t old_size, size;
	uint64_t at; /* end of the last call's range */
	uint64_t done; /* extents up to here were given out */
	struct image_old old;
	struct image_out out;
	struct chunks chunks;
	struct image_figures figures;
	/* The window that is being changed. */
	uint64_t window;
	size_t window_len;
	struct change *changes; /* ascending, apart */
	size_t n_changes, changes_cap;
	uint8_t *bytes; /* IMAGE_WINDOW; what was changed is valid */
};

static uint64_t
min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

enum err
image_open(struct image **out, struct tree_io *io,
	const struct image_conf *conf, struct error *err)
{
	struct image *img = calloc(1, sizeof(*img));
	enum err rc;

	if (img == NULL)
		return err_set(err, ERR_NOMEM, "no memory for an image");
	img->io = io;
	img->old_size = conf->old_root != NULL ? conf->old_size : 0;
	img->size = conf->size;
	chunks_init(&img->chunks, io, OLD_CHUNKS_MAX);
	img->bytes = malloc(IMAGE_WINDOW);
	if (img->bytes == NULL)
		rc = err_set(err, ERR_NOMEM, "no memory for an image");
	else
		rc = image_old_open(&img->old, io, conf->old_root,
			img->old_size, err);
	if (rc == ERR_OK)
		rc = image_out_open(&img->out, io, conf->old_root, err);
	if (rc != ERR_OK) {
		image_free(img);
		return rc;
	}
	*out = img;
	return ERR_OK;
}

void
image_free(struct image *img)
{
	if (img == NULL)
		return;
	image_out_close(&img->out);
	image_old_close(&img->old);
	chunks_fini(&img->chunks);
	free(img->changes);
	free(img->bytes);
	free(img);
}

/* Give out what is left, up to to, of an old extent that began before what was
 * given out last. */
static enum err
give_tail(struct image *img, uint64_t to, struct error *err)
{
	const struct extent *e = &img->old.e;
	uint64_t from = img->done;
	struct extent part;
	enum err rc;

	if (from == 0 || from == to)
		return ERR_OK;
	rc = image_old_at(&img->old, from, err);
	if (rc != ERR_OK || e->len == 0 || e->off >= from)
		return rc;
	img->done = min(extent_end(e), to);
	part = image_old_part(e, from, img->done);
	return image_out_extent(&img->out, &part, err);
}

/* Give out everything before to, where a change begins. */
static enum err
give_until(struct image *img, uint64_t to, struct error *err)
{
	const struct extent *e = &img->old.e;
	struct extent part;
	uint64_t from = to;
	enum err rc;

	rc = give_tail(img, to, err);
	if (rc != ERR_OK || img->done == to)
		return rc;
	rc = image_old_at(&img->old, to, err);
	if (rc != ERR_OK)
		return rc;
	if (e->len > 0 && e->off < to)
		from = e->off > img->done ? e->off : img->done;
	if (from > img->done)
		rc = image_out_keep(&img->out, img->done, from, err);
	img->done = to;
	if (rc != ERR_OK || from == to)
		return rc;
	part = image_old_part(e, from, to);
	return image_out_extent(&img->out, &part, err);
}

static void
plan_add(struct plan *plan, const struct part *part)
{
	if (plan->n == IMAGE_FRAGMENTS) {
		plan->too_many = true;
		return;
	}
	if (part->is_old)
		plan->n_old++;
	else
		plan->new_len += part->run.to - part->run.from;
	plan->v[plan->n++] = *part;
}

/* The runs of changed data, without blocks of zeroes that it covers whole. */
static void
plan_new(const struct image *img, struct plan *plan, const uint8_t *bytes,
	struct run range)
{
	struct part part = { .run = { range.from, range.from } };
	uint32_t pos = range.from;

	while (pos < range.to && !plan->too_many) {
		uint32_t next = (pos / RUN_BLOCK + 1) * RUN_BLOCK;
		bool whole = pos % RUN_BLOCK == 0;

		if (next > range.to) {
			next = range.to;
			whole = whole && next == img->window_len;
		}
		if (whole && runs_zero(bytes + pos, next - pos)) {
			if (part.run.to > part.run.from)
				plan_add(plan, &part);
			part.run.from = next;
		}
		pos = part.run.to = next;
	}
	if (part.run.to > part.run.from)
		plan_add(plan, &part);
}

static enum err
read_old(struct image *img, const struct extent *e, struct error *err)
{
	return chunks_read(&img->chunks, &e->chunk, e->chunk_off,
		img->bytes + (e->off - img->window), e->len, err);
}

/* What of the old image lies in a range of the window: into the plan or,
 * without one, read. */
static enum err
each_old(struct image *img, struct run range, struct plan *plan,
	struct error *err)
{
	const uint64_t from = img->window + range.from;
	const uint64_t to = img->window + range.to;
	const struct extent *e = &img->old.e;
	struct part part = { .is_old = true };
	enum err rc;

	if (range.from == range.to)
		return ERR_OK;
	rc = image_old_at(&img->old, from, err);
	while (rc == ERR_OK && e->len > 0 && e->off < to) {
		part.old = image_old_part(e, e->off > from ? e->off : from,
			min(extent_end(e), to));
		if (plan == NULL)
			rc = read_old(img, &part.old, err);
		else
			plan_add(plan, &part);
		if (extent_end(e) >= to || (plan != NULL && plan->too_many))
			break;
		if (rc == ERR_OK)
			rc = image_old_next(&img->old, err);
	}
	return rc;
}

static enum err
make_plan(struct image *img, const uint8_t *bytes, struct plan *plan,
	struct error *err)
{
	uint32_t pos = 0;
	enum err rc = ERR_OK;

	plan->n = plan->n_old = plan->new_len = 0;
	plan->too_many = false;
	for (size_t i = 0; i < img->n_changes && rc == ERR_OK; i++) {
		const struct change *c = &img->changes[i];

		rc = each_old(img, (struct run){ pos, c->run.from }, plan, err);
		if (rc == ERR_OK && c->data)
			plan_new(img, plan, bytes, c->run);
		pos = c->run.to;
		if (plan->too_many)
			return rc;
	}
	if (rc == ERR_OK)
		rc = each_old(img,
			(struct run){ pos, (uint32_t)img->window_len }, plan,
			err);
	return rc;
}

/* Fill the window with what it reads as.  The changed bytes are there. */
static enum err
complete(struct image *img, struct error *err)
{
	uint32_t pos = 0;
	enum err rc = ERR_OK;

	image_old_back(&img->old);
	for (size_t i = 0; i <= img->n_changes && rc == ERR_OK; i++) {
		struct change c = { .data = true };

		if (i < img->n_changes)
			c = img->changes[i];
		else
			c.run.from = c.run.to = (uint32_t)img->window_len;
		memset(img->bytes + pos, 0, c.run.from - pos);
		rc = each_old(img, (struct run){ pos, c.run.from }, NULL, err);
		if (!c.data)
			memset(img->bytes + c.run.from, 0,
				c.run.to - c.run.from);
		pos = c.run.to;
	}
	return rc;
}

/* One chunk of the runs.  bytes may be img->bytes or the caller's, and only
 * one run needs no copy. */
static enum err
give_chunk(struct image *img, const uint8_t *bytes, const struct run *runs,
	size_t n, struct error *err)
{
	size_t len = 0;

	if (n == 1)
		return image_out_chunk(&img->out, img->window,
			bytes + runs[0].from, runs, n, err);
	for (size_t i = 0; i < n; i++) {
		size_t run_len = runs[i].to - runs[i].from;

		memmove(img->bytes + len, bytes + runs[i].from, run_len);
		len += run_len;
	}
	return image_out_chunk(&img->out, img->window, img->bytes, runs, n,
		err);
}

static enum err
rewrite(struct image *img, const uint8_t *bytes, struct error *err)
{
	struct run runs[RUNS_MOST];
	size_t n;
	enum err rc;

	if (bytes != img->bytes)
		memcpy(img->bytes, bytes, img->window_len);
	rc = complete(img, err);
	if (rc != ERR_OK)
		return rc;
	n = runs_find(img->bytes, img->window_len, runs);
	n = runs_join(runs, n, RUNS_MAX);
	if (n > 0)
		rc = give_chunk(img, img->bytes, runs, n, err);
	img->figures.windows_rewritten++;
	for (size_t i = 0; i < n; i++)
		img->figures.bytes_rewritten += runs[i].to - runs[i].from;
	return rc;
}

static enum err
give_own(struct image *img, const uint8_t *bytes, const struct plan *plan,
	struct error *err)
{
	struct run runs[IMAGE_FRAGMENTS];

	for (size_t i = 0; i < plan->n; i++)
		runs[i] = plan->v[i].run;
	return give_chunk(img, bytes, runs, plan->n, err);
}

static enum err
give_parts(struct image *img, const uint8_t *bytes, const struct plan *plan,
	struct error *err)
{
	enum err rc;

	rc = image_out_reserve(&img->out, plan->new_len, plan->n, err);
	for (size_t i = 0; i < plan->n && rc == ERR_OK; i++) {
		const struct part *p = &plan->v[i];

		if (p->is_old)
			rc = image_out_extent(&img->out, &p->old, err);
		else
			rc = image_out_shared(&img->out,
				img->window + p->run.from, bytes + p->run.from,
				p->run.to - p->run.from, err);
	}
	return rc;
}

/* Decide on the window's extents.  bytes: where the changed bytes are. */
static enum err
close_window(struct image *img, const uint8_t *bytes, struct error *err)
{
	struct plan plan;
	enum err rc;

	if (img->n_changes == 0)
		return ERR_OK;
	rc = give_until(img, img->window, err);
	if (rc == ERR_OK)
		rc = make_plan(img, bytes, &plan, err);
	if (rc != ERR_OK)
		return rc;
	img->done = img->window + img->window_len;
	if (plan.too_many)
		rc = rewrite(img, bytes, err);
	else if (plan.n_old == 0 && plan.new_len >= OWN_CHUNK_MIN)
		rc = give_own(img, bytes, &plan, err);
	else
		rc = give_parts(img, bytes, &plan, err);
	img->n_changes = 0;
	return rc;
}

/* Turn to the window of off. */
static enum err
turn_to(struct image *img, uint64_t off, struct error *err)
{
	uint64_t window = off - off % IMAGE_WINDOW;
	enum err rc;

	if (img->n_changes > 0 && window == img->window)
		return ERR_OK;
	rc = close_window(img, img->bytes, err);
	img->window = window;
	img->window_len = (size_t)min(IMAGE_WINDOW, img->size - window);
	return rc;
}

static enum err
add_change(struct image *img, struct run run, bool data, struct error *err)
{
	struct change *c;

	if (img->n_changes > 0) {
		c = &img->changes[img->n_changes - 1];
		if (c->run.to == run.from && c->data == data) {
			c->run.to = run.to;
			return ERR_OK;
		}
	}
	if (img->n_changes == img->changes_cap) {
		size_t cap = img->changes_cap > 0 ? 2 * img->changes_cap : 64;

		c = reallocarray(img->changes, cap, sizeof(*c));
		if (c == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory for the changes of an image");
		img->changes = c;
		img->changes_cap = cap;
	}
	img->changes[img->n_changes++] = (struct change){ run, data };
	return ERR_OK;
}

static enum err
check_range(struct image *img, uint64_t off, uint64_t len, struct error *err)
{
	if (off < img->at || off > img->size || len > img->size - off)
		return err_set(err, ERR_USAGE,
			"a change of an image at %llu is out of order or "
			"behind its end",
			(unsigned long long)off);
	img->at = off + len;
	return ERR_OK;
}

/* The part of [off, off + len) that lies in the window of off. */
static struct run
run_in_window(uint64_t off, uint64_t len)
{
	uint32_t from = (uint32_t)(off % IMAGE_WINDOW);

	return (struct run){ from,
		from + (uint32_t)min(len, IMAGE_WINDOW - from) };
}

enum err
image_replace(struct image *img, uint64_t off, const void *data, size_t len,
	struct error *err)
{
	const uint8_t *bytes = data;
	enum err rc;

	rc = check_range(img, off, len, err);
	while (len > 0 && rc == ERR_OK) {
		struct run run = run_in_window(off, len);
		size_t n = run.to - run.from;

		rc = turn_to(img, off, err);
		if (rc == ERR_OK)
			rc = add_change(img, run, true, err);
		if (rc == ERR_OK && n == img->window_len)
			rc = close_window(img, bytes, err);
		else if (rc == ERR_OK)
			memcpy(img->bytes + run.from, bytes, n);
		off += n;
		bytes += n;
		len -= n;
	}
	return rc;
}

/* Whole windows, which need not be looked at one by one. */
static enum err
punch_windows(struct image *img, uint64_t off, uint64_t len, struct error *err)
{
	enum err rc;

	rc = close_window(img, img->bytes, err);
	if (rc == ERR_OK)
		rc = give_until(img, off, err);
	img->done = off + len;
	return rc;
}

enum err
image_punch(struct image *img, uint64_t off, uint64_t len, struct error *err)
{
	enum err rc;

	rc = check_range(img, off, len, err);
	while (len > 0 && rc == ERR_OK) {
		struct run run = run_in_window(off, len);
		uint64_t n = run.to - run.from;

		if (run.from == 0 && off + len == img->size)
			n = len;
		else if (run.from == 0)
			n = len - len % IMAGE_WINDOW;
		if (run.from == 0 && n > 0) {
			rc = punch_windows(img, off, n, err);
		} else {
			n = run.to - run.from;
			rc = turn_to(img, off, err);
			if (rc == ERR_OK)
				rc = add_change(img, run, false, err);
		}
		off += n;
		len -= n;
	}
	return rc;
}

enum err
image_finish(struct image *img, struct tree_root *root,
	struct image_figures *figures, struct error *err)
{
	uint64_t end = UINT64_MAX;
	enum err rc;

	rc = close_window(img, img->bytes, err);
	if (rc == ERR_OK && img->size < img->old_size) {
		end = img->size;
		rc = give_until(img, end, err);
	} else if (rc == ERR_OK) {
		rc = give_tail(img, end, err);
		if (rc == ERR_OK)
			rc = image_out_keep(&img->out, img->done, end, err);
	}
	if (rc == ERR_OK)
		rc = image_out_finish(&img->out, end, root, err);
	if (rc != ERR_OK)
		return rc;
	*figures = img->figures;
	figures->bytes_stored = img->out.bytes_stored;
	return ERR_OK;
}
