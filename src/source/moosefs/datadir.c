/* SPDX-License-Identifier: Apache-2.0 */
#include "source/moosefs/datadir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fsx.h"

enum { PIECE = 256 << 10, HEAD = 24, DIGITS_MAX = 9 };

struct file {
	char *path;
	bool is_image;
	uint64_t first; /* of an image its version */
	struct mfs_header head;
};

struct loading {
	const struct datadir_conf *conf;
	struct journal *j;
	struct file *v;
	size_t n, cap;
	uint64_t id;
	bool complete, ended;
	struct file *at; /* being read */
};

static void PRINTF_LIKE(2, 3)
	note(const struct loading *l, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	l->conf->note(l->conf->arg, text);
}

/* ---- which files ---- */

/* changelog.N.mfs, changelog_ml.N.mfs, changelog_ml_back.N.mfs */
static bool
is_log(const char *name)
{
	static const char *const kinds[] = { "changelog.", "changelog_ml.",
		"changelog_ml_back." };
	size_t len, digits;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		len = strlen(kinds[i]);
		if (strncmp(name, kinds[i], len) != 0)
			continue;
		digits = strspn(name + len, "0123456789");
		return digits > 0 && strcmp(name + len + digits, ".mfs") == 0;
	}
	return false;
}

/* As mfsmaster -a looks for them. */
static bool
is_image(const char *name)
{
	static const char word[] = "metadata";

	return strncmp(name, word, sizeof(word) - 1) == 0 &&
	       name[sizeof(word) - 1] != '\0' &&
	       strcmp(name, "metadata.crc") != 0;
}

static enum err
add_name(struct loading *l, const char *name, struct error *err)
{
	struct file f = { .is_image = is_image(name) };
	struct file *v;
	struct stat st;

	if (!f.is_image && !is_log(name))
		return ERR_OK;
	v = array_grow(l->v, l->n, &l->cap, sizeof(*v), err);
	if (v == NULL)
		return err->code;
	l->v = v;
	if (asprintf(&f.path, "%s/%s", l->conf->path, name) < 0)
		return err_set(err, ERR_NOMEM, "no memory for a name");
	if (stat(f.path, &st) != 0 || !S_ISREG(st.st_mode)) {
		free(f.path);
		return ERR_OK;
	}
	v[l->n++] = f;
	return ERR_OK;
}

static enum err
list(struct loading *l, struct error *err)
{
	const struct dirent *e;
	enum err rc = ERR_OK;
	DIR *d = opendir(l->conf->path);

	if (d == NULL)
		return err_sys(err, errno, "%s", l->conf->path);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
	while (rc == ERR_OK && (e = readdir(d)) != NULL)
		rc = add_name(l, e->d_name, err);
	(void)closedir(d);
	return rc;
}

/* ---- reading ---- */

typedef enum err piece_fn(void *arg, const void *data, size_t len,
	struct error *err);

static enum err
each_piece(const char *path, piece_fn *fn, void *arg, struct error *err)
{
	uint8_t *piece = malloc(PIECE);
	size_t got = PIECE;
	enum err rc = ERR_OK;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		rc = err_sys(err, errno, "%s", path);
	if (rc == ERR_OK && piece == NULL)
		rc = err_set(err, ERR_NOMEM, "no memory to read %s", path);
	while (rc == ERR_OK && got == PIECE) {
		rc = fsx_read(fd, piece, PIECE, &got, path, err);
		if (rc == ERR_OK && got > 0)
			rc = fn(arg, piece, got, err);
	}
	fsx_close(&fd);
	free(piece);
	return rc;
}

static enum err
feed_image(void *arg, const void *data, size_t len, struct error *err)
{
	return mfs_image_feed(arg, data, len, err);
}

static enum err
check_image(struct file *f, struct error *err)
{
	const struct mfs_image_fn fn = { NULL };
	struct mfs_image w;
	enum err rc;

	mfs_image_init(&w, &fn);
	rc = each_piece(f->path, feed_image, &w, err);
	if (rc == ERR_OK)
		rc = mfs_image_end(&w, err);
	f->head = w.header;
	f->first = w.header.version;
	return rc;
}

struct lines_to {
	struct mfs_lines lines;
	mfs_line_fn *fn;
	void *arg;
};

static enum err
feed_lines(void *arg, const void *data, size_t len, struct error *err)
{
	struct lines_to *t = arg;

	return mfs_lines_feed(&t->lines, data, len, t->fn, t->arg, err);
}

static enum err
each_line(const char *path, mfs_line_fn *fn, void *arg, size_t *torn,
	struct error *err)
{
	struct lines_to t = { .fn = fn, .arg = arg };
	enum err rc;

	mfs_lines_init(&t.lines);
	rc = each_piece(path, feed_lines, &t, err);
	*torn = mfs_lines_torn(&t.lines);
	mfs_lines_fini(&t.lines);
	return rc;
}

static enum err
take_first(void *arg, const char *line, size_t len, struct error *err)
{
	struct file *f = arg;
	uint64_t seconds;
	enum err rc = mfs_change_check(&f->first, &seconds, line, len, err);

	return rc == ERR_OK ? err_set(err, ERR_EXISTS, "found") : rc;
}

/* ---- the image ---- */

static enum err
choose_image(struct loading *l, const struct file **out, struct error *err)
{
	struct error why;

	*out = NULL;
	for (size_t i = 0; i < l->n; i++) {
		struct file *f = &l->v[i];

		why = ERROR_INIT;
		if (!f->is_image)
			continue;
		if (check_image(f, &why) != ERR_OK) {
			note(l, "%s: passed over: %s", f->path, why.msg);
			continue;
		}
		if (*out != NULL && !f->head.is_new && !(*out)->head.is_new &&
			f->head.id != (*out)->head.id)
			return err_set(err, ERR_CORRUPT,
				"%s and %s are of different file systems",
				f->path, (*out)->path);
		if (*out == NULL || f->first > (*out)->first)
			*out = f;
	}
	if (*out == NULL)
		return err_set(err, ERR_NOTFOUND,
			"%s: there is no image (metadata.mfs...) here that can "
			"be read",
			l->conf->path);
	return ERR_OK;
}

/* ---- the logs ---- */

static void
take_id(struct loading *l, const char *line, size_t len)
{
	static const char name[] = "SETMETAID";
	struct error why = ERROR_INIT;
	struct mfs_change c;
	bool ok = false;
	uint64_t id;

	if (mfs_change_parse(&c, line, len, &why) != ERR_OK ||
		c.op.len != sizeof(name) - 1 ||
		memcmp(c.op.p, name, c.op.len) != 0 || c.n_args != 1)
		return;
	id = mfs_arg_number(&c.args[0], &ok);
	if (ok && l->id == 0)
		l->id = id;
}

static enum err
on_hole(struct loading *l, uint64_t id, struct error *err)
{
	struct journal_figures f;

	journal_figures(l->j, &f);
	(void)err_set(err, ERR_CORRUPT,
		"%s: changes %" PRIu64 " to %" PRIu64 " are missing",
		l->conf->path, f.next, id - 1);
	if (!l->conf->partial)
		return ERR_CORRUPT;
	note(l, "%s; what comes after them is left out", err->msg);
	l->complete = false;
	l->ended = true;
	return ERR_EXISTS;
}

static enum err
take_line(void *arg, const char *line, size_t len, struct error *err)
{
	struct loading *l = arg;
	struct mfs_text text;
	enum mfs_link link = MFS_LINK_NEXT;
	uint64_t id, seconds;
	enum err rc = mfs_change_check(&id, &seconds, line, len, err);

	if (rc != ERR_OK) {
		note(l, "%s: the rest is left out: %s", l->at->path, err->msg);
		return ERR_EXISTS;
	}
	if (id == 1)
		take_id(l, line, len);
	text = mfs_change_text(line, len);
	rc = journal_add(l->j, id, text.p, text.len, &link, err);
	if (rc != ERR_OK)
		return rc;
	if (link == MFS_LINK_OTHER)
		return err_set(err, ERR_CORRUPT,
			"%s: change %" PRIu64
			" has another text than in another file: these are "
			"two histories",
			l->at->path, id);
	if (link == MFS_LINK_HOLE || link == MFS_LINK_JUMP)
		return on_hole(l, id, err);
	return ERR_OK;
}

static int
by_first(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	if (x->is_image != y->is_image)
		return x->is_image ? 1 : -1;
	return x->first < y->first ? -1 : x->first > y->first;
}

/* ERR_EXISTS ends a file, not the run. */
static enum err
read_logs(struct loading *l, struct error *err)
{
	struct error why;
	size_t torn;
	enum err rc = ERR_OK;

	for (size_t i = 0; i < l->n; i++) {
		why = ERROR_INIT;
		if (!l->v[i].is_image)
			(void)each_line(l->v[i].path, take_first, &l->v[i],
				&torn, &why);
	}
	qsort(l->v, l->n, sizeof(*l->v), by_first);
	for (size_t i = 0; i < l->n && rc == ERR_OK && !l->ended; i++) {
		why = ERROR_INIT;
		l->at = &l->v[i];
		if (l->at->is_image)
			break;
		rc = each_line(l->at->path, take_line, l, &torn, &why);
		if (rc == ERR_EXISTS)
			rc = ERR_OK;
		else if (rc != ERR_OK)
			*err = why;
		else if (torn > 0)
			note(l,
				"%s: a torn line of %zu bytes at its end is "
				"left out",
				l->at->path, torn);
	}
	return rc;
}

enum err
datadir_load(const struct datadir_conf *conf, struct journal *j, uint64_t *id,
	bool *complete, struct error *err)
{
	struct loading l = { .conf = conf, .j = j, .complete = true };
	const struct file *image = NULL;
	enum err rc = list(&l, err);

	if (rc == ERR_OK)
		rc = choose_image(&l, &image, err);
	if (rc == ERR_OK) {
		l.id = image->head.id;
		rc = journal_begin(j, image->first, err);
	}
	if (rc == ERR_OK)
		rc = journal_adopt(j, image->path, false, &image->head, err);
	if (rc == ERR_OK)
		rc = read_logs(&l, err);
	if (rc == ERR_OK)
		rc = journal_sync(j, err);
	*id = l.id;
	*complete = l.complete;
	for (size_t i = 0; i < l.n; i++)
		free(l.v[i].path);
	free(l.v);
	return rc;
}
