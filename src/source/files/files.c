/* SPDX-License-Identifier: Apache-2.0 */
#include "source/files/files.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/pool.h"
#include "model/path.h"
#include "source/files/dirs.h"
#include "source/files/names.h"
#include "source/files/roots.h"
#include "source/files/rules.h"
#include "source/files/walk.h"

enum { OPEN_DIRS_MAX = 512, THREADS_MIN = 2, THREADS_MAX = 4 };

struct files {
	struct source base;
	struct roots roots;
	struct rules rules;
	struct dirs *dirs;
	struct names *names;
	unsigned n_threads;
	char **labels; /* "files:/etc", ends with NULL */
	size_t n_labels;
};

static struct files *
to_files(struct source *src)
{
	return container_of(src, struct files, base);
}

static void
files_close(struct source *src)
{
	struct files *f = to_files(src);

	for (size_t i = 0; i < f->n_labels; i++)
		free(f->labels[i]);
	free(f->labels);
	roots_fini(&f->roots);
	rules_fini(&f->rules);
	names_free(f->names);
	dirs_free(f->dirs);
	free(f);
}

/* ---- labels ---- */

static enum err
add_label(struct files *f, const char *what, const char *path,
	struct error *err)
{
	size_t len = strlen(what) + strlen(path) + 1;
	char **more = reallocarray(f->labels, f->n_labels + 1, sizeof(*more));
	char *label = malloc(len);

	if (more != NULL)
		f->labels = more;
	if (more == NULL || label == NULL) {
		free(label);
		return err_set(err, ERR_NOMEM, "no memory for a name");
	}
	(void)stpcpy(stpcpy(label, what), path);
	f->labels[f->n_labels++] = label;
	return ERR_OK;
}

static enum err
add_labels(struct files *f, const struct roots *roots, const char *what,
	struct error *err)
{
	struct buf path = BUF_INIT((size_t)2 * KEY_MAX);
	enum err rc = ERR_OK;

	for (size_t i = 0; i < roots->n && rc == ERR_OK; i++) {
		struct bytes key = roots_key(roots, i);

		buf_clear(&path);
		rc = key_to_path(&path, key.data, key.len, err);
		if (rc == ERR_OK)
			rc = add_label(f, what, (const char *)path.data, err);
	}
	buf_fini(&path);
	return rc;
}

/* ---- paths ---- */

/* Paths from a list are not named one by one: the list is. */
static enum err
add_list(struct files *f, struct roots *lists, const char *file, char delimiter,
	struct error *err)
{
	enum err rc;

	rc = roots_add_file(&f->roots, file, delimiter, err);
	if (rc != ERR_OK)
		return rc;
	if (strcmp(file, "-") == 0)
		return add_label(f, "files:@", "-", err);
	return roots_add(lists, file, err);
}

static enum err
add_lists(struct files *f, const struct source_conf *conf, struct error *err)
{
	struct roots lists;
	enum err rc = ERR_OK;

	roots_init(&lists);
	for (size_t i = 0; i < conf->settings.n && rc == ERR_OK; i++) {
		const struct setting *s = &conf->settings.v[i];

		if (strcmp(s->name, "files-from") == 0)
			rc = add_list(f, &lists, s->value, '\n', err);
		else if (strcmp(s->name, "files-from0") == 0)
			rc = add_list(f, &lists, s->value, '\0', err);
	}
	roots_settle(&lists);
	if (rc == ERR_OK)
		rc = add_labels(f, &lists, "files:@", err);
	roots_fini(&lists);
	return rc;
}

static enum err
add_paths(struct files *f, const struct source_conf *conf, struct error *err)
{
	enum err rc = ERR_OK;

	for (size_t i = 0; i < conf->n_args && rc == ERR_OK; i++)
		rc = roots_add(&f->roots, conf->args[i], err);
	if (rc != ERR_OK)
		return rc;
	roots_settle(&f->roots);
	rc = add_labels(f, &f->roots, "files:", err);
	if (rc == ERR_OK)
		rc = add_lists(f, conf, err);
	if (rc != ERR_OK)
		return rc;
	roots_settle(&f->roots);
	if (f->roots.n == 0)
		return err_set(err, ERR_USAGE, "there are no paths");
	return ERR_OK;
}

/* ---- the driver ---- */

static unsigned
open_dirs_max(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 &&
		lim.rlim_cur / 2 < OPEN_DIRS_MAX)
		return (unsigned)lim.rlim_cur / 2;
	return OPEN_DIRS_MAX;
}

static unsigned
thread_count(const struct source_conf *conf)
{
	unsigned n = pool_cpus();

	if (settings_text(&conf->settings, files_source_ops.options,
		    "list-threads") != NULL)
		return (unsigned)settings_number(&conf->settings,
			files_source_ops.options, "list-threads");
	if (n < THREADS_MIN)
		return THREADS_MIN;
	return n < THREADS_MAX ? n : THREADS_MAX;
}

static enum err
files_open(struct source **out, const struct source_conf *conf,
	struct error *err)
{
	struct files *f = calloc(1, sizeof(*f));
	enum err rc;

	if (f == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a source");
	f->base.ops = &files_source_ops;
	f->n_threads = thread_count(conf);
	roots_init(&f->roots);
	rc = rules_init(&f->rules, &files_source_ops, conf, err);
	if (rc == ERR_OK)
		rc = add_paths(f, conf, err);
	if (rc == ERR_OK)
		rc = names_new(&f->names, err);
	if (rc == ERR_OK)
		rc = dirs_new(&f->dirs, open_dirs_max(), err);
	if (rc != ERR_OK) {
		files_close(&f->base);
		return rc;
	}
	*out = &f->base;
	return ERR_OK;
}

static enum err
files_describe(struct source *src,
	enum err (*name)(void *arg, const char *name, struct error *err),
	void *arg, struct error *err)
{
	struct files *f = to_files(src);
	enum err rc = ERR_OK;

	for (size_t i = 0; i < f->n_labels && rc == ERR_OK; i++)
		rc = name(arg, f->labels[i], err);
	return rc;
}

static enum err
files_capture(struct source *src, struct sink *sink, struct error *err)
{
	struct files *f = to_files(src);
	const struct walk_conf conf = {
		.dirs = f->dirs,
		.names = f->names,
		.rules = &f->rules,
		.roots = &f->roots,
		.n_threads = f->n_threads,
	};

	return walk_run(&conf, sink, err);
}

static const struct option_spec files_options[] = {
	{ "exclude", OPTION_LIST, NULL,
		"leave out what matches this gitignore rule" },
	{ "exclude-file", OPTION_LIST, NULL,
		"leave out what matches the rules in this file" },
	{ "exclude-caches", OPTION_BOOL, "no",
		"leave out what lies beside a CACHEDIR.TAG" },
	{ "exclude-if-present", OPTION_LIST, NULL,
		"leave out what lies beside NAME[:HEADER]" },
	{ "exclude-larger-than", OPTION_SIZE, NULL,
		"leave out files of more bytes" },
	{ "one-file-system", OPTION_BOOL, "no",
		"do not enter what is mounted below the paths" },
	{ "files-from", OPTION_LIST, NULL,
		"more paths, one per line of this file (-: standard input)" },
	{ "files-from0", OPTION_LIST, NULL,
		"the same, each path ending with a zero byte" },
	{ "list-threads", OPTION_NUMBER, NULL,
		"threads that list directories ahead (0: none)" },
	{ .name = NULL },
};

const struct source_ops files_source_ops = {
	.scheme = "files",
	.summary = "directory trees of this machine",
	.options = files_options,
	.open = files_open,
	.close = files_close,
	.describe = files_describe,
	.capture = files_capture,
};
