/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture: a segment is the same in all snapshots that have it, so its stamp
 * is, and it is taken over unread.
 */
#include "source/moosefs/capture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"
#include "base/json.h"
#include "model/path.h"

enum { PIECE = 256 << 10, SMALL = 4 << 10, ENTRY_MODE = 0640, PATH_ROOM = 128 };

static void
fill_entry(struct entry *e, enum entry_type type, const struct journal_file *f)
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

static enum err
pump(struct sink *sink, int fd, uint64_t size, const char *what,
	struct error *err)
{
	uint8_t *piece = malloc(PIECE);
	uint64_t left = size;
	size_t want, got = 0;
	enum err rc = ERR_OK;

	if (piece == NULL)
		return err_set(err, ERR_NOMEM, "no memory to read %s", what);
	while (rc == ERR_OK && left > 0) {
		want = left < PIECE ? (size_t)left : PIECE;
		rc = fsx_read(fd, piece, want, &got, what, err);
		if (rc == ERR_OK && got < want)
			rc = err_set(err, ERR_IO, "%s is shorter than it was",
				what);
		if (rc == ERR_OK)
			rc = sink->ops->stream_write(sink, piece, got, err);
		left -= got;
	}
	free(piece);
	return rc;
}

static enum err
put_small(struct sink *sink, struct bytes key, struct entry *e, int fd,
	const char *what, struct error *err)
{
	uint8_t data[SMALL];
	size_t got = 0;
	enum err rc = fsx_read(fd, data, (size_t)e->size, &got, what, err);

	if (rc == ERR_OK && got < e->size)
		rc = err_set(err, ERR_IO, "%s is shorter than it was", what);
	if (rc != ERR_OK)
		return rc;
	e->content.kind = CONTENT_INLINE;
	e->content.bytes = (struct bytes){ data, got };
	return sink->ops->entry(sink, key, e, err);
}

static enum err
put_file(struct sink *sink, const char *path, struct entry *e, int fd,
	struct error *err)
{
	struct buf kb = BUF_INIT(KEY_MAX);
	struct bytes key;
	bool done = false;
	enum err rc = key_from_path(&kb, path, err);

	key = (struct bytes){ kb.data, kb.len };
	if (rc == ERR_OK)
		rc = sink->ops->offer(sink, key, e, &done, err);
	if (rc != ERR_OK || done)
		goto out;
	if (e->size <= SMALL) {
		rc = put_small(sink, key, e, fd, path, err);
		goto out;
	}
	rc = sink->ops->stream_begin(sink, key, e, err);
	if (rc == ERR_OK)
		rc = pump(sink, fd, e->size, path, err);
	if (rc == ERR_OK)
		rc = sink->ops->stream_end(sink, err);

out:
	buf_fini(&kb);
	return rc;
}

static enum err
put_segments(const struct capture_of *of, struct sink *sink, struct error *err)
{
	const struct journal_view *v = of->view;
	char path[PATH_ROOM];
	struct entry e;
	enum err rc = ERR_OK;
	int fd;

	for (size_t i = 0; i < v->n && rc == ERR_OK; i++) {
		fd = -1;
		(void)snprintf(path, sizeof(path), "/%s/changelog/%020" PRIu64,
			of->generation, v->v[i].first);
		fill_entry(&e, ENTRY_FILE, &v->v[i]);
		rc = journal_open_segment(of->journal, &v->v[i], &fd, err);
		if (rc == ERR_OK)
			rc = put_file(sink, path, &e, fd, err);
		fsx_close(&fd);
	}
	return rc;
}

static enum err
put_image(const struct capture_of *of, struct sink *sink, struct error *err)
{
	char path[PATH_ROOM];
	struct entry e;
	enum err rc;
	int fd = -1;

	(void)snprintf(path, sizeof(path), "/%s/metadata.mfs", of->generation);
	fill_entry(&e, ENTRY_STREAM, &of->view->base);
	rc = journal_open_base(of->journal, of->view, &fd, err);
	if (rc == ERR_OK)
		rc = put_file(sink, path, &e, fd, err);
	fsx_close(&fd);
	return rc;
}

static enum err
fill_record(const struct capture_of *of, const struct when *now,
	struct buf *out, struct error *err)
{
	const struct journal_view *v = of->view;
	struct when changed = { (int64_t)v->seconds, 0 };
	struct json_writer w;
	char text[40];

	json_begin(&w, out);
	json_open(&w, NULL, '{');
	json_put_uint(&w, "format", 1);
	json_put_text(&w, "source", of->label);
	json_put_text(&w, "generation", of->generation);
	(void)snprintf(text, sizeof(text), "%.16s", of->generation);
	json_put_text(&w, "id", text);
	json_put_uint(&w, "image_version", v->base.first);
	json_put_uint(&w, "image_size", v->base.size);
	json_put_uint(&w, "first", v->first);
	json_put_uint(&w, "last", v->last);
	json_put_uint(&w, "segments", v->n);
	json_put_bool(&w, "complete", of->complete);
	if (v->n > 0) {
		when_rfc3339(&changed, text);
		json_put_text(&w, "changed", text);
	}
	when_rfc3339(now, text);
	json_put_text(&w, "captured", text);
	json_put_text(&w, "program", "coffer " COFFER_VERSION);
	json_close(&w);
	return json_end(&w, err);
}

static enum err
put_record(const struct capture_of *of, struct sink *sink, struct error *err)
{
	static const char name[] = "moosefs.json";
	struct bytes key = { (const uint8_t *)name, sizeof(name) - 1 };
	struct buf text = BUF_INIT(SMALL);
	struct journal_file f = { .first = 1, .time = when_now() };
	struct entry e;
	bool done = false;
	enum err rc = fill_record(of, &f.time, &text, err);

	f.size = text.len;
	fill_entry(&e, ENTRY_RECORD, &f);
	if (rc == ERR_OK)
		rc = sink->ops->offer(sink, key, &e, &done, err);
	if (rc == ERR_OK && !done) {
		e.content.kind = CONTENT_INLINE;
		e.content.bytes = (struct bytes){ text.data, text.len };
		rc = sink->ops->entry(sink, key, &e, err);
	}
	buf_fini(&text);
	return rc;
}

enum err
capture_run(const struct capture_of *of, struct sink *sink, struct error *err)
{
	enum err rc = put_segments(of, sink, err);

	if (rc == ERR_OK)
		rc = put_image(of, sink, err);
	return rc == ERR_OK ? put_record(of, sink, err) : rc;
}
