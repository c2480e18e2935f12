/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "cli/access.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/filter.h"
#include "cli/jsonl.h"
#include "cli/policy.h"
#include "cli/prune_flags.h"
#include "cli/text.h"
#include "engine/forget.h"

static const struct flag forget_flags[] = {
	POLICY_FLAGS,
	FILTER_FLAGS,
	{ "dry-run", 'n', FLAG_BOOL, NULL, "say what would be forgotten" },
	{ "force", 0, FLAG_BOOL, NULL,
		"also the last good one of a group, and damaged ones" },
	{ "prune", 0, FLAG_BOOL, NULL, "then prune" },
	PRUNE_FLAGS,
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

/* why_* go by enum period. */
static const char *const rules[PERIODS] = { "last", "hourly", "daily", "weekly",
	"monthly", "yearly" };
static const char *const within_rules[PERIODS] = { "within", "within-hourly",
	"within-daily", "within-weekly", "within-monthly", "within-yearly" };

enum { REASONS_MAX = 1 << 20 };

struct forgetting {
	struct cli *c;
	struct access access;
	struct forget_conf conf;
	struct snapshot_filter filter;
	struct forget_plan plan;
	struct prune_conf prune;
	bool *going; /* for each verdict */
	bool *going_damaged;
	bool by_name, dry;
	char why[POLICY_TEXT_MAX]; /* what the marks say */
	size_t kept, removed;
};

static enum err
go(struct forgetting *f, const struct snapshot_name *name, bool *done,
	struct error *err)
{
	struct error why = ERROR_INIT;
	enum err rc;

	*done = true;
	if (f->dry)
		return ERR_OK;
	if (cli_stop)
		return err_set(err, ERR_CANCELLED, "interrupted");
	rc = marks_forget(f->access.store, repo_keys(f->access.repo), name,
		f->why, &why);
	if (rc == ERR_USAGE) {
		/* Held since the plan was made. */
		cli_warn(f->c, "%s", why.msg);
		f->c->incomplete = true;
		*done = false;
		return ERR_OK;
	}
	if (rc != ERR_OK)
		*err = why;
	return rc;
}

static void
add_reason(struct strings *out, const char *text)
{
	struct error unseen = ERROR_INIT;

	/* A reason for which memory lacks is not shown. */
	if (strings_add(out, text, &unseen) != ERR_OK)
		return;
}

static void
add_held(const struct forgetting *f, const struct mark *m, struct strings *out)
{
	struct buf text = BUF_INIT(8192);
	struct error unseen = ERROR_INIT;
	enum err rc = buf_put(&text, "held: ", 6, &unseen);

	if (rc == ERR_OK)
		rc = marks_reason(f->access.store, repo_keys(f->access.repo), m,
			&text, &unseen);
	if (rc == ERR_OK)
		rc = buf_put_u8(&text, 0, &unseen);
	add_reason(out,
		rc == ERR_OK && text.len > 7 ? (char *)text.data : "held");
	buf_fini(&text);
}

static void
fill_reasons(const struct forgetting *f, const struct verdict *v, bool going,
	struct strings *out)
{
	if (going) {
		add_reason(out, f->by_name ? "by name" : "no rule keeps it");
		return;
	}
	if (f->plan.groups[v->group].refused != REFUSED_NOT) {
		add_reason(out, "its group is refused");
		return;
	}
	for (size_t p = 0; p < PERIODS; p++)
		if (v->r.why & (1u << p))
			add_reason(out, rules[p]);
	for (size_t p = 0; p < PERIODS; p++)
		if (v->r.why_within & (1u << p))
			add_reason(out, within_rules[p]);
	if (v->tag != NULL)
		add_reason(out, "tag");
	if (v->held != NULL)
		add_held(f, v->held, out);
	if (v->r.last_good)
		add_reason(out, "last good one of its group");
}

static void
print_verdict(const struct forgetting *f, const struct verdict *v, bool going)
{
	struct buf text = BUF_INIT(REASONS_MAX);
	struct strings reasons = { NULL, 0 };
	char id[UID_HEX + 1], when[40];
	struct jsonl *j;

	fill_reasons(f, v, going, &reasons);
	if (f->c->json) {
		j = jsonl_new("forget");
		jsonl_str(j, "action", going ? "remove" : "keep");
		jsonl_strings(j, "reasons", &reasons);
		jsonl_when(j, "received", &v->r.received);
		jsonl_uint(j, "group", v->group);
		jsonl_snapshot(j, v->snap);
		jsonl_print(j, stdout);
	} else if (going || !f->c->quiet) {
		hex_encode(v->snap->uid.b, UID_LEN, id);
		when_local(&v->r.received, when);
		(void)printf("%-6s  %.8s  %s  %s\n", going ? "remove" : "keep",
			id, when, text_strings(&text, &reasons));
	}
	strings_fini(&reasons);
	buf_fini(&text);
}

static void
print_damaged(const struct forgetting *f, const struct damaged *d, bool going)
{
	char id[UID_HEX + 1];
	struct jsonl *j;

	hex_encode(d->name.sid.b, UID_LEN, id);
	if (f->c->json) {
		j = jsonl_new("forget");
		jsonl_str(j, "action", going ? "remove" : "keep");
		jsonl_str(j, "id", id);
		jsonl_str(j, "damaged", d->why.msg);
		jsonl_print(j, stdout);
	} else if (going || !f->by_name) {
		(void)printf("%-6s  %.8s  damaged\n", going ? "remove" : "keep",
			id);
	}
	if (!going)
		cli_warn(f->c, "%s", d->why.msg);
}

/* What the snapshots of a group have in common. */
static void
print_group(const struct forgetting *f, const struct forget_group *g)
{
	const struct snapshot *s = f->plan.v[g->first].snap;
	unsigned by = f->conf.group_by;
	struct buf text = BUF_INIT(REASONS_MAX);
	char ns[UID_HEX + 1], host[65];

	if (f->c->json || f->c->quiet)
		return;
	hex_encode(s->ns.b, UID_LEN, ns);
	(void)snprintf(host, sizeof(host), "%s",
		s->host != NULL ? s->host : "");
	text_plain(host);
	(void)printf("%zu snapshots", g->n);
	if (by & GROUP_IDENTITY)
		(void)printf("  identity %.8s", ns);
	if (by & GROUP_HOST)
		(void)printf("  host %s", host);
	if (by & GROUP_PATHS)
		(void)printf("  %s", text_strings(&text, &s->sources));
	if (by & GROUP_TAGS)
		(void)printf("  tags %s", text_strings(&text, &s->tags));
	(void)printf("\n");
	buf_fini(&text);
}

static void
refuse_group(struct forgetting *f, const struct forget_group *g)
{
	const struct snapshot *s = f->plan.v[g->first].snap;

	f->c->incomplete = true;
	if (g->refused == REFUSED_FUTURE)
		cli_warn(f->c,
			"host %s: the store says that it received a snapshot "
			"in the future, so its clock was wrong or this one's "
			"is; --time-from record goes by what the snapshots say "
			"themselves",
			s->host != NULL ? s->host : "");
	if (g->refused != REFUSED_COPIED)
		return;
	cli_warn(f->c,
		"host %s: the store received all %zu snapshots within an hour, "
		"though they were made on different days, so the repository "
		"was probably copied without its times; --time-from record "
		"goes by what the snapshots say themselves",
		s->host != NULL ? s->host : "", g->n);
}

static enum err
carry_out_one(struct forgetting *f, size_t i, struct error *err)
{
	const struct verdict *v = &f->plan.v[i];
	struct snapshot_name name = { v->snap->ns, v->snap->uid };
	bool going = f->going[i];
	enum err rc = ERR_OK;

	if (going)
		rc = go(f, &name, &going, err);
	if (rc != ERR_OK)
		return rc;
	f->removed += going;
	f->kept += !going;
	if (going || !f->by_name)
		print_verdict(f, v, going);
	return ERR_OK;
}

static enum err
carry_out(struct forgetting *f, struct error *err)
{
	enum err rc = ERR_OK;

	for (size_t g = 0; rc == ERR_OK && g < f->plan.n_groups; g++) {
		const struct forget_group *group = &f->plan.groups[g];

		if (!f->by_name)
			print_group(f, group);
		if (!f->by_name && group->refused != REFUSED_NOT)
			refuse_group(f, group);
		for (size_t i = 0; rc == ERR_OK && i < group->n; i++)
			rc = carry_out_one(f, group->first + i, err);
	}
	for (size_t i = 0; rc == ERR_OK && i < f->plan.n_damaged; i++) {
		bool going = f->going_damaged[i];

		if (going)
			rc = go(f, &f->plan.damaged[i].name, &going, err);
		if (rc != ERR_OK)
			break;
		f->removed += going;
		if (!going && !f->by_name)
			f->c->incomplete = true;
		if (going || !f->by_name)
			print_damaged(f, &f->plan.damaged[i], going);
	}
	return rc;
}

static void
print_sum(const struct forgetting *f)
{
	struct jsonl *j;

	if (f->c->json) {
		j = jsonl_new("forget_summary");
		jsonl_bool(j, "dry_run", f->dry);
		jsonl_uint(j, "groups", f->plan.n_groups);
		jsonl_uint(j, "kept", f->kept);
		jsonl_uint(j, "removed", f->removed);
		jsonl_uint(j, "damaged", f->plan.n_damaged);
		jsonl_print(j, stdout);
	} else if (!f->c->quiet && f->by_name) {
		(void)printf("%zu %sforgotten\n", f->removed,
			f->dry ? "would be " : "");
	} else if (!f->c->quiet) {
		(void)printf("%zu %sforgotten, %zu kept\n", f->removed,
			f->dry ? "would be " : "", f->kept);
	}
}

/* ---- by name ---- */

static bool
begins(const struct uid *uid, const char *text)
{
	char id[UID_HEX + 1];

	hex_encode(uid->b, UID_LEN, id);
	return strncmp(id, text, strlen(text)) == 0;
}

static enum err
pick(struct forgetting *f, const char *text, struct error *err)
{
	size_t n = 0;

	if (text[0] == '\0' || strspn(text, "0123456789abcdef") != strlen(text))
		return err_set(err, ERR_USAGE,
			"%.100s is not the name of a snapshot", text);
	for (size_t i = 0; i < f->plan.n; i++)
		if (begins(&f->plan.v[i].snap->uid, text)) {
			f->going[i] = true;
			n++;
		}
	for (size_t i = 0; i < f->plan.n_damaged; i++)
		if (begins(&f->plan.damaged[i].name.sid, text)) {
			f->going_damaged[i] = true;
			n++;
		}
	if (n == 0)
		return err_set(err, ERR_NOTFOUND, "no snapshot %.100s", text);
	if (n > 1)
		return err_set(err, ERR_USAGE,
			"%s begins the names of %zu snapshots", text, n);
	return ERR_OK;
}

static enum err
refuse_held(const struct forgetting *f, const struct verdict *v,
	struct error *err)
{
	struct strings text = { NULL, 0 };
	char id[UID_HEX + 1];
	enum err rc;

	hex_encode(v->snap->uid.b, UID_LEN, id);
	add_held(f, v->held, &text);
	if (text.n > 0)
		text_plain(text.v[0]);
	rc = err_set(err, ERR_USAGE,
		"snapshot %.8s is %.300s; nothing was forgotten", id,
		text.n > 0 ? text.v[0] : "held");
	strings_fini(&text);
	return rc;
}

static enum err
choose_by_name(struct forgetting *f, struct error *err)
{
	bool force = flag_on(f->c, "force");
	char id[UID_HEX + 1];
	size_t last = 0;
	enum err rc = ERR_OK;

	for (size_t i = 0; rc == ERR_OK && i < f->c->n_operands; i++)
		rc = pick(f, f->c->operands[i], err);
	for (size_t i = 0; rc == ERR_OK && i < f->plan.n; i++)
		if (f->going[i] && f->plan.v[i].held != NULL)
			rc = refuse_held(f, &f->plan.v[i], err);
	if (rc != ERR_OK || force)
		return rc;
	for (size_t i = 0; i < f->plan.n_damaged; i++) {
		if (!f->going_damaged[i])
			continue;
		hex_encode(f->plan.damaged[i].name.sid.b, UID_LEN, id);
		return err_set(err, ERR_USAGE,
			"the record of snapshot %.8s is damaged, which may be "
			"repaired; --force forgets it",
			id);
	}
	if (!forget_takes_last(&f->plan, f->going, &last))
		return ERR_OK;
	hex_encode(f->plan.v[last].snap->uid.b, UID_LEN, id);
	return err_set(err, ERR_USAGE,
		"snapshot %.8s is the last good one of its group; --force "
		"forgets it",
		id);
}

/* ---- the command ---- */

static enum err
check_prune(const struct forgetting *f, struct error *err)
{
	static const struct flag flags[] = { PRUNE_FLAGS };
	const struct cli *c = f->c;

	if (flag_on(c, "prune") && f->dry)
		return err_set(err, ERR_USAGE,
			"--prune: nothing can be told of a prune before the "
			"snapshots are forgotten");
	for (size_t i = 0; i < ARRAY_LEN(flags) && !flag_on(c, "prune"); i++)
		if (flag_text(c, flags[i].name) != NULL)
			return err_set(err, ERR_USAGE, "--%s goes with --prune",
				flags[i].name);
	return ERR_OK;
}

static enum err
check_usage(const struct forgetting *f, struct error *err)
{
	const struct snapshot_filter *filter = &f->filter;
	bool empty = retention_is_empty(&f->conf.policy);

	if (check_prune(f, err) != ERR_OK)
		return err->code;
	if (f->by_name &&
		(!empty || f->conf.keep_tags.n > 0 || filter->host != NULL ||
			filter->tags.n > 0 || filter->sources.n > 0))
		return err_set(err, ERR_USAGE,
			"snapshots are forgotten by name or by policy, not by "
			"both");
	if (f->by_name)
		return ERR_OK;
	if (flag_on(f->c, "force"))
		return err_set(err, ERR_USAGE,
			"--force goes with the names of snapshots");
	if (empty && f->conf.keep_tags.n > 0)
		return err_set(err, ERR_USAGE,
			"--keep-tag keeps what other rules would not keep; one "
			"of these is wanted too");
	if (empty)
		return err_set(err, ERR_USAGE,
			"what to forget is not said: name snapshots, or say "
			"what to keep, as in --keep-daily 7");
	return ERR_OK;
}

static enum err
choose(struct forgetting *f, struct error *err)
{
	f->going = calloc(f->plan.n + 1, sizeof(*f->going));
	f->going_damaged =
		calloc(f->plan.n_damaged + 1, sizeof(*f->going_damaged));
	if (f->going == NULL || f->going_damaged == NULL)
		return err_set(err, ERR_NOMEM, "no memory");
	if (f->by_name)
		return choose_by_name(f, err);
	for (size_t i = 0; i < f->plan.n; i++)
		f->going[i] = forget_goes(&f->plan, &f->plan.v[i]);
	return ERR_OK;
}

static enum err
run_forget(struct cli *c, struct error *err)
{
	struct forgetting f = { .c = c,
		.by_name = c->n_operands > 0,
		.dry = flag_on(c, "dry-run") };
	enum err rc;

	rc = filter_fill(&f.filter, c, err);
	if (rc == ERR_OK)
		rc = policy_fill(&f.conf, c, err);
	if (rc == ERR_OK)
		rc = prune_flags_fill(&f.prune, c, err);
	if (rc == ERR_OK)
		rc = check_usage(&f, err);
	if (rc == ERR_OK)
		rc = f.dry ? access_open(&f.access, c, err)
			   : access_open_for(&f.access, c, RIGHT_MAINTAIN, err);
	if (rc == ERR_OK)
		rc = forget_plan(&f.plan, f.access.repo, &f.filter, &f.conf,
			err);
	if (rc == ERR_OK)
		rc = choose(&f, err);
	if (rc == ERR_OK) {
		policy_text(f.why, c);
		rc = carry_out(&f, err);
		print_sum(&f);
	}
	if (rc == ERR_OK && flag_on(c, "prune"))
		rc = prune_flags_run(c, f.access.repo, &f.prune, err);
	free(f.going);
	free(f.going_damaged);
	forget_plan_fini(&f.plan);
	policy_fini(&f.conf);
	filter_fini(&f.filter);
	access_close(&f.access);
	return rc;
}

const struct command cmd_forget = {
	.name = "forget",
	.operands = "[SNAPSHOT...]",
	.summary = "Forget snapshots by name, or all but what a policy keeps",
	.flags = forget_flags,
	.operands_max = SIZE_MAX,
	.run = run_forget,
};
