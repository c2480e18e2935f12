/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/backup.h"
#include "engine/edited.h"
#include "engine/gather.h"
#include "engine/links.h"
#include "engine/outbox.h"
#include "engine/upload.h"
#include "model/path.h"
#include "tree/content.h"
#include "tree/cursor.h"

struct backup_sink {
	struct sink base;
	struct ingest *in;
	struct builder *builder;
	struct outbox outbox;
	struct gather gather;
	struct uploads uploads;
	struct links *links;

	struct id previous_root;
	struct cursor *cursor; /* over the previous tree, for the merge join */
	struct cursor *lookup; /* the same tree, for looking up anywhere */
	struct item old; /* where the cursor stands; key data NULL: at end */
	bool old_valid;

	unsigned marks; /* of the entry offered last */
	struct upload *stream;
	struct edited edited;
};

static struct backup_sink *
to_sink(struct sink *s)
{
	return container_of(s, struct backup_sink, base);
}

/* ---- the previous tree ---- */

/*
 * What the local cache cannot give is read from the source: so are all entries
 * from here on.  The lookups that edits of images depend on still fail, where
 * the image could not come whole instead (sink_image_again).
 */
static enum err
lose_previous(struct backup_sink *s, struct error *err)
{
	const struct report *report = s->in->report;
	char text[600];

	(void)err_wrap(err, "previous snapshot");
	if (s->in->nodes == NULL || err->code == ERR_NOMEM)
		return err->code;
	cursor_close(s->cursor);
	s->cursor = NULL;
	s->old_valid = false;
	(void)snprintf(text, sizeof(text), "%s; what comes is read", err->msg);
	report->note(report->arg, text);
	return ERR_OK;
}

/* Step the merge join to key; *found where the previous tree has it. */
static enum err
join(struct backup_sink *s, struct bytes key, bool *found, struct error *err)
{
	enum err rc = ERR_OK;
	int order;

	*found = false;
	while (s->cursor != NULL) {
		if (!s->old_valid)
			rc = cursor_next(s->cursor, &s->old, err);
		if (rc != ERR_OK)
			return lose_previous(s, err);
		s->old_valid = true;
		if (s->old.key.data == NULL)
			return ERR_OK;
		order = key_cmp(s->old.key.data, s->old.key.len, key.data,
			key.len);
		*found = order == 0;
		if (order >= 0)
			return ERR_OK;
		s->old_valid = false;
	}
	return ERR_OK;
}

static void
tell_entry(struct backup_sink *s, struct bytes key, const struct entry *e,
	enum change change)
{
	const struct report *report = s->in->report;

	if (report->entry == NULL)
		return;
	pthread_mutex_lock(&s->in->report_lock);
	report->entry(report->arg, key, e, change);
	pthread_mutex_unlock(&s->in->report_lock);
}

/* What is worked on: the end of its path. */
static void
tell_current(struct backup_sink *s, struct bytes key)
{
	char text[128];
	size_t len = key.len < sizeof(text) ? key.len : sizeof(text);

	for (size_t i = 0; i < len; i++) {
		text[i] = (char)key.data[key.len - len + i];
		if (text[i] == '\0')
			text[i] = '/';
	}
	progress_current(s->in->report->progress, text, len);
}

/* ---- one entry ---- */

static bool
may_be_linked(const struct entry *e)
{
	return e->nlink > 1 && e->type != ENTRY_DIR;
}

static enum err
append_slot(struct backup_sink *s, struct bytes key, struct slot **out,
	struct error *err)
{
	enum err rc = outbox_turn(&s->outbox, err);

	return rc == ERR_OK ? outbox_append(&s->outbox, key, out, err) : rc;
}

/* For an entry of its own, which later ones may link to. */
static enum err
new_slot(struct backup_sink *s, struct bytes key, const struct entry *e,
	struct slot **out, struct error *err)
{
	enum err rc = ERR_OK;

	if (may_be_linked(e))
		rc = links_add(s->links, e->dev, e->ino, key, err);
	return rc == ERR_OK ? append_slot(s, key, out, err) : rc;
}

/* A later name of a file that was met before. */
static enum err
put_link(struct backup_sink *s, struct bytes key, const struct entry *e,
	struct bytes first, struct error *err)
{
	struct entry link = *e;
	struct slot *slot;
	enum err rc;

	link.content = (struct content){ .kind = CONTENT_LINK, .bytes = first };
	link.marks = 0;
	rc = append_slot(s, key, &slot, err);
	if (rc == ERR_OK)
		rc = slot_encode(slot, &link, err);
	return rc;
}

static bool
holds_content(const struct item *old, enum err *rc, struct error *err)
{
	struct entry e;
	bool holds;

	entry_init(&e);
	*rc = entry_decode(&e, old->val.data, old->val.len, old->refs,
		old->n_refs, err);
	holds = *rc == ERR_OK && e.content.kind != CONTENT_LINK;
	entry_fini(&e);
	return holds;
}

/* Whether the previous entry can be taken over as it is. */
static enum err
same_as_old(struct backup_sink *s, const struct entry *e, bool is_link,
	bool *same, struct error *err)
{
	struct entry_stamp stamp;
	enum err rc;

	rc = entry_decode_stamp(&stamp, s->old.val.data, s->old.val.len, err);
	*same = rc == ERR_OK && entry_unchanged(e, &stamp);
	if (*same && !is_link && may_be_linked(e))
		*same = holds_content(&s->old, &rc, err);
	return rc;
}

static void
count_entry(struct backup_sink *s, const struct entry *e, bool found, bool same)
{
	struct snapshot_figures *f = &s->in->figures;
	struct progress *p = s->in->report->progress;

	if (e->type == ENTRY_FILE)
		f->files++;
	if (same)
		f->entries_unchanged++;
	else if (found)
		f->entries_changed++;
	else
		f->entries_new++;
	if (same && e->type == ENTRY_FILE)
		p->bytes_done += e->size;
}

/* The previous entry stays as it is. */
static enum err
take_over(struct backup_sink *s, struct bytes key, const struct entry *e,
	struct error *err)
{
	enum err rc = outbox_turn(&s->outbox, err);

	if (rc == ERR_OK && may_be_linked(e))
		rc = links_add(s->links, e->dev, e->ino, key, err);
	return rc == ERR_OK ? outbox_item(&s->outbox, &s->old, err) : rc;
}

static enum err
sink_offer(struct sink *base, struct bytes key, const struct entry *e,
	bool *done, struct error *err)
{
	struct backup_sink *s = to_sink(base);
	struct bytes first = { NULL, 0 };
	bool found = false, same = false, is_link;
	enum err rc;

	*done = false;
	rc = ingest_stopped(s->in, err);
	if (rc == ERR_OK)
		rc = join(s, key, &found, err);
	if (rc == ERR_OK && may_be_linked(e))
		first = links_find(s->links, e->dev, e->ino);
	is_link = first.data != NULL;
	if (rc == ERR_OK && found)
		rc = same_as_old(s, e, is_link, &same, err);
	if (rc != ERR_OK)
		return rc;

	*done = same || is_link;
	count_entry(s, e, found, same);
	if (*done)
		s->in->report->progress->items_done++;
	tell_entry(s, key, e,
		same    ? CHANGE_SAME
		: found ? CHANGE_MODIFIED
			: CHANGE_NEW);
	if (is_link)
		return put_link(s, key, e, first, err);
	if (same)
		return take_over(s, key, e, err);
	s->marks = ingest_fresh(e);
	tell_current(s, key);
	return ERR_OK;
}

static enum err
sink_entry(struct sink *base, struct bytes key, const struct entry *e,
	struct error *err)
{
	struct backup_sink *s = to_sink(base);
	struct entry marked = *e;
	struct slices own = { 0 };
	struct slot *slot;
	enum err rc;

	marked.marks |= s->marks;
	marked.xattr_slices = own;
	rc = new_slot(s, key, e, &slot, err);
	if (rc == ERR_OK)
		rc = ingest_spill_xattrs(s->in, s->in->lane, &marked, err);
	if (rc == ERR_OK)
		rc = slot_encode(slot, &marked, err);
	s->in->report->progress->items_done++;
	free(marked.xattr_slices.v);
	return rc;
}

static enum err
sink_file(struct sink *base, struct bytes key, const struct entry *e,
	struct reader *r, struct error *err)
{
	struct backup_sink *s = to_sink(base);
	struct slot *slot;
	enum err rc;

	rc = new_slot(s, key, e, &slot, err);
	if (rc != ERR_OK) {
		r->ops->close(r);
		return rc;
	}
	if (e->size <= repo_config(s->in->repo)->chunker.min)
		return gather_add(&s->gather, slot, e, r, err);
	return upload_file(&s->uploads, slot, e, r, err);
}

/* ---- streams and images ---- */

static enum err
sink_stream_begin(struct sink *base, struct bytes key, const struct entry *e,
	struct error *err)
{
	struct backup_sink *s = to_sink(base);
	struct slot *slot;
	enum err rc;

	rc = new_slot(s, key, e, &slot, err);
	if (rc == ERR_OK)
		rc = upload_begin(&s->uploads, slot, e, &s->stream, err);
	return rc;
}

static enum err
sink_stream_write(struct sink *base, const void *data, size_t len,
	struct error *err)
{
	struct backup_sink *s = to_sink(base);
	enum err rc = ingest_stopped(s->in, err);

	return rc == ERR_OK ? upload_write(s->stream, data, len, err) : rc;
}

static enum err
sink_stream_end(struct sink *base, struct error *err)
{
	struct backup_sink *s = to_sink(base);
	struct upload *up = s->stream;

	s->stream = NULL;
	return upload_end(up, err);
}

static enum err
sink_image_begin(struct sink *base, struct bytes key, const struct entry *e,
	struct bytes from, const struct origin *origin, struct error *err)
{
	struct backup_sink *s = to_sink(base);
	struct slot *slot;
	enum err rc;

	rc = edited_open(&s->edited, from, e->size, origin, err);
	if (rc == ERR_OK)
		rc = new_slot(s, key, e, &slot, err);
	return rc == ERR_OK ? edited_begin(&s->edited, slot, e, err) : rc;
}

/*
 * What the new tree takes over of the old one are chunks of the previous
 * snapshot, which this session's view has: a prune keeps them as it keeps those
 * that any other entry takes over.
 */
static enum err
sink_image_again(struct sink *base, struct bytes key, const struct entry *e,
	const struct entry *was, const struct origin *origin, bool *begun,
	struct error *err)
{
	struct backup_sink *s = to_sink(base);
	struct slot *slot;
	enum err rc;

	rc = edited_open_again(&s->edited, key, was, e->size, origin, begun,
		err);
	if (rc != ERR_OK || !*begun)
		return rc;
	rc = new_slot(s, key, e, &slot, err);
	return rc == ERR_OK ? edited_begin(&s->edited, slot, e, err) : rc;
}

static enum err
sink_image_take(struct sink *base, uint64_t off, uint64_t old_off, uint64_t len,
	struct error *err)
{
	return edited_take(&to_sink(base)->edited, off, old_off, len, err);
}

static enum err
sink_image_replace(struct sink *base, uint64_t off, const void *data,
	size_t len, struct error *err)
{
	return edited_replace(&to_sink(base)->edited, off, data, len, err);
}

static enum err
sink_image_punch(struct sink *base, uint64_t off, uint64_t len,
	struct error *err)
{
	return edited_punch(&to_sink(base)->edited, off, len, err);
}

static enum err
sink_image_end(struct sink *base, struct error *err)
{
	return edited_end(&to_sink(base)->edited, err);
}

/* ---- the rest ---- */

static enum err
sink_previous(struct sink *base, struct bytes key, struct buf *out, bool *found,
	struct error *err)
{
	struct backup_sink *s = to_sink(base);
	struct content_view *view = NULL;
	struct entry e;
	struct item item;
	size_t got;
	enum err rc;

	*found = false;
	if (s->lookup == NULL)
		return ERR_OK;
	entry_init(&e);
	rc = cursor_find(s->lookup, key, &item, found, err);
	if (rc != ERR_OK || !*found)
		goto out;
	rc = entry_decode(&e, item.val.data, item.val.len, item.refs,
		item.n_refs, err);
	if (rc == ERR_OK && (e.marks & MARK_UNREADABLE) != 0) {
		*found = false;
		goto out;
	}
	if (rc == ERR_OK)
		rc = content_open(&view, &s->in->io, &s->previous_root, &e,
			err);
	if (rc == ERR_OK && content_size(view) > out->max - out->len)
		rc = err_set(err, ERR_CORRUPT, "previous record is too large");
	if (rc == ERR_OK)
		rc = buf_reserve(out, (size_t)content_size(view), err);
	if (rc == ERR_OK)
		rc = content_read(view, 0, out->data + out->len,
			(size_t)content_size(view), &got, err);
	if (rc == ERR_OK)
		out->len += got;
	/* Only what lies in the tree itself is there for every key. */
	if (rc == ERR_DENIED) {
		*found = false;
		rc = ERR_OK;
	}

out:
	content_close(view);
	entry_fini(&e);
	return rc;
}

static void
sink_problem(struct sink *base, struct bytes key, const struct error *why)
{
	ingest_problem(to_sink(base)->in, key, why);
}

static void
sink_note(struct sink *base, const char *sentence)
{
	struct ingest *in = to_sink(base)->in;

	pthread_mutex_lock(&in->report_lock);
	in->report->note(in->report->arg, sentence);
	pthread_mutex_unlock(&in->report_lock);
}

static const struct sink_ops backup_sink_ops = {
	.offer = sink_offer,
	.entry = sink_entry,
	.file = sink_file,
	.stream_begin = sink_stream_begin,
	.stream_write = sink_stream_write,
	.stream_end = sink_stream_end,
	.image_begin = sink_image_begin,
	.image_again = sink_image_again,
	.image_take = sink_image_take,
	.image_replace = sink_image_replace,
	.image_punch = sink_image_punch,
	.image_end = sink_image_end,
	.previous = sink_previous,
	.problem = sink_problem,
	.note = sink_note,
};

static enum err
open_previous(struct backup_sink *s, const struct id *root, struct error *err)
{
	struct progress *p = s->in->report->progress;
	enum err rc;

	s->previous_root = *root;
	rc = cursor_open(&s->cursor, &s->in->io, TREE_ENTRIES, root, err);
	if (rc == ERR_OK)
		rc = cursor_open(&s->lookup, &s->in->io, TREE_ENTRIES, root,
			err);
	if (rc != ERR_OK)
		return lose_previous(s, err);
	s->edited.lookup = s->lookup;
	p->items_total = cursor_total_items(s->cursor);
	p->bytes_total = cursor_total_weight(s->cursor);
	return ERR_OK;
}

enum err
backup_sink_new(struct backup_sink **out, struct ingest *in,
	const struct id *previous, struct error *err)
{
	struct backup_sink *s = calloc(1, sizeof(*s));
	enum err rc;

	if (s == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	s->base.ops = &backup_sink_ops;
	s->in = in;
	edited_init(&s->edited, in);
	gather_init(&s->gather, in);
	outbox_init(&s->outbox, NULL);
	rc = builder_new(&s->builder, &in->io, TREE_ENTRIES, err);
	if (rc == ERR_OK) {
		outbox_init(&s->outbox, s->builder);
		rc = uploads_init(&s->uploads, in, err);
	}
	if (rc == ERR_OK)
		rc = links_new(&s->links, err);
	if (rc == ERR_OK && previous != NULL)
		rc = open_previous(s, previous, err);
	if (rc != ERR_OK) {
		backup_sink_free(s);
		return rc;
	}
	*out = s;
	return ERR_OK;
}

void
backup_sink_free(struct backup_sink *s)
{
	if (s == NULL)
		return;
	gather_fini(&s->gather);
	uploads_fini(&s->uploads);
	edited_fini(&s->edited);
	outbox_fini(&s->outbox);
	links_free(s->links);
	cursor_close(s->cursor);
	cursor_close(s->lookup);
	builder_free(s->builder);
	free(s);
}

struct sink *
backup_sink_base(struct backup_sink *s)
{
	return &s->base;
}

enum err
backup_sink_finish(struct backup_sink *s, struct tree_root *root,
	struct error *err)
{
	enum err rc = outbox_drain(&s->outbox, err);

	if (rc == ERR_OK)
		rc = builder_finish(s->builder, root, err);
	if (rc != ERR_OK)
		return rc;
	s->in->figures.entries = root->count;
	s->in->figures.bytes = root->weight;
	return ERR_OK;
}
