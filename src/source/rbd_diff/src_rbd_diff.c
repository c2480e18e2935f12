/* SPDX-License-Identifier: Apache-2.0 */
#include "source/rbd_diff/src_rbd_diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/rbd_file.h"
#include "model/path.h"
#include "model/rbd_record.h"
#include "source/rbd_diff/state.h"

static const struct option_spec options[] = {
	{ "image", OPTION_TEXT, NULL,
		"POOL[/NAMESPACE]/IMAGE as which it is kept" },
	{ .name = NULL },
};

static struct rbd_files *
to_files(struct source *src)
{
	return container_of(src, struct rbd_files, base);
}

static void
files_close(struct source *src)
{
	struct rbd_files *s = to_files(src);

	rbd_file_close(s->file);
	free(s->pool);
	free(s->label);
	free(s);
}

/* ---- open ---- */

/* POOL[/NS]/IMAGE, cut in place. */
static enum err
cut_image(struct rbd_files *s, const char *text, struct error *err)
{
	struct buf key = BUF_INIT(KEY_MAX);
	char *last, *first;
	enum err rc;

	if (text == NULL)
		return err_set(err, ERR_USAGE,
			"as which image? (POOL[/NAMESPACE]/IMAGE)");
	s->pool = strdup(text);
	if (s->pool == NULL || asprintf(&s->label, "rbd-diff:%s", text) < 0)
		return err_set(err, ERR_NOMEM, "no memory for a name");
	last = strrchr(s->pool, '/');
	if (last == NULL)
		return err_set(err, ERR_USAGE,
			"'%s' is not POOL[/NAMESPACE]/IMAGE", text);
	*last = '\0';
	s->image = last + 1;
	s->ns = "";
	first = strchr(s->pool, '/');
	if (first != NULL) {
		*first = '\0';
		s->ns = first + 1;
	}
	rc = rbd_record_key(&key, s->pool, s->ns, s->image, err);
	buf_fini(&key);
	return rc;
}

enum err
src_rbd_diff_open(struct source **out, const struct src_rbd_diff_conf *conf,
	struct error *err)
{
	struct rbd_files *s = calloc(1, sizeof(*s));
	enum err rc;

	if (s == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a source");
	s->base.ops = &rbd_diff_source_ops;
	s->base.once = true;
	s->paths = conf->files;
	s->n_paths = conf->n_files;
	s->stop = conf->stop;
	rc = cut_image(s, conf->image, err);
	if (rc != ERR_OK) {
		files_close(&s->base);
		return rc;
	}
	*out = &s->base;
	return ERR_OK;
}

static enum err
files_open(struct source **out, const struct source_conf *conf,
	struct error *err)
{
	const struct src_rbd_diff_conf one = { .files = conf->args,
		.n_files = conf->n_args,
		.image = settings_text(&conf->settings, options, "image") };
	enum err rc;

	if (conf->n_args != 1)
		return err_set(err, ERR_USAGE,
			"a backup of rbd-diff: is of one file; coffer import "
			"takes several");
	rc = src_rbd_diff_open(out, &one, err);
	if (rc == ERR_OK)
		to_files(*out)->single = true;
	return rc;
}

/* ---- one stream after the other ---- */

static enum err
open_next_file(struct rbd_files *s, struct error *err)
{
	const char *path = s->paths[s->next_path];
	struct rbd_in *in = NULL;
	struct stat st;
	enum err rc = rbd_in_open_file(&in, path, false, s->stop, err);

	if (rc != ERR_OK)
		return rc;
	s->time = when_now();
	if (strcmp(path, "-") != 0 && stat(path, &st) == 0) {
		s->time.sec = st.st_mtim.tv_sec;
		s->time.nsec = (uint32_t)st.st_mtim.tv_nsec;
	}
	s->path = strcmp(path, "-") != 0 ? path : "standard input";
	s->next_path++;
	rc = rbd_file_open(&s->file, in, err);
	return rc == ERR_OK ? rc : err_wrap(err, "%s", s->path);
}

static enum err
end_file(struct rbd_files *s, void (*note)(void *arg, const char *sentence),
	void *arg, struct error *err)
{
	char text[600];
	bool more = false;
	enum err rc = rbd_file_trailing(s->file, &more, err);

	if (rc != ERR_OK)
		return err_wrap(err, "%s", s->path);
	if (more && note != NULL) {
		(void)snprintf(text, sizeof(text),
			"%.500s: what follows the end mark is ignored",
			s->path);
		note(arg, text);
	}
	rbd_file_close(s->file);
	s->file = NULL;
	return ERR_OK;
}

/*
 * Look at the first range.  *same: it is the head of a container, and nothing
 * was written since the snapshot before it.
 */
static enum err
peek(struct rbd_files *s, bool *same, struct error *err)
{
	const struct rbd_diff_head *h = rbd_diff_head(s->diff);
	enum err rc = rbd_diff_next(s->diff, &s->range, err);

	*same = rc == ERR_OK && rbd_file_image(s->file) != NULL &&
		h->to == NULL && h->from != NULL && h->size == s->last_size &&
		s->range.kind == RBD_DIFF_END;
	s->last_size = h->size;
	return rc;
}

enum err
src_rbd_diff_next(struct source *src, struct src_rbd_diff_item *item,
	void (*note)(void *arg, const char *sentence), void *arg,
	struct error *err)
{
	struct rbd_files *s = to_files(src);
	bool same = true;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && same) {
		*item = (struct src_rbd_diff_item){ .file = NULL };
		if (s->file == NULL && s->next_path == s->n_paths)
			return ERR_OK;
		if (s->file == NULL)
			rc = open_next_file(s, err);
		if (rc != ERR_OK)
			return rc;
		rc = rbd_file_next(s->file, &s->diff, err);
		if (rc == ERR_OK && s->diff == NULL) {
			rc = end_file(s, note, arg, err);
			continue;
		}
		if (rc == ERR_OK)
			rc = peek(s, &same, err);
		if (rc != ERR_OK)
			return err_wrap(err, "%s", s->path);
	}
	if (rc != ERR_OK)
		return rc;
	item->file = s->path;
	item->from = rbd_diff_head(s->diff)->from;
	item->to = rbd_diff_head(s->diff)->to;
	item->size = rbd_diff_head(s->diff)->size;
	item->time = s->time;
	item->of_export = rbd_file_image(s->file) != NULL;
	s->ready = true;
	return ERR_OK;
}

void
src_rbd_diff_at(struct source *src, const struct when *time)
{
	to_files(src)->time = *time;
}

/* ---- a run ---- */

static enum err
files_describe(struct source *src,
	enum err (*name)(void *arg, const char *name, struct error *err),
	void *arg, struct error *err)
{
	return name(arg, to_files(src)->label, err);
}

/* As an ordinary source: a file of more than one stream is not for it. */
static enum err
only_one(struct rbd_files *s, struct error *err)
{
	struct src_rbd_diff_item item;
	enum err rc = src_rbd_diff_next(&s->base, &item, NULL, NULL, err);

	if (rc == ERR_OK && item.file != NULL)
		rc = err_set(err, ERR_USAGE,
			"%s has several snapshots: coffer import makes one of "
			"each",
			item.file);
	return rc;
}

static enum err
files_capture(struct source *src, struct sink *sink, struct error *err)
{
	struct rbd_files *s = to_files(src);
	struct src_rbd_diff_item item;
	enum err rc = ERR_OK;

	if (!s->ready)
		rc = src_rbd_diff_next(src, &item, NULL, NULL, err);
	if (rc == ERR_OK && !s->ready)
		rc = err_set(err, ERR_USAGE, "no more streams");
	s->ready = false;
	if (rc == ERR_OK)
		rc = state_capture(s, sink, err);
	if (rc == ERR_OK && s->single)
		rc = only_one(s, err);
	return rc;
}

const struct source_ops rbd_diff_source_ops = {
	.scheme = "rbd-diff",
	.summary = "an image out of a file of rbd export-diff",
	.options = options,
	.caps = { .change_map = true },
	.open = files_open,
	.close = files_close,
	.describe = files_describe,
	.capture = files_capture,
};
