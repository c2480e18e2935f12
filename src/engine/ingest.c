/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ingest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/backup.h"
#include "tree/image.h"

/* Times so close to now may be those of the next change, too; a clock of
 * another machine may be ahead by so much. */
enum { FRESH_SEC = 1, SKEW_SEC = 3600 };

enum { CHUNK_ALIGN = 4096, CHUNK_KEEP = 2 << 20 };

static struct ingest *
to_ingest(struct tree_io *io)
{
	return container_of(io, struct ingest, io);
}

static enum err
io_get_node(struct tree_io *io, const struct id *id, struct buf *out,
	size_t *head_len, struct error *err)
{
	struct tree_io *below = to_ingest(io)->below;

	return below->ops->get_node(below, id, out, head_len, err);
}

static enum err
io_get_data(struct tree_io *io, const struct id *id, struct buf *out,
	struct error *err)
{
	struct tree_io *below = to_ingest(io)->below;

	return below->ops->get_data(below, id, out, err);
}

static enum err
io_put_node(struct tree_io *io, const struct node_bytes *node, struct id *id,
	struct error *err)
{
	struct tree_io *below = to_ingest(io)->below;

	return below->ops->put_node(below, node, id, err);
}

static enum err
io_put_data(struct tree_io *io, const void *data, size_t len, struct ticket *t,
	struct error *err)
{
	struct ingest *in = to_ingest(io);
	struct chunk *c;

	if (len > in->chunk_room)
		return err_set(err, ERR_USAGE, "chunk of %zu bytes", len);
	c = ingest_take(in);
	memcpy(c->data, data, len);
	c->len = len;
	ingest_send(in, c, t);
	return ERR_OK;
}

static const struct tree_io_ops ingest_io_ops = {
	.get_node = io_get_node,
	.get_data = io_get_data,
	.put_node = io_put_node,
	.put_data = io_put_data,
};

static enum err
scratch_init(struct ingest *in, struct error *err)
{
	in->scratch = calloc(in->crew.n, sizeof(uint8_t *));
	if (in->scratch == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (unsigned i = 0; i < in->crew.n; i++) {
		in->scratch[i] = malloc(GATHER_ROOM);
		if (in->scratch[i] == NULL)
			return err_set(err, ERR_NOMEM, "out of memory");
	}
	return ERR_OK;
}

/*
 * A longest chunk begins where the content has a cut, and so ends at the same
 * place of the content each time: who has longer ones finds it less often.
 */
static void
choose_chunker(struct ingest *in, uint32_t unit_max)
{
	struct chunker_params *p = &in->chunker;

	*p = repo_config(in->repo)->chunker;
	if (unit_max != 0 && p->max > unit_max)
		p->max = unit_max > p->target ? unit_max : p->target;
}

static enum err
chunks_init(struct ingest *in, struct error *err)
{
	size_t longest = in->chunker.max;

	/* Windows of images are chunks, whatever the chunker is set to. */
	if (longest < IMAGE_WINDOW)
		longest = IMAGE_WINDOW;
	in->n_chunks = 3 * in->crew.n;
	if (in->n_chunks > in->crew.n + BACKUP_IN_FLIGHT)
		in->n_chunks = in->crew.n + BACKUP_IN_FLIGHT;
	in->chunk_room = longest + INGEST_READ;
	in->chunk_room += -in->chunk_room % CHUNK_ALIGN;
	in->all_chunks = calloc(in->n_chunks, sizeof(struct chunk));
	if (in->all_chunks == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (unsigned i = 0; i < in->n_chunks; i++) {
		struct chunk *c = &in->all_chunks[i];

		c->in = in;
		c->data = aligned_alloc(CHUNK_ALIGN, in->chunk_room);
		if (c->data == NULL)
			return err_set(err, ERR_NOMEM, "out of memory");
		c->next = in->free_chunks;
		in->free_chunks = c;
	}
	return ERR_OK;
}

enum err
ingest_init(struct ingest *in, unsigned workers, uint32_t unit_max,
	struct error *err)
{
	enum err rc;

	choose_chunker(in, unit_max);
	pthread_mutex_init(&in->report_lock, NULL);
	pthread_mutex_init(&in->free_lock, NULL);
	pthread_cond_init(&in->free_cond, NULL);
	rc = lane_new(&in->lane, in->repo, err);
	if (rc == ERR_OK)
		rc = crew_init(&in->crew, in->repo, workers, BACKUP_IN_FLIGHT,
			err);
	if (rc == ERR_OK)
		rc = scratch_init(in, err);
	if (rc == ERR_OK)
		rc = chunks_init(in, err);
	if (rc != ERR_OK)
		return rc;
	tree_io_repo_init(&in->direct, in->repo, in->lane, in->writer);
	in->below = &in->direct.io;
	if (in->nodes != NULL) {
		tree_io_cached_init(&in->cached, in->below, in->nodes,
			in->nodes_of_images, in->nodes_read_only);
		in->below = &in->cached.io;
	}
	in->io.ops = &ingest_io_ops;
	in->io.boundary = in->below->boundary;
	return ERR_OK;
}

void
ingest_fini(struct ingest *in)
{
	for (unsigned i = 0; in->scratch != NULL && i < in->crew.n; i++)
		free(in->scratch[i]);
	free(in->scratch);
	crew_fini(&in->crew);
	for (unsigned i = 0; in->all_chunks != NULL && i < in->n_chunks; i++)
		free(in->all_chunks[i].data);
	free(in->all_chunks);
	tree_io_cached_fini(&in->cached);
	lane_free(in->lane);
	pthread_cond_destroy(&in->free_cond);
	pthread_mutex_destroy(&in->free_lock);
	pthread_mutex_destroy(&in->report_lock);
}

struct chunk *
ingest_take(struct ingest *in)
{
	struct chunk *c;

	pthread_mutex_lock(&in->free_lock);
	while (in->free_chunks == NULL)
		pthread_cond_wait(&in->free_cond, &in->free_lock);
	c = in->free_chunks;
	in->free_chunks = c->next;
	pthread_mutex_unlock(&in->free_lock);
	c->len = 0;
	return c;
}

/*
 * Few chunks are much longer than the mean.  What such a one used goes back to
 * the system, or every buffer would in the end hold as much as the longest.
 */
static void
release_tail(const struct ingest *in, struct chunk *c)
{
	if (in->chunk_room > CHUNK_KEEP && c->len + INGEST_READ > CHUNK_KEEP)
		(void)madvise(c->data + CHUNK_KEEP, in->chunk_room - CHUNK_KEEP,
			MADV_DONTNEED);
}

void
ingest_give(struct ingest *in, struct chunk *c)
{
	release_tail(in, c);
	pthread_mutex_lock(&in->free_lock);
	c->next = in->free_chunks;
	in->free_chunks = c;
	pthread_cond_signal(&in->free_cond);
	pthread_mutex_unlock(&in->free_lock);
}

static void
chunk_store(struct job *job, unsigned worker)
{
	struct chunk *c = container_of(job, struct chunk, job);
	struct ingest *in = c->in;
	struct ticket *t = c->ticket;

	(void)writer_put_data(in->writer, in->crew.lanes[worker], c->data,
		c->len, &t->id, NULL, &t->err);
	ingest_give(in, c);
	gate_open(&t->done);
}

void
ingest_send(struct ingest *in, struct chunk *c, struct ticket *ticket)
{
	gate_init(&ticket->done);
	ticket->err = ERROR_INIT;
	c->ticket = ticket;
	c->job.run = chunk_store;
	pool_submit(in->crew.pool, &c->job);
}

enum err
ingest_spill_xattrs(struct ingest *in, struct lane *lane, struct entry *e,
	struct error *err)
{
	struct slice slice = { 0 };
	const uint8_t *p = e->xattrs.data;
	size_t left = e->xattrs.len;
	enum err rc = ERR_OK;

	if (left <= XATTRS_IN_TREE)
		return ERR_OK;
	for (; left > 0 && rc == ERR_OK; left -= slice.len, p += slice.len) {
		slice.len = left < GATHER_ROOM ? left : GATHER_ROOM;
		rc = writer_put_data(in->writer, lane, p, slice.len,
			&slice.chunk, NULL, err);
		if (rc == ERR_OK)
			rc = slices_add(&e->xattr_slices, &slice, err);
	}
	e->xattrs = (struct bytes){ NULL, 0 };
	return rc;
}

/* A time that lies far ahead, as some archives have it, says nothing of now. */
static bool
is_recent(const struct when *t, const struct when *now)
{
	return t->sec >= now->sec - FRESH_SEC && t->sec <= now->sec + SKEW_SEC;
}

unsigned
ingest_fresh(const struct entry *e)
{
	struct when now = when_now();

	return is_recent(&e->ctime, &now) || is_recent(&e->mtime, &now)
		       ? MARK_FRESH
		       : 0;
}

enum err
ingest_keep_strings(struct entry *e, uint8_t **out, struct error *err)
{
	struct bytes *strings[] = { &e->user, &e->group, &e->target,
		&e->xattrs };
	size_t len = 0;
	uint8_t *p;

	for (size_t i = 0; i < ARRAY_LEN(strings); i++)
		len += strings[i]->len;
	if (len == 0)
		return ERR_OK;
	p = malloc(len);
	if (p == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	*out = p;
	for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
		struct bytes *s = strings[i];

		if (s->len > 0)
			memcpy(p, s->data, s->len);
		s->data = p;
		p += s->len;
	}
	return ERR_OK;
}

enum err
slot_encode(struct slot *s, const struct entry *e, struct error *err)
{
	enum err rc;

	buf_clear(&s->val);
	s->refs.n = 0;
	s->weight = e->size;
	rc = entry_encode(e, &s->val, &s->refs, err);
	outbox_filled(s);
	return rc;
}

void
ingest_problem(struct ingest *in, struct bytes key, const struct error *why)
{
	in->errors++;
	in->report->progress->errors++;
	pthread_mutex_lock(&in->report_lock);
	in->report->problem(in->report->arg, key, why);
	pthread_mutex_unlock(&in->report_lock);
}

enum err
ingest_stopped(const struct ingest *in, struct error *err)
{
	if (in->report->stop != NULL && *in->report->stop)
		return err_set(err, ERR_CANCELLED, "interrupted");
	return ERR_OK;
}
