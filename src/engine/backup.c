/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup: the steps of one run.
 *
 * Crash argument: everything up to writer_commit only adds packs and index
 * segments that no snapshot refers to; writer_commit is the one point at
 * which the snapshot appears, whole (repo/writer.h).
 */
#include "engine/backup.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/hash.h"
#include "engine/select.h"
#include "engine/sink.h"

enum { RECORD_MAX = 16 << 20, JOB_HEX = 16 };

static const char not_cached[] =
	"this key cannot read the previous snapshot, and the local cache does "
	"not have its tree: everything is read";

struct run {
	struct repo *repo;
	const struct backup_conf *conf;
	const struct report *report;
	struct snapshot snap; /* to be */
	struct ingest in;
	struct backup_sink *sink;
	char job[JOB_HEX + 1]; /* for struct source_run */
	bool frozen; /* the source waits for a thaw */
	bool fenced; /* this is why it failed */
};

static enum err
copy_text(char **out, const char *text, struct error *err)
{
	*out = strdup(text);
	return *out != NULL ? ERR_OK : err_set(err, ERR_NOMEM, "out of memory");
}

static enum err
add_source(void *arg, const char *name, struct error *err)
{
	return strings_add(&((struct run *)arg)->snap.sources, name, err);
}

static enum err
fill_identity(struct run *run, struct source *src, struct error *err)
{
	struct snapshot *s = &run->snap;
	char host[256] = "", user[256];
	struct passwd pw, *found = NULL;
	char room[4096];
	enum err rc;

	if (gethostname(host, sizeof(host) - 1) != 0)
		return err_sys(err, errno, "name of this host");
	if (getpwuid_r(geteuid(), &pw, room, sizeof(room), &found) == 0 &&
		found != NULL)
		(void)snprintf(user, sizeof(user), "%s", found->pw_name);
	else
		(void)snprintf(user, sizeof(user), "%u", geteuid());
	rc = copy_text(&s->host,
		run->conf->host != NULL ? run->conf->host : host, err);
	if (rc == ERR_OK)
		rc = copy_text(&s->user, user, err);
	if (rc == ERR_OK)
		rc = copy_text(&s->program, "coffer " COFFER_VERSION, err);
	for (size_t i = 0; i < run->conf->tags.n && rc == ERR_OK; i++)
		rc = strings_add(&s->tags, run->conf->tags.v[i], err);
	if (rc == ERR_OK)
		rc = src->ops->describe(src, add_source, run, err);
	s->begin = run->conf->has_time ? run->conf->time : when_now();
	return rc;
}

/* It cannot be a parent; whoever takes care of the repository hears of it. */
static void
on_bad_snapshot(void *arg, const struct error *why)
{
	const struct report *report = ((struct run *)arg)->report;
	char text[600];

	(void)snprintf(text, sizeof(text), "passed over: %s", why->msg);
	report->note(report->arg, text);
}

static void
note(const struct run *run, const char *sentence)
{
	run->report->note(run->report->arg, sentence);
}

/* ---- for keys that cannot read nodes ---- */

static bool
reads_nodes(const struct keyset *ks)
{
	for (size_t i = 0; i < ks->n_epochs; i++)
		if (!ks->epochs[i].has_secret)
			return false;
	return true;
}

/* A host and what is backed up there. */
static enum err
put_lineage(const struct snapshot *s, struct buf *out, struct error *err)
{
	enum err rc = buf_put_str(out, s->host, err);

	for (size_t i = 0; i < s->sources.n && rc == ERR_OK; i++)
		rc = buf_put_str(out, s->sources.v[i], err);
	return rc;
}

static enum err
open_nodes(struct run *run, const struct source *src, struct error *err)
{
	struct buf lineage = BUF_INIT(RECORD_MAX);
	struct nodecache_conf conf = { .size_max = 0 };
	enum err rc;

	if (reads_nodes(repo_keys(run->repo)))
		return ERR_OK;
	rc = put_lineage(&run->snap, &lineage, err);
	conf.lineage = lineage.data;
	conf.lineage_len = lineage.len;
	if (rc == ERR_OK)
		rc = nodecache_open(&run->in.nodes, run->repo, &conf, err);
	run->in.nodes_of_images = src->ops->caps.change_map;
	run->in.nodes_read_only = run->conf->dry_run;
	buf_fini(&lineage);
	return rc;
}

/* Whether its tree can be read. */
static bool
may_compare(const struct run *run, const struct snapshot *s)
{
	return run->in.nodes == NULL ||
	       nodecache_holds(run->in.nodes, &s->root);
}

static void
publish_nodes(struct run *run)
{
	struct error why = ERROR_INIT;
	char text[600];

	if (run->in.nodes == NULL || run->conf->dry_run ||
		nodecache_publish(run->in.nodes, &run->snap.root, &why) ==
			ERR_OK)
		return;
	(void)snprintf(text, sizeof(text),
		"nothing is kept in the local cache, so the next backup reads "
		"everything: %s",
		why.msg);
	note(run, text);
}

/* ---- the parent ---- */

/* The newest snapshot of the same host and the same sources whose tree can be
 * read. */
static enum err
find_parent(struct run *run, struct snapshot *parent, bool *found,
	struct error *err)
{
	struct snapshot_filter filter = { .host = run->snap.host,
		.bad = on_bad_snapshot,
		.bad_arg = run };
	struct snapshot_list list;
	bool missed = false;
	enum err rc;

	*found = false;
	rc = snapshot_list_load(&list, run->repo, &filter, err);
	if (rc != ERR_OK)
		return rc;
	for (size_t i = list.n; i > 0 && !*found; i--) {
		struct snapshot *s = &list.v[i - 1];

		if (!strings_eq(&s->sources, &run->snap.sources))
			continue;
		missed = !may_compare(run, s);
		if (missed)
			continue;
		*parent = *s;
		snapshot_init(s);
		*found = true;
	}
	snapshot_list_fini(&list);
	if (missed)
		note(run, not_cached);
	return ERR_OK;
}

static enum err
choose_parent(struct run *run, struct snapshot *parent, struct error *err)
{
	struct snapshot *s = &run->snap;
	enum err rc;

	if (run->conf->force)
		return ERR_OK;
	if (run->conf->parent != NULL) {
		rc = snapshot_select(parent, run->repo, run->conf->parent, NULL,
			err);
		s->has_parent = rc == ERR_OK && may_compare(run, parent);
		if (rc == ERR_OK && !s->has_parent)
			note(run, not_cached);
	} else {
		rc = find_parent(run, parent, &s->has_parent, err);
	}
	if (s->has_parent)
		s->parent = parent->uid;
	return rc;
}

/* What a driver may call its own at the system it reads. */
static enum err
name_job(struct run *run, struct error *err)
{
	struct buf lineage = BUF_INIT(RECORD_MAX);
	struct id id;
	enum err rc;

	rc = buf_put(&lineage, repo_config(run->repo)->repo.b, UID_LEN, err);
	if (rc == ERR_OK)
		rc = put_lineage(&run->snap, &lineage, err);
	if (rc == ERR_OK) {
		hash_plain(&id, lineage.data, lineage.len);
		hex_encode(id.b, JOB_HEX / 2, run->job);
	}
	buf_fini(&lineage);
	return rc;
}

static enum err
freeze(struct run *run, struct source *src, struct error *err)
{
	struct source_run about = { run->job, run->conf->dry_run };
	enum err rc;

	if (src->ops->freeze == NULL)
		return ERR_OK;
	rc = name_job(run, err);
	if (rc != ERR_OK)
		return rc;
	run->frozen = true;
	return src->ops->freeze(src, &about, err);
}

/* After the commit, or instead of it.  That it fails changes nothing about the
 * backup; but something was left at the system that was read. */
static void
thaw(struct run *run, struct source *src, bool committed)
{
	const struct bytes whole = { NULL, 0 };
	struct error why = ERROR_INIT;

	if (run->frozen && src->ops->thaw(src, committed, &why) != ERR_OK)
		run->report->problem(run->report->arg, whole, &why);
}

static enum err
capture(struct run *run, struct source *src, struct error *err)
{
	struct tree_root root = { 0 };
	enum err rc = freeze(run, src, err);

	if (rc == ERR_OK)
		rc = src->ops->capture(src, backup_sink_base(run->sink), err);
	if (rc == ERR_OK)
		rc = backup_sink_finish(run->sink, &root, err);
	run->snap.root = root.id;
	/* After a failure there may still be readers at work. */
	pool_drain(run->in.crew.pool);
	return rc;
}

static enum err
commit(struct run *run, struct error *err)
{
	struct buf record = BUF_INIT(RECORD_MAX);
	enum err rc;

	rc = snapshot_encode(&run->snap, &record, err);
	if (rc == ERR_OK)
		rc = writer_commit(run->in.writer, record.data, record.len,
			err);
	buf_fini(&record);
	run->fenced = rc == ERR_EXISTS;
	return rc;
}

/* What is known only after everything was stored. */
static void
fill_figures(struct run *run)
{
	struct snapshot *s = &run->snap;
	struct writer_figures w;

	writer_figures(run->in.writer, &w);
	s->figures = run->in.figures;
	s->figures.bytes_read = run->in.bytes_read;
	s->figures.bytes_added = w.bytes_added;
	s->figures.bytes_stored = w.bytes_stored;
	s->figures.errors = run->in.errors;
	s->flags = run->in.errors > 0 ? SNAPSHOT_INCOMPLETE : 0;
	s->end = when_now();
	s->uid = *writer_uid(run->in.writer);
}

static enum err
begin(struct run *run, const struct writer_conf *conf, struct error *err)
{
	enum err rc = writer_open(&run->in.writer, run->repo, conf, err);

	run->fenced = rc == ERR_EXISTS;
	return rc;
}

static enum err
run_all(struct run *run, struct source *src, struct error *err)
{
	struct writer_conf wconf = { .level = run->conf->level,
		.pack_max = run->conf->unit_max,
		.dry_run = run->conf->dry_run };
	struct snapshot parent;
	enum err rc;

	snapshot_init(&parent);
	rc = fill_identity(run, src, err);
	wconf.host = run->snap.host;
	if (rc == ERR_OK)
		rc = open_nodes(run, src, err);
	if (rc == ERR_OK)
		rc = begin(run, &wconf, err);
	/* Not before the session has its view: a parent that was forgotten
	 * since may be in the list that this view stands for. */
	if (rc == ERR_OK)
		rc = choose_parent(run, &parent, err);
	if (rc == ERR_OK)
		rc = ingest_init(&run->in, run->conf->workers,
			run->conf->unit_max, err);
	if (rc == ERR_OK)
		rc = backup_sink_new(&run->sink, &run->in,
			run->snap.has_parent ? &parent.root : NULL, err);
	if (rc == ERR_OK)
		rc = capture(run, src, err);
	if (rc == ERR_OK)
		rc = writer_flush(run->in.writer, err);
	if (rc == ERR_OK) {
		fill_figures(run);
		if (!run->conf->dry_run)
			rc = commit(run, err);
	}
	thaw(run, src, rc == ERR_OK && !run->conf->dry_run);
	if (rc == ERR_OK)
		publish_nodes(run);
	snapshot_fini(&parent);
	return rc;
}

/* One session, from its begin to its end. */
static enum err
attempt(const struct run *first, struct source *src, struct snapshot *result,
	bool *fenced, struct error *err)
{
	struct run run = *first;
	enum err rc;

	snapshot_init(&run.snap);
	rc = run_all(&run, src, err);
	backup_sink_free(run.sink);
	ingest_fini(&run.in);
	nodecache_close(run.in.nodes);
	writer_free(run.in.writer);
	*fenced = run.fenced;
	if (rc == ERR_OK) {
		snapshot_fini(result);
		*result = run.snap;
	} else {
		snapshot_fini(&run.snap);
	}
	return rc;
}

enum err
backup_run(struct repo *r, struct source *src, const struct backup_conf *conf,
	const struct report *report, struct snapshot *result, struct error *err)
{
	const struct run run = { .repo = r,
		.conf = conf,
		.report = report,
		.in = { .repo = r, .report = report } };
	bool fenced;
	enum err rc = attempt(&run, src, result, &fenced, err);

	if (rc == ERR_OK || !fenced || src->once)
		return rc;
	/* Its chunks are there for the most part, and are found. */
	note(&run,
		"this backup took so long that a prune ended its session; it "
		"starts over");
	return attempt(&run, src, result, &fenced, err);
}
