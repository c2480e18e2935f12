/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state: a stream as an edit of what the image was in the previous snapshot.
 * Whether that is the snapshot at which the stream begins is told by the record
 * beside it.
 */
#include "source/rbd_diff/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/path.h"
#include "model/rbd_record.h"

enum {
	PIECE = 1 << 20,
	ENTRY_MODE = 0600,
	INLINE_MAX = 64 << 10,
	/* What `rbd create` makes, where nothing tells. */
	USUAL_ORDER = 22,
	USUAL_FEATURES = 0x3d
};

struct capture {
	struct rbd_files *s;
	struct sink *sink;
	const struct rbd_diff_head *head;
	struct buf key, record_key;
	struct rbd_record old, now;
	bool has_old;
	uint8_t *piece;
};

/* ---- where it begins ---- */

static enum err
load_old(struct capture *c, struct error *err)
{
	struct bytes key = { c->record_key.data, c->record_key.len };
	struct buf text = BUF_INIT(RBD_RECORD_MAX);
	enum err rc =
		c->sink->ops->previous(c->sink, key, &text, &c->has_old, err);

	if (rc == ERR_OK && c->has_old)
		rc = rbd_record_decode(&c->old, text.data, text.len, err);
	buf_fini(&text);
	if (rc != ERR_OK)
		(void)err_wrap(err, "the record of %s in the previous snapshot",
			c->s->label);
	return rc;
}

/* A foreign name as a message may hold it. */
static void
show(char out[64], const char *name)
{
	(void)snprintf(out, 64, "%s", name != NULL ? name : "");
	for (char *p = out; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}

static enum err
check_base(const struct capture *c, struct error *err)
{
	const char *file = c->s->path, *image = c->s->label + 9;
	char from[64], old[64];

	if (c->head->from == NULL)
		return ERR_OK;
	show(from, c->head->from);
	show(old, c->old.snap);
	if (!c->has_old)
		return err_set(err, ERR_USAGE,
			"%.150s begins at snapshot '%s', and there is no "
			"earlier snapshot of %.100s here: a full difference "
			"comes first",
			file, from, image);
	if (c->old.snap == NULL)
		return err_set(err, ERR_USAGE,
			"%.150s begins at snapshot '%s', and the previous "
			"snapshot of %.100s here is of its head",
			file, from, image);
	if (strcmp(c->old.snap, c->head->from) != 0)
		return err_set(err, ERR_USAGE,
			"%.150s begins at snapshot '%s', and the previous "
			"snapshot of %.100s here is '%s'",
			file, from, image, old);
	if (c->old.has_parent && !c->old.parent_data)
		return err_set(err, ERR_USAGE,
			"%.150s: the previous snapshot of %.100s here is "
			"without its parent's data",
			file, image);
	return ERR_OK;
}

/* ---- the record ---- */

static enum err
copy_text(char **out, const char *text, struct error *err)
{
	*out = text != NULL ? strdup(text) : NULL;
	if (*out == NULL && text != NULL)
		return err_set(err, ERR_NOMEM, "no memory for a name");
	return ERR_OK;
}

/* How it was set up: as the file tells, else as it was before. */
static enum err
fill_setup(struct capture *c, struct error *err)
{
	const struct rbd_export_head *h = rbd_file_image(c->s->file);
	const struct rbd_record *old = &c->old;
	struct rbd_record *now = &c->now;
	enum err rc = ERR_OK;

	now->order = USUAL_ORDER;
	now->features = USUAL_FEATURES;
	if (h != NULL) {
		now->order = h->order;
		now->features = h->features;
		now->stripe_unit = h->stripe_unit;
		now->stripe_count = h->stripe_count;
		for (size_t i = 0; i < h->n_meta && rc == ERR_OK; i++)
			rc = rbd_record_add_meta(now, h->meta[i].key,
				h->meta[i].value, err);
	} else if (c->has_old) {
		now->order = old->order;
		now->features = old->features;
		now->stripe_unit = old->stripe_unit;
		now->stripe_count = old->stripe_count;
		for (size_t i = 0; i < old->n_meta && rc == ERR_OK; i++)
			rc = rbd_record_add_meta(now, old->meta[i].key,
				old->meta[i].value, err);
	}
	return rc;
}

static enum err
fill_record(struct capture *c, struct error *err)
{
	const struct rbd_files *s = c->s;
	struct rbd_record *now = &c->now;
	enum err rc = fill_setup(c, err);

	now->size = c->head->size;
	now->taken = s->time;
	now->parent_data = true;
	if (rc == ERR_OK)
		rc = copy_text(&now->pool, s->pool, err);
	if (rc == ERR_OK)
		rc = copy_text(&now->ns, s->ns[0] != '\0' ? s->ns : NULL, err);
	if (rc == ERR_OK)
		rc = copy_text(&now->image, s->image, err);
	if (rc == ERR_OK)
		rc = copy_text(&now->snap, c->head->to, err);
	if (rc == ERR_OK && c->head->from == NULL)
		rc = copy_text(&now->why_full, "it is a full difference", err);
	if (rc == ERR_OK && c->head->to != NULL)
		rc = rbd_record_add_snap(now, c->head->to, 0, c->head->size,
			c->head->is_protected, err);
	return rc;
}

static void
fill_entry(const struct capture *c, struct entry *e, enum entry_type type,
	uint64_t size)
{
	entry_init(e);
	e->type = type;
	e->mode = ENTRY_MODE;
	e->uid = geteuid();
	e->gid = getegid();
	e->mtime = c->s->time;
	/* So that it is never taken for the one before, whose file may have
	 * had the same time. */
	e->ctime = when_now();
	e->size = size;
}

static enum err
put_stream(const struct capture *c, struct bytes key, const struct entry *e,
	const struct buf *text, struct error *err)
{
	const struct sink_ops *ops = c->sink->ops;
	enum err rc = ops->stream_begin(c->sink, key, e, err);

	for (size_t at = 0, n; rc == ERR_OK && at < text->len; at += n) {
		n = text->len - at < PIECE ? text->len - at : PIECE;
		rc = ops->stream_write(c->sink, text->data + at, n, err);
	}
	return rc == ERR_OK ? ops->stream_end(c->sink, err) : rc;
}

/* In the tree itself where it fits, so that a writer's key finds it again. */
static enum err
put_record(struct capture *c, struct error *err)
{
	struct bytes key = { c->record_key.data, c->record_key.len };
	struct buf text = BUF_INIT(RBD_RECORD_MAX);
	struct entry e;
	bool done = false;
	enum err rc = rbd_record_encode(&c->now, &text, err);

	fill_entry(c, &e, ENTRY_RECORD, text.len);
	if (rc == ERR_OK)
		rc = c->sink->ops->offer(c->sink, key, &e, &done, err);
	if (rc == ERR_OK && !done && text.len > INLINE_MAX) {
		rc = put_stream(c, key, &e, &text, err);
	} else if (rc == ERR_OK && !done) {
		e.content.kind = CONTENT_INLINE;
		e.content.bytes = (struct bytes){ text.data, text.len };
		rc = c->sink->ops->entry(c->sink, key, &e, err);
	}
	buf_fini(&text);
	return rc;
}

/* ---- the image ---- */

static enum err
put_data(struct capture *c, const struct rbd_diff_range *r, struct error *err)
{
	uint64_t off = r->off, left = r->len;
	enum err rc = ERR_OK;
	size_t n;

	while (rc == ERR_OK && left > 0) {
		n = (size_t)(PIECE - off % PIECE);
		n = left < n ? (size_t)left : n;
		rc = rbd_diff_read(c->s->diff, c->piece, n, err);
		if (rc != ERR_OK)
			return err_wrap(err, "%s", c->s->path);
		rc = c->sink->ops->image_replace(c->sink, off, c->piece, n,
			err);
		off += n;
		left -= n;
	}
	return rc;
}

/* Up to the end mark. */
static enum err
put_ranges(struct capture *c, struct error *err)
{
	struct rbd_diff_range *r = &c->s->range;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && r->kind != RBD_DIFF_END) {
		if (r->kind == RBD_DIFF_DATA)
			rc = put_data(c, r, err);
		else
			rc = c->sink->ops->image_punch(c->sink, r->off, r->len,
				err);
		if (rc != ERR_OK)
			return rc;
		rc = rbd_diff_next(c->s->diff, r, err);
		if (rc != ERR_OK)
			(void)err_wrap(err, "%s", c->s->path);
	}
	return rc;
}

static enum err
put_image(struct capture *c, struct error *err)
{
	const struct sink_ops *ops = c->sink->ops;
	struct bytes key = { c->key.data, c->key.len }, none = { NULL, 0 };
	struct entry e;
	bool done = false;
	enum err rc;

	fill_entry(c, &e, ENTRY_IMAGE, c->head->size);
	rc = ops->offer(c->sink, key, &e, &done, err);
	if (rc != ERR_OK || done)
		return rc;
	rc = ops->image_begin(c->sink, key, &e,
		c->head->from != NULL ? key : none, NULL, err);
	if (rc == ERR_OK)
		rc = put_ranges(c, err);
	return rc == ERR_OK ? ops->image_end(c->sink, err) : rc;
}

enum err
state_capture(struct rbd_files *s, struct sink *sink, struct error *err)
{
	struct capture c = { .s = s,
		.sink = sink,
		.head = rbd_diff_head(s->diff),
		.key = BUF_INIT(KEY_MAX),
		.record_key = BUF_INIT(KEY_MAX) };
	enum err rc;

	rbd_record_init(&c.old);
	rbd_record_init(&c.now);
	c.piece = malloc(PIECE);
	rc = c.piece != NULL
		     ? ERR_OK
		     : err_set(err, ERR_NOMEM, "no memory for a source");
	if (rc == ERR_OK)
		rc = rbd_image_key(&c.key, s->pool, s->ns, s->image, err);
	if (rc == ERR_OK)
		rc = rbd_record_key(&c.record_key, s->pool, s->ns, s->image,
			err);
	if (rc == ERR_OK)
		rc = load_old(&c, err);
	if (rc == ERR_OK)
		rc = check_base(&c, err);
	if (rc == ERR_OK)
		rc = fill_record(&c, err);
	if (rc == ERR_OK)
		rc = put_image(&c, err);
	if (rc == ERR_OK)
		rc = put_record(&c, err);
	rbd_record_fini(&c.old);
	rbd_record_fini(&c.now);
	buf_fini(&c.key);
	buf_fini(&c.record_key);
	free(c.piece);
	return rc;
}
