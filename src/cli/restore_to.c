/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/restore_to.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/time.h"
#include "base/units.h"
#include "cli/chosen.h"
#include "cli/filter.h"
#include "cli/jsonl.h"
#include "cli/numbers.h"
#include "cli/opened.h"
#include "cli/show.h"
#include "cli/text.h"
#include "cli/to_moosefs.h"
#include "engine/restore_image.h"
#include "model/path.h"

enum { NAME_ROOM = 1 << 20 };

struct to_run {
	struct cli *cli;
	struct opened opened;
	struct restore_image_conf conf;
	struct chosen chosen;
	/* The images, where the target takes several. */
	char **paths;
	size_t n_paths, cap;

	struct report report;
	struct restore_image_result sum;
	uint64_t done, failed;
	double begin;
};

/* ---- what was asked for ---- */

static enum err
refuse_flags(const struct cli *c, struct error *err)
{
	static const char *const files_only[] = { "target", "include",
		"include-file", "exclude", "exclude-file", "delta", "delete",
		"no-owner" };

	for (size_t i = 0; i < ARRAY_LEN(files_only); i++)
		if (flag_count(c, files_only[i]) > 0)
			return err_set(err, ERR_USAGE,
				"--%s is for files, and --to for an image",
				files_only[i]);
	return ERR_OK;
}

static enum err
take_overwrite(struct to_run *r, struct error *err)
{
	const char *text = flag_text(r->cli, "overwrite");

	if (text == NULL || strcmp(text, "never") == 0)
		return ERR_OK;
	r->conf.overwrite = true;
	if (strcmp(text, "always") == 0)
		return ERR_OK;
	return err_set(err, ERR_USAGE,
		"--overwrite: always or never for an image, and always writes "
		"what differs");
}

static enum err
conf_fill(struct to_run *r, struct error *err)
{
	const struct cli *c = r->cli;
	const char *every = flag_text(c, "mark-every");
	enum err rc;

	r->conf.verify = flag_on(c, "verify");
	r->conf.dry_run = flag_on(c, "dry-run");
	rc = refuse_flags(c, err);
	if (rc == ERR_OK)
		rc = target_parse(flag_text(c, "to"), &r->conf.target,
			&r->conf.rest, err);
	if (rc == ERR_OK)
		rc = chosen_take(&r->chosen, c, err);
	r->conf.settings = chosen_settings(&r->chosen);
	if (rc == ERR_OK)
		rc = take_overwrite(r, err);
	if (rc == ERR_OK)
		rc = number_flag(c, "workers", WORKERS_MAX, &r->conf.workers,
			err);
	if (rc == ERR_OK && every != NULL) {
		rc = units_parse_bytes(&r->conf.mark_every, every, err);
		if (rc != ERR_OK)
			rc = err_wrap(err, "--mark-every");
	}
	return rc;
}

/* Standard output is the image's, and nobody else may write there. */
static bool
is_to_stdout(const struct to_run *r)
{
	return strcmp(r->conf.target->scheme, "stdout") == 0;
}

static enum err
check_stdout(struct to_run *r, struct error *err)
{
	if (!is_to_stdout(r) || r->conf.dry_run)
		return ERR_OK;
	if (r->cli->json)
		return err_set(err, ERR_USAGE,
			"--json and the image cannot both go to standard "
			"output");
	return ERR_OK;
}

/* ---- which images ---- */

static bool
takes_several(const struct restore_image_conf *conf)
{
	size_t len = strlen(conf->rest);

	return conf->target->names && (len == 0 || conf->rest[len - 1] == '/');
}

static enum err
note_image(void *arg, struct bytes key, const struct entry *e,
	struct error *err)
{
	struct buf path = BUF_INIT(NAME_ROOM);
	struct to_run *r = arg;
	void *v;
	enum err rc;

	if (e->type != ENTRY_IMAGE)
		return ERR_OK;
	v = array_grow(r->paths, r->n_paths, &r->cap, sizeof(*r->paths), err);
	if (v == NULL)
		return err->code;
	r->paths = v;
	rc = key_to_path(&path, key.data, key.len, err);
	if (rc == ERR_OK)
		r->paths[r->n_paths++] = (char *)path.data;
	else
		buf_fini(&path);
	return rc;
}

static enum err
find_images(struct to_run *r, struct error *err)
{
	struct bytes below = { r->opened.sub.data, r->opened.sub.len };
	enum err rc;

	if (!takes_several(&r->conf))
		return ERR_OK;
	rc = opened_walk(&r->opened, below, note_image, r, err);
	if (rc == ERR_OK && r->n_paths == 0)
		rc = err_set(err, ERR_NOTFOUND, "the snapshot has no image%s",
			below.len > 0 ? " there" : "");
	return rc;
}

/* ---- what happened ---- */

static void
add_result(struct to_run *r, const struct restore_image_result *one)
{
	r->sum.bytes += one->bytes;
	r->sum.bytes_data += one->bytes_data;
	r->sum.bytes_written += one->bytes_written;
	r->sum.bytes_zeroed += one->bytes_zeroed;
	r->sum.bytes_compared += one->bytes_compared;
	r->sum.bytes_resumed += one->bytes_resumed;
	r->sum.bytes_verified += one->bytes_verified;
	r->done++;
	r->report.progress->items_done++;
}

static void
print_json(const struct to_run *r)
{
	const struct restore_image_result *s = &r->sum;
	struct jsonl *j = jsonl_new("summary");

	jsonl_bool(j, "dry_run", r->conf.dry_run);
	jsonl_uint(j, "images", r->done);
	jsonl_uint(j, "bytes", s->bytes);
	jsonl_uint(j, "bytes_data", s->bytes_data);
	jsonl_uint(j, "bytes_written", s->bytes_written);
	jsonl_uint(j, "bytes_zeroed", s->bytes_zeroed);
	jsonl_uint(j, "bytes_compared", s->bytes_compared);
	jsonl_uint(j, "bytes_resumed", s->bytes_resumed);
	jsonl_uint(j, "bytes_verified", s->bytes_verified);
	jsonl_uint(j, "errors", r->failed);
	jsonl_uint(j, "milliseconds",
		(uint64_t)((mono_sec() - r->begin) * 1000));
	jsonl_print(j, stdout);
}

static void
print_some(FILE *out, const char *what, uint64_t bytes)
{
	char text[24];

	if (bytes == 0)
		return;
	units_bytes(bytes, text);
	(void)fprintf(out, ", %s %s", text, what);
}

static void
print_result(const struct to_run *r)
{
	const struct restore_image_result *s = &r->sum;
	FILE *out = is_to_stdout(r) && !r->conf.dry_run ? stderr : stdout;
	double sec = mono_sec() - r->begin;
	char size[24], written[24];

	if (r->cli->json) {
		print_json(r);
		return;
	}
	if (r->cli->quiet)
		return;
	units_bytes(s->bytes, size);
	units_bytes(s->bytes_written, written);
	(void)fprintf(out, "%s %llu image%s of %s to %s:%s; %s written",
		r->conf.dry_run ? "would restore" : "restored",
		(unsigned long long)r->done, r->done == 1 ? "" : "s", size,
		r->conf.target->scheme, r->conf.rest, written);
	print_some(out, "zeroed", s->bytes_zeroed);
	print_some(out, "compared", s->bytes_compared);
	print_some(out, "done before", s->bytes_resumed);
	print_some(out, "read again and verified", s->bytes_verified);
	(void)fprintf(out, ", in %.1f s\n", sec);
}

/* ---- the run ---- */

static enum err
restore_one(struct to_run *r, const char *path, struct error *err)
{
	struct restore_image_result result = { 0 };
	enum err rc;

	r->conf.subpath = path;
	rc = restore_image_run(r->opened.access.repo, &r->opened.snap, &r->conf,
		&r->report, &result, err);
	if (rc == ERR_OK)
		add_result(r, &result);
	return rc;
}

/* One that cannot be restored does not keep the others from it. */
static enum err
restore_several(struct to_run *r, struct error *err)
{
	enum err rc = ERR_OK;

	r->report.progress->items_total = r->n_paths;
	for (size_t i = 0; i < r->n_paths; i++) {
		struct buf key = BUF_INIT(KEY_MAX);
		struct error why = ERROR_INIT, ignored = ERROR_INIT;

		rc = restore_one(r, r->paths[i], &why);
		if (rc == ERR_OK)
			continue;
		*err = why;
		if (rc == ERR_CANCELLED || rc == ERR_USAGE || r->n_paths == 1)
			return rc;
		r->failed++;
		if (key_from_path(&key, r->paths[i], &ignored) == ERR_OK)
			r->report.problem(r->report.arg,
				(struct bytes){ key.data, key.len }, &why);
		buf_fini(&key);
	}
	return r->done > 0 ? ERR_OK : err->code;
}

static enum err
restore_opened(struct to_run *r, char *subpath, struct error *err)
{
	struct show *show = NULL;
	enum err rc = find_images(r, err);

	if (rc == ERR_OK)
		rc = show_begin(&show, r->cli, "restore", &r->report, err);
	if (rc == ERR_OK)
		rc = r->n_paths > 0 ? restore_several(r, err)
				    : restore_one(r, subpath, err);
	show_end(show);
	if (rc == ERR_OK)
		print_result(r);
	return rc;
}

static void
to_run_fini(struct to_run *r)
{
	for (size_t i = 0; i < r->n_paths; i++)
		free(r->paths[i]);
	free(r->paths);
	chosen_fini(&r->chosen);
}

enum err
restore_to_run(struct cli *c, struct error *err)
{
	struct to_run r = { .cli = c, .begin = mono_sec() };
	char *subpath = strchr(c->operands[0], ':');
	const char *dir = to_moosefs_dir(flag_text(c, "to"));
	enum err rc;

	if (dir != NULL)
		return to_moosefs_restore(c, dir, err);
	rc = conf_fill(&r, err);

	if (rc == ERR_OK)
		rc = check_stdout(&r, err);
	if (rc == ERR_OK) {
		rc = opened_open(&r.opened, c, c->operands[0], err);
		if (rc == ERR_OK)
			rc = restore_opened(&r,
				subpath != NULL ? subpath + 1 : NULL, err);
		opened_close(&r.opened);
	}
	to_run_fini(&r);
	return rc;
}
