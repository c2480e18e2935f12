/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "cli/access.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/filter.h"
#include "cli/jsonl.h"
#include "cli/numbers.h"
#include "cli/restore_to.h"
#include "cli/show.h"
#include "engine/restore.h"
#include "engine/select.h"

static const struct flag restore_flags[] = {
	{ "target", 't', FLAG_TEXT, "DIR", "write below DIR; / is in place" },
	RESTORE_TO_FLAGS,
	{ "include", 'i', FLAG_LIST, "RULE",
		"only what the gitignore rule matches" },
	{ "include-file", 0, FLAG_LIST, "FILE", "rules, one per line" },
	{ "exclude", 'e', FLAG_LIST, "RULE", "leave out what it matches" },
	{ "exclude-file", 0, FLAG_LIST, "FILE", "rules, one per line" },
	{ "overwrite", 0, FLAG_TEXT, "WHEN",
		"always, if-changed, if-newer or never (default: always)" },
	{ "delta", 0, FLAG_BOOL, NULL,
		"in existing files write only the blocks that differ" },
	{ "delete", 0, FLAG_BOOL, NULL,
		"remove what the snapshot does not have" },
	{ "verify", 0, FLAG_BOOL, NULL, "read back what was written" },
	{ "dry-run", 'n', FLAG_BOOL, NULL,
		"write nothing, tell what would be" },
	{ "no-owner", 0, FLAG_BOOL, NULL, "do not set owners and groups" },
	{ "workers", 0, FLAG_TEXT, "N", "threads (default: processors)" },
	FILTER_FLAGS,
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

/* Patterns of --NAME and --NAME-file; NULL where there are none. */
static enum err
load_patterns(struct patterns **out, const struct cli *c, const char *flag,
	const char *file_flag, struct error *err)
{
	const char *text;
	size_t at = 0;
	enum err rc = ERR_OK;

	*out = NULL;
	if (flag_text(c, flag) == NULL && flag_text(c, file_flag) == NULL)
		return ERR_OK;
	rc = patterns_new(out, err);
	while (rc == ERR_OK && (text = flag_next(c, flag, &at)) != NULL)
		rc = patterns_add(*out, text, err);
	at = 0;
	while (rc == ERR_OK && (text = flag_next(c, file_flag, &at)) != NULL)
		rc = patterns_add_file(*out, text, err);
	return rc;
}

static enum err
overwrite_flag(enum overwrite *out, const struct cli *c, struct error *err)
{
	static const char *const names[] = { "always", "if-changed", "if-newer",
		"never" };
	const char *text = flag_text(c, "overwrite");

	for (size_t i = 0; text != NULL && i < ARRAY_LEN(names); i++) {
		if (strcmp(text, names[i]) != 0)
			continue;
		*out = (enum overwrite)i;
		return ERR_OK;
	}
	if (text == NULL)
		return ERR_OK;
	return err_set(err, ERR_USAGE,
		"--overwrite: always, if-changed, if-newer or never");
}

static enum err
conf_fill(struct restore_conf *conf, const struct cli *c, struct error *err)
{
	enum err rc;

	conf->target = flag_text(c, "target");
	if (conf->target == NULL)
		return err_set(err, ERR_USAGE,
			"restore needs --target (/ is in place), or --to for "
			"an image");
	if (flag_count(c, "option") > 0 || flag_count(c, "mark-every") > 0)
		return err_set(err, ERR_USAGE,
			"-o and --mark-every are for --to");
	conf->delta = flag_on(c, "delta");
	conf->delete = flag_on(c, "delete");
	conf->verify = flag_on(c, "verify");
	conf->dry_run = flag_on(c, "dry-run");
	conf->no_owner = flag_on(c, "no-owner");
	rc = number_flag(c, "workers", WORKERS_MAX, &conf->workers, err);
	if (rc != ERR_OK)
		return rc;
	return overwrite_flag(&conf->overwrite, c, err);
}

static void
print_result(const struct cli *c, const struct restore_result *r)
{
	char bytes[24], written[24];
	struct jsonl *j;

	if (c->json) {
		j = jsonl_new("summary");
		jsonl_bool(j, "dry_run", flag_on(c, "dry-run"));
		jsonl_uint(j, "entries", r->entries);
		jsonl_uint(j, "files", r->files);
		jsonl_uint(j, "bytes", r->bytes);
		jsonl_uint(j, "entries_same", r->entries_same);
		jsonl_uint(j, "bytes_same", r->bytes_same);
		jsonl_uint(j, "bytes_written", r->bytes_written);
		jsonl_uint(j, "deleted", r->deleted);
		jsonl_uint(j, "verified", r->verified);
		jsonl_uint(j, "errors", r->errors);
		jsonl_print(j, stdout);
		return;
	}
	if (c->quiet)
		return;
	units_bytes(r->bytes, bytes);
	units_bytes(r->bytes_written, written);
	(void)printf("%s %llu entries, %llu of them files with %s; "
		     "%llu were right already; %s written\n",
		flag_on(c, "dry-run") ? "would restore" : "restored",
		(unsigned long long)r->entries, (unsigned long long)r->files,
		bytes, (unsigned long long)r->entries_same, written);
	if (r->deleted > 0)
		(void)printf("%llu deleted\n", (unsigned long long)r->deleted);
	if (flag_on(c, "verify"))
		(void)printf("%llu files read back and compared\n",
			(unsigned long long)r->verified);
}

static enum err
restore_snapshot(struct cli *c, struct repo *repo, const char *name,
	const struct restore_conf *conf, struct error *err)
{
	struct restore_result result = { 0 };
	struct snapshot_filter filter;
	struct show *show = NULL;
	struct report report;
	struct snapshot snap;
	enum err rc;

	snapshot_init(&snap);
	rc = filter_fill(&filter, c, err);
	if (rc == ERR_OK)
		rc = snapshot_select(&snap, repo, name, &filter, err);
	if (rc == ERR_OK)
		rc = show_begin(&show, c, "restore", &report, err);
	if (rc == ERR_OK)
		rc = restore_run(repo, &snap, conf, &report, &result, err);
	show_end(show);
	if (rc == ERR_OK)
		print_result(c, &result);
	filter_fini(&filter);
	snapshot_fini(&snap);
	return rc;
}

static enum err
run_restore(struct cli *c, struct error *err)
{
	struct patterns *include = NULL, *exclude = NULL;
	struct access access = { NULL, NULL };
	struct restore_conf conf = { 0 };
	char *spec, *name, *subpath;
	enum err rc;

	if (flag_text(c, "to") != NULL)
		return restore_to_run(c, err);
	spec = strdup(c->operands[0]);
	if (spec == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	snapshot_split(spec, &name, &subpath);
	rc = conf_fill(&conf, c, err);
	if (rc == ERR_OK)
		rc = load_patterns(&include, c, "include", "include-file", err);
	if (rc == ERR_OK)
		rc = load_patterns(&exclude, c, "exclude", "exclude-file", err);
	if (rc == ERR_OK)
		rc = access_open_for(&access, c, RIGHT_READ, err);
	conf.subpath = subpath;
	conf.include = include;
	conf.exclude = exclude;
	if (rc == ERR_OK)
		rc = restore_snapshot(c, access.repo, name, &conf, err);
	patterns_free(include);
	patterns_free(exclude);
	access_close(&access);
	free(spec);
	return rc;
}

const struct command cmd_restore = {
	.name = "restore",
	.operands = "SNAPSHOT[:SUBPATH]",
	.summary = "Bring a snapshot, a part of it, or an image back",
	.flags = restore_flags,
	.operands_min = 1,
	.operands_max = 1,
	.run = run_restore,
};
