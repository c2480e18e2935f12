/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "base/units.h"
#include "cli/access.h"
#include "cli/chosen.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/jsonl.h"
#include "cli/numbers.h"
#include "cli/show.h"
#include "cli/tags.h"
#include "engine/backup.h"
#include "source/source.h"

static const struct flag backup_flags[] = {
	{ "exclude", 'e', FLAG_LIST, "RULE",
		"leave out what the gitignore rule matches" },
	{ "exclude-file", 0, FLAG_LIST, "FILE", "rules, one per line" },
	{ "exclude-caches", 0, FLAG_BOOL, NULL,
		"leave out what CACHEDIR.TAG marks" },
	{ "exclude-if-present", 0, FLAG_LIST, "NAME[:HEADER]",
		"leave out directories that hold NAME" },
	{ "exclude-larger-than", 0, FLAG_TEXT, "SIZE",
		"leave out larger files" },
	{ "one-file-system", 'x', FLAG_BOOL, NULL,
		"stay within the file systems of the operands" },
	{ "files-from", 0, FLAG_LIST, "FILE",
		"more paths, one per line; - is standard input" },
	{ "files-from0", 0, FLAG_LIST, "FILE",
		"more paths, each ended by a zero byte" },
	{ "option", 'o', FLAG_LIST, "NAME=VALUE",
		"an option of the source; see \"coffer help source NAME\"" },
	{ "stdin", 0, FLAG_BOOL, NULL,
		"back up the output of COMMAND, or standard input" },
	{ "name", 0, FLAG_TEXT, "NAME", "with --stdin: the entry's name" },
	{ "tag", 0, FLAG_LIST, "TAG", "tag the snapshot; also TAG,TAG" },
	{ "host", 'H', FLAG_TEXT, "NAME", "instead of this host's name" },
	{ "time", 0, FLAG_TEXT, "TIME", "the snapshot's time, instead of now" },
	{ "parent", 0, FLAG_TEXT, "SNAPSHOT",
		"compare with it, instead of the newest that fits" },
	{ "force", 'f', FLAG_BOOL, NULL, "compare with none: read all" },
	{ "dry-run", 'n', FLAG_BOOL, NULL, "write nothing" },
	{ "level", 0, FLAG_TEXT, "N",
		"zstd level, 1 to 19 (default: 1, large files 2)" },
	{ "workers", 0, FLAG_TEXT, "N", "threads (default: processors)" },
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

/* Flags that are options of the files source by the same name. */
static const char *const files_flags[] = { "exclude", "exclude-file",
	"exclude-caches", "exclude-if-present", "exclude-larger-than",
	"one-file-system", "files-from", "files-from0" };

/* What the command line says of the source. */
struct request {
	const struct source_ops *ops;
	const char **args;
	struct chosen chosen;
	struct source_conf conf;
};

static void
request_fini(struct request *q)
{
	chosen_fini(&q->chosen);
	free(q->args);
}

static enum err
request_alloc(struct request *q, const struct cli *c, struct error *err)
{
	*q = (struct request){ NULL };
	q->args = calloc(c->n_operands + 1, sizeof(*q->args));
	if (q->args == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	q->conf.args = q->args;
	return chosen_take(&q->chosen, c, err);
}

static enum err
take_files_flags(struct request *q, const struct cli *c, struct error *err)
{
	const char *value;
	size_t at;

	for (size_t i = 0; i < ARRAY_LEN(files_flags); i++) {
		at = 0;
		while ((value = flag_next(c, files_flags[i], &at)) != NULL) {
			if (strcmp(q->ops->scheme, "files") != 0)
				return err_set(err, ERR_USAGE,
					"--%s is for the files source",
					files_flags[i]);
			chosen_add(&q->chosen, files_flags[i],
				value[0] != '\0' ? value : "yes");
		}
	}
	return ERR_OK;
}

static enum err
take_operands(struct request *q, const struct cli *c, struct error *err)
{
	const struct source_ops *ops;
	enum err rc;

	q->ops = source_driver("files");
	for (size_t i = 0; i < c->n_operands; i++) {
		rc = source_parse(c->operands[i], &ops, &q->args[i], err);
		if (rc != ERR_OK)
			return rc;
		if (i > 0 && ops != q->ops)
			return err_set(err, ERR_USAGE,
				"%s: one backup is of one kind of source",
				c->operands[i]);
		q->ops = ops;
	}
	q->conf.n_args = c->n_operands;
	if (c->n_operands == 0 && flag_text(c, "files-from") == NULL &&
		flag_text(c, "files-from0") == NULL)
		return err_set(err, ERR_USAGE, "backup of what?");
	return ERR_OK;
}

static enum err
take_stdin(struct request *q, const struct cli *c, struct error *err)
{
	const char *name = flag_text(c, "name");

	if (name == NULL)
		return err_set(err, ERR_USAGE, "--stdin needs --name");
	q->ops = source_driver("command");
	for (size_t i = 0; i < c->n_operands; i++)
		q->args[i] = c->operands[i];
	q->conf.n_args = c->n_operands;
	chosen_add(&q->chosen, "name", name);
	return ERR_OK;
}

static enum err
check_settings(struct request *q, struct error *err)
{
	char who[64];

	q->conf.settings = chosen_settings(&q->chosen);
	(void)snprintf(who, sizeof(who), "source %s", q->ops->scheme);
	return settings_check(&q->conf.settings, q->ops->options, who, err);
}

static enum err
request_fill(struct request *q, const struct cli *c, struct error *err)
{
	enum err rc = request_alloc(q, c, err);

	if (rc == ERR_OK)
		rc = flag_on(c, "stdin") ? take_stdin(q, c, err)
					 : take_operands(q, c, err);
	if (rc == ERR_OK)
		rc = take_files_flags(q, c, err);
	if (rc == ERR_OK)
		rc = check_settings(q, err);
	return rc;
}

static enum err
conf_fill(struct backup_conf *conf, const struct cli *c, struct error *err)
{
	unsigned level = 0;
	enum err rc;

	conf->host = flag_text(c, "host");
	conf->parent = flag_text(c, "parent");
	conf->force = flag_on(c, "force");
	conf->dry_run = flag_on(c, "dry-run");
	rc = tags_fill(&conf->tags, c, err);
	if (rc == ERR_OK && flag_text(c, "time") != NULL) {
		rc = when_parse(&conf->time, flag_text(c, "time"), err);
		conf->has_time = true;
	}
	if (rc == ERR_OK)
		rc = number_flag(c, "level", 19, &level, err);
	if (rc == ERR_OK)
		rc = number_flag(c, "workers", WORKERS_MAX, &conf->workers,
			err);
	conf->level = (int)level;
	return rc;
}

static void
print_summary(const struct cli *c, const struct snapshot *s, double seconds,
	bool dry_run)
{
	const struct snapshot_figures *f = &s->figures;
	char id[UID_HEX + 1], total[24], read[24], added[24], stored[24];
	struct jsonl *j;

	if (c->json) {
		j = jsonl_new("summary");
		jsonl_bool(j, "dry_run", dry_run);
		jsonl_snapshot(j, s);
		jsonl_uint(j, "milliseconds", (uint64_t)(seconds * 1000));
		jsonl_print(j, stdout);
		return;
	}
	units_bytes(f->bytes, total);
	units_bytes(f->bytes_read, read);
	units_bytes(f->bytes_added, added);
	units_bytes(f->bytes_stored, stored);
	hex_encode(s->uid.b, UID_LEN, id);
	if (!c->quiet) {
		(void)printf("entries: %llu new, %llu changed, %llu unchanged"
			     "; %llu in all, %s\n",
			(unsigned long long)f->entries_new,
			(unsigned long long)f->entries_changed,
			(unsigned long long)f->entries_unchanged,
			(unsigned long long)f->entries, total);
		(void)printf("read %s, added %s (%s stored) in %.1f s\n", read,
			added, stored, seconds);
	}
	if (dry_run)
		(void)printf("dry run: nothing was written\n");
	else
		(void)printf("snapshot %.8s saved\n", id);
}

static enum err
run_source(struct cli *c, const struct request *q,
	const struct backup_conf *conf, struct error *err)
{
	struct access access = { NULL, NULL };
	struct source *src = NULL;
	struct show *show = NULL;
	struct report report;
	struct snapshot result;
	double begin = mono_sec();
	enum err rc;

	snapshot_init(&result);
	rc = q->ops->open(&src, &q->conf, err);
	if (rc == ERR_OK)
		rc = access_open_for(&access, c, RIGHT_WRITE, err);
	if (rc == ERR_OK)
		rc = show_begin(&show, c, "backup", &report, err);
	if (rc == ERR_OK)
		rc = backup_run(access.repo, src, conf, &report, &result, err);
	show_end(show);
	if (rc == ERR_OK)
		print_summary(c, &result, mono_sec() - begin, conf->dry_run);
	if (src != NULL)
		q->ops->close(src);
	access_close(&access);
	snapshot_fini(&result);
	return rc;
}

static enum err
run_backup(struct cli *c, struct error *err)
{
	struct backup_conf conf = { 0 };
	struct request request;
	enum err rc;

	rc = request_fill(&request, c, err);
	if (rc == ERR_OK)
		rc = conf_fill(&conf, c, err);
	if (rc == ERR_OK)
		rc = run_source(c, &request, &conf, err);
	strings_fini(&conf.tags);
	request_fini(&request);
	return rc;
}

const struct command cmd_backup = {
	.name = "backup",
	.operands = "SOURCE... | --stdin --name NAME [-- COMMAND...]",
	.summary = "Back up paths, or another source, as a new snapshot",
	.flags = backup_flags,
	.operands_max = 1 << 20,
	.run = run_backup,
};
