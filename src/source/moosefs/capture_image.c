/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture_image: the image of an hour is mostly that of the hour before, moved
 * a little, so it is stored as an edit of it (docs/decisions/0011).
 *
 * Why that is never an edit of something else, whatever a crash left in the
 * journal: which image the previous snapshot has is asked there, of its record.
 * The file that the journal has of that version counts only if it hashes to
 * what the record says, which was taken while the stored bytes were read; the
 * sink compares the stamps once more.  Where there is no such file the image
 * goes as a stream: a crash can cost room and not a wrong image.
 *
 * What is handed on as taken over was found by comparing bytes.  The hash for
 * the new record is of the new file alone, in order, and a restore compares it,
 * so that no fault in between would go unseen.
 *
 * What the repository has may be damaged.  Who meets that fails, and hides the
 * old file from the next attempt, which then is a stream.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/fsx.h"
#include "codec/delta.h"
#include "model/origin.h"
#include "model/path.h"
#include "source/moosefs/capture_inside.h"

struct putting {
	const struct capture_of *of;
	const struct mfs_record *before; /* of the previous snapshot */
	struct sink *sink;
	struct mfs_record *out;

	const struct journal_file *image;
	char path[CAPTURE_PATH];
	struct bytes key;
	struct entry entry;
	struct capture_file file;
	struct hash_run hash; /* of it, up to hashed */
	uint64_t hashed;

	const struct journal_file *old; /* NULL: nothing to build upon */
	struct capture_file old_file;
	struct origin origin;
};

static enum err
add_hash(void *arg, const void *data, size_t len, struct error *err)
{
	(void)err;
	hash_run_add(arg, data, len);
	return ERR_OK;
}

/* ---- what it is to be an edit of ---- */

/* The file of what the previous snapshot has. */
static void
find_old(struct putting *p)
{
	const struct journal_view *v = p->of->view;
	const struct mfs_record *b = p->before;

	for (size_t i = 0; i < v->n_images && b->has_hash; i++)
		if (v->images[i].first == b->image_version &&
			v->images[i].size == b->image_size)
			p->old = &v->images[i];
}

static void
note_old(struct putting *p, const char *why)
{
	char text[600];

	(void)snprintf(text, sizeof(text),
		"the image of change %" PRIu64 " in the journal is not what "
		"was stored of it, so the next one is stored whole%s%.300s",
		p->old->first, why[0] != '\0' ? ": " : "", why);
	p->sink->ops->note(p->sink, text);
	p->old = NULL;
}

static void
check_old(struct putting *p)
{
	struct error why = ERROR_INIT;
	struct hash_run hash;
	struct id id;
	enum err rc = journal_open_image(p->of->journal, p->old,
		&p->old_file.fd, &why);

	hash_run_init(&hash);
	if (rc == ERR_OK)
		rc = capture_pump(&p->old_file, 0, p->old->size, add_hash,
			&hash, &why);
	hash_run_get(&hash, &id);
	if (rc != ERR_OK || !id_eq(&id, &p->before->image_hash))
		note_old(p, why.msg);
}

/* ---- the edit ---- */

static enum err
read_file(void *arg, uint64_t off, void *data, size_t len, struct error *err)
{
	const struct capture_file *f = arg;
	size_t got = 0;
	enum err rc = fsx_pread(f->fd, data, len, off, &got, f->what, err);

	if (rc == ERR_OK && got < len)
		rc = err_set(err, ERR_IO, "%s is shorter than it was", f->what);
	return rc;
}

static enum err
read_origin(const struct origin *o, uint64_t off, void *data, size_t len,
	struct error *err)
{
	const struct putting *p = container_of_const(o, struct putting, origin);
	struct capture_file f = p->file;

	return read_file(&f, off, data, len, err);
}

/* While what was compared is still at hand. */
static enum err
hash_up_to(struct putting *p, uint64_t end, struct error *err)
{
	uint64_t from = p->hashed;

	if (end - from < CAPTURE_PIECE && end < p->image->size)
		return ERR_OK;
	p->hashed = end;
	return capture_pump(&p->file, from, end - from, add_hash, &p->hash,
		err);
}

static enum err
on_take(void *arg, uint64_t off, uint64_t old_off, uint64_t len,
	struct error *err)
{
	struct putting *p = arg;
	enum err rc = hash_up_to(p, off + len, err);

	return rc == ERR_OK ? p->sink->ops->image_take(p->sink, off, old_off,
				      len, err)
			    : rc;
}

static enum err
on_put(void *arg, uint64_t off, const void *data, size_t len, struct error *err)
{
	struct putting *p = arg;
	enum err rc = hash_up_to(p, off + len, err);

	return rc == ERR_OK ? p->sink->ops->image_replace(p->sink, off, data,
				      len, err)
			    : rc;
}

static enum err
edit(struct putting *p, bool *begun, struct error *err)
{
	const struct delta_file old = { p->old->size, read_file, &p->old_file };
	const struct delta_file new = { p->image->size, read_file, &p->file };
	const struct delta_fn fn = { on_take, on_put, p };
	struct entry was;
	enum err rc;

	capture_entry(&was, ENTRY_STREAM, p->old);
	p->origin.read = read_origin;
	rc = p->sink->ops->image_again(p->sink, p->key, &p->entry, &was,
		&p->origin, begun, err);
	if (rc != ERR_OK || !*begun)
		return rc;
	rc = delta_run(&old, &new, &fn, err);
	return rc == ERR_OK ? p->sink->ops->image_end(p->sink, err) : rc;
}

/* What another attempt would meet again. */
static bool
is_lasting(enum err rc)
{
	return rc == ERR_CORRUPT || rc == ERR_NOTFOUND || rc == ERR_DENIED ||
	       rc == ERR_VERSION;
}

static enum err
try_edit(struct putting *p, bool *begun, struct error *err)
{
	enum err rc;

	*begun = false;
	if (p->image->size > CAPTURE_SMALL)
		find_old(p);
	if (p->old != NULL)
		check_old(p);
	if (p->old == NULL)
		return ERR_OK;
	rc = edit(p, begun, err);
	if (is_lasting(rc))
		journal_hide_image(p->of->journal, p->old->first);
	return rc;
}

/* ---- the image ---- */

/* The previous snapshot has it, and so what is known of it. */
static void
take_facts(struct putting *p)
{
	const struct mfs_record *b = p->before;

	if (b->image_version != p->image->first ||
		b->image_size != p->image->size)
		return;
	p->out->has_hash = b->has_hash;
	p->out->image_hash = b->image_hash;
	memcpy(p->out->master, b->master, sizeof(b->master));
}

static void
ask_master(struct putting *p)
{
	uint32_t n = p->of->master != NULL ? p->of->master(p->of->arg) : 0;

	if (n != 0)
		(void)snprintf(p->out->master, sizeof(p->out->master),
			"%u.%u.%u", n >> 16, n >> 8 & 0xff, n & 0xff);
}

static enum err
put_new(struct putting *p, struct error *err)
{
	bool begun = false;
	enum err rc =
		journal_open_image(p->of->journal, p->image, &p->file.fd, err);

	hash_run_init(&p->hash);
	if (rc == ERR_OK)
		rc = try_edit(p, &begun, err);
	if (rc == ERR_OK && !begun)
		rc = capture_content(p->sink, p->key, &p->entry, &p->file,
			&p->hash, err);
	if (rc != ERR_OK)
		return rc;
	p->out->has_hash = true;
	hash_run_get(&p->hash, &p->out->image_hash);
	ask_master(p);
	return ERR_OK;
}

enum err
capture_image_put(const struct capture_of *of, const struct mfs_record *before,
	struct sink *sink, uint8_t *piece, struct mfs_record *out,
	struct error *err)
{
	struct putting p = { .of = of,
		.before = before,
		.sink = sink,
		.out = out,
		.image = &of->view->base,
		.file = { -1, p.path, piece },
		.old_file = { -1, "the image before", piece } };
	struct buf kb = BUF_INIT(KEY_MAX);
	bool done = false;
	enum err rc;

	(void)snprintf(p.path, sizeof(p.path), "/%s/metadata.mfs",
		of->generation);
	capture_entry(&p.entry, ENTRY_STREAM, p.image);
	rc = key_from_path(&kb, p.path, err);
	p.key = (struct bytes){ kb.data, kb.len };
	if (rc == ERR_OK)
		rc = sink->ops->offer(sink, p.key, &p.entry, &done, err);
	if (rc == ERR_OK && done)
		take_facts(&p);
	else if (rc == ERR_OK)
		rc = put_new(&p, err);
	fsx_close(&p.file.fd);
	fsx_close(&p.old_file.fd);
	buf_fini(&kb);
	return rc;
}
