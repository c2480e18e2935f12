/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mfs_set.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "format/mfs_log.h"
#include "model/path.h"
#include "repo/lane.h"
#include "tree/content.h"
#include "tree/cursor.h"
#include "tree/io.h"

enum { ID_DIGITS = 16, FIRST_DIGITS = 20, HEAD_PIECE = 64 };

static const char image_name[] = "metadata.mfs";
static const char log_name[] = "changelog";

struct mfs_set {
	const struct snapshot *snap;
	const _Atomic bool *stop;
	struct lane *lane;
	struct tree_io_repo io;
	struct buf dir; /* key of the directory */
	struct mfs_set_facts facts;
	uint8_t *piece;
};

static bool
ends_with(struct bytes key, const char *name)
{
	size_t len, want = strlen(name);
	const uint8_t *base = key_base(key.data, key.len, &len);

	return len == want && memcmp(base, name, len) == 0;
}

/* ---- names ---- */

static int
digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Sixteen digits, and ".N" where the history branched. */
static bool
parse_name(struct mfs_set_facts *f, const uint8_t *p, size_t len)
{
	uint64_t id = 0;

	if (len < ID_DIGITS || len >= MFS_SET_NAME)
		return false;
	for (size_t i = 0; i < ID_DIGITS; i++) {
		int v = digit(p[i]);

		if (v < 0)
			return false;
		id = id << 4 | (unsigned)v;
	}
	if (len > ID_DIGITS && (p[ID_DIGITS] != '.' || len == ID_DIGITS + 1))
		return false;
	for (size_t i = ID_DIGITS + 1; i < len; i++)
		if (p[i] < '0' || p[i] > '9')
			return false;
	f->id = id;
	memcpy(f->name, p, len);
	f->name[len] = '\0';
	return true;
}

/* Whether key is ID/metadata.mfs; then f tells the id. */
static bool
is_image(struct mfs_set_facts *f, struct bytes key)
{
	size_t parent = key_parent(key.data, key.len), len;
	const uint8_t *base;

	if (!ends_with(key, image_name) || parent == 0)
		return false;
	base = key_base(key.data, parent, &len);
	return parse_name(f, base, len);
}

/* ---- where it is ---- */

static bool
is_stopped(const struct mfs_set *s)
{
	return s->stop != NULL && *s->stop;
}

static enum err
stopped(struct error *err)
{
	return err_set(err, ERR_CANCELLED, "interrupted");
}

static enum err
note_found(struct mfs_set *s, struct bytes key, unsigned *n, struct error *err)
{
	struct mfs_set_facts f = { 0 };

	if (!is_image(&f, key) || (*n)++ > 0)
		return ERR_OK;
	s->facts = f;
	return buf_put(&s->dir, key.data, key_parent(key.data, key.len), err);
}

static enum err
find_dir(struct mfs_set *s, struct bytes below, struct error *err)
{
	struct cursor *c = NULL;
	struct item item;
	unsigned n = 0;
	enum err rc;

	rc = cursor_open(&c, &s->io.io, TREE_ENTRIES, &s->snap->root, err);
	if (rc == ERR_OK)
		rc = cursor_seek(c, below, err);
	while (rc == ERR_OK && n < 2) {
		rc = cursor_next(c, &item, err);
		if (rc != ERR_OK || item.key.data == NULL ||
			!key_below(item.key.data, item.key.len, below.data,
				below.len))
			break;
		rc = note_found(s, item.key, &n, err);
		if (rc == ERR_OK && is_stopped(s))
			rc = stopped(err);
	}
	cursor_close(c);
	if (rc == ERR_OK && n == 0)
		rc = err_set(err, ERR_NOTFOUND,
			"the snapshot has no metadata of a MooseFS there "
			"(ID/metadata.mfs)");
	if (rc == ERR_OK && n > 1)
		rc = err_set(err, ERR_USAGE,
			"the snapshot has several file systems; say which, as "
			"SNAPSHOT:ID (coffer ls tells)");
	return rc;
}

/* ---- contents ---- */

typedef enum err piece_fn(void *arg, const void *data, size_t len,
	struct error *err);

static enum err
open_item(struct mfs_set *s, const struct item *item, struct content_view **out,
	struct error *err)
{
	struct entry e;
	enum err rc;

	entry_init(&e);
	rc = entry_decode(&e, item->val.data, item->val.len, item->refs,
		item->n_refs, err);
	if (rc == ERR_OK && (e.marks & MARK_CHANGED))
		rc = err_set(err, ERR_CORRUPT,
			"it changed while it was backed up");
	if (rc == ERR_OK)
		rc = content_open(out, &s->io.io, &s->snap->root, &e, err);
	entry_fini(&e);
	return rc;
}

static enum err
read_all(struct mfs_set *s, struct content_view *v, piece_fn *fn, void *arg,
	const bool *enough, struct error *err)
{
	uint64_t off = 0;
	size_t got = MFS_SET_PIECE;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && got == MFS_SET_PIECE && !*enough) {
		rc = content_read(v, off, s->piece, MFS_SET_PIECE, &got, err);
		if (rc == ERR_OK && got > 0)
			rc = fn(arg, s->piece, got, err);
		off += got;
		if (rc == ERR_OK && is_stopped(s))
			rc = stopped(err);
	}
	return rc;
}

/* ---- the image ---- */

/* The entry of this name in a directory; NULL where there is none. */
static enum err
open_entry(struct mfs_set *s, struct bytes dir, const char *name,
	struct content_view **out, struct error *err)
{
	struct buf key = BUF_INIT(KEY_MAX);
	struct cursor *c = NULL;
	struct item item;
	bool found = false;
	enum err rc;

	rc = buf_put(&key, dir.data, dir.len, err);
	if (rc == ERR_OK && dir.len > 0)
		rc = buf_put_u8(&key, 0, err);
	if (rc == ERR_OK)
		rc = buf_put(&key, name, strlen(name), err);
	if (rc == ERR_OK)
		rc = cursor_open(&c, &s->io.io, TREE_ENTRIES, &s->snap->root,
			err);
	if (rc == ERR_OK)
		rc = cursor_find(c, (struct bytes){ key.data, key.len }, &item,
			&found, err);
	if (rc == ERR_OK && found)
		rc = open_item(s, &item, out, err);
	cursor_close(c);
	buf_fini(&key);
	return rc;
}

static enum err
open_image(struct mfs_set *s, struct content_view **out, struct error *err)
{
	enum err rc = open_entry(s, (struct bytes){ s->dir.data, s->dir.len },
		image_name, out, err);

	if (rc == ERR_OK && *out == NULL)
		rc = err_set(err, ERR_CORRUPT, "it vanished from the snapshot");
	return rc;
}

static enum err
check_header(void *arg, const struct mfs_header *h, struct error *err)
{
	struct mfs_set_facts *f = arg;

	if (!h->is_new && h->id != f->id)
		return err_set(err, ERR_CORRUPT,
			"the image is of another file system, %016" PRIx64,
			h->id);
	f->version = h->version;
	f->is_new = h->is_new;
	return ERR_OK;
}

static enum err
look_at_header(struct mfs_set *s, struct error *err)
{
	const struct mfs_image_fn fn = { .header = check_header,
		.arg = &s->facts };
	struct content_view *v = NULL;
	struct mfs_image walk;
	size_t got = 0;
	enum err rc = open_image(s, &v, err);

	mfs_image_init(&walk, &fn);
	if (rc == ERR_OK)
		rc = content_read(v, 0, s->piece, HEAD_PIECE, &got, err);
	if (rc == ERR_OK)
		rc = mfs_image_feed(&walk, s->piece, got, err);
	if (rc == ERR_OK && got < HEAD_PIECE)
		rc = mfs_image_end(&walk, err);
	if (rc == ERR_OK)
		s->facts.image_size = content_size(v);
	content_close(v);
	if (rc != ERR_OK)
		return err_wrap(err, "%s/%s", s->facts.name, image_name);
	return ERR_OK;
}

struct image_walk {
	struct mfs_image image;
	mfs_set_bytes_fn *put;
	void *arg;
};

static enum err
image_piece(void *arg, const void *data, size_t len, struct error *err)
{
	struct image_walk *w = arg;
	enum err rc = mfs_image_feed(&w->image, data, len, err);

	if (rc == ERR_OK && w->put != NULL)
		rc = w->put(w->arg, data, len, err);
	return rc;
}

enum err
mfs_set_image(struct mfs_set *s, const struct mfs_image_fn *walk,
	mfs_set_bytes_fn *put, void *arg, struct error *err)
{
	static const struct mfs_image_fn nothing = { 0 };
	struct image_walk w = { .put = put, .arg = arg };
	const bool enough = false;
	struct content_view *v = NULL;
	enum err rc = open_image(s, &v, err);

	mfs_image_init(&w.image, walk != NULL ? walk : &nothing);
	if (rc == ERR_OK)
		rc = read_all(s, v, image_piece, &w, &enough, err);
	if (rc == ERR_OK)
		rc = mfs_image_end(&w.image, err);
	content_close(v);
	if (rc != ERR_OK && rc != ERR_CANCELLED)
		return err_wrap(err, "%s/%s", s->facts.name, image_name);
	return rc;
}

/* ---- the record ---- */

static enum err
decode_record(struct mfs_set *s, struct content_view *v, struct mfs_record *out,
	struct error *err)
{
	size_t got = 0;
	enum err rc;

	if (content_size(v) > MFS_RECORD_MAX)
		return err_set(err, ERR_CORRUPT, "%s: it is too long",
			mfs_record_name);
	rc = content_read(v, 0, s->piece, MFS_RECORD_MAX, &got, err);
	return rc == ERR_OK ? mfs_record_decode(out, s->piece, got, err) : rc;
}

enum err
mfs_set_record(struct mfs_set *s, struct mfs_record *out, bool *found,
	struct error *err)
{
	const struct bytes above = { s->dir.data,
		key_parent(s->dir.data, s->dir.len) };
	struct content_view *v = NULL;
	enum err rc = open_entry(s, above, mfs_record_name, &v, err);

	*found = false;
	if (rc == ERR_OK && v != NULL) {
		rc = decode_record(s, v, out, err);
		*found = rc == ERR_OK &&
			 strcmp(out->generation, s->facts.name) == 0;
	}
	content_close(v);
	return rc;
}

/* ---- the log ---- */

struct log_walk {
	struct mfs_set *s;
	struct mfs_chain chain;
	struct mfs_lines lines;
	mfs_set_line_fn *fn;
	void *arg;
	bool enough;
	bool told_wrong; /* the error is the caller's, not the log's */
};

/* The log names the file system, too: in its first line, where a 3.x master
 * made it. */
static enum err
check_id(const struct log_walk *w, const struct mfs_set_line *line,
	struct error *err)
{
	static const char op[] = "|SETMETAID(";
	struct mfs_text t = mfs_change_text(line->p, line->len);
	struct mfs_change c;
	uint64_t id;
	bool ok;
	enum err rc;

	while (t.len > 0 && *t.p >= '0' && *t.p <= '9') {
		t.p++;
		t.len--;
	}
	if (t.len < strlen(op) || memcmp(t.p, op, strlen(op)) != 0)
		return ERR_OK;
	rc = mfs_change_parse(&c, line->p, line->len, err);
	if (rc != ERR_OK || c.n_args != 1)
		return rc;
	id = mfs_arg_number(&c.args[0], &ok);
	if (ok && id != w->s->facts.id && w->s->facts.id != 0)
		return err_set(err, ERR_CORRUPT,
			"change %" PRIu64 " is of another file system, "
			"%016" PRIx64,
			line->id, id);
	return ERR_OK;
}

static enum err
tell_line(struct log_walk *w, const struct mfs_set_line *line,
	struct error *err)
{
	enum err rc = check_id(w, line, err);

	if (rc != ERR_OK)
		return rc;
	rc = w->fn(w->arg, line, &w->enough, err);
	w->told_wrong = rc != ERR_OK;
	return rc;
}

static enum err
take_line(void *arg, const char *p, size_t len, struct error *err)
{
	struct log_walk *w = arg;
	struct mfs_set_line line = { .p = p, .len = len };
	struct mfs_text text;
	enum mfs_link link;
	enum err rc;

	if (w->enough)
		return ERR_OK;
	rc = mfs_change_check(&line.id, &line.seconds, p, len, err);
	if (rc != ERR_OK)
		return err_wrap(err, "line %" PRIu64, w->lines.line);
	text = mfs_change_text(p, len);
	link = mfs_chain_add(&w->chain, line.id, text.p, text.len);
	line.surplus = link == MFS_LINK_SURPLUS;
	if (link == MFS_LINK_NEXT || link == MFS_LINK_SURPLUS)
		return tell_line(w, &line, err);
	return mfs_chain_verdict(&w->chain, link, line.id, err);
}

static enum err
take_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	struct log_walk *w = arg;

	return mfs_lines_feed(&w->lines, data, len, take_line, w, err);
}

static enum err
take_segment(struct log_walk *w, const struct item *item, struct error *err)
{
	struct content_view *v = NULL;
	enum err rc = open_item(w->s, item, &v, err);

	mfs_lines_init(&w->lines);
	if (rc == ERR_OK)
		rc = read_all(w->s, v, take_bytes, w, &w->enough, err);
	if (rc == ERR_OK && !w->enough && mfs_lines_torn(&w->lines) > 0)
		rc = err_set(err, ERR_CORRUPT,
			"its last line is cut off (%zu bytes without an end)",
			mfs_lines_torn(&w->lines));
	mfs_lines_fini(&w->lines);
	content_close(v);
	return rc;
}

/* Names are first ids, of as many digits each, so that their order is that of
 * the chain. */
static enum err
next_segment(struct log_walk *w, const struct item *item, struct error *err)
{
	size_t len;
	const uint8_t *base = key_base(item->key.data, item->key.len, &len);
	bool ok = len == FIRST_DIGITS;
	enum err rc;

	for (size_t i = 0; ok && i < len; i++)
		ok = base[i] >= '0' && base[i] <= '9';
	if (!ok)
		return err_set(err, ERR_CORRUPT,
			"%s/%s: something that is no segment", w->s->facts.name,
			log_name);
	rc = take_segment(w, item, err);
	if (rc == ERR_OK || rc == ERR_CANCELLED || w->told_wrong)
		return rc;
	return err_wrap(err, "%s/%s/%.20s", w->s->facts.name, log_name,
		(const char *)base);
}

static enum err
walk_segments(struct log_walk *w, struct bytes below, struct error *err)
{
	struct mfs_set *s = w->s;
	struct cursor *c = NULL;
	struct item item;
	enum err rc;

	rc = cursor_open(&c, &s->io.io, TREE_ENTRIES, &s->snap->root, err);
	if (rc == ERR_OK)
		rc = cursor_seek(c, below, err);
	while (rc == ERR_OK && !w->enough) {
		rc = cursor_next(c, &item, err);
		if (rc != ERR_OK || item.key.data == NULL ||
			!key_below(item.key.data, item.key.len, below.data,
				below.len))
			break;
		if (item.key.len != below.len)
			rc = next_segment(w, &item, err);
	}
	cursor_close(c);
	return rc;
}

enum err
mfs_set_lines(struct mfs_set *s, mfs_set_line_fn *fn, void *arg,
	struct error *err)
{
	struct buf below = BUF_INIT(KEY_MAX);
	struct log_walk w = { .s = s, .fn = fn, .arg = arg };
	enum err rc;

	mfs_chain_init(&w.chain, s->facts.version);
	rc = buf_put(&below, s->dir.data, s->dir.len, err);
	if (rc == ERR_OK)
		rc = buf_put_u8(&below, 0, err);
	if (rc == ERR_OK)
		rc = buf_put(&below, log_name, strlen(log_name), err);
	if (rc == ERR_OK)
		rc = walk_segments(&w, (struct bytes){ below.data, below.len },
			err);
	buf_fini(&below);
	return rc;
}

/* ---- beginning and end ---- */

enum err
mfs_set_open(struct mfs_set **out, struct repo *r, const struct snapshot *snap,
	const char *subpath, const _Atomic bool *stop, struct error *err)
{
	struct buf below = BUF_INIT(KEY_MAX);
	struct mfs_set *s = calloc(1, sizeof(*s));
	enum err rc = ERR_OK;

	if (s == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	s->snap = snap;
	s->stop = stop;
	buf_init(&s->dir, KEY_MAX);
	s->piece = malloc(MFS_SET_PIECE);
	if (s->piece == NULL)
		rc = err_set(err, ERR_NOMEM, "out of memory");
	if (rc == ERR_OK)
		rc = lane_new(&s->lane, r, err);
	if (rc == ERR_OK)
		tree_io_repo_init(&s->io, r, s->lane, NULL);
	if (rc == ERR_OK && subpath != NULL)
		rc = key_from_path(&below, subpath, err);
	if (rc == ERR_OK)
		rc = find_dir(s, (struct bytes){ below.data, below.len }, err);
	if (rc == ERR_OK)
		rc = look_at_header(s, err);
	buf_fini(&below);
	if (rc == ERR_OK)
		*out = s;
	else
		mfs_set_close(s);
	return rc;
}

void
mfs_set_close(struct mfs_set *s)
{
	if (s == NULL)
		return;
	lane_free(s->lane);
	buf_fini(&s->dir);
	free(s->piece);
	free(s);
}

const struct mfs_set_facts *
mfs_set_facts(const struct mfs_set *s)
{
	return &s->facts;
}
