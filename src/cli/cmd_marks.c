/* SPDX-License-Identifier: Apache-2.0 */
/* undelete, hold, release: what keeps a snapshot from being removed. */
#include <string.h>

#include "cli/access.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/jsonl.h"
#include "engine/select.h"
#include "repo/marks.h"

static void
tell(const struct cli *c, const char *what, const struct snapshot_name *name)
{
	char id[UID_HEX + 1];
	struct jsonl *j;

	hex_encode(name->sid.b, UID_LEN, id);
	if (c->json) {
		j = jsonl_new("mark");
		jsonl_str(j, "change", what);
		jsonl_str(j, "id", id);
		jsonl_print(j, stdout);
	} else if (!c->quiet) {
		(void)printf("snapshot %.8s is %s\n", id, what);
	}
}

static bool
is_forgotten(const struct mark *m)
{
	return m->forgotten;
}

static bool
is_held(const struct mark *m)
{
	return m->held;
}

/* The one marked snapshot whose uid begins with text.  Its record is not
 * needed. */
static enum err
pick(const struct marks *marks, bool (*fits)(const struct mark *),
	const char *text, const char *what, struct snapshot_name *out,
	struct error *err)
{
	char id[UID_HEX + 1];
	size_t n = 0;

	for (size_t i = 0; i < marks->n; i++) {
		hex_encode(marks->v[i].name.sid.b, UID_LEN, id);
		if (!fits(&marks->v[i]) || text[0] == '\0' ||
			strncmp(id, text, strlen(text)) != 0)
			continue;
		*out = marks->v[i].name;
		n++;
	}
	if (n == 0)
		return err_set(err, ERR_NOTFOUND, "no %s snapshot %.100s", what,
			text);
	if (n > 1)
		return err_set(err, ERR_USAGE,
			"%s begins the names of %zu snapshots", text, n);
	return ERR_OK;
}

typedef enum err change_fn(struct store *st, const struct keyset *ks,
	const struct snapshot_name *name, struct error *err);

/* The same for each operand; the first failure ends it. */
static enum err
change_marked(struct cli *c, bool (*fits)(const struct mark *), const char *was,
	const char *is, change_fn *change, struct error *err)
{
	struct access a = { NULL, NULL };
	struct marks marks = { NULL, 0 };
	struct snapshot_name name;
	enum err rc;

	rc = access_open_for(&a, c, RIGHT_MAINTAIN, err);
	if (rc == ERR_OK)
		rc = marks_read(&marks, a.store, repo_keys(a.repo), NULL, NULL,
			err);
	for (size_t i = 0; rc == ERR_OK && i < c->n_operands; i++) {
		rc = pick(&marks, fits, c->operands[i], was, &name, err);
		if (rc == ERR_OK)
			rc = change(a.store, repo_keys(a.repo), &name, err);
		if (rc == ERR_OK)
			tell(c, is, &name);
	}
	marks_fini(&marks);
	access_close(&a);
	return rc;
}

static enum err
run_undelete(struct cli *c, struct error *err)
{
	return change_marked(c, is_forgotten, "forgotten", "undeleted",
		marks_undelete, err);
}

static enum err
run_release(struct cli *c, struct error *err)
{
	return change_marked(c, is_held, "held", "released", marks_release,
		err);
}

static void
warn_bad(void *arg, const struct error *why)
{
	cli_warn(arg, "%s", why->msg);
}

static enum err
hold_one(struct access *a, struct cli *c, const char *text, struct error *err)
{
	struct snapshot_filter filter = { .bad = warn_bad, .bad_arg = c };
	struct snapshot_name name;
	struct snapshot snap;
	enum err rc;

	snapshot_init(&snap);
	rc = snapshot_select(&snap, a->repo, text, &filter, err);
	name = (struct snapshot_name){ snap.ns, snap.uid };
	snapshot_fini(&snap);
	if (rc == ERR_OK)
		rc = marks_hold(a->store, repo_keys(a->repo), &name,
			flag_text(c, "reason"), err);
	if (rc == ERR_OK)
		tell(c, "held", &name);
	return rc;
}

static enum err
run_hold(struct cli *c, struct error *err)
{
	struct access a = { NULL, NULL };
	enum err rc;

	if (flag_text(c, "reason") == NULL)
		return err_set(err, ERR_USAGE,
			"a hold needs a --reason, for who meets it later");
	rc = access_open_for(&a, c, RIGHT_MAINTAIN, err);
	for (size_t i = 0; rc == ERR_OK && i < c->n_operands; i++)
		rc = hold_one(&a, c, c->operands[i], err);
	access_close(&a);
	return rc;
}

static const struct flag hold_flags[] = {
	{ "reason", 0, FLAG_TEXT, "TEXT", "why; required" },
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

const struct command cmd_undelete = {
	.name = "undelete",
	.operands = "SNAPSHOT...",
	.summary = "Take back that snapshots were forgotten",
	.operands_min = 1,
	.operands_max = SIZE_MAX,
	.run = run_undelete,
};

const struct command cmd_hold = {
	.name = "hold",
	.operands = "SNAPSHOT...",
	.summary = "Keep snapshots from being forgotten",
	.flags = hold_flags,
	.operands_min = 1,
	.operands_max = SIZE_MAX,
	.run = run_hold,
};

const struct command cmd_release = {
	.name = "release",
	.operands = "SNAPSHOT...",
	.summary = "Let held snapshots be forgotten again",
	.operands_min = 1,
	.operands_max = SIZE_MAX,
	.run = run_release,
};
