/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/to_moosefs.h"

#include <inttypes.h>
#include <string.h>

#include "base/time.h"
#include "base/units.h"
#include "cli/chosen.h"
#include "cli/help.h"
#include "cli/jsonl.h"
#include "cli/opened.h"
#include "cli/show.h"
#include "cli/text.h"
#include "engine/restore_moosefs.h"

static const char scheme[] = "moosefs";
static const char summary[] = "the metadata of a MooseFS, for a new master";

struct to_moosefs {
	struct cli *cli;
	struct opened opened;
	struct restore_moosefs_conf conf;
	struct chosen chosen;
	bool prove;
	double begin;
	struct restore_moosefs_result result;
	struct strings next;
};

const char *
to_moosefs_dir(const char *to)
{
	size_t len = strlen(scheme);

	if (strncmp(to, scheme, len) != 0 || to[len] != ':')
		return NULL;
	return to + len + 1;
}

void
to_moosefs_summary(FILE *out)
{
	(void)fprintf(out, "  %-14s %s\n", scheme, summary);
}

void
to_moosefs_help(FILE *out)
{
	help_options(out, scheme, summary, restore_moosefs_options);
}

/* ---- what was asked for ---- */

static enum err
refuse_flags(const struct cli *c, struct error *err)
{
	static const char *const others[] = { "target", "include",
		"include-file", "exclude", "exclude-file", "delta", "delete",
		"no-owner", "mark-every", "overwrite", "workers", "verify" };

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (flag_count(c, others[i]) > 0)
			return err_set(err, ERR_USAGE,
				"--%s is not for --to moosefs:", others[i]);
	return ERR_OK;
}

static enum err
conf_fill(struct to_moosefs *t, struct error *err)
{
	const struct option_spec *specs = restore_moosefs_options;
	struct settings s;
	const char *until;
	enum err rc = refuse_flags(t->cli, err);

	if (rc == ERR_OK)
		rc = chosen_take(&t->chosen, t->cli, err);
	s = chosen_settings(&t->chosen);
	if (rc == ERR_OK)
		rc = settings_check(&s, specs, "target moosefs", err);
	if (rc != ERR_OK)
		return rc;
	t->conf.dry_run = flag_on(t->cli, "dry-run");
	t->conf.owner = settings_text(&s, specs, "owner");
	t->prove = settings_bool(&s, specs, "prove") && !t->conf.dry_run;
	until = settings_text(&s, specs, "until");
	if (until == NULL)
		return ERR_OK;
	rc = mfs_moment_parse(&t->conf.until, until, err);
	return rc == ERR_OK ? rc : err_wrap(err, "until");
}

/* ---- what happened ---- */

static const char *
proof_name(const struct to_moosefs *t)
{
	switch (t->result.proof) {
	case RESTORE_MOOSEFS_PROVEN:
		return "proven";
	case RESTORE_MOOSEFS_NO_MASTER:
		return "no-mfsmaster";
	case RESTORE_MOOSEFS_UNPROVEN:
		break;
	}
	return "not-asked";
}

static void
print_json(const struct to_moosefs *t)
{
	const struct restore_moosefs_result *r = &t->result;
	struct jsonl *j = jsonl_new("summary");

	jsonl_bool(j, "dry_run", t->conf.dry_run);
	jsonl_str(j, "file_system", r->name);
	jsonl_uint(j, "image_version", r->version);
	jsonl_uint(j, "last_change", r->last);
	if (r->lines > 0) {
		struct when at = { .sec = (int64_t)r->last_seconds };

		jsonl_when(j, "last_change_time", &at);
	}
	jsonl_uint(j, "lines", r->lines);
	jsonl_uint(j, "bytes_image", r->bytes_image);
	jsonl_uint(j, "bytes_log", r->bytes_log);
	jsonl_str(j, "proof", proof_name(t));
	if (t->next.n > 0)
		jsonl_strings(j, "next", &t->next);
	jsonl_uint(j, "milliseconds",
		(uint64_t)((mono_sec() - t->begin) * 1000));
	jsonl_print(j, stdout);
}

static void
print_written(const struct to_moosefs *t)
{
	const struct restore_moosefs_result *r = &t->result;
	char image[24], log[24], when[40];

	units_bytes(r->bytes_image, image);
	units_bytes(r->bytes_log, log);
	(void)printf("%s the file system %s: an image of version %" PRIu64
		     " (%s)",
		t->conf.dry_run ? "would restore" : "restored", r->name,
		r->version, image);
	if (r->lines == 0) {
		(void)printf(" and no changes behind it\n");
		return;
	}
	mfs_moment_text(r->last_seconds, when);
	(void)printf(" and the changes %" PRIu64 " to %" PRIu64
		     " (%s), the last of %s\n",
		r->version, r->last, log, when);
}

static void
print_result(const struct to_moosefs *t)
{
	const struct restore_moosefs_result *r = &t->result;

	if (t->cli->json) {
		print_json(t);
		return;
	}
	if (t->cli->quiet)
		return;
	print_written(t);
	if (r->proof == RESTORE_MOOSEFS_PROVEN)
		(void)printf("proven: mfsmaster made version %" PRIu64
			     " of it\n",
			r->last + 1);
	if (t->next.n > 0)
		(void)printf("next:\n");
	for (size_t i = 0; i < t->next.n; i++)
		(void)printf("  [ ] %s\n", t->next.v[i]);
}

/* ---- the run ---- */

static enum err
take_steps(struct to_moosefs *t, const struct report *report, struct error *err)
{
	enum err rc = restore_moosefs_write(t->opened.access.repo,
		&t->opened.snap, &t->conf, report, &t->result, err);

	if (rc == ERR_OK && t->prove)
		rc = restore_moosefs_prove(t->conf.dir, report, &t->result,
			err);
	if (rc == ERR_OK && !t->conf.dry_run)
		rc = restore_moosefs_next(t->conf.dir, &t->result, &t->next,
			err);
	return rc;
}

static enum err
run_opened(struct to_moosefs *t, struct error *err)
{
	struct show *show = NULL;
	struct report report;
	enum err rc = show_begin(&show, t->cli, "restore", &report, err);

	if (rc == ERR_OK)
		rc = take_steps(t, &report, err);
	show_end(show);
	if (rc != ERR_OK)
		return rc;
	print_result(t);
	if (t->result.proof == RESTORE_MOOSEFS_NO_MASTER) {
		cli_warn(t->cli,
			"mfsmaster is not installed here: the set is written, "
			"and not proven");
		t->cli->incomplete = true;
	}
	return ERR_OK;
}

enum err
to_moosefs_restore(struct cli *c, const char *dir, struct error *err)
{
	struct to_moosefs t = { .cli = c,
		.conf.dir = dir,
		.begin = mono_sec() };
	char *subpath = strchr(c->operands[0], ':');
	enum err rc = conf_fill(&t, err);

	t.conf.subpath = subpath != NULL ? subpath + 1 : NULL;
	if (rc == ERR_OK && dir[0] != '/')
		rc = err_set(err, ERR_USAGE,
			"moosefs: wants the whole path of a directory, "
			"moosefs:/NEW/DATA_PATH");
	if (rc == ERR_OK) {
		rc = opened_open(&t.opened, c, c->operands[0], err);
		if (rc == ERR_OK)
			rc = run_opened(&t, err);
		opened_close(&t.opened);
	}
	strings_fini(&t.next);
	chosen_fini(&t.chosen);
	return rc;
}
