/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export: a queue of ranges between who finds them and who tells them.  A range
 * that is found is asked for at once, and told when the queue is full; so what
 * lies between is on its way.
 */
#include "view/export.h"

#include <stdlib.h>
#include <string.h>

#include "base/ranges.h"
#include "tree/image_diff.h"
#include "view/image_view.h"

enum {
	QUEUE = 4096, /* ranges */
	QUEUE_BYTES = EXPORT_AHEAD / 2 /* a range may hold half a chunk */
};

struct export
{
	struct image_view *view;
	const struct export_conf *conf;
	const struct export_sink *sink;
	bool full; /* holes are not told */
	struct range *queue;
	size_t first, n; /* in the queue */
	uint64_t bytes; /* of data in the queue */
	uint8_t *piece;
	struct error why; /* what ended a listing of extents */
};

static enum err
check_stop(const struct export *x, struct error *err)
{
	if (x->conf->stop != NULL && *x->conf->stop)
		return err_set(err, ERR_CANCELLED, "interrupted");
	return ERR_OK;
}

static enum err
tell_data(struct export *x, const struct range *r, struct error *err)
{
	uint64_t off = r->off, left = r->end - r->off;
	enum err rc = x->sink->data(x->sink->arg, off, left, err);
	size_t n;

	while (rc == ERR_OK && left > 0) {
		n = left < EXPORT_PIECE ? (size_t)left : EXPORT_PIECE;
		rc = check_stop(x, err);
		if (rc == ERR_OK)
			rc = image_view_read(x->view, off, x->piece, n, err);
		if (rc == ERR_OK)
			rc = x->sink->put(x->sink->arg, x->piece, n, err);
		if (x->conf->bytes_done != NULL)
			*x->conf->bytes_done += n;
		off += n;
		left -= n;
	}
	return rc;
}

/* The oldest range of the queue. */
static enum err
tell_first(struct export *x, struct error *err)
{
	struct range r = x->queue[x->first];

	x->first = (x->first + 1) % QUEUE;
	x->n--;
	if (!r.zero) {
		x->bytes -= r.end - r.off;
		return tell_data(x, &r, err);
	}
	return x->full ? ERR_OK
		       : x->sink->zero(x->sink->arg, r.off, r.end - r.off, err);
}

static enum err
drain(struct export *x, struct error *err)
{
	enum err rc = ERR_OK;

	while (rc == ERR_OK && x->n > 0)
		rc = tell_first(x, err);
	return rc;
}

/* One range of no more than a part of what may be on its way. */
static enum err
queue_part(struct export *x, uint64_t off, uint64_t len, bool hole,
	struct error *err)
{
	enum err rc = check_stop(x, err);

	while (rc == ERR_OK && x->n > 0 &&
		(x->n == QUEUE || (!hole && x->bytes + len > QUEUE_BYTES)))
		rc = tell_first(x, err);
	if (rc == ERR_OK && !hole)
		rc = image_view_ahead(x->view, off, len, err);
	if (rc != ERR_OK)
		return rc;
	x->queue[(x->first + x->n) % QUEUE] =
		(struct range){ off, off + len, hole };
	x->n++;
	x->bytes += hole ? 0 : len;
	return ERR_OK;
}

/* image_diff_fn.  Parts begin where EXPORT_PIECE does, so that no object of an
 * image is cut more often than it must be. */
static enum err
queue_range(void *arg, uint64_t off, uint64_t len, bool hole, struct error *err)
{
	struct export *x = arg;
	enum err rc = ERR_OK;
	uint64_t n;

	if (hole)
		return x->full ? ERR_OK : queue_part(x, off, len, true, err);
	while (rc == ERR_OK && len > 0) {
		n = EXPORT_PIECE - off % EXPORT_PIECE;
		n = n < len ? n : len;
		rc = queue_part(x, off, n, false, err);
		off += n;
		len -= n;
	}
	return rc;
}

static bool
queue_extent(void *arg, uint64_t off, uint64_t len, bool hole)
{
	struct export *x = arg;

	return queue_range(x, off, len, hole, &x->why) == ERR_OK;
}

static enum err
queue_all(struct export *x, struct error *err)
{
	enum err rc = image_view_extents(x->view, 0, image_view_size(x->view),
		queue_extent, x, err);

	if (x->why.code != ERR_OK) {
		*err = x->why;
		return err->code;
	}
	return rc;
}

static enum err
queue_difference(struct export *x, struct tree_io *io,
	const struct export_image *from, const struct export_image *to,
	struct error *err)
{
	struct image_ref a = { from->extents, from->size },
			 b = { to->extents, to->size };

	if (!from->has_extents || !to->has_extents)
		return err_set(err, ERR_USAGE,
			"only images can be compared, not other files");
	return image_diff(io, &a, &b, true, queue_range, x, err);
}

enum err
export_run(struct repo *r, struct tree_io *io, const struct export_image *from,
	const struct export_image *to, const struct export_conf *conf,
	const struct export_sink *sink, struct error *err)
{
	/* One reader lists extents while another one reads; and what comes
	 * next is told here, and need not be guessed. */
	struct image_view_conf view = { .readers = 2,
		.workers = conf->workers,
		.cache_max = 2 * (size_t)EXPORT_AHEAD,
		.window = 1 };
	struct export x = { .conf = conf, .sink = sink, .full = from == NULL };
	enum err rc;

	x.queue = calloc(QUEUE, sizeof(*x.queue));
	x.piece = malloc(EXPORT_PIECE);
	if (x.queue == NULL || x.piece == NULL)
		rc = err_set(err, ERR_NOMEM, "no memory to export an image");
	else
		rc = image_view_open_key(&x.view, r, &to->root,
			(struct bytes){ to->key.data, to->key.len }, &view,
			err);
	if (rc == ERR_OK)
		rc = from == NULL ? queue_all(&x, err)
				  : queue_difference(&x, io, from, to, err);
	if (rc == ERR_OK)
		rc = drain(&x, err);
	if (x.view != NULL)
		image_view_close(x.view);
	free(x.queue);
	free(x.piece);
	return rc;
}
