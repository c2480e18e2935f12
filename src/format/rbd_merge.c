/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbd_merge: a sweep over the image from its beginning to its end.
 *
 * Each part is a layer, later ones above earlier ones.  At a position the
 * highest layer that has a run there tells what is to be read; below a layer
 * nothing shows that lies beyond the size its predecessor had: there the image
 * has grown, and what is there is zero.  The answer holds until the next place
 * where a layer's run begins or ends, or such a size is passed.
 */
#include "format/rbd_merge.h"

#include <assert.h>
#include <stdlib.h>

enum { COPY = 256 << 10 };

struct layer {
	struct rbd_diff *diff;
	const char *name;
	struct rbd_diff_range run; /* the first that ends behind the position */
	uint64_t at; /* of its next byte of payload */
	uint64_t grown; /* from here on it hides what is below it */
};

struct merge {
	struct layer *layers;
	size_t n;
	uint64_t size; /* of the image at the end */
	struct rbd_diff_writer *w;
	struct rbd_merge_figures figures;
	uint8_t *copy;
};

/* What shows at a position, and up to where. */
struct view {
	struct layer *layer; /* of data; NULL: zeroes or nothing */
	bool zero;
	uint64_t end;
};

static uint64_t
run_end(const struct rbd_diff_range *run)
{
	return run->kind == RBD_DIFF_END ? UINT64_MAX : run->off + run->len;
}

/* So that the layer's run is the first that ends behind pos. */
static enum err
advance(struct layer *l, uint64_t pos, struct error *err)
{
	enum err rc = ERR_OK;

	while (rc == ERR_OK && run_end(&l->run) <= pos) {
		rc = rbd_diff_next(l->diff, &l->run, err);
		l->at = l->run.off;
	}
	if (rc != ERR_OK)
		(void)err_wrap(err, "%s", l->name);
	return rc;
}

static void
limit(uint64_t *end, uint64_t at)
{
	if (at < *end)
		*end = at;
}

static struct view
look(const struct merge *m, uint64_t pos)
{
	struct view v = { .end = m->size };

	for (size_t i = m->n; i > 0; i--) {
		struct layer *l = &m->layers[i - 1];

		if (l->run.off <= pos) {
			limit(&v.end, run_end(&l->run));
			v.zero = l->run.kind == RBD_DIFF_ZERO;
			v.layer = v.zero ? NULL : l;
			return v;
		}
		limit(&v.end, l->run.off);
		if (l->grown <= pos) {
			v.zero = true;
			return v;
		}
		limit(&v.end, l->grown);
	}
	return v;
}

static enum err
copy_data(struct merge *m, struct layer *l, uint64_t pos, uint64_t len,
	struct error *err)
{
	enum err rc = rbd_diff_begin(m->w, pos, len, err);
	size_t n;

	if (rc != ERR_OK)
		return rc;
	rc = rbd_diff_pass(l->diff, pos - l->at, err);
	while (rc == ERR_OK && len > 0) {
		n = len < COPY ? (size_t)len : COPY;
		rc = rbd_diff_read(l->diff, m->copy, n, err);
		if (rc != ERR_OK)
			break;
		rc = rbd_diff_put(m->w, m->copy, n, err);
		if (rc != ERR_OK)
			return rc;
		pos += n;
		len -= n;
		m->figures.bytes_data += n;
	}
	l->at = pos;
	if (rc != ERR_OK)
		(void)err_wrap(err, "%s", l->name);
	return rc;
}

static enum err
sweep(struct merge *m, struct error *err)
{
	uint64_t pos = 0, len;
	struct view v;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && pos < m->size) {
		for (size_t i = 0; i < m->n && rc == ERR_OK; i++)
			rc = advance(&m->layers[i], pos, err);
		if (rc != ERR_OK)
			return rc;
		v = look(m, pos);
		len = v.end - pos;
		if (v.layer != NULL) {
			rc = copy_data(m, v.layer, pos, len, err);
		} else if (v.zero) {
			rc = rbd_diff_zero(m->w, pos, len, err);
			m->figures.bytes_zero += len;
		}
		pos = v.end;
	}
	/* Nothing is the result of a stream that is not whole. */
	for (size_t i = 0; i < m->n && rc == ERR_OK; i++)
		rc = advance(&m->layers[i], UINT64_MAX - 1, err);
	return rc;
}

static enum err
set_up(struct merge *m, const struct rbd_merge_part *parts, struct rbd_out *out,
	struct error *err)
{
	struct rbd_diff_head head = *rbd_diff_head(parts[m->n - 1].diff);
	struct rbd_chain chain = { NULL, NULL };
	enum err rc = ERR_OK;

	m->size = head.size;
	head.from = rbd_diff_head(parts[0].diff)->from;
	for (size_t i = 0; i < m->n && rc == ERR_OK; i++)
		rc = rbd_chain_add(&chain, rbd_diff_head(parts[i].diff),
			parts[i].name, err);
	rbd_chain_fini(&chain);
	if (rc != ERR_OK)
		return rc;
	m->layers = calloc(m->n, sizeof(*m->layers));
	m->copy = malloc(COPY);
	if (m->layers == NULL || m->copy == NULL)
		return err_set(err, ERR_NOMEM, "no memory to merge streams");
	for (size_t i = 0; i < m->n; i++) {
		m->layers[i].diff = parts[i].diff;
		m->layers[i].name = parts[i].name;
		m->layers[i].run.kind = RBD_DIFF_ZERO; /* of no bytes, at 0 */
		m->layers[i].grown =
			i > 0 ? rbd_diff_head(parts[i - 1].diff)->size
			      : UINT64_MAX;
	}
	return rbd_diff_writer_new(&m->w, out, RBD_DIFF_V1, &head, 0, err);
}

enum err
rbd_merge(const struct rbd_merge_part *parts, size_t n, struct rbd_out *out,
	struct rbd_merge_figures *figures, struct error *err)
{
	struct merge m = { .n = n };
	enum err rc;

	assert(n > 0);
	rc = set_up(&m, parts, out, err);
	if (rc == ERR_OK)
		rc = sweep(&m, err);
	if (rc == ERR_OK)
		rc = rbd_diff_end(m.w, err);
	if (rc == ERR_OK)
		rc = rbd_out_flush(out, err);
	if (rc == ERR_OK)
		*figures = m.figures;
	rbd_diff_writer_free(m.w);
	free(m.layers);
	free(m.copy);
	return rc;
}
