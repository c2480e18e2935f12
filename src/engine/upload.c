/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/upload.h"

#include <stdlib.h>
#include <string.h>

#include "tree/builder.h"
#include "tree/extents.h"

/* More slices than this become an extent tree. */
enum { UPLOAD_SLICES = 64 };

struct upload {
	struct uploads *owner;
	struct upload *next, **link; /* among the live */
	struct slot *slot;
	struct reader *reader; /* NULL for streams */
	struct entry entry;
	uint8_t *strings; /* what a stream's entry borrows */
	struct chunker chunker;
	struct chunk *cur; /* being filled; NULL: none yet */
	size_t scanned; /* how far the chunker is in cur */
	bool linked; /* other entries may refer to this one */
	uint64_t cur_off; /* where cur begins in the content */
	uint64_t covered; /* up to here there are slices or extents */
	struct builder *extents; /* NULL: still slices */
	unsigned n_flights;
	bool ended;
};

struct flight {
	struct ticket ticket;
	struct upload *up;
	struct extent extent;
};

enum err
uploads_init(struct uploads *u, struct ingest *in, struct error *err)
{
	*u = (struct uploads){ .in = in, .n_max = in->n_chunks };
	u->flights = calloc(u->n_max, sizeof(struct flight));
	if (u->flights == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	return ERR_OK;
}

static void
upload_free(struct upload *up)
{
	*up->link = up->next;
	if (up->next != NULL)
		up->next->link = up->link;
	if (up->cur != NULL)
		ingest_give(up->owner->in, up->cur);
	if (up->reader != NULL)
		up->reader->ops->close(up->reader);
	builder_free(up->extents);
	entry_fini(&up->entry);
	free(up->strings);
	free(up);
}

void
uploads_fini(struct uploads *u)
{
	for (; u->n > 0; u->n--) {
		gate_wait(&u->flights[u->first].ticket.done);
		u->first = (u->first + 1) % u->n_max;
	}
	for (struct upload *up = u->live, *next; up != NULL; up = next) {
		next = up->next;
		upload_free(up);
	}
	free(u->flights);
	u->flights = NULL;
}

/* ---- landing: chunks that are stored become slices or extents ---- */

static enum err
add_extent(struct upload *up, const struct extent *e, struct error *err)
{
	struct extent_item item;

	extent_encode(e, &item);
	return builder_add(up->extents, &item.item, err);
}

/* From slices to an extent tree. */
static enum err
spill_slices(struct upload *up, struct error *err)
{
	const struct slices *s = &up->entry.content.slices;
	struct extent e = { 0 };
	enum err rc;

	rc = builder_new(&up->extents, &up->owner->in->io, TREE_EXTENTS, err);
	for (size_t i = 0; i < s->n && rc == ERR_OK; i++) {
		e.len = s->v[i].len;
		e.chunk = s->v[i].chunk;
		e.chunk_off = s->v[i].off;
		if (!s->v[i].hole)
			rc = add_extent(up, &e, err);
		e.off += e.len;
	}
	return rc;
}

static enum err
add_slice(struct upload *up, const struct extent *e, struct error *err)
{
	struct slices *s = &up->entry.content.slices;
	struct slice hole = { .hole = true, .len = e->off - up->covered };
	struct slice data = { .len = e->len, .chunk = e->chunk };
	enum err rc = ERR_OK;

	if (hole.len > 0)
		rc = slices_add(s, &hole, err);
	if (rc == ERR_OK && data.len > 0)
		rc = slices_add(s, &data, err);
	if (rc == ERR_OK && s->n > UPLOAD_SLICES)
		rc = spill_slices(up, err);
	return rc;
}

static enum err
add_covered(struct upload *up, const struct extent *e, struct error *err)
{
	enum err rc;

	rc = up->extents != NULL ? add_extent(up, e, err)
				 : add_slice(up, e, err);
	up->covered = e->off + e->len;
	return rc;
}

/* Everything has landed: the slot gets its bytes. */
static enum err
upload_complete(struct upload *up, struct error *err)
{
	struct ingest *in = up->owner->in;
	struct content *c = &up->entry.content;
	struct extent end = { .off = up->entry.size };
	struct tree_root root;
	enum err rc = ERR_OK;

	if (up->extents == NULL && up->entry.size > 0) {
		rc = add_slice(up, &end, err);
		c->kind = CONTENT_SLICES;
	}
	if (rc == ERR_OK && up->extents != NULL) {
		rc = builder_finish(up->extents, &root, err);
		c->kind = CONTENT_EXTENTS;
		c->root = root.id;
	}
	if (rc == ERR_OK)
		rc = ingest_spill_xattrs(in, in->lane, &up->entry, err);
	if (rc == ERR_OK)
		rc = slot_encode(up->slot, &up->entry, err);
	if (rc != ERR_OK)
		return rc;
	up->slot->filler = NULL;
	in->report->progress->items_done++;
	upload_free(up);
	return ERR_OK;
}

/* The oldest chunk in flight has been stored; waits for that. */
static enum err
land(struct uploads *u, struct error *err)
{
	struct flight *f = &u->flights[u->first];
	struct upload *up = f->up;
	enum err rc;

	rc = ticket_wait(&f->ticket, err);
	u->first = (u->first + 1) % u->n_max;
	u->n--;
	up->n_flights--;
	if (rc == ERR_OK) {
		f->extent.chunk = f->ticket.id;
		rc = add_covered(up, &f->extent, err);
	}
	if (rc == ERR_OK && up->ended && up->n_flights == 0)
		rc = upload_complete(up, err);
	if (rc != ERR_OK)
		u->err = *err;
	return rc;
}

static bool
slot_is_done(const struct slot *s)
{
	struct upload *up = s->filler;
	struct error err = ERROR_INIT;

	while (s->filler != NULL) {
		struct uploads *u = up->owner;

		if (u->err.code != ERR_OK)
			return true;
		if (u->n == 0 ||
			!gate_is_open(&u->flights[u->first].ticket.done))
			return false;
		if (land(u, &err) != ERR_OK)
			return true;
	}
	return true;
}

static enum err
slot_finish(struct slot *s, struct error *err)
{
	struct upload *up = s->filler;
	struct uploads *u;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && s->filler != NULL) {
		u = up->owner;
		if (u->err.code != ERR_OK) {
			*err = u->err;
			return err->code;
		}
		rc = land(u, err);
	}
	return rc;
}

/* ---- taking off: bytes become chunks ---- */

static enum err
send(struct upload *up, struct chunk *c, struct error *err)
{
	struct uploads *u = up->owner;
	struct flight *f;
	enum err rc = ERR_OK;

	if (u->n == u->n_max)
		rc = land(u, err);
	if (rc != ERR_OK) {
		ingest_give(u->in, c);
		return rc;
	}
	f = &u->flights[(u->first + u->n++) % u->n_max];
	f->up = up;
	f->extent = (struct extent){ .off = up->cur_off, .len = c->len };
	up->cur_off += c->len;
	up->n_flights++;
	ingest_send(u->in, c, &f->ticket);
	return ERR_OK;
}

/* The chunk at hand ends behind its first len bytes. */
static enum err
cut(struct upload *up, size_t len, struct error *err)
{
	struct chunk *c = up->cur, *rest = NULL;

	if (c->len > len) {
		rest = ingest_take(up->owner->in);
		rest->len = c->len - len;
		memcpy(rest->data, c->data + len, rest->len);
		c->len = len;
	}
	up->cur = rest;
	up->scanned = 0;
	return send(up, c, err);
}

/* n more bytes are in cur. */
static enum err
feed(struct upload *up, size_t n, struct error *err)
{
	size_t used;
	enum err rc = ERR_OK;

	up->cur->len += n;
	while (rc == ERR_OK && up->cur != NULL && up->scanned < up->cur->len) {
		bool ends =
			chunker_feed(&up->chunker, up->cur->data + up->scanned,
				up->cur->len - up->scanned, &used);

		up->scanned += used;
		if (ends)
			rc = cut(up, up->scanned, err);
	}
	return rc;
}

static void
need_chunk(struct upload *up)
{
	if (up->cur == NULL)
		up->cur = ingest_take(up->owner->in);
}

static void
drop_chunk(struct upload *up)
{
	if (up->cur != NULL)
		ingest_give(up->owner->in, up->cur);
	up->cur = NULL;
	up->scanned = 0;
}

/* The next chunk begins at off. */
static void
begin_at(struct upload *up, uint64_t off)
{
	const struct ingest *in = up->owner->in;

	up->cur_off = off;
	chunker_init(&up->chunker, repo_gear(in->repo), &in->chunker);
}

/* Whatever is left becomes a chunk; the next one begins at off. */
static enum err
flush_at(struct upload *up, uint64_t off, struct error *err)
{
	enum err rc = ERR_OK;

	if (up->cur != NULL && up->cur->len > 0)
		rc = cut(up, up->cur->len, err);
	drop_chunk(up);
	begin_at(up, off);
	return rc;
}

static enum err
upload_new(struct uploads *u, struct slot *s, const struct entry *e,
	struct upload **out, struct error *err)
{
	struct upload *up = calloc(1, sizeof(*up));

	if (up == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	up->owner = u;
	up->slot = s;
	up->entry = *e;
	up->next = u->live;
	up->link = &u->live;
	if (up->next != NULL)
		up->next->link = &up->next;
	u->live = up;
	begin_at(up, 0);
	s->filler = up;
	s->is_done = slot_is_done;
	s->finish = slot_finish;
	*out = up;
	return ERR_OK;
}

/* No more bytes come. */
static enum err
upload_close(struct upload *up, uint64_t size, struct error *err)
{
	enum err rc = flush_at(up, size, err);

	up->entry.size = size;
	up->ended = true;
	if (rc == ERR_OK && up->n_flights == 0)
		rc = upload_complete(up, err);
	return rc;
}

/* ---- files ---- */

/* A failure of the source is told from one of the repository by the struct
 * it goes to: why, or err. */
static enum err
pull_region(struct upload *up, const struct region *region, uint64_t *got,
	struct error *why, struct error *err)
{
	struct ingest *in = up->owner->in;
	size_t want, have = 0;
	enum err rc = ERR_OK;

	for (*got = 0; *got < region->len && rc == ERR_OK; *got += have) {
		need_chunk(up);
		want = in->chunk_room - up->cur->len;
		if (want > INGEST_READ)
			want = INGEST_READ;
		if (want > region->len - *got)
			want = (size_t)(region->len - *got);
		if (up->reader->ops->read(up->reader, region->off + *got,
			    up->cur->data + up->cur->len, want, &have,
			    why) != ERR_OK ||
			have == 0)
			return ERR_OK;
		in->bytes_read += have;
		in->report->progress->bytes_done += have;
		rc = feed(up, have, err);
		if (rc == ERR_OK)
			rc = ingest_stopped(in, err);
	}
	return rc;
}

static enum err
pull_pass(struct upload *up, uint64_t *got, struct error *why,
	struct error *err)
{
	const struct reader_ops *ops = up->reader->ops;
	uint64_t size = up->entry.size, n;
	struct region region;
	enum err rc = ERR_OK;

	for (*got = 0; *got < size && rc == ERR_OK; *got += n) {
		region = (struct region){ *got, size - *got, false };
		if (ops->region != NULL && ops->region(up->reader, *got, size,
						   &region, why) != ERR_OK)
			return ERR_OK;
		n = region.len;
		if (region.hole) {
			rc = flush_at(up, region.off + region.len, err);
			continue;
		}
		rc = pull_region(up, &region, &n, why, err);
		if (rc != ERR_OK || why->code != ERR_OK || n < region.len) {
			*got += n;
			break;
		}
	}
	return rc;
}

/* Forget what was read so far. */
static enum err
start_over(struct upload *up, struct error *err)
{
	enum err rc = ERR_OK;

	drop_chunk(up);
	while (rc == ERR_OK && up->n_flights > 0)
		rc = land(up->owner, err);
	builder_free(up->extents);
	up->extents = NULL;
	up->entry.content.slices.n = 0;
	up->covered = 0;
	begin_at(up, 0);
	return rc;
}

static enum err
pull(struct upload *up, uint64_t *got, struct error *why, struct error *err)
{
	const struct reader_ops *ops = up->reader->ops;
	unsigned marks = up->entry.marks;
	bool changed = true;
	enum err rc = ERR_OK;

	for (unsigned i = 0; changed && i < READ_ATTEMPTS; i++) {
		if (i > 0)
			rc = start_over(up, err);
		if (rc != ERR_OK ||
			ops->open(up->reader, &up->entry, why) != ERR_OK)
			return rc;
		up->entry.marks = marks | ingest_fresh(&up->entry);
		rc = pull_pass(up, got, why, err);
		if (rc != ERR_OK || why->code != ERR_OK ||
			ops->settle(up->reader, &changed, why) != ERR_OK)
			return rc;
		changed = changed || *got < up->entry.size;
	}
	if (changed)
		up->entry.marks |= MARK_CHANGED;
	return ERR_OK;
}

static enum err
give_up_file(struct upload *up, const struct error *why, struct error *err)
{
	struct slot *s = up->slot;
	enum err rc = start_over(up, err);

	if (rc != ERR_OK)
		return rc;
	if (why->code == ERR_NOTFOUND && !up->linked) {
		s->dropped = true;
	} else {
		ingest_problem(up->owner->in,
			(struct bytes){ s->key, s->key_len }, why);
		up->entry.content.kind = CONTENT_NONE;
		up->entry.xattrs = (struct bytes){ NULL, 0 };
		up->entry.marks = MARK_UNREADABLE;
		rc = slot_encode(s, &up->entry, err);
	}
	s->filler = NULL;
	up->owner->in->report->progress->items_done++;
	upload_free(up);
	return rc;
}

enum err
upload_file(struct uploads *u, struct slot *s, const struct entry *e,
	struct reader *r, struct error *err)
{
	struct error why = ERROR_INIT;
	struct upload *up;
	uint64_t got = 0;
	enum err rc;

	rc = upload_new(u, s, e, &up, err);
	if (rc != ERR_OK) {
		r->ops->close(r);
		return rc;
	}
	up->reader = r;
	up->linked = e->nlink > 1;
	rc = pull(up, &got, &why, err);
	if (rc != ERR_OK)
		return rc;
	if (why.code != ERR_OK)
		return give_up_file(up, &why, err);
	return upload_close(up, got, err);
}

/* ---- streams ---- */

enum err
upload_begin(struct uploads *u, struct slot *s, const struct entry *e,
	struct upload **out, struct error *err)
{
	enum err rc = upload_new(u, s, e, out, err);

	if (rc == ERR_OK)
		rc = ingest_keep_strings(&(*out)->entry, &(*out)->strings, err);
	return rc;
}

enum err
upload_write(struct upload *up, const void *data, size_t len, struct error *err)
{
	struct ingest *in = up->owner->in;
	const uint8_t *p = data;
	size_t n;
	enum err rc = ERR_OK;

	for (; len > 0 && rc == ERR_OK; len -= n, p += n) {
		need_chunk(up);
		n = in->chunk_room - up->cur->len;
		if (n > INGEST_READ)
			n = INGEST_READ;
		if (n > len)
			n = len;
		memcpy(up->cur->data + up->cur->len, p, n);
		in->bytes_read += n;
		in->report->progress->bytes_done += n;
		rc = feed(up, n, err);
	}
	return rc;
}

enum err
upload_end(struct upload *up, struct error *err)
{
	uint64_t pending = up->cur != NULL ? up->cur->len : 0;

	return upload_close(up, up->cur_off + pending, err);
}
