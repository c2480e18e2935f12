/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image: the changes of one window at a time are gathered, and when the next
 * window begins, the extents of this one are decided on.
 *
 *  - What is new comes as it is into the shared chunk; where nothing old is
 *    left and at least a quarter of the window is data, into a chunk of its
 *    own, so that equal windows of other images are equal chunks.
 *  - Where that makes too many extents, or leaves too much in the old chunks
 *    that is of no use any more (wants_rewrite), the window is completed and
 *    decided on once more, as if all of it were new.
 *  - Where its pieces lie in too many chunks (wants_gathering), the same is
 *    done as if all of it were new but what lies in the chunk that has most.
 *
 * What a restore has to fetch for a window is known from its extents alone:
 * what one change stored lies side by side in its chunk, so between the first
 * and the last piece that is left of it lies what is dead.
 *
 * A window whose old chunks cannot be read is given out piece by piece, in a
 * second walk, so that no plan has to hold them all.
 *
 * What is taken from another place of the old image is a change of its windows,
 * too, whose parts are old ones: they are found by a cursor of their own, since
 * they and what stays in its place ascend each for itself.  What is taken from
 * its own place is no change.
 *
 * An old extent that crosses the edge of a changed window is given out in two
 * parts, which become one again on the way into the tree.
 *
 * Nothing here makes anything durable or visible: there are new chunks and
 * nodes, and who commits their root waits for them.
 */
#include "tree/image.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tree/chunks.h"
#include "tree/image_changes.h"
#include "tree/image_old.h"
#include "tree/image_out.h"
#include "tree/image_plan.h"
#include "tree/runs.h"

enum {
	OWN_CHUNK_MIN = IMAGE_WINDOW / 4,
	/* Windows side by side have their pieces in the same chunks. */
	OLD_CHUNKS_MAX = 40 << 20,
	NEIGHBOURS = 64 /* windows */
};

struct image {
	struct tree_io *io;
	const struct origin *origin;
	uint64_t old_size, size;
	uint64_t at; /* end of the last call's range */
	uint64_t old_at; /* the same in the old image */
	uint64_t done; /* extents up to here were given out */
	struct image_old old; /* what stays in its place */
	struct image_old taken; /* what does not */
	struct image_out out;
	struct chunks chunks;
	struct image_figures figures;
	bool denied; /* the old chunks cannot be read */
	struct image_plan plan;
	struct run runs[IMAGE_FRAGMENTS_MAX];
	/* The window that is being changed. */
	uint64_t window;
	size_t window_len;
	struct image_changes changes;
	uint8_t *bytes; /* IMAGE_WINDOW; what was changed is valid */
};

static uint64_t
min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
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
	img->origin = conf->origin;
	if (conf->old_root != NULL || conf->old_slices != NULL)
		img->old_size = conf->old_size;
	img->size = conf->size;
	chunks_init(&img->chunks, io, OLD_CHUNKS_MAX);
	img->bytes = malloc(IMAGE_WINDOW);
	if (img->bytes == NULL)
		rc = err_set(err, ERR_NOMEM, "no memory for an image");
	else
		rc = image_old_open(&img->old, io, conf, err);
	if (rc == ERR_OK)
		rc = image_old_open(&img->taken, io, conf, err);
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
	image_old_close(&img->taken);
	chunks_fini(&img->chunks);
	image_changes_fini(&img->changes);
	free(img->bytes);
	free(img);
}

/* Old extents that begin in [from, to) stay.  What was no tree has none that
 * could stay as they are. */
static enum err
keep(struct image *img, uint64_t from, uint64_t to, struct error *err)
{
	const struct extent *e = &img->old.e;
	enum err rc;

	if (img->old.list == NULL)
		return image_out_keep(&img->out, from, to, err);
	image_old_back(&img->old);
	rc = image_old_at(&img->old, from, err);
	while (rc == ERR_OK && e->len > 0 && e->off < to) {
		rc = image_out_extent(&img->out, e, err);
		if (rc == ERR_OK)
			rc = image_old_next(&img->old, err);
	}
	return rc;
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
	struct extent part = { 0 };
	uint64_t from = to;
	enum err rc;

	rc = give_tail(img, to, err);
	if (rc != ERR_OK || img->done == to)
		return rc;
	rc = image_old_at(&img->old, to, err);
	if (rc != ERR_OK)
		return rc;
	if (img->old.e.len > 0 && img->old.e.off < to) {
		from = max(img->old.e.off, img->done);
		part = image_old_part(&img->old.e, from, to);
	}
	if (from > img->done)
		rc = keep(img, img->done, from, err);
	img->done = to;
	if (rc != ERR_OK || from == to)
		return rc;
	return image_out_extent(&img->out, &part, err);
}

/* ---- what a window consists of ---- */

typedef enum err part_fn(struct image *img, const struct image_part *part,
	struct error *err);

/* The runs of changed data, without blocks of zeroes that it covers whole. */
static enum err
each_new(struct image *img, const uint8_t *bytes, struct run range, part_fn *fn,
	struct error *err)
{
	struct image_part part = { .run = { range.from, range.from } };
	uint32_t pos = range.from;
	enum err rc = ERR_OK;

	while (pos < range.to && rc == ERR_OK) {
		uint32_t next = (pos / RUN_BLOCK + 1) * RUN_BLOCK;
		bool whole = pos % RUN_BLOCK == 0;

		if (next > range.to) {
			next = range.to;
			whole = whole && next == img->window_len;
		}
		if (whole && runs_zero(bytes + pos, next - pos)) {
			if (part.run.to > part.run.from)
				rc = fn(img, &part, err);
			part.run.from = next;
		}
		pos = part.run.to = next;
	}
	if (rc == ERR_OK && part.run.to > part.run.from)
		rc = fn(img, &part, err);
	return rc;
}

/* What the old image has from from on, in a range of the window. */
static enum err
each_old(struct image *img, struct image_old *old, uint64_t from,
	struct run range, part_fn *fn, struct error *err)
{
	const uint64_t to = from + (range.to - range.from);
	const struct extent *e = &old->e;
	struct image_part part = { .is_old = true };
	enum err rc;

	if (range.from == range.to)
		return ERR_OK;
	rc = image_old_at(old, from, err);
	while (rc == ERR_OK && e->len > 0 && e->off < to) {
		part.old = image_old_part(e, max(e->off, from),
			min(extent_end(e), to));
		part.run.from = range.from + (uint32_t)(part.old.off - from);
		part.run.to = part.run.from + (uint32_t)part.old.len;
		part.old.off = img->window + part.run.from;
		rc = fn(img, &part, err);
		if (rc != ERR_OK || extent_end(e) >= to)
			break;
		rc = image_old_next(old, err);
	}
	return rc;
}

static enum err
each_unchanged(struct image *img, struct run range, part_fn *fn,
	struct error *err)
{
	return each_old(img, &img->old, img->window + range.from, range, fn,
		err);
}

/* In ascending order.  bytes: where the changed ones are; NULL: old parts
 * only. */
static enum err
each_part(struct image *img, const uint8_t *bytes, part_fn *fn,
	struct error *err)
{
	uint32_t pos = 0;
	enum err rc = ERR_OK;

	for (size_t i = 0; i < img->changes.n && rc == ERR_OK; i++) {
		const struct image_change *c = &img->changes.v[i];

		rc = each_unchanged(img, (struct run){ pos, c->run.from }, fn,
			err);
		if (rc == ERR_OK && c->kind == BECOMES_DATA && bytes != NULL)
			rc = each_new(img, bytes, c->run, fn, err);
		else if (rc == ERR_OK && c->kind == BECOMES_OLD)
			rc = each_old(img, &img->taken, c->old_off, c->run, fn,
				err);
		pos = c->run.to;
	}
	if (rc == ERR_OK)
		rc = each_unchanged(img,
			(struct run){ pos, (uint32_t)img->window_len }, fn,
			err);
	return rc;
}

/* So that the parts can be gone through once more. */
static void
go_back(struct image *img)
{
	image_old_back(&img->old);
	image_old_back(&img->taken);
}

/* ---- the plan ---- */

static enum err
plan_part(struct image *img, const struct image_part *part, struct error *err)
{
	(void)err;
	image_plan_add(&img->plan, part);
	return ERR_OK;
}

static enum err
make_plan(struct image *img, const uint8_t *bytes, struct error *err)
{
	image_plan_begin(&img->plan);
	return each_part(img, bytes, plan_part, err);
}

/*
 * Where changes are spread evenly all windows come to a limit at the same time.
 * So each has one of its own, between min and max, and its neighbours, with
 * which it shares chunks, the same.
 */
static uint64_t
own_limit(const struct image *img, uint64_t min, uint64_t max)
{
	uint64_t n = img->window / IMAGE_WINDOW / NEIGHBOURS;
	uint64_t hash = (n + 1) * 0x9e3779b97f4a7c15u >> 48;

	return min + ((max - min) * hash >> 16);
}

/* A piece that is there twice is fetched once. */
static bool
wants_rewrite(const struct image *img)
{
	const struct image_plan *plan = &img->plan;
	uint64_t limit = own_limit(img, IMAGE_EXCESS_MIN, IMAGE_EXCESS_MAX);
	uint64_t pieces =
		own_limit(img, IMAGE_FRAGMENTS_MIN, IMAGE_FRAGMENTS_MAX);

	return plan->n > pieces ||
	       plan->spans_len > plan->len + plan->len * limit / 100;
}

static bool
wants_gathering(const struct image *img)
{
	return img->plan.n_chunks >
	       own_limit(img, IMAGE_CHUNKS_MIN, IMAGE_CHUNKS_MAX);
}

/* ---- giving it out ---- */

static enum err
read_part(struct image *img, const struct image_part *part, struct error *err)
{
	const struct extent *e = &part->old;

	return chunks_read(&img->chunks, &e->chunk, e->chunk_off,
		img->bytes + part->run.from, e->len, err);
}

/* Fill the window with what it reads as.  The changed bytes are there. */
static enum err
complete(struct image *img, struct error *err)
{
	uint32_t pos = 0;
	enum err rc;

	if (img->plan.n_old > 0 && img->origin != NULL)
		return img->origin->read(img->origin, img->window, img->bytes,
			img->window_len, err);
	for (size_t i = 0; i < img->changes.n; i++) {
		const struct image_change *c = &img->changes.v[i];

		memset(img->bytes + pos, 0,
			(c->kind == BECOMES_DATA ? c->run.from : c->run.to) -
				pos);
		pos = c->run.to;
	}
	memset(img->bytes + pos, 0, img->window_len - pos);
	go_back(img);
	rc = img->denied ? ERR_DENIED : each_part(img, NULL, read_part, err);
	img->denied = rc == ERR_DENIED;
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
give_own(struct image *img, const uint8_t *bytes, struct error *err)
{
	const struct image_plan *plan = &img->plan;

	for (size_t i = 0; i < plan->n; i++)
		img->runs[i] = plan->v[i].run;
	return give_chunk(img, bytes, img->runs, plan->n, err);
}

static enum err
give_new(struct image *img, const uint8_t *bytes, const struct run *run,
	struct error *err)
{
	return image_out_shared(&img->out, img->window + run->from,
		bytes + run->from, run->to - run->from, err);
}

static enum err
give_parts(struct image *img, const uint8_t *bytes, struct error *err)
{
	const struct image_plan *plan = &img->plan;
	enum err rc;

	rc = image_out_reserve(&img->out, plan->new_len, plan->n, err);
	for (size_t i = 0; i < plan->n && rc == ERR_OK; i++) {
		const struct image_part *p = &plan->v[i];

		if (p->is_old)
			rc = image_out_extent(&img->out, &p->old, err);
		else
			rc = give_new(img, bytes, &p->run, err);
	}
	return rc;
}

/* The changed bytes are in img->bytes: this is not a window that was replaced
 * whole, or there would be no more parts than blocks. */
static enum err
give_part(struct image *img, const struct image_part *part, struct error *err)
{
	size_t len = part->is_old ? 0 : part->run.to - part->run.from;
	enum err rc = image_out_reserve(&img->out, len, 1, err);

	if (rc != ERR_OK)
		return rc;
	if (part->is_old)
		return image_out_extent(&img->out, &part->old, err);
	return give_new(img, img->bytes, &part->run, err);
}

static enum err
give_planned(struct image *img, const uint8_t *bytes, struct error *err)
{
	const struct image_plan *plan = &img->plan;

	if (plan->n > IMAGE_FRAGMENTS_MAX) {
		assert(bytes == img->bytes);
		go_back(img);
		return each_part(img, bytes, give_part, err);
	}
	if (plan->n_old == 0 && plan->new_len >= OWN_CHUNK_MIN)
		return give_own(img, bytes, err);
	return give_parts(img, bytes, err);
}

/* Have all of the window taken for new. */
static enum err
change_all(struct image *img, struct error *err)
{
	const struct run all = { 0, (uint32_t)img->window_len };

	return image_changes_cover(&img->changes, &all, 1, err);
}

/* Have the old parts taken for new, but those of the chunk that most is in.
 * Holes, made or taken, stay what they are. */
static enum err
change_scattered(struct image *img, struct error *err)
{
	const struct image_plan *plan = &img->plan;
	const struct id *most = image_plan_largest(plan);
	size_t n = 0;

	for (size_t i = 0; i < plan->n; i++) {
		const struct image_part *p = &plan->v[i];

		if (p->is_old && !id_eq(&p->old.chunk, most))
			img->runs[n++] = p->run;
	}
	return image_changes_cover(&img->changes, img->runs, n, err);
}

/* As if more of the window were new than is; or, where what is old cannot be
 * read, as it was planned. */
static enum err
rewrite(struct image *img, bool all, struct error *err)
{
	struct image_figures *f = &img->figures;
	uint64_t new_len = img->plan.new_len;
	enum err rc = complete(img, err);

	if (rc == ERR_DENIED) {
		f->windows_in_pieces++;
		return give_planned(img, img->bytes, err);
	}
	if (rc == ERR_OK)
		rc = all ? change_all(img, err) : change_scattered(img, err);
	if (rc == ERR_OK) {
		go_back(img);
		rc = make_plan(img, img->bytes, err);
	}
	if (rc != ERR_OK)
		return rc;
	f->windows_rewritten++;
	f->bytes_rewritten +=
		all ? img->plan.new_len : img->plan.new_len - new_len;
	return give_planned(img, img->bytes, err);
}

/* Decide on the window's extents.  bytes: where the changed bytes are. */
static enum err
close_window(struct image *img, const uint8_t *bytes, struct error *err)
{
	enum err rc;

	if (img->changes.n == 0)
		return ERR_OK;
	rc = give_until(img, img->window, err);
	if (rc == ERR_OK)
		rc = make_plan(img, bytes, err);
	if (rc != ERR_OK)
		return rc;
	img->done = img->window + img->window_len;
	if (wants_rewrite(img))
		rc = rewrite(img, true, err);
	else if (wants_gathering(img))
		rc = rewrite(img, false, err);
	else
		rc = give_planned(img, bytes, err);
	img->changes.n = 0;
	return rc;
}

/* Turn to the window of off. */
static enum err
turn_to(struct image *img, uint64_t off, struct error *err)
{
	uint64_t window = off - off % IMAGE_WINDOW;
	enum err rc;

	if (img->changes.n > 0 && window == img->window)
		return ERR_OK;
	rc = close_window(img, img->bytes, err);
	img->window = window;
	img->window_len = (size_t)min(IMAGE_WINDOW, img->size - window);
	return rc;
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

/* Turn to the window of off, which becomes what kind says in the run. */
static enum err
change(struct image *img, uint64_t off, const struct image_change *c,
	struct error *err)
{
	enum err rc = turn_to(img, off, err);

	return rc == ERR_OK ? image_changes_add(&img->changes, c, err) : rc;
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
		struct image_change c = { .run = run, .kind = BECOMES_DATA };
		size_t n = run.to - run.from;

		rc = change(img, off, &c, err);
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
		struct image_change c = { .run = run, .kind = BECOMES_HOLE };
		uint64_t n = run.to - run.from;

		if (run.from == 0 && off + len == img->size)
			n = len;
		else if (run.from == 0)
			n = len - len % IMAGE_WINDOW;
		if (run.from == 0 && n > 0) {
			rc = punch_windows(img, off, n, err);
		} else {
			n = run.to - run.from;
			rc = change(img, off, &c, err);
		}
		off += n;
		len -= n;
	}
	return rc;
}

static enum err
check_old_range(struct image *img, uint64_t off, uint64_t len,
	struct error *err)
{
	if (off < img->old_at || off > img->old_size ||
		len > img->old_size - off)
		return err_set(err, ERR_USAGE,
			"what an image takes from the old one at %llu is out "
			"of order or behind its end",
			(unsigned long long)off);
	return ERR_OK;
}

enum err
image_take(struct image *img, uint64_t off, uint64_t old_off, uint64_t len,
	struct error *err)
{
	enum err rc;

	rc = check_old_range(img, old_off, len, err);
	if (rc == ERR_OK)
		rc = check_range(img, off, len, err);
	if (rc != ERR_OK)
		return rc;
	img->old_at = old_off + len;
	/* What stays where it was is no change. */
	while (len > 0 && off != old_off && rc == ERR_OK) {
		struct image_change c = { run_in_window(off, len), BECOMES_OLD,
			old_off };
		uint64_t n = c.run.to - c.run.from;

		rc = change(img, off, &c, err);
		off += n;
		old_off += n;
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
			rc = keep(img, img->done, end, err);
	}
	if (rc == ERR_OK)
		rc = image_out_finish(&img->out, end, root, err);
	if (rc != ERR_OK)
		return rc;
	*figures = img->figures;
	figures->bytes_stored = img->out.bytes_stored;
	return ERR_OK;
}
