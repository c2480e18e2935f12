/* SPDX-License-Identifier: Apache-2.0 */
/* import: files of other tools as snapshots. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "cli/access.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/jsonl.h"
#include "cli/numbers.h"
#include "cli/show.h"
#include "cli/tags.h"
#include "cli/text.h"
#include "engine/backup.h"
#include "engine/select.h"
#include "source/rbd_diff/src_rbd_diff.h"

enum { NAME_ROOM = 4 * 4096 + 1 };

struct importing {
	struct cli *c;
	struct access access;
	struct source *src;
	struct backup_conf conf;
	bool has_last; /* a snapshot of the image is there */
	struct snapshot last;
	char parent[UID_HEX + 1]; /* its id, as text */
	bool dry_run;
	uint64_t saved;
};

static void
on_note(void *arg, const char *sentence)
{
	cli_warn(arg, "%s", sentence);
}

/* ---- what it goes on from ---- */

static void
take_parent(struct importing *m)
{
	m->has_last = true;
	hex_encode(m->last.uid.b, UID_LEN, m->parent);
	m->conf.parent = m->parent;
}

static enum err
add_label(void *arg, const char *name, struct error *err)
{
	return strings_add(arg, name, err);
}

/* The newest snapshot that was imported of this image, from any host. */
static enum err
find_newest(struct importing *m, struct error *err)
{
	struct snapshot_filter filter = { .host = flag_text(m->c, "host") };
	struct snapshot_list list = { NULL, 0 };
	enum err rc =
		m->src->ops->describe(m->src, add_label, &filter.sources, err);

	if (rc == ERR_OK)
		rc = snapshot_list_load(&list, m->access.repo, &filter, err);
	if (rc == ERR_OK && list.n > 0) {
		m->last = list.v[list.n - 1];
		snapshot_init(&list.v[list.n - 1]);
		take_parent(m);
	}
	snapshot_list_fini(&list);
	strings_fini(&filter.sources);
	return rc;
}

static enum err
find_parent(struct importing *m, struct error *err)
{
	const char *name = flag_text(m->c, "parent");
	enum err rc;

	if (name == NULL)
		return find_newest(m, err);
	rc = snapshot_select(&m->last, m->access.repo, name, NULL, err);
	if (rc == ERR_OK)
		take_parent(m);
	return rc;
}

/* ---- one stream ---- */

/* Files that were copied may have times that do not ascend: the newest
 * snapshot has to be the last one all the same. */
static void
choose_time(struct importing *m, const struct src_rbd_diff_item *item,
	bool given)
{
	struct when *t = &m->conf.time;
	const struct when *last = &m->last.begin;

	if (!given)
		*t = item->time;
	if (m->has_last && when_cmp(t, last) <= 0) {
		*t = *last;
		t->nsec++;
		if (t->nsec > 999999999) {
			t->nsec = 0;
			t->sec++;
		}
	}
	m->conf.has_time = true;
	src_rbd_diff_at(m->src, t);
}

static const char *
snap_text(struct buf *b, const char *name)
{
	return name == NULL
		       ? "the head"
		       : text_bytes(b, (struct bytes){ (const uint8_t *)name,
					       strlen(name) });
}

static void
print_saved(const struct importing *m, const struct src_rbd_diff_item *item,
	const struct snapshot *s)
{
	struct buf to = BUF_INIT(NAME_ROOM);
	char id[UID_HEX + 1], size[24], read[24], stored[24];
	struct jsonl *j;

	if (m->c->json) {
		j = jsonl_new("summary");
		jsonl_bool(j, "dry_run", m->dry_run);
		jsonl_bytes(j, "file",
			(struct bytes){ (const uint8_t *)item->file,
				strlen(item->file) });
		if (item->to != NULL)
			jsonl_bytes(j, "to",
				(struct bytes){ (const uint8_t *)item->to,
					strlen(item->to) });
		jsonl_snapshot(j, s);
		jsonl_print(j, stdout);
		return;
	}
	units_bytes(item->size, size);
	units_bytes(s->figures.bytes_read, read);
	units_bytes(s->figures.bytes_stored, stored);
	hex_encode(s->uid.b, UID_LEN, id);
	if (m->dry_run)
		(void)printf("%s: %s of %s, %s read; dry run: nothing was "
			     "written\n",
			item->file, snap_text(&to, item->to), size, read);
	else
		(void)printf("%s: %s of %s, %s read, %s stored; snapshot %.8s "
			     "saved\n",
			item->file, snap_text(&to, item->to), size, read,
			stored, id);
	buf_fini(&to);
}

static enum err
import_one(struct importing *m, const struct src_rbd_diff_item *item,
	struct error *err)
{
	struct snapshot result;
	struct report report;
	struct show *show = NULL;
	enum err rc;

	snapshot_init(&result);
	rc = show_begin(&show, m->c, "import", &report, err);
	if (rc == ERR_OK)
		rc = backup_run(m->access.repo, m->src, &m->conf, &report,
			&result, err);
	show_end(show);
	if (rc != ERR_OK) {
		snapshot_fini(&result);
		return rc;
	}
	print_saved(m, item, &result);
	m->saved++;
	snapshot_fini(&m->last);
	m->last = result;
	take_parent(m);
	return cli_flush(err);
}

/* ---- all of them ---- */

static enum err
check_format(const struct cli *c, const struct src_rbd_diff_item *item,
	struct error *err)
{
	const char *format = flag_text(c, "format");
	bool is_export;

	if (format == NULL)
		return ERR_OK;
	is_export = strcmp(format, "rbd-export") == 0;
	if (!is_export && strcmp(format, "rbd-diff") != 0)
		return err_set(err, ERR_USAGE,
			"--format is rbd-diff or rbd-export");
	if (is_export == item->of_export)
		return ERR_OK;
	return err_set(err, ERR_USAGE, "%s is of the other format, %s",
		item->file, is_export ? "rbd-diff" : "rbd-export");
}

/* A dry run leaves nothing that the next stream could begin at. */
static enum err
check_dry(const struct importing *m, const struct src_rbd_diff_item *item,
	struct error *err)
{
	if (!m->dry_run || m->saved == 0)
		return ERR_OK;
	return err_set(err, ERR_USAGE,
		"%s: a dry run ends after the first snapshot, as the next one "
		"would begin there",
		item->file);
}

static enum err
import_all(struct importing *m, struct error *err)
{
	struct src_rbd_diff_item item;
	bool given = m->conf.has_time;
	enum err rc;

	for (;;) {
		rc = src_rbd_diff_next(m->src, &item, on_note, m->c, err);
		if (rc != ERR_OK || item.file == NULL)
			break;
		rc = check_format(m->c, &item, err);
		if (rc == ERR_OK)
			rc = check_dry(m, &item, err);
		if (rc != ERR_OK)
			break;
		choose_time(m, &item, given);
		rc = import_one(m, &item, err);
		if (rc != ERR_OK)
			break;
	}
	if (rc != ERR_OK && m->saved > 0 && !m->dry_run)
		cli_warn(m->c, "%llu snapshot%s before that %s saved",
			(unsigned long long)m->saved, m->saved > 1 ? "s" : "",
			m->saved > 1 ? "were" : "was");
	return rc;
}

static enum err
conf_fill(struct backup_conf *conf, const struct cli *c, struct error *err)
{
	const char *time = flag_text(c, "time");
	unsigned level = 0;
	enum err rc = tags_fill(&conf->tags, c, err);

	conf->host = flag_text(c, "host");
	conf->dry_run = flag_on(c, "dry-run");
	conf->has_time = time != NULL;
	if (rc == ERR_OK && time != NULL)
		rc = when_parse(&conf->time, time, err);
	if (rc == ERR_OK)
		rc = number_flag(c, "level", 19, &level, err);
	if (rc == ERR_OK)
		rc = number_flag(c, "workers", WORKERS_MAX, &conf->workers,
			err);
	conf->level = (int)level;
	return rc;
}

static enum err
run_import(struct cli *c, struct error *err)
{
	const struct src_rbd_diff_conf conf = {
		.files = (const char *const *)c->operands,
		.n_files = c->n_operands,
		.image = flag_text(c, "image"),
		.stop = &cli_stop,
	};
	struct importing m = { .c = c };
	enum err rc;

	snapshot_init(&m.last);
	if (conf.image == NULL)
		return err_set(err, ERR_USAGE,
			"import needs --image POOL[/NAMESPACE]/IMAGE");
	rc = conf_fill(&m.conf, c, err);
	m.dry_run = m.conf.dry_run;
	if (rc == ERR_OK)
		rc = src_rbd_diff_open(&m.src, &conf, err);
	if (rc == ERR_OK)
		rc = access_open_for(&m.access, c, RIGHT_WRITE, err);
	if (rc == ERR_OK)
		rc = find_parent(&m, err);
	if (rc == ERR_OK)
		rc = import_all(&m, err);
	if (m.src != NULL)
		m.src->ops->close(m.src);
	access_close(&m.access);
	snapshot_fini(&m.last);
	strings_fini(&m.conf.tags);
	return rc;
}

static const struct flag import_flags[] = {
	{ "image", 0, FLAG_TEXT, "POOL[/NAMESPACE]/IMAGE",
		"the image that the files are of" },
	{ "format", 0, FLAG_TEXT, "FORMAT",
		"rbd-diff or rbd-export (default: what the file is)" },
	{ "tag", 0, FLAG_LIST, "TAG", "tag the snapshots; also TAG,TAG" },
	{ "host", 'H', FLAG_TEXT, "NAME", "instead of this host's name" },
	{ "time", 0, FLAG_TEXT, "TIME",
		"the snapshots' time, instead of the files'" },
	{ "parent", 0, FLAG_TEXT, "SNAPSHOT",
		"go on from it, instead of the image's newest" },
	{ "dry-run", 'n', FLAG_BOOL, NULL, "write nothing" },
	{ "level", 0, FLAG_TEXT, "N", "zstd level, 1 to 19" },
	{ "workers", 0, FLAG_TEXT, "N", "threads (default: processors)" },
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

const struct command cmd_import = {
	.name = "import",
	.operands = "FILE...",
	.summary = "Store files of rbd export-diff or rbd export as snapshots",
	.flags = import_flags,
	.operands_min = 1,
	.operands_max = 1 << 20,
	.run = run_import,
};
