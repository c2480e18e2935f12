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
#include "source/moosefs/logs.h"

enum { PIECE = 256 << 10, LISTS = 5 };

struct file {
	char *path;
	int fd;
	struct stat st;
	bool is_image;
	struct mfs_header head;
};

struct loading {
	const struct datadir_conf *conf;
	struct journal *j;
	struct file *v;
	size_t n, cap;
	uint64_t id;
	bool complete;
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

static void
forget_files(struct loading *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].path);
		fsx_close(&l->v[i].fd);
	}
	l->n = 0;
}

static enum err
add_name(struct loading *l, const char *name, struct error *err)
{
	struct file f = { .is_image = is_image(name) };
	struct file *v;

	if (!f.is_image && !is_log(name))
		return ERR_OK;
	v = array_grow(l->v, l->n, &l->cap, sizeof(*v), err);
	if (v == NULL)
		return err->code;
	l->v = v;
	if (asprintf(&f.path, "%s/%s", l->conf->path, name) < 0)
		return err_set(err, ERR_NOMEM, "no memory for a name");
	/* What is no file is not waited for; what is gone again is noticed by
	 * those that moved along. */
	f.fd = open(f.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f.fd < 0 && errno != ENOENT)
		(void)err_sys(err, errno, "%s", f.path);
	if (f.fd >= 0 && fstat(f.fd, &f.st) == 0 && S_ISREG(f.st.st_mode)) {
		v[l->n++] = f;
		return ERR_OK;
	}
	free(f.path);
	fsx_close(&f.fd);
	return err->code;
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

static bool
has_moved(const struct file *f)
{
	struct stat st;

	return stat(f->path, &st) != 0 || st.st_ino != f->st.st_ino ||
	       st.st_dev != f->st.st_dev;
}

/* A master renames all of its logs when the hour ends: that none is open twice
 * and another one not at all. */
static enum err
list_still(struct loading *l, struct error *err)
{
	bool still = false;
	enum err rc = ERR_OK;

	for (int i = 0; rc == ERR_OK && !still && i < LISTS; i++) {
		forget_files(l);
		rc = list(l, err);
		still = true;
		for (size_t k = 0; k < l->n; k++)
			still = still && !has_moved(&l->v[k]);
	}
	if (rc == ERR_OK && !still)
		rc = err_set(err, ERR_AGAIN,
			"%s: its files are renamed again and again",
			l->conf->path);
	return rc;
}

/* ---- the image ---- */

static enum err
feed_image(struct mfs_image *w, const struct file *f, struct error *err)
{
	uint8_t *piece = malloc(PIECE);
	size_t got = PIECE;
	enum err rc = ERR_OK;

	if (piece == NULL)
		rc = err_set(err, ERR_NOMEM, "no memory to read %s", f->path);
	while (rc == ERR_OK && got == PIECE) {
		rc = fsx_read(f->fd, piece, PIECE, &got, f->path, err);
		if (rc == ERR_OK && got > 0)
			rc = mfs_image_feed(w, piece, got, err);
	}
	free(piece);
	return rc;
}

static enum err
check_image(struct file *f, struct error *err)
{
	const struct mfs_image_fn fn = { NULL };
	struct mfs_image w;
	enum err rc;

	mfs_image_init(&w, &fn);
	rc = feed_image(&w, f, err);
	if (rc == ERR_OK)
		rc = mfs_image_end(&w, err);
	f->head = w.header;
	return rc;
}

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
		if (*out == NULL || f->head.version > (*out)->head.version)
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
	return ERR_EXISTS;
}

static enum err
take_change(void *arg, uint64_t id, const char *line, size_t len,
	struct error *err)
{
	struct loading *l = arg;
	struct mfs_text text = mfs_change_text(line, len);
	enum mfs_link link = MFS_LINK_NEXT;
	enum err rc = journal_add(l->j, id, text.p, text.len, &link, err);

	if (rc == ERR_OK && id == 1)
		take_id(l, line, len);
	/* They come in order and once, so it is only that some lack. */
	return rc == ERR_OK && link != MFS_LINK_NEXT ? on_hole(l, id, err) : rc;
}

/* ERR_EXISTS of a callback ends it, no more. */
static enum err
read_logs(struct loading *l, uint64_t from, struct error *err)
{
	const struct logs_conf conf = { from, l->conf->note, l->conf->arg };
	struct error why = ERROR_INIT;
	struct logs *logs = NULL;
	enum err rc = logs_new(&logs, &conf, err);

	for (size_t i = 0; i < l->n && rc == ERR_OK; i++)
		if (!l->v[i].is_image)
			rc = logs_add(logs, l->v[i].fd, l->v[i].path, err);
	if (rc == ERR_OK)
		rc = logs_each(logs, take_change, l, &why);
	if (rc == ERR_EXISTS)
		rc = ERR_OK;
	else if (rc != ERR_OK && why.code != ERR_OK)
		*err = why;
	logs_free(logs);
	return rc;
}

enum err
datadir_load(const struct datadir_conf *conf, struct journal *j, uint64_t *id,
	bool *complete, struct error *err)
{
	struct loading l = { .conf = conf, .j = j, .complete = true };
	const struct file *image = NULL;
	enum err rc = list_still(&l, err);

	if (rc == ERR_OK)
		rc = choose_image(&l, &image, err);
	if (rc == ERR_OK) {
		l.id = image->head.id;
		rc = journal_begin(j, image->head.version, err);
	}
	if (rc == ERR_OK)
		rc = journal_adopt_open(j, image->fd, &image->head, err);
	if (rc == ERR_OK)
		rc = read_logs(&l, image->head.version, err);
	if (rc == ERR_OK)
		rc = journal_sync(j, err);
	*id = l.id;
	*complete = l.complete;
	forget_files(&l);
	free(l.v);
	return rc;
}
