/* SPDX-License-Identifier: Apache-2.0 */
/* moosefs diff: what changed between two moments of a MooseFS. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/filter.h"
#include "cli/jsonl.h"
#include "cli/opened.h"
#include "cli/text.h"
#include "engine/mfs_compare.h"
#include "engine/select.h"

enum { NAME_ROOM = 5 * (MFS_TEXT_MAX + 64) };

/* SNAPSHOT[:ID][@MOMENT] */
struct operand {
	char *copy, *name, *subpath;
	struct mfs_moment at;
	struct mfs_set *set;
};

struct differing {
	struct cli *c;
	struct operand sides[2];
	struct snapshot other; /* of the second one */
	struct buf text;
};

static struct bytes
bytes_of(struct mfs_text t)
{
	return (struct bytes){ (const uint8_t *)t.p, t.len };
}

/* ---- what is printed ---- */

static void
json_counts(struct jsonl *j, const struct mfs_compare_counts *n)
{
	jsonl_uint(j, "added", n->added);
	jsonl_uint(j, "removed", n->removed);
	jsonl_uint(j, "renamed", n->renamed);
}

static enum err
print_directory(void *arg, struct mfs_text path,
	const struct mfs_compare_counts *n, struct error *err)
{
	struct differing *d = arg;
	struct jsonl *j;

	(void)err;
	if (d->c->json) {
		j = jsonl_new("moosefs_directory");
		jsonl_bytes(j, "path", bytes_of(path));
		json_counts(j, n);
		jsonl_print(j, stdout);
		return ERR_OK;
	}
	(void)printf("%s: %" PRIu64 " added, %" PRIu64 " removed, %" PRIu64
		     " renamed\n",
		text_bytes(&d->text, bytes_of(path)), n->added, n->removed,
		n->renamed);
	return ERR_OK;
}

static enum err
print_name(void *arg, const struct mfs_difference *x, struct error *err)
{
	static const char letters[] = "+-R";
	const char modifier[] = { letters[x->kind], '\0' };
	struct differing *d = arg;
	struct jsonl *j;

	if (d->c->json) {
		j = jsonl_new("moosefs_difference");
		jsonl_str(j, "modifier", modifier);
		jsonl_uint(j, "inode", x->inode);
		jsonl_bytes(j, "path", bytes_of(x->path));
		if (x->path_to.len > 0)
			jsonl_bytes(j, "path_to", bytes_of(x->path_to));
		jsonl_print(j, stdout);
	} else {
		(void)printf("%s  %s", modifier,
			text_bytes(&d->text, bytes_of(x->path)));
		if (x->path_to.len > 0)
			(void)printf(" -> %s",
				text_bytes(&d->text, bytes_of(x->path_to)));
		(void)putchar('\n');
	}
	return ferror(stdout) ? cli_flush(err) : ERR_OK;
}

static void
print_sum(const struct differing *d, const struct mfs_compare_result *r)
{
	const struct mfs_compare_counts *n = &r->counts;
	struct jsonl *j;

	if (d->c->json) {
		j = jsonl_new("summary");
		jsonl_uint(j, "last_change_before", r->last_a);
		jsonl_uint(j, "last_change_after", r->last_b);
		jsonl_str(j, "compared_by", r->by_lines ? "lines" : "images");
		json_counts(j, n);
		jsonl_print(j, stdout);
	} else if (!d->c->quiet) {
		(void)printf("%" PRIu64 " added, %" PRIu64 " removed, %" PRIu64
			     " renamed\n",
			n->added, n->removed, n->renamed);
	}
	if (r->gaps > 0)
		cli_warn(d->c,
			"%" PRIu64 " changes made names that a log does not "
			"tell (copies of trees, files from the trash)",
			r->gaps);
}

/* ---- the moments ---- */

static enum err
parse_operand(struct operand *o, const char *text, struct error *err)
{
	char *at;
	enum err rc = ERR_OK;

	o->copy = strdup(text);
	if (o->copy == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	at = strrchr(o->copy, '@');
	if (at != NULL) {
		*at++ = '\0';
		rc = mfs_moment_parse(&o->at, at, err);
	}
	snapshot_split(o->copy, &o->name, &o->subpath);
	return rc == ERR_OK ? rc : err_wrap(err, "%s", text);
}

static enum err
find_other(struct differing *d, struct opened *o, struct error *err)
{
	struct snapshot_filter filter;
	enum err rc = filter_fill(&filter, d->c, err);

	if (rc == ERR_OK)
		rc = snapshot_select(&d->other, o->access.repo,
			d->sides[1].name, &filter, err);
	filter_fini(&filter);
	return rc;
}

static enum err
open_sets(struct differing *d, struct opened *o, struct error *err)
{
	const struct snapshot *snaps[] = { &o->snap, &d->other };
	enum err rc = find_other(d, o, err);

	for (unsigned i = 0; i < 2 && rc == ERR_OK; i++) {
		rc = mfs_set_open(&d->sides[i].set, o->access.repo, snaps[i],
			d->sides[i].subpath, &cli_stop, err);
		if (rc != ERR_OK)
			(void)err_wrap(err, "%s", d->sides[i].name);
	}
	return rc;
}

static enum err
compare(struct differing *d, struct error *err)
{
	const struct mfs_compare_side a = { d->sides[0].set, d->sides[0].at },
				      b = { d->sides[1].set, d->sides[1].at };
	struct mfs_compare_fn fn = { print_directory, print_name, d };
	struct mfs_compare_result result;
	enum err rc;

	if (flag_on(d->c, "counts"))
		fn.name = NULL;
	rc = mfs_compare_run(&a, &b, 0, &fn, &result, err);
	if (rc == ERR_OK)
		print_sum(d, &result);
	return rc;
}

static enum err
run_diff(struct cli *c, struct error *err)
{
	struct differing d = { .c = c, .text = BUF_INIT(NAME_ROOM) };
	struct opened o = { 0 };
	enum err rc = ERR_OK;

	snapshot_init(&d.other);
	for (unsigned i = 0; i < 2 && rc == ERR_OK; i++)
		rc = parse_operand(&d.sides[i], c->operands[i], err);
	if (rc == ERR_OK) {
		rc = opened_open(&o, c, d.sides[0].name, err);
		if (rc == ERR_OK)
			rc = open_sets(&d, &o, err);
		if (rc == ERR_OK)
			rc = compare(&d, err);
		for (unsigned i = 0; i < 2; i++)
			mfs_set_close(d.sides[i].set);
		opened_close(&o);
	}
	for (unsigned i = 0; i < 2; i++)
		free(d.sides[i].copy);
	snapshot_fini(&d.other);
	buf_fini(&d.text);
	return rc;
}

static const struct flag diff_flags[] = {
	{ "counts", 0, FLAG_BOOL, NULL, "only the counts of each directory" },
	FILTER_FLAGS,
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

const struct command cmd_moosefs_diff = {
	.name = "moosefs diff",
	.operands = "SNAPSHOT[:ID][@TIME|@CHANGE] SNAPSHOT[:ID][@TIME|@CHANGE]",
	.summary = "Tell which names changed between two moments of a MooseFS",
	.flags = diff_flags,
	.operands_min = 2,
	.operands_max = 2,
	.run = run_diff,
};
