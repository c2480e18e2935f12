/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/edited.h"

#include <stdlib.h>

void
edited_init(struct edited *ed, struct ingest *in)
{
	*ed = (struct edited){ .in = in };
	entry_init(&ed->entry);
}

static void
forget_entry(struct edited *ed)
{
	entry_fini(&ed->entry);
	free(ed->strings);
	ed->strings = NULL;
}

void
edited_fini(struct edited *ed)
{
	image_free(ed->image);
	ed->image = NULL;
	forget_entry(ed);
}

/* ---- what it is an edit of ---- */

/* The entry of the previous snapshot, to be ended; it borrows from the cursor.
 */
static enum err
find(struct edited *ed, struct bytes key, struct entry *e, bool *found,
	struct error *err)
{
	struct item item;
	enum err rc;

	*found = false;
	entry_init(e);
	if (ed->lookup == NULL)
		return ERR_OK;
	rc = cursor_find(ed->lookup, key, &item, found, err);
	if (rc != ERR_OK || !*found)
		return rc;
	return entry_decode(e, item.val.data, item.val.len, item.refs,
		item.n_refs, err);
}

/* To take another content for an empty one would make a wrong image of an
 * edit. */
enum err
edited_open(struct edited *ed, struct bytes base, uint64_t size,
	const struct origin *origin, struct error *err)
{
	struct image_conf conf = { .size = size, .origin = origin };
	struct entry e;
	bool found;
	enum err rc;

	if (base.data == NULL)
		return image_open(&ed->image, &ed->in->io, &conf, err);
	rc = find(ed, base, &e, &found, err);
	if (rc == ERR_OK && e.content.kind != CONTENT_EXTENTS)
		rc = err_set(err, ERR_CORRUPT,
			"the previous snapshot does not have the image that "
			"this one is to be an edit of");
	conf.old_root = &e.content.root;
	conf.old_size = e.size;
	if (rc == ERR_OK)
		rc = image_open(&ed->image, &ed->in->io, &conf, err);
	entry_fini(&e);
	return rc;
}

/* Whether e, which a snapshot holds, is what a source calls was. */
static bool
is_what_was(const struct entry *e, const struct entry *was)
{
	const unsigned bad = MARK_CHANGED | MARK_UNREADABLE;

	return e->size == was->size && e->ino == was->ino &&
	       when_cmp(&e->mtime, &was->mtime) == 0 && (e->marks & bad) == 0;
}

/* The image stays NULL where e is nothing to build upon. */
static enum err
open_upon(struct edited *ed, const struct entry *e, uint64_t size,
	const struct origin *origin, struct error *err)
{
	struct image_conf conf = { .size = size,
		.origin = origin,
		.old_size = e->size };

	if (e->content.kind == CONTENT_EXTENTS)
		conf.old_root = &e->content.root;
	else if (e->content.kind == CONTENT_SLICES)
		conf.old_slices = &e->content.slices;
	else
		return ERR_OK;
	return image_open(&ed->image, &ed->in->io, &conf, err);
}

enum err
edited_open_again(struct edited *ed, struct bytes key, const struct entry *was,
	uint64_t size, const struct origin *origin, bool *begun,
	struct error *err)
{
	struct error why = ERROR_INIT;
	struct entry e;
	bool found;
	enum err rc = find(ed, key, &e, &found, &why);

	if (rc == ERR_OK && found && is_what_was(&e, was))
		rc = open_upon(ed, &e, size, origin, &why);
	entry_fini(&e);
	*begun = rc == ERR_OK && ed->image != NULL;
	/* What the local cache does not have can be read from the source. */
	if (rc != ERR_OK && (ed->in->nodes == NULL || rc == ERR_NOMEM)) {
		*err = why;
		return rc;
	}
	return ERR_OK;
}

/* ---- the edit ---- */

enum err
edited_begin(struct edited *ed, struct slot *slot, const struct entry *e,
	struct error *err)
{
	ed->slot = slot;
	ed->entry = *e;
	return ingest_keep_strings(&ed->entry, &ed->strings, err);
}

enum err
edited_take(struct edited *ed, uint64_t off, uint64_t old_off, uint64_t len,
	struct error *err)
{
	enum err rc = ingest_stopped(ed->in, err);

	ed->in->report->progress->bytes_done += len;
	return rc == ERR_OK ? image_take(ed->image, off, old_off, len, err)
			    : rc;
}

enum err
edited_replace(struct edited *ed, uint64_t off, const void *data, size_t len,
	struct error *err)
{
	enum err rc = ingest_stopped(ed->in, err);

	ed->in->bytes_read += len;
	ed->in->report->progress->bytes_done += len;
	return rc == ERR_OK ? image_replace(ed->image, off, data, len, err)
			    : rc;
}

enum err
edited_punch(struct edited *ed, uint64_t off, uint64_t len, struct error *err)
{
	return image_punch(ed->image, off, len, err);
}

enum err
edited_end(struct edited *ed, struct error *err)
{
	struct entry *e = &ed->entry;
	struct image_figures figures;
	struct tree_root root;
	enum err rc;

	rc = image_finish(ed->image, &root, &figures, err);
	image_free(ed->image);
	ed->image = NULL;
	if (rc != ERR_OK)
		return rc;
	e->content.kind = CONTENT_EXTENTS;
	e->content.root = root.id;
	ed->in->report->progress->items_done++;
	rc = ingest_spill_xattrs(ed->in, ed->in->lane, e, err);
	if (rc == ERR_OK)
		rc = slot_encode(ed->slot, e, err);
	forget_entry(ed);
	return rc;
}
