/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather: a batch is filled by the walker, read and stored by one worker, and
 * freed by the walker when the last of its slots has gone to the tree.
 *
 * Between batch_send and the opening of its gate a batch and its slots belong
 * to the worker.
 */
#include "engine/gather.h"

#include <stdlib.h>
#include <string.h>

#include "codec/shorthash.h"
#include "engine/backup.h"
#include "model/path.h"

enum { BATCH_MEMBERS = 1024, INLINE_MAX = 64 };

struct member {
	struct slot *slot;
	struct reader *reader;
	struct entry entry;
	size_t patch; /* which of the slot's refs is the chunk at hand */
	bool has_patch;
	bool linked; /* other entries may refer to this one */
};

struct batch {
	struct job job;
	struct gate done;
	struct gather *gather;
	struct batch *older, *newer; /* among those sent */
	uint64_t planned; /* bytes, by the sizes offered */
	unsigned n, n_left; /* members; slots not yet finished */
	struct error err;
	struct member *members;

	/* the worker's */
	struct lane *lane;
	uint8_t *data;
	size_t len;
	unsigned at; /* the member being read */
	unsigned first_open; /* those before have their chunk's name */
	unsigned n_flushed;
	struct slices slices; /* lent to one member after the other */
};

void
gather_init(struct gather *g, struct ingest *in)
{
	*g = (struct gather){ .in = in };
}

static void
batch_free(struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		if (b->members[i].reader != NULL)
			b->members[i].reader->ops->close(b->members[i].reader);
		entry_fini(&b->members[i].entry);
	}
	free(b->slices.v);
	free(b->members);
	free(b);
}

static void
batch_unlink(struct batch *b)
{
	struct gather *g = b->gather;

	if (b->newer != NULL)
		b->newer->older = b->older;
	else
		g->sent = b->older;
	if (b->older != NULL)
		b->older->newer = b->newer;
}

void
gather_fini(struct gather *g)
{
	struct batch *b;

	if (g->open != NULL)
		batch_free(g->open);
	while ((b = g->sent) != NULL) {
		gate_wait(&b->done);
		batch_unlink(b);
		batch_free(b);
	}
	g->open = NULL;
}

/* ---- the worker ---- */

static const struct id not_yet_named;

/* Store what is in the buffer as one chunk and tell its members, and the file
 * that is being read (NULL: none).  A failure ends the run: it is kept in
 * b->err too. */
static enum err
flush_chunk(struct batch *b, struct slices *reading, struct error *err)
{
	struct id id;

	if (b->len == 0)
		return ERR_OK;
	if (writer_put_gathered(b->gather->in->writer, b->lane, b->data, b->len,
		    &id, NULL, &b->err) != ERR_OK) {
		*err = b->err;
		return err->code;
	}
	for (; b->first_open < b->at; b->first_open++) {
		struct member *m = &b->members[b->first_open];

		if (m->has_patch)
			m->slot->refs.v[m->patch].id = id;
	}
	for (size_t i = 0; reading != NULL && i < reading->n; i++)
		if (!reading->v[i].hole &&
			id_eq(&reading->v[i].chunk, &not_yet_named))
			reading->v[i].chunk = id;
	b->len = 0;
	b->n_flushed++;
	return ERR_OK;
}

/* The bytes [off, off + len) of the file, into the buffer and as slices;
 * *got less where the file ends earlier. */
static enum err
read_data(struct batch *b, struct member *m, const struct region *region,
	uint64_t *got, struct error *err)
{
	struct slice slice = { .chunk = not_yet_named };
	size_t want, have;
	enum err rc = ERR_OK;

	for (*got = 0; *got < region->len; *got += have) {
		if (b->len == GATHER_ROOM)
			rc = flush_chunk(b, &m->entry.content.slices, err);
		if (rc != ERR_OK)
			return rc;
		want = GATHER_ROOM - b->len;
		if (want > region->len - *got)
			want = (size_t)(region->len - *got);
		rc = m->reader->ops->read(m->reader, region->off + *got,
			b->data + b->len, want, &have, err);
		if (rc != ERR_OK || have == 0)
			return rc;
		slice.off = (uint32_t)b->len;
		slice.len = have;
		b->len += have;
		rc = slices_add(&m->entry.content.slices, &slice, err);
		if (rc != ERR_OK)
			return rc;
	}
	return rc;
}

/* One pass over the file; *got is where it ended. */
static enum err
read_pass(struct batch *b, struct member *m, uint64_t *got, struct error *err)
{
	const struct reader_ops *ops = m->reader->ops;
	struct slice hole = { .hole = true };
	struct region region;
	uint64_t n;
	enum err rc = ERR_OK;

	for (*got = 0; *got < m->entry.size && rc == ERR_OK; *got += n) {
		region = (struct region){ *got, m->entry.size - *got, false };
		if (ops->region != NULL)
			rc = ops->region(m->reader, *got, m->entry.size,
				&region, err);
		if (rc != ERR_OK)
			return rc;
		n = region.len;
		if (region.hole) {
			hole.len = n;
			rc = slices_add(&m->entry.content.slices, &hole, err);
			continue;
		}
		rc = read_data(b, m, &region, &n, err);
		b->gather->in->bytes_read += n;
		if (n < region.len) {
			*got += n;
			break;
		}
	}
	return rc;
}

/* Read until it holds still, at most READ_ATTEMPTS times. */
static enum err
read_file(struct batch *b, struct member *m, struct error *err)
{
	const struct reader_ops *ops = m->reader->ops;
	struct entry *e = &m->entry;
	unsigned n_flushed = b->n_flushed, marks = e->marks;
	size_t start = b->len;
	bool changed = true;
	uint64_t got = 0;
	enum err rc = ERR_OK;

	for (unsigned i = 0; changed && i < READ_ATTEMPTS; i++) {
		e->content.slices.n = 0;
		b->len = b->n_flushed == n_flushed ? start : 0;
		rc = ops->open(m->reader, e, err);
		e->marks = marks | ingest_fresh(e);
		if (rc == ERR_OK)
			rc = read_pass(b, m, &got, err);
		if (rc == ERR_OK)
			rc = ops->settle(m->reader, &changed, err);
		if (rc != ERR_OK)
			return rc;
		changed = changed || got < e->size;
	}
	if (changed)
		e->marks |= MARK_CHANGED;
	e->size = got;
	return ERR_OK;
}

/* How the content is kept; start is where it began in the buffer. */
static void
choose_content(struct batch *b, struct entry *e, size_t start)
{
	const struct slices *s = &e->content.slices;

	if (e->size == 0)
		return;
	e->content.kind = CONTENT_SLICES;
	if (s->n == 1 && !s->v[0].hole && e->size <= INLINE_MAX &&
		b->len == start + e->size) {
		e->content.kind = CONTENT_INLINE;
		e->content.bytes =
			(struct bytes){ b->data + start, (size_t)e->size };
		b->len = start;
	}
}

static void
remember_patch(struct member *m)
{
	const struct refs *refs = &m->slot->refs;

	for (size_t i = 0; i < refs->n; i++) {
		if (!id_eq(&refs->v[i].id, &not_yet_named))
			continue;
		m->patch = i;
		m->has_patch = true;
	}
}

/* What could not be read stays in the snapshot by name, marked; what is gone
 * is left out, unless other names may refer to it. */
static enum err
note_unreadable(struct batch *b, struct member *m, struct error *why,
	struct error *err)
{
	struct slot *s = m->slot;
	struct entry *e = &m->entry;

	if (why->code == ERR_NOTFOUND && !m->linked) {
		s->dropped = true;
		return ERR_OK;
	}
	ingest_problem(b->gather->in, (struct bytes){ s->key, s->key_len },
		why);
	e->content = (struct content){ .slices = e->content.slices };
	e->xattrs = (struct bytes){ NULL, 0 };
	e->marks = MARK_UNREADABLE;
	return slot_encode(s, e, err);
}

static enum err
member_run(struct batch *b, struct member *m, struct error *err)
{
	struct ingest *in = b->gather->in;
	struct error why = ERROR_INIT;
	size_t start = b->len;
	unsigned n_flushed = b->n_flushed;
	enum err rc;

	rc = read_file(b, m, &why);
	if (rc == ERR_OK) {
		choose_content(b, &m->entry, start);
		rc = ingest_spill_xattrs(in, b->lane, &m->entry, &b->err);
	}
	if (rc == ERR_OK)
		rc = slot_encode(m->slot, &m->entry, &why);
	if (b->err.code != ERR_OK) {
		*err = b->err;
		return err->code;
	}
	if (rc != ERR_OK) {
		b->len = b->n_flushed == n_flushed ? start : 0;
		rc = note_unreadable(b, m, &why, err);
	}
	remember_patch(m);
	in->report->progress->items_done++;
	in->report->progress->bytes_done += m->entry.size;
	return rc;
}

static void
batch_run(struct job *job, unsigned worker)
{
	struct batch *b = container_of(job, struct batch, job);
	struct ingest *in = b->gather->in;
	struct error err = ERROR_INIT;
	enum err rc = ERR_OK;

	b->lane = in->crew.lanes[worker];
	b->data = in->scratch[worker];
	for (b->at = 0; b->at < b->n && rc == ERR_OK; b->at++) {
		struct member *m = &b->members[b->at];

		m->entry.content.slices = b->slices;
		rc = ingest_stopped(in, &err);
		if (rc == ERR_OK)
			rc = member_run(b, m, &err);
		m->reader->ops->close(m->reader);
		m->reader = NULL;
		b->slices = m->entry.content.slices;
		m->entry.content.slices = (struct slices){ 0 };
	}
	if (rc == ERR_OK)
		(void)flush_chunk(b, NULL, &err);
	b->err = err;
	gate_open(&b->done);
}

/* ---- the walker ---- */

static bool
slot_is_done(const struct slot *s)
{
	const struct batch *b = s->filler;

	return b != b->gather->open && gate_is_open(&b->done);
}

static enum err
slot_finish(struct slot *s, struct error *err)
{
	struct batch *b = s->filler;
	enum err rc;

	if (b == b->gather->open)
		gather_flush(b->gather);
	gate_wait(&b->done);
	rc = b->err.code;
	if (rc != ERR_OK)
		*err = b->err;
	if (--b->n_left == 0) {
		batch_unlink(b);
		batch_free(b);
	}
	return rc;
}

void
gather_flush(struct gather *g)
{
	struct batch *b = g->open;

	if (b == NULL)
		return;
	g->open = NULL;
	b->older = g->sent;
	if (b->older != NULL)
		b->older->newer = b;
	g->sent = b;
	b->n_left = b->n;
	b->job.run = batch_run;
	pool_submit(g->in->crew.pool, &b->job);
}

static enum err
batch_open(struct gather *g, struct error *err)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (b != NULL)
		b->members = malloc(BATCH_MEMBERS * sizeof(*b->members));
	if (b == NULL || b->members == NULL) {
		free(b);
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	gate_init(&b->done);
	b->gather = g;
	g->open = b;
	return ERR_OK;
}

/*
 * Whether a batch ends behind this file: by the file's own name, so that the
 * ends fall alike wherever the directory lies, with a probability that makes
 * GATHER_TARGET the mean size from half of it on.
 */
static bool
ends_batch(const struct gather *g, const struct batch *b, const struct slot *s,
	uint64_t size)
{
	size_t len;
	const uint8_t *base = key_base(s->key, s->key_len, &len);
	uint64_t h;

	if (b->n == BATCH_MEMBERS ||
		b->planned >= GATHER_ROOM - GATHER_FILE_MAX)
		return true;
	if (b->planned < GATHER_TARGET / 2)
		return false;
	h = shorthash(g->in->io.boundary, base, len) >> 32;
	return h * (GATHER_TARGET / 2) < size << 32;
}

enum err
gather_add(struct gather *g, struct slot *s, const struct entry *e,
	struct reader *r, struct error *err)
{
	struct member *m;
	enum err rc;

	if (e->size > GATHER_FILE_MAX)
		gather_flush(g);
	if (g->open == NULL) {
		rc = batch_open(g, err);
		if (rc != ERR_OK) {
			r->ops->close(r);
			return rc;
		}
	}
	m = &g->open->members[g->open->n++];
	*m = (struct member){ .slot = s,
		.reader = r,
		.entry = *e,
		.linked = e->nlink > 1 };
	s->filler = g->open;
	s->is_done = slot_is_done;
	s->finish = slot_finish;
	g->open->planned += e->size;
	if (e->size > GATHER_FILE_MAX || ends_batch(g, g->open, s, e->size))
		gather_flush(g);
	return ERR_OK;
}
