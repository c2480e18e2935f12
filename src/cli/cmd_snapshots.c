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

static const struct flag snapshots_flags[] = {
	FILTER_FLAGS,
	{ "latest", 0, FLAG_BOOL, NULL,
		"only the newest of each host and sources" },
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

static void
print_one(const struct cli *c, const struct snapshot *s)
{
	struct buf tags = BUF_INIT(1 << 20), sources = BUF_INIT(1 << 24);
	char id[UID_HEX + 1], when[40], bytes[24], host[18];
	struct jsonl *j;

	if (c->json) {
		j = jsonl_new("snapshot");
		jsonl_snapshot(j, s);
		jsonl_print(j, stdout);
		return;
	}
	hex_encode(s->uid.b, UID_LEN, id);
	when_local(&s->begin, when);
	units_bytes(s->figures.bytes, bytes);
	(void)snprintf(host, sizeof(host), "%s",
		s->host != NULL ? s->host : "");
	text_plain(host);
	(void)printf("%.8s  %s  %-16s  %-12s  %11s  %s%s\n", id, when, host,
		text_strings(&tags, &s->tags), bytes,
		text_strings(&sources, &s->sources),
		s->flags & SNAPSHOT_INCOMPLETE ? "  (incomplete)" : "");
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

static enum err
run_snapshots(struct cli *c, struct error *err)
{
	struct snapshot_list list = { NULL, 0 };
	struct snapshot_filter filter;
	struct access access = { NULL, NULL };
	size_t shown = 0;
	enum err rc;

	rc = filter_fill(&filter, c, err);
	if (rc == ERR_OK)
		rc = access_open(&access, c, err);
	if (rc == ERR_OK)
		rc = snapshot_list_load(&list, access.repo, &filter, err);
	if (rc == ERR_OK && !c->json && list.n > 0)
		(void)printf("%-8s  %-19s  %-16s  %-12s  %11s  %s\n", "ID",
			"time", "host", "tags", "size", "sources");
	for (size_t i = 0; i < list.n; i++) {
		if (flag_on(c, "latest") && is_outdated(&list, i))
			continue;
		print_one(c, &list.v[i]);
		shown++;
	}
	if (rc == ERR_OK && !c->json && !c->quiet)
		(void)printf("%zu snapshots\n", shown);
	snapshot_list_fini(&list);
	filter_fini(&filter);
	access_close(&access);
	return rc;
}

const struct command cmd_snapshots = {
	.name = "snapshots",
	.operands = "",
	.summary = "List the snapshots",
	.flags = snapshots_flags,
	.run = run_snapshots,
};
