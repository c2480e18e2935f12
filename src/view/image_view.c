/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_view: readers with a place of their own in the tree, over one cache.
 *
 * A struct reader holds what one thread at a time uses: a way to the
 * repository, and a view of the content, whose nodes come out of the cache as
 * well.  The content tells the pieces, and the cache has the chunks.
 *
 * A thread that waits for a chunk holds its reader, but no lock; who fetches
 * the chunk has a reader or is a worker, so every wait ends.
 */
#include "view/image_view.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/pool.h"
#include "tree/content.h"
#include "tree/cursor.h"
#include "view/chunk_cache.h"
#include "view/streams.h"

enum { QUEUE_MAX = 256 };

struct reader {
	struct tree_io io; /* nodes through the cache */
	struct image_view *view;
	struct tree_io *below;
	struct content_view *content;
	struct reader *next;
};

struct image_view {
	struct image_view_conf conf;
	struct image_view_ways ways;
	struct id root;
	struct entry entry; /* what it points to lies in kept */
	uint8_t *kept;
	uint64_t size;
	struct chunk_cache *cache;
	struct streams streams;

	pthread_mutex_t lock;
	pthread_cond_t given; /* a reader is free */
	struct reader *idle;
	unsigned n_readers;

	/* Of the workers: made once, by who first reads ahead. */
	bool begun;
	struct pool *pool;
	struct tree_io **worker_io;
	unsigned queued;
};

/* A chunk that a worker is to fetch. */
struct fetch {
	struct job job;
	struct image_view *view;
	struct cached *chunk;
};

static void
must(int rc)
{
	assert(rc == 0);
}

/* ---- readers ---- */

static enum err
cached_node(struct tree_io *io, const struct id *id, struct buf *out,
	size_t *head_len, struct error *err)
{
	struct reader *r = container_of(io, struct reader, io);
	struct chunk_cache *cache = r->view->cache;
	struct cached *node = NULL;
	const uint8_t *data;
	size_t len;
	enum err rc;

	rc = chunk_cache_get(cache, r->below, id, true, &node, err);
	if (rc != ERR_OK)
		return rc;
	data = cached_data(node, &len);
	*head_len = cached_head_len(node);
	rc = buf_put(out, data, len, err);
	chunk_cache_unpin(cache, node);
	return rc;
}

static enum err
pass_data(struct tree_io *io, const struct id *id, struct buf *out,
	struct error *err)
{
	struct reader *r = container_of(io, struct reader, io);

	return r->below->ops->get_data(r->below, id, out, err);
}

static const struct tree_io_ops reader_ops = {
	.get_node = cached_node,
	.get_data = pass_data,
};

static void
reader_free(struct reader *r)
{
	if (r == NULL)
		return;
	content_close(r->content);
	if (r->below != NULL)
		r->view->ways.close(r->view->ways.arg, r->below);
	free(r);
}

static enum err
reader_new(struct reader **out, struct image_view *v, struct error *err)
{
	struct reader *r = calloc(1, sizeof(*r));
	enum err rc;

	if (r == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a reader");
	r->view = v;
	rc = v->ways.open(v->ways.arg, &r->below, err);
	if (rc != ERR_OK)
		goto out;
	r->io = (struct tree_io){ &reader_ops, r->below->boundary };
	rc = content_open(&r->content, &r->io, &v->root, &v->entry, err);
	if (rc == ERR_OK)
		*out = r;
out:
	if (rc != ERR_OK)
		reader_free(r);
	return rc;
}

/* A reader nobody uses: an idle one, a new one, or after a wait. */
static enum err
reader_take(struct image_view *v, struct reader **out, struct error *err)
{
	struct reader *r;
	enum err rc;

	must(pthread_mutex_lock(&v->lock));
	while (v->idle == NULL && v->n_readers == v->conf.readers)
		must(pthread_cond_wait(&v->given, &v->lock));
	r = v->idle;
	if (r != NULL)
		v->idle = r->next;
	else
		v->n_readers++;
	must(pthread_mutex_unlock(&v->lock));
	*out = r;
	if (r != NULL)
		return ERR_OK;
	rc = reader_new(out, v, err);
	if (rc == ERR_OK)
		return ERR_OK;
	must(pthread_mutex_lock(&v->lock));
	v->n_readers--;
	must(pthread_cond_signal(&v->given));
	must(pthread_mutex_unlock(&v->lock));
	return rc;
}

static void
reader_give(struct image_view *v, struct reader *r)
{
	must(pthread_mutex_lock(&v->lock));
	r->next = v->idle;
	v->idle = r;
	must(pthread_cond_signal(&v->given));
	must(pthread_mutex_unlock(&v->lock));
}

/* ---- reading ahead ---- */

static void
run_fetch(struct job *job, unsigned worker)
{
	struct fetch *f = container_of(job, struct fetch, job);
	struct image_view *v = f->view;

	chunk_cache_load(v->cache, v->worker_io[worker], f->chunk);
	free(f);
	must(pthread_mutex_lock(&v->lock));
	v->queued--;
	must(pthread_mutex_unlock(&v->lock));
}

static void
end_workers(struct image_view *v)
{
	pool_free(v->pool);
	v->pool = NULL;
	for (unsigned i = 0; v->worker_io != NULL && i < v->conf.workers; i++)
		if (v->worker_io[i] != NULL)
			v->ways.close(v->ways.arg, v->worker_io[i]);
	free(v->worker_io);
	v->worker_io = NULL;
}

static enum err
begin_workers(struct image_view *v, struct error *err)
{
	enum err rc = ERR_OK;

	v->worker_io = calloc(v->conf.workers, sizeof(struct tree_io *));
	if (v->worker_io == NULL)
		return err_set(err, ERR_NOMEM, "no memory for workers");
	for (unsigned i = 0; i < v->conf.workers && rc == ERR_OK; i++)
		rc = v->ways.open(v->ways.arg, &v->worker_io[i], err);
	if (rc == ERR_OK)
		rc = pool_new(&v->pool, v->conf.workers, QUEUE_MAX, err);
	return rc;
}

/* Whether one more chunk may be queued, which then is the caller's to queue.
 * Where workers cannot be had, nothing is read ahead. */
static bool
may_queue(struct image_view *v)
{
	struct error ignored = ERROR_INIT;
	bool may;

	must(pthread_mutex_lock(&v->lock));
	if (!v->begun && begin_workers(v, &ignored) != ERR_OK)
		end_workers(v);
	v->begun = true;
	may = v->pool != NULL && v->queued < QUEUE_MAX;
	v->queued += may ? 1 : 0;
	must(pthread_mutex_unlock(&v->lock));
	return may;
}

static void
unqueue(struct image_view *v)
{
	must(pthread_mutex_lock(&v->lock));
	v->queued--;
	must(pthread_mutex_unlock(&v->lock));
}

/* False where there is no room for more. */
static bool
fetch_ahead(struct image_view *v, const struct id *chunk)
{
	struct fetch *f = malloc(sizeof(*f));
	enum want want = WANT_FULL;

	if (f == NULL)
		return false;
	*f = (struct fetch){ .job.run = run_fetch, .view = v };
	if (may_queue(v)) {
		want = chunk_cache_want(v->cache, chunk, &f->chunk);
		if (want == WANT_NEW) {
			pool_submit(v->pool, &f->job);
			return true;
		}
		unqueue(v);
	}
	free(f);
	return want == WANT_HAVE;
}

/* Queue what [from, to) needs; *at is how far that went. */
static enum err
queue_ahead(struct reader *r, uint64_t from, uint64_t to, uint64_t *at,
	struct error *err)
{
	struct piece p;
	enum err rc;

	for (*at = from; *at < to; *at += p.len) {
		rc = content_piece(r->content, *at, &p, err);
		if (rc != ERR_OK)
			return rc;
		if (p.len == 0 || (p.kind == PIECE_CHUNK &&
					  !fetch_ahead(r->view, &p.chunk)))
			break;
	}
	return ERR_OK;
}

/* What cannot be found now is told to who reads it. */
static void
follow_stream(struct reader *r, uint64_t off, size_t len)
{
	struct image_view *v = r->view;
	struct error ignored = ERROR_INIT;
	uint64_t from, to, at;

	if (v->conf.no_ahead ||
		!streams_note(&v->streams, off, len, &from, &to))
		return;
	(void)queue_ahead(r, from, to, &at, &ignored);
	if (at < to && at < v->size)
		streams_stop(&v->streams, at, to);
}

/* ---- reading ---- */

static enum err
read_chunk(struct reader *r, const struct piece *p, uint8_t *out, size_t len,
	struct error *err)
{
	struct chunk_cache *cache = r->view->cache;
	struct cached *chunk = NULL;
	const uint8_t *data;
	size_t have;
	enum err rc;

	rc = chunk_cache_get(cache, r->below, &p->chunk, false, &chunk, err);
	if (rc != ERR_OK)
		return rc;
	data = cached_data(chunk, &have);
	if (p->chunk_off > have || len > have - p->chunk_off)
		rc = err_set(err, ERR_CORRUPT,
			"refers to more of a chunk than there is");
	else
		memcpy(out, data + p->chunk_off, len);
	chunk_cache_unpin(cache, chunk);
	return rc;
}

static enum err
read_piece(struct reader *r, const struct piece *p, uint8_t *out, size_t len,
	struct error *err)
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
	return read_chunk(r, p, out, len, err);
}

static enum err
read_all(struct reader *r, uint64_t off, uint8_t *out, size_t len,
	struct error *err)
{
	while (len > 0) {
		struct piece p;
		size_t n;
		enum err rc = content_piece(r->content, off, &p, err);

		if (rc == ERR_OK) {
			n = p.len < len ? (size_t)p.len : len;
			rc = read_piece(r, &p, out, n, err);
		}
		if (rc != ERR_OK)
			return err_wrap(err, "at offset %llu",
				(unsigned long long)off);
		assert(n > 0);
		off += n;
		out += n;
		len -= n;
	}
	return ERR_OK;
}

static enum err
check_range(const struct image_view *v, uint64_t off, uint64_t len,
	struct error *err)
{
	if (off > v->size || len > v->size - off)
		return err_set(err, ERR_USAGE,
			"%llu bytes at offset %llu lie beyond the end",
			(unsigned long long)len, (unsigned long long)off);
	return ERR_OK;
}

enum err
image_view_read(struct image_view *v, uint64_t off, void *data, size_t len,
	struct error *err)
{
	struct reader *r;
	enum err rc;

	rc = check_range(v, off, len, err);
	if (rc == ERR_OK)
		rc = reader_take(v, &r, err);
	if (rc != ERR_OK)
		return rc;
	follow_stream(r, off, len);
	rc = read_all(r, off, data, len, err);
	reader_give(v, r);
	return rc;
}

static enum err
tell_extents(struct reader *r, uint64_t off, uint64_t end,
	image_view_extent_fn *fn, void *arg, struct error *err)
{
	uint64_t from = off;
	bool hole = false;
	struct piece p;

	for (; off < end; off += p.len) {
		enum err rc = content_piece(r->content, off, &p, err);

		if (rc != ERR_OK)
			return err_wrap(err, "at offset %llu",
				(unsigned long long)off);
		assert(p.len > 0);
		if (off > from && (p.kind == PIECE_HOLE) != hole) {
			if (!fn(arg, from, off - from, hole))
				return ERR_OK;
			from = off;
		}
		hole = p.kind == PIECE_HOLE;
	}
	if (end > from)
		(void)fn(arg, from, end - from, hole);
	return ERR_OK;
}

enum err
image_view_extents(struct image_view *v, uint64_t off, uint64_t len,
	image_view_extent_fn *fn, void *arg, struct error *err)
{
	struct reader *r;
	enum err rc;

	rc = check_range(v, off, len, err);
	if (rc == ERR_OK)
		rc = reader_take(v, &r, err);
	if (rc != ERR_OK)
		return rc;
	rc = tell_extents(r, off, off + len, fn, arg, err);
	reader_give(v, r);
	return rc;
}

enum err
image_view_ahead(struct image_view *v, uint64_t off, uint64_t len,
	struct error *err)
{
	struct reader *r;
	uint64_t at;
	enum err rc;

	rc = check_range(v, off, len, err);
	if (rc != ERR_OK || v->conf.no_ahead)
		return rc;
	rc = reader_take(v, &r, err);
	if (rc != ERR_OK)
		return rc;
	rc = queue_ahead(r, off, off + len, &at, err);
	reader_give(v, r);
	return rc;
}

/* ---- life ---- */

/* What the readers that are made later open. */
static enum err
keep_entry(struct image_view *v, const struct entry *e, struct error *err)
{
	const struct content *from = &e->content;
	struct content *to = &v->entry.content;
	enum err rc = ERR_OK;

	v->entry.type = e->type;
	v->entry.size = e->size;
	to->kind = from->kind;
	to->root = from->root;
	if (from->bytes.len > 0) {
		v->kept = malloc(from->bytes.len);
		if (v->kept == NULL)
			return err_set(err, ERR_NOMEM, "no memory for a view");
		memcpy(v->kept, from->bytes.data, from->bytes.len);
		to->bytes = (struct bytes){ v->kept, from->bytes.len };
	}
	for (size_t i = 0; i < from->slices.n && rc == ERR_OK; i++)
		rc = slices_add(&to->slices, &from->slices.v[i], err);
	return rc;
}

static struct image_view_conf
filled(const struct image_view_conf *conf)
{
	struct image_view_conf c = *conf;

	c.readers = c.readers > 0 ? c.readers : IMAGE_VIEW_READERS;
	if (c.workers == 0 && pool_cpus() < IMAGE_VIEW_WORKERS_MAX)
		c.workers = pool_cpus();
	else if (c.workers == 0)
		c.workers = IMAGE_VIEW_WORKERS_MAX;
	c.cache_max = c.cache_max > 0 ? c.cache_max : IMAGE_VIEW_CACHE;
	c.window = c.window > 0 ? c.window : IMAGE_VIEW_WINDOW;
	return c;
}

static enum err
check_type(const struct entry *e, struct error *err)
{
	if (e->type == ENTRY_FILE || e->type == ENTRY_IMAGE ||
		e->type == ENTRY_STREAM || e->type == ENTRY_RECORD)
		return ERR_OK;
	return err_set(err, ERR_USAGE, "a %s has no content",
		entry_type_name(e->type));
}

enum err
image_view_open_by(struct image_view **out, const struct image_view_ways *ways,
	const struct id *root, const struct entry *e,
	const struct image_view_conf *conf, struct error *err)
{
	struct reader *first = NULL;
	struct image_view *v;
	enum err rc;

	rc = check_type(e, err);
	if (rc != ERR_OK)
		return rc;
	v = calloc(1, sizeof(*v));
	if (v == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a view");
	v->conf = filled(conf);
	v->ways = *ways;
	v->root = *root;
	entry_init(&v->entry);
	streams_init(&v->streams, v->conf.window);
	must(pthread_mutex_init(&v->lock, NULL));
	must(pthread_cond_init(&v->given, NULL));
	rc = keep_entry(v, e, err);
	if (rc == ERR_OK)
		rc = chunk_cache_new(&v->cache, v->conf.cache_max, err);
	if (rc == ERR_OK)
		rc = reader_take(v, &first, err);
	if (rc != ERR_OK) {
		image_view_close(v);
		return rc;
	}
	v->size = content_size(first->content);
	reader_give(v, first);
	*out = v;
	return ERR_OK;
}

void
image_view_close(struct image_view *v)
{
	struct reader *r, *next;

	if (v == NULL)
		return;
	end_workers(v);
	for (r = v->idle; r != NULL; r = next) {
		next = r->next;
		reader_free(r);
	}
	chunk_cache_free(v->cache);
	streams_fini(&v->streams);
	must(pthread_cond_destroy(&v->given));
	must(pthread_mutex_destroy(&v->lock));
	entry_fini(&v->entry);
	free(v->kept);
	free(v);
}

uint64_t
image_view_size(const struct image_view *v)
{
	return v->size;
}

struct image_view_count
image_view_count(const struct image_view *v)
{
	struct chunk_cache_count n = chunk_cache_count(v->cache);

	return (struct image_view_count){ n.bytes, n.fetched };
}
