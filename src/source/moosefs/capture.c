/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture: a segment is the same in all snapshots that have it, so its stamp
 * is, and it is taken over unread.  So is the image until the next one; what
 * the record tells of it is then taken from the record before.
 */
#include "source/moosefs/capture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"
#include "model/path.h"
#include "source/moosefs/capture_inside.h"

enum { ENTRY_MODE = 0640 };

void
capture_entry(struct entry *e, enum entry_type type,
	const struct journal_file *f)
{
	entry_init(e);
	e->type = type;
	e->mode = ENTRY_MODE;
	e->uid = geteuid();
	e->gid = getegid();
	e->mtime = e->ctime = f->time;
	e->ino = f->first;
	e->size = f->size;
}

/* ---- contents ---- */

enum err
capture_pump(const struct capture_file *f, uint64_t off, uint64_t size,
	capture_piece_fn *fn, void *arg, struct error *err)
{
	uint64_t at = 0;
	size_t want, got = 0;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && at < size) {
		want = size - at < CAPTURE_PIECE ? (size_t)(size - at)
						 : CAPTURE_PIECE;
		rc = fsx_pread(f->fd, f->piece, want, off + at, &got, f->what,
			err);
		if (rc == ERR_OK && got < want)
			rc = err_set(err, ERR_IO, "%s is shorter than it was",
				f->what);
		if (rc == ERR_OK)
			rc = fn(arg, f->piece, got, err);
		at += got;
	}
	return rc;
}

struct streaming {
	struct sink *sink;
	struct hash_run *hash;
};

static enum err
stream_piece(void *arg, const void *data, size_t len, struct error *err)
{
	struct streaming *s = arg;

	if (s->hash != NULL)
		hash_run_add(s->hash, data, len);
	return s->sink->ops->stream_write(s->sink, data, len, err);
}

static enum err
small_piece(void *arg, const void *data, size_t len, struct error *err)
{
	(void)err;
	*(struct bytes *)arg = (struct bytes){ data, len };
	return ERR_OK;
}

static enum err
put_small(struct sink *sink, struct bytes key, struct entry *e,
	const struct capture_file *f, struct hash_run *hash, struct error *err)
{
	enum err rc;

	e->content.kind = CONTENT_INLINE;
	rc = capture_pump(f, 0, e->size, small_piece, &e->content.bytes, err);
	if (rc != ERR_OK)
		return rc;
	if (hash != NULL)
		hash_run_add(hash, e->content.bytes.data, e->content.bytes.len);
	return sink->ops->entry(sink, key, e, err);
}

enum err
capture_content(struct sink *sink, struct bytes key, struct entry *e,
	const struct capture_file *f, struct hash_run *hash, struct error *err)
{
	struct streaming s = { sink, hash };
	enum err rc;

	if (e->size <= CAPTURE_SMALL)
		return put_small(sink, key, e, f, hash, err);
	rc = sink->ops->stream_begin(sink, key, e, err);
	if (rc == ERR_OK)
		rc = capture_pump(f, 0, e->size, stream_piece, &s, err);
	return rc == ERR_OK ? sink->ops->stream_end(sink, err) : rc;
}

/* ---- segments ---- */

static enum err
put_segment(const struct capture_of *of, const struct journal_file *segment,
	struct sink *sink, uint8_t *piece, struct error *err)
{
	struct buf kb = BUF_INIT(KEY_MAX);
	char path[CAPTURE_PATH];
	struct bytes key;
	struct entry e;
	struct capture_file f = { -1, path, piece };
	bool done = false;
	enum err rc;

	(void)snprintf(path, sizeof(path), "/%s/changelog/%020" PRIu64,
		of->generation, segment->first);
	capture_entry(&e, ENTRY_FILE, segment);
	rc = key_from_path(&kb, path, err);
	key = (struct bytes){ kb.data, kb.len };
	if (rc == ERR_OK)
		rc = sink->ops->offer(sink, key, &e, &done, err);
	if (rc == ERR_OK && !done)
		rc = journal_open_segment(of->journal, segment, &f.fd, err);
	if (rc == ERR_OK && !done)
		rc = capture_content(sink, key, &e, &f, NULL, err);
	fsx_close(&f.fd);
	buf_fini(&kb);
	return rc;
}

/* ---- the record ---- */

static struct bytes
record_key(void)
{
	return (struct bytes){ (const uint8_t *)mfs_record_name,
		strlen(mfs_record_name) };
}

/* One that cannot be read is as good as none: it only saves work. */
static void
read_before(const struct capture_of *of, struct sink *sink,
	struct mfs_record *out)
{
	struct buf text = BUF_INIT(MFS_RECORD_MAX);
	struct error why = ERROR_INIT;
	bool found = false;
	enum err rc;

	rc = sink->ops->previous(sink, record_key(), &text, &found, &why);
	if (rc != ERR_OK || !found ||
		mfs_record_decode(out, text.data, text.len, &why) != ERR_OK ||
		strcmp(out->generation, of->generation) != 0)
		*out = (struct mfs_record){ .image_version = 0 };
	buf_fini(&text);
}

static void
fill_record(const struct capture_of *of, struct mfs_record *r)
{
	const struct journal_view *v = of->view;

	(void)snprintf(r->generation, sizeof(r->generation), "%s",
		of->generation);
	r->image_version = v->base.first;
	r->image_size = v->base.size;
	r->source = of->label;
	r->first = v->first;
	r->last = v->last;
	r->segments = v->n;
	r->complete = of->complete;
	r->changed.sec = v->n > 0 ? (int64_t)v->seconds : 0;
	r->captured = when_now();
}

static enum err
put_record(const struct mfs_record *r, struct sink *sink, struct error *err)
{
	struct buf text = BUF_INIT(MFS_RECORD_MAX);
	struct journal_file f = { .first = 1, .time = r->captured };
	struct entry e;
	bool done = false;
	enum err rc = mfs_record_encode(r, &text, err);

	f.size = text.len;
	capture_entry(&e, ENTRY_RECORD, &f);
	if (rc == ERR_OK)
		rc = sink->ops->offer(sink, record_key(), &e, &done, err);
	if (rc == ERR_OK && !done) {
		e.content.kind = CONTENT_INLINE;
		e.content.bytes = (struct bytes){ text.data, text.len };
		rc = sink->ops->entry(sink, record_key(), &e, err);
	}
	buf_fini(&text);
	return rc;
}

enum err
capture_run(const struct capture_of *of, struct sink *sink, struct error *err)
{
	const struct journal_view *v = of->view;
	struct mfs_record before, now = { .source = NULL };
	uint8_t *piece = malloc(CAPTURE_PIECE);
	enum err rc = ERR_OK;

	if (piece == NULL)
		return err_set(err, ERR_NOMEM, "no memory to read a journal");
	read_before(of, sink, &before);
	for (size_t i = 0; i < v->n && rc == ERR_OK; i++)
		rc = put_segment(of, &v->v[i], sink, piece, err);
	if (rc == ERR_OK)
		rc = capture_image_put(of, &before, sink, piece, &now, err);
	free(piece);
	if (rc != ERR_OK)
		return rc;
	fill_record(of, &now);
	return put_record(&now, sink, err);
}
