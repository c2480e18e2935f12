/* SPDX-License-Identifier: Apache-2.0 */
/* moosefs log: what happened in a MooseFS. */
#include <inttypes.h>
#include <string.h>

#include "base/time.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/filter.h"
#include "cli/jsonl.h"
#include "cli/opened.h"
#include "cli/text.h"
#include "engine/mfs_history.h"

enum { NAME_ROOM = 5 * (MFS_TEXT_MAX + 64), SHOWN_MAX = 160 };

struct logging {
	struct cli *c;
	struct buf text;
};

static struct bytes
bytes_of(struct mfs_text t)
{
	return (struct bytes){ (const uint8_t *)t.p, t.len };
}

static void
client_text(uint32_t client, char out[16])
{
	(void)snprintf(out, 16, "%u.%u.%u.%u", client >> 24, client >> 16 & 255,
		client >> 8 & 255, client & 255);
}

static void
print_json(const struct mfs_event *e)
{
	const struct mfs_change *c = e->change;
	struct when at = { .sec = (int64_t)c->seconds };
	struct jsonl *j = jsonl_new("moosefs_change");
	char client[16];

	jsonl_uint(j, "id", c->id);
	jsonl_when(j, "time", &at);
	jsonl_bytes(j, "op", bytes_of(c->op));
	if (e->inode != 0)
		jsonl_uint(j, "inode", e->inode);
	if (e->path.len > 0)
		jsonl_bytes(j, "path", bytes_of(e->path));
	if (e->path_to.len > 0)
		jsonl_bytes(j, "path_to", bytes_of(e->path_to));
	if (e->deleted)
		jsonl_bool(j, "deleted", true);
	if (e->session != 0)
		jsonl_uint(j, "session", e->session);
	if (e->has_client) {
		client_text(e->client, client);
		jsonl_str(j, "client", client);
		jsonl_bytes(j, "mount", bytes_of(e->mount));
	}
	jsonl_bytes(j, "line", bytes_of(e->text));
	jsonl_print(j, stdout);
}

static void
print_session(struct logging *l, const struct mfs_event *e)
{
	char client[16];

	if (e->session == 0)
		return;
	(void)printf("  session %" PRIu32, e->session);
	if (!e->has_client)
		return;
	client_text(e->client, client);
	(void)printf(" of %s:%s", client,
		text_bytes(&l->text, bytes_of(e->mount)));
}

static void
print_text(struct logging *l, const struct mfs_event *e)
{
	const struct mfs_change *c = e->change;
	struct mfs_text line = e->text;
	char when[40];

	mfs_moment_text(c->seconds, when);
	(void)printf("%s  %" PRIu64 "  ", when, c->id);
	if (e->path.len == 0) {
		if (line.len > SHOWN_MAX)
			line.len = SHOWN_MAX;
		(void)fputs(text_bytes(&l->text, bytes_of(line)), stdout);
	} else {
		(void)printf("%-9s", text_bytes(&l->text, bytes_of(c->op)));
		(void)printf(" %s", text_bytes(&l->text, bytes_of(e->path)));
	}
	if (e->path_to.len > 0)
		(void)printf(" -> %s",
			text_bytes(&l->text, bytes_of(e->path_to)));
	if (e->deleted)
		(void)printf("  (deleted)");
	print_session(l, e);
	(void)putchar('\n');
}

static enum err
print_event(void *arg, const struct mfs_event *e, struct error *err)
{
	struct logging *l = arg;

	if (l->c->json)
		print_json(e);
	else
		print_text(l, e);
	/* Who reads no more, as head does, ends it. */
	if (ferror(stdout))
		return cli_flush(err);
	return ERR_OK;
}

static enum err
moment_flag(const struct cli *c, const char *name, struct mfs_moment *out,
	struct error *err)
{
	const char *text = flag_text(c, name);
	enum err rc = ERR_OK;

	if (text != NULL)
		rc = mfs_moment_parse(out, text, err);
	return rc == ERR_OK ? rc : err_wrap(err, "--%s", name);
}

static void
warn_of(const struct cli *c, const struct mfs_history_result *r)
{
	if (r->no_paths)
		cli_warn(c, "the image is of a newer kind: changes are shown "
			    "without paths");
	if (r->gaps > 0)
		cli_warn(c,
			"%" PRIu64 " changes made names that a log does not "
			"tell (copies of trees, files from the trash): paths "
			"below them are not known",
			r->gaps);
}

static enum err
log_opened(struct logging *l, struct opened *o, const char *subpath,
	const struct mfs_history_conf *conf, struct error *err)
{
	struct mfs_history_result result;
	struct mfs_set *set = NULL;
	enum err rc;

	rc = mfs_set_open(&set, o->access.repo, &o->snap, subpath, &cli_stop,
		err);
	if (rc == ERR_OK)
		rc = mfs_history_run(set, conf, print_event, l, &result, err);
	mfs_set_close(set);
	if (rc != ERR_OK)
		return rc;
	warn_of(l->c, &result);
	return ERR_OK;
}

static enum err
run_log(struct cli *c, struct error *err)
{
	struct mfs_history_conf conf = { .path = flag_text(c, "below"),
		.op = flag_text(c, "op") };
	struct logging l = { .c = c, .text = BUF_INIT(NAME_ROOM) };
	const char *colon = strchr(c->operands[0], ':');
	struct opened o;
	enum err rc;

	rc = moment_flag(c, "from", &conf.from, err);
	if (rc == ERR_OK)
		rc = moment_flag(c, "to", &conf.to, err);
	if (rc != ERR_OK)
		return rc;
	rc = opened_open(&o, c, c->operands[0], err);
	if (rc == ERR_OK)
		rc = log_opened(&l, &o, colon != NULL ? colon + 1 : NULL, &conf,
			err);
	opened_close(&o);
	buf_fini(&l.text);
	return rc;
}

static const struct flag log_flags[] = {
	{ "from", 0, FLAG_TEXT, "TIME|ID", "the first change" },
	{ "to", 0, FLAG_TEXT, "TIME|ID", "the last one" },
	{ "below", 0, FLAG_TEXT, "PATH", "only what is at or below it" },
	{ "op", 0, FLAG_TEXT, "OP", "only this operation, as UNLINK" },
	FILTER_FLAGS,
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

const struct command cmd_moosefs_log = {
	.name = "moosefs log",
	.operands = "SNAPSHOT[:ID]",
	.summary = "Print the changes of a MooseFS between two moments",
	.flags = log_flags,
	.operands_min = 1,
	.operands_max = 1,
	.run = run_log,
};
