/* SPDX-License-Identifier: Apache-2.0 */
#include "source/rbd/rbd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source/rbd/capture.h"
#include "source/rbd/pick.h"
#include "source/rbd/reads.h"
#include "source/rbd/state.h"
#include "source/rbd/still.h"

enum { DAY_SEC = 86400 };

static const struct option_spec options[] = {
	{ "conf", OPTION_TEXT, NULL, "the cluster's ceph.conf" },
	{ "user", OPTION_TEXT, "admin", "NAME of client.NAME" },
	{ "keyring", OPTION_TEXT, NULL, "file with its key" },
	{ "timeout", OPTION_NUMBER, "30",
		"seconds for the cluster to answer in" },
	{ "depth", OPTION_NUMBER, "8", "reads of up to 1 MiB at a time" },
	{ "parent", OPTION_BOOL, "yes",
		"of clones, what they share with their parent, too" },
	{ "group", OPTION_TEXT, NULL,
		"the images of POOL[/NS]/GROUP at one instant; with rbd:" },
	{ "together", OPTION_BOOL, "no",
		"open all images before the first snapshot is made, so that "
		"the others follow closely" },
	{ "quiesce", OPTION_BOOL, "yes",
		"ask clients that registered for it to be quiet" },
	{ "hook", OPTION_TEXT, NULL,
		"PROGRAM freeze IMAGE... before, PROGRAM thaw IMAGE... after" },
	{ "hook-timeout", OPTION_NUMBER, "60", "seconds" },
	{ "job", OPTION_TEXT, NULL,
		"name for the snapshots, instead of one derived from the "
		"repository, the host and the operands" },
	{ .name = NULL },
};

static struct rbd *
to_rbd(struct source *src)
{
	return container_of(src, struct rbd, base);
}

static void
rbd_close(struct source *src)
{
	struct rbd *r = to_rbd(src);

	pick_none(r);
	free(r->picks);
	for (size_t i = 0; i < r->n_pools; i++)
		ceph_pool_close(r->pools[i]);
	free(r->pools);
	ceph_disconnect(r->ceph);
	pick_cut_free(&r->group_place);
	free(r);
}

/* ---- open ---- */

static const char *
text(const struct rbd *r, const char *name)
{
	return settings_text(&r->conf.settings, options, name);
}

static uint64_t
number(const struct rbd *r, const char *name)
{
	return settings_number(&r->conf.settings, options, name);
}

static enum err
check_range(const struct rbd *r, const char *name, uint64_t max,
	struct error *err)
{
	uint64_t n = number(r, name);

	if (n >= 1 && n <= max)
		return ERR_OK;
	return err_set(err, ERR_USAGE,
		"source rbd, option %s: it is between 1 and %llu", name,
		(unsigned long long)max);
}

/* It ends up between two dots of a snapshot's name. */
static enum err
check_job(const struct rbd *r, struct error *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	const char *job = text(r, "job");
	size_t len = job != NULL ? strlen(job) : 1;

	if (job == NULL ||
		(len > 0 && len <= JOB_MAX && strspn(job, allowed) == len))
		return ERR_OK;
	return err_set(err, ERR_USAGE,
		"source rbd, option job: up to %d letters, digits, - and _",
		JOB_MAX);
}

static enum err
check_operands(const struct rbd *r, struct error *err)
{
	const struct source_conf *c = &r->conf;
	struct place place = { NULL };
	enum err rc = ERR_OK;

	if (text(r, "group") != NULL) {
		if (c->n_args == 1 && c->args[0][0] == '\0')
			return ERR_OK;
		return err_set(err, ERR_USAGE,
			"with a group the operand is rbd: alone");
	}
	for (size_t i = 0; rc == ERR_OK && i < c->n_args; i++) {
		rc = pick_cut(&place, c->args[i], err);
		pick_cut_free(&place);
	}
	return rc;
}

static enum err
check(const struct rbd *r, struct error *err)
{
	enum err rc = check_operands(r, err);

	if (rc == ERR_OK)
		rc = check_job(r, err);
	if (rc == ERR_OK)
		rc = check_range(r, "timeout", DAY_SEC, err);
	if (rc == ERR_OK)
		rc = check_range(r, "depth", READS_DEPTH_MAX, err);
	if (rc == ERR_OK)
		rc = check_range(r, "hook-timeout", DAY_SEC, err);
	return rc;
}

static enum err
connect(struct rbd *r, struct error *err)
{
	const struct ceph_conf conf = { .conf = text(r, "conf"),
		.user = text(r, "user"),
		.keyring = text(r, "keyring"),
		.timeout_sec = (unsigned)number(r, "timeout") };
	const char *group = text(r, "group");
	enum err rc = ceph_connect(&r->ceph, &conf, err);

	if (rc != ERR_OK || group == NULL)
		return rc;
	rc = pick_cut(&r->group_place, group, err);
	if (rc == ERR_OK)
		rc = pick_pool(r, &r->group_place, &r->group_pool, err);
	r->group = r->group_place.name;
	return rc;
}

static enum err
rbd_open(struct source **out, const struct source_conf *conf, struct error *err)
{
	struct rbd *r = calloc(1, sizeof(*r));
	const struct settings *s = &conf->settings;
	enum err rc;

	if (r == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a source");
	r->base.ops = &rbd_source_ops;
	r->conf = *conf;
	r->depth = (unsigned)number(r, "depth");
	r->hook_sec = (unsigned)number(r, "hook-timeout");
	r->hook = text(r, "hook");
	r->parent = settings_bool(s, options, "parent");
	r->together = settings_bool(s, options, "together") ||
		      text(r, "group") != NULL || r->hook != NULL;
	r->quiesce = settings_bool(s, options, "quiesce");
	rc = check(r, err);
	if (rc == ERR_OK)
		rc = connect(r, err);
	if (rc != ERR_OK) {
		rbd_close(&r->base);
		return rc;
	}
	*out = &r->base;
	return ERR_OK;
}

/* ---- a run ---- */

static enum err
rbd_describe(struct source *src,
	enum err (*name)(void *arg, const char *name, struct error *err),
	void *arg, struct error *err)
{
	struct rbd *r = to_rbd(src);
	const char *group = text(r, "group");
	enum err rc = ERR_OK;
	char *label;

	for (size_t i = 0; rc == ERR_OK && i < r->conf.n_args; i++) {
		if (asprintf(&label, "rbd:%s%s", group != NULL ? "group=" : "",
			    group != NULL ? group : r->conf.args[i]) < 0)
			return err_set(err, ERR_NOMEM, "no memory for a name");
		rc = name(arg, label, err);
		free(label);
	}
	return rc;
}

static enum err
rbd_freeze(struct source *src, const struct source_run *run, struct error *err)
{
	struct rbd *r = to_rbd(src);
	const char *job = text(r, "job");
	enum err rc;

	(void)snprintf(r->job, sizeof(r->job), "%s",
		job != NULL ? job : run->job);
	r->dry_run = run->dry_run;
	rc = pick_all(r, err);
	if (rc != ERR_OK)
		return rc;
	if (!r->dry_run)
		return still_make(r, err);
	r->first = r->last = when_now();
	for (size_t i = 0; i < r->n_picks; i++)
		r->picks[i]->taken = r->first;
	return ERR_OK;
}

static enum err
rbd_capture(struct source *src, struct sink *sink, struct error *err)
{
	return capture_all(to_rbd(src), sink, err);
}

static enum err
rbd_thaw(struct source *src, bool committed, struct error *err)
{
	struct rbd *r = to_rbd(src);
	enum err rc = r->dry_run ? ERR_OK : still_end(r, committed, err);

	pick_none(r);
	return rc;
}

const struct source_ops rbd_source_ops = {
	.scheme = "rbd",
	.summary = "images of a Ceph cluster: POOL[/NAMESPACE]/IMAGE, or a "
		   "pattern for the image",
	.options = options,
	.caps = { .change_map = true },
	.open = rbd_open,
	.close = rbd_close,
	.describe = rbd_describe,
	.capture = rbd_capture,
	.freeze = rbd_freeze,
	.thaw = rbd_thaw,
};
