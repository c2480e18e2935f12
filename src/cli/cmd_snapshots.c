/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/units.h"
#include "cli/access.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/filter.h"
#include "cli/jsonl.h"
#include "cli/text.h"
#include "engine/select.h"
#include "repo/marks.h"

static const struct flag snapshots_flags[] = {
	FILTER_FLAGS,
	{ "latest", 0, FLAG_BOOL, NULL,
		"only the newest of each host and sources" },
	{ "forgotten", 0, FLAG_BOOL, NULL,
		"those that are forgotten, and when they were" },
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

struct listing {
	const struct cli *c;
	struct access access;
	struct snapshot_list list;
	struct marks marks;
};

/* The reason is kept in b. */
static const char *
reason_of(struct listing *l, const struct mark *m, struct buf *b)
{
	struct error unseen = ERROR_INIT;
	enum err rc;

	buf_clear(b);
	rc = marks_reason(l->access.store, repo_keys(l->access.repo), m, b,
		&unseen);
	if (rc == ERR_OK)
		rc = buf_put_u8(b, 0, &unseen);
	return rc == ERR_OK ? (const char *)b->data : "";
}

static void
print_json(struct listing *l, const struct snapshot *s, const struct mark *m)
{
	struct buf why = BUF_INIT(1 << 16);
	struct jsonl *j = jsonl_new("snapshot");

	jsonl_snapshot(j, s);
	if (m != NULL && m->held)
		jsonl_str(j, "held_for", reason_of(l, m, &why));
	if (m != NULL && m->forgotten) {
		jsonl_when(j, "forgotten_at", &m->forgotten_at);
		if (!m->held)
			jsonl_str(j, "forgotten_for", reason_of(l, m, &why));
		jsonl_bool(j, "being_removed", m->swept);
	}
	jsonl_print(j, stdout);
	buf_fini(&why);
}

/* What marks say, behind the rest of the line. */
static void
print_mark(struct listing *l, const struct mark *m)
{
	struct buf why = BUF_INIT(1 << 16), text = BUF_INIT(1 << 18);
	const char *reason = reason_of(l, m, &why);
	struct bytes bytes = { (const uint8_t *)reason, strlen(reason) };
	char when[40];

	if (m->forgotten) {
		when_local(&m->forgotten_at, when);
		(void)printf("  (forgotten %s%s)", when,
			m->swept ? ", being removed" : "");
	} else if (m->held) {
		(void)printf("  (held: %s)", text_bytes(&text, bytes));
	}
	buf_fini(&text);
	buf_fini(&why);
}

static void
print_one(struct listing *l, const struct snapshot *s)
{
	struct snapshot_name name = { s->ns, s->uid };
	const struct mark *m = marks_find(&l->marks, &name);
	struct buf tags = BUF_INIT(1 << 20), sources = BUF_INIT(1 << 24);
	char id[UID_HEX + 1], when[40], bytes[24], host[18];

	if (l->c->json) {
		print_json(l, s, m);
		return;
	}
	hex_encode(s->uid.b, UID_LEN, id);
	when_local(&s->begin, when);
	units_bytes(s->figures.bytes, bytes);
	(void)snprintf(host, sizeof(host), "%s",
		s->host != NULL ? s->host : "");
	text_plain(host);
	(void)printf("%.8s  %s  %-16s  %-12s  %11s  %s%s", id, when, host,
		text_strings(&tags, &s->tags), bytes,
		text_strings(&sources, &s->sources),
		s->flags & SNAPSHOT_INCOMPLETE ? "  (incomplete)" : "");
	if (m != NULL)
		print_mark(l, m);
	(void)printf("\n");
	buf_fini(&tags);
	buf_fini(&sources);
}

/* Whether a newer one of the same host and sources follows. */
static bool
is_outdated(const struct snapshot_list *list, size_t i)
{
	const struct snapshot *s = &list->v[i];

	for (size_t k = i + 1; k < list->n; k++)
		if (strcmp(list->v[k].host, s->host) == 0 &&
			strings_eq(&list->v[k].sources, &s->sources))
			return true;
	return false;
}

/* One that means nothing may hide that a snapshot is held. */
static void
warn_mark(void *arg, const char *name, const struct error *why)
{
	cli_warn(arg, "%s", why->msg);
}

static enum err
run_snapshots(struct cli *c, struct error *err)
{
	struct listing l = { .c = c };
	struct snapshot_filter filter;
	size_t shown = 0;
	enum err rc;

	rc = filter_fill(&filter, c, err);
	filter.forgotten = flag_on(c, "forgotten");
	if (rc == ERR_OK)
		rc = access_open(&l.access, c, err);
	if (rc == ERR_OK)
		rc = snapshot_list_load(&l.list, l.access.repo, &filter, err);
	if (rc == ERR_OK)
		rc = marks_read(&l.marks, l.access.store,
			repo_keys(l.access.repo), warn_mark, c, err);
	if (rc == ERR_OK && !c->json && l.list.n > 0)
		(void)printf("%-8s  %-19s  %-16s  %-12s  %11s  %s\n", "ID",
			"time", "host", "tags", "size", "sources");
	for (size_t i = 0; rc == ERR_OK && i < l.list.n; i++) {
		if (flag_on(c, "latest") && is_outdated(&l.list, i))
			continue;
		print_one(&l, &l.list.v[i]);
		shown++;
	}
	if (rc == ERR_OK && !c->json && !c->quiet)
		(void)printf("%zu snapshots\n", shown);
	marks_fini(&l.marks);
	snapshot_list_fini(&l.list);
	filter_fini(&filter);
	access_close(&l.access);
	return rc;
}

const struct command cmd_snapshots = {
	.name = "snapshots",
	.operands = "",
	.summary = "List the snapshots",
	.flags = snapshots_flags,
	.run = run_snapshots,
};
