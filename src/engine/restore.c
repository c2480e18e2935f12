/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore: the steps of one run.
 *
 * The walk makes directories and plans everything else; workers do it; when
 * all is done a second walk makes further names of files, and a third one
 * reads back.  A directory gets its own attributes as soon as the last thing
 * in it is done, or with that second walk, is put back as it was found.
 *
 * The crash argument stands in restore_goal.c.
 */
#include "engine/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"
#include "engine/restore_owners.h"
#include "engine/restore_place.h"
#include "engine/restore_plan.h"
#include "engine/restore_walk.h"
#include "model/path.h"
#include "tree/cursor.h"

/* ---- reports ---- */

void
restoring_problem_key(struct restoring *r, struct bytes key,
	const struct error *why)
{
	r->counts.errors++;
	r->report->progress->errors++;
	pthread_mutex_lock(&r->lock);
	r->report->problem(r->report->arg, key, why);
	pthread_mutex_unlock(&r->lock);
}

void
restoring_problem(struct restoring *r, const struct rdir *d, const char *name,
	const struct error *why)
{
	struct buf key = BUF_INIT((size_t)2 * KEY_MAX);
	struct error err;

	if (restore_dirs_key(d, name, &key, &err) != ERR_OK)
		restoring_problem_key(r, (struct bytes){ NULL, 0 }, why);
	else
		restoring_problem_key(r, (struct bytes){ key.data, key.len },
			why);
	buf_fini(&key);
}

void
restoring_entry(struct restoring *r, struct bytes key, const struct entry *e,
	enum change change)
{
	if (r->report->entry == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	r->report->entry(r->report->arg, key, e, change);
	pthread_mutex_unlock(&r->lock);
}

void
restoring_refused(struct restoring *r, enum refused kind, int errnum)
{
	r->refusals[kind].errnum = errnum;
	r->refusals[kind].n++;
}

void
restoring_end(struct restoring *r, const struct error *why)
{
	pthread_mutex_lock(&r->lock);
	if (!r->ended)
		r->why = *why;
	r->ended = true;
	pthread_mutex_unlock(&r->lock);
}

bool
restoring_is_fatal(const struct error *why)
{
	return why->code == ERR_NOSPACE || why->code == ERR_NOMEM ||
	       why->code == ERR_CANCELLED;
}

enum err
restoring_check(struct restoring *r, struct error *err)
{
	const _Atomic bool *stop = r->report->stop;

	if (r->ended) {
		pthread_mutex_lock(&r->lock);
		*err = r->why;
		pthread_mutex_unlock(&r->lock);
		return err->code;
	}
	if (stop != NULL && *stop)
		return err_set(err, ERR_CANCELLED, "interrupted");
	return ERR_OK;
}

/* ---- beginning and end ---- */

/* umask(2) can only be read by changing it, for all threads; here it stands
 * too.  All bits where it does not: then every mode is set. */
static uint32_t
read_umask(void)
{
	uint32_t mask = 0777;
	char line[128];
	FILE *f = fopen("/proc/self/status", "re");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "Umask:", 6) == 0)
			mask = (uint32_t)strtoul(line + 6, NULL, 8);
	if (f != NULL)
		(void)fclose(f);
	return mask & 0777;
}

static enum err
setup(struct restoring *r, struct error *err)
{
	enum err rc;

	r->euid = geteuid();
	r->mask = read_umask();
	memcpy(r->temp_key.b, r->snap->uid.b, sizeof(r->temp_key.b));
	rc = crew_init(&r->crew, r->repo, r->conf->workers, 2, err);
	if (rc == ERR_OK)
		rc = lane_new(&r->lane, r->repo, err);
	if (rc == ERR_OK)
		rc = restore_owners_new(&r->owners, err);
	if (rc == ERR_OK)
		rc = restore_plan_new(&r->plan, r, err);
	if (rc != ERR_OK)
		return rc;
	r->scratch = calloc(r->crew.n, sizeof(*r->scratch));
	if (r->scratch == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (unsigned i = 0; i < r->crew.n; i++) {
		buf_init(&r->scratch[i].chunk, (size_t)2 * CHUNK_MAX);
		buf_init(&r->scratch[i].there, (size_t)2 * CHUNK_MAX);
	}
	return ERR_OK;
}

static void
teardown(struct restoring *r)
{
	restore_plan_free(r->plan);
	restore_owners_free(r->owners);
	lane_free(r->lane);
	for (unsigned i = 0; r->scratch != NULL && i < r->crew.n; i++) {
		buf_fini(&r->scratch[i].chunk);
		buf_fini(&r->scratch[i].there);
	}
	free(r->scratch);
	crew_fini(&r->crew);
	pthread_mutex_destroy(&r->lock);
}

/* ---- what is restored, and to where ---- */

/* Whether the target stands for the directory at range, or for the one that
 * the single entry at range is in. */
static enum err
find_root(struct restoring *r, struct restore_scope *s, struct error *err)
{
	struct bytes range = s->range;
	struct cursor *c = NULL;
	struct tree_io_repo io;
	struct item item = { 0 };
	struct entry e;
	enum err rc;

	s->root = range;
	if (range.len == 0)
		return ERR_OK;
	entry_init(&e);
	tree_io_repo_init(&io, r->repo, r->lane, NULL);
	rc = cursor_open(&c, &io.io, TREE_ENTRIES, &r->snap->root, err);
	if (rc == ERR_OK)
		rc = cursor_seek(c, range, err);
	if (rc == ERR_OK)
		rc = cursor_next(c, &item, err);
	if (rc == ERR_OK && (item.key.data == NULL ||
				    !key_below(item.key.data, item.key.len,
					    range.data, range.len)))
		rc = err_set(err, ERR_NOTFOUND, "the snapshot has no /%s",
			r->conf->subpath + strspn(r->conf->subpath, "/"));
	if (rc == ERR_OK && item.key.len == range.len)
		rc = entry_decode(&e, item.val.data, item.val.len, item.refs,
			item.n_refs, err);
	if (rc == ERR_OK && item.key.len == range.len && e.type != ENTRY_DIR)
		s->root.len = key_parent(range.data, range.len);
	entry_fini(&e);
	cursor_close(c);
	return rc;
}

static enum err
open_target(struct restoring *r, struct rdir *d, struct error *err)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	const char *path = r->conf->target;
	enum err rc;
	int fd;

	fd = open(path, flags);
	if (fd < 0 && errno == ENOENT && r->conf->dry_run) {
		d->state = RDIR_ABSENT;
		return ERR_OK;
	}
	if (fd < 0 && errno == ENOENT) {
		rc = fsx_mkdirs(path, 0777, err);
		if (rc != ERR_OK)
			return rc;
		fd = open(path, flags);
		d->fresh = fd >= 0;
	}
	if (fd < 0)
		return err_sys(err, errno, "open target %s", path);
	restore_place_root(r, d, fd);
	return ERR_OK;
}

/* ---- passes ---- */

static enum err
run_pass(struct restoring *r, enum restore_pass pass,
	const struct restore_scope *scope, struct restore_links *links,
	struct error *err)
{
	struct rdir *target = NULL;
	uint64_t met = 0;
	enum err rc;

	r->pass = pass;
	rc = restore_dirs_new(&r->dirs, scope->root, restore_place_dir_done, r,
		err);
	if (rc == ERR_OK)
		rc = restore_dirs_below(r->dirs, NULL,
			(struct bytes){ NULL, 0 }, &target, err);
	if (rc == ERR_OK)
		rc = open_target(r, target, err);
	if (rc == ERR_OK)
		rc = restore_walk(r, scope, target, links, &met, err);
	if (rc != ERR_OK)
		restoring_end(r, err);
	restore_plan_finish(r->plan);
	if (rc == ERR_OK)
		rc = restoring_check(r, err);
	restore_dirs_unref(target);
	restore_dirs_free(r->dirs);
	r->dirs = NULL;
	return rc;
}

/* So that reading back asks the disk. */
static void
sync_target(const struct restoring *r)
{
	int fd = open(r->conf->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		(void)syncfs(fd);
	fsx_close(&fd);
}

static enum err
run_passes(struct restoring *r, const struct restore_scope *scope,
	struct error *err)
{
	struct restore_links *links = NULL;
	enum err rc;

	rc = restore_links_new(&links, r, err);
	if (rc == ERR_OK)
		rc = run_pass(r, PASS_MAKE, scope, links, err);
	if (rc == ERR_OK && r->met_links)
		rc = run_pass(r, PASS_LINKS, scope, links, err);
	if (rc == ERR_OK && r->conf->verify && !r->conf->dry_run) {
		sync_target(r);
		rc = run_pass(r, PASS_VERIFY, scope, links, err);
	}
	restore_links_free(links);
	return rc;
}

static void
take_counts(const struct restore_counts *c, struct restore_result *out)
{
	*out = (struct restore_result){
		.entries = c->entries,
		.files = c->files,
		.bytes = c->bytes,
		.entries_same = c->entries_same,
		.bytes_same = c->bytes_same,
		.bytes_written = c->bytes_written,
		.deleted = c->deleted,
		.verified = c->verified,
		.errors = c->errors,
	};
}

enum err
restore_run(struct repo *r, const struct snapshot *snap,
	const struct restore_conf *conf, const struct report *report,
	struct restore_result *result, struct error *err)
{
	struct restoring run = { .repo = r,
		.snap = snap,
		.conf = conf,
		.report = report,
		.lock = PTHREAD_MUTEX_INITIALIZER };
	struct buf range = BUF_INIT(KEY_MAX + 1);
	struct restore_scope scope = { 0 };
	enum err rc;

	if (conf->target == NULL)
		return err_set(err, ERR_USAGE, "no target to restore to");
	rc = setup(&run, err);
	if (rc == ERR_OK)
		rc = key_from_path(&range,
			conf->subpath != NULL ? conf->subpath : "/", err);
	scope.range = (struct bytes){ range.data, range.len };
	if (rc == ERR_OK)
		rc = find_root(&run, &scope, err);
	if (rc == ERR_OK)
		rc = run_passes(&run, &scope, err);
	restore_attrs_tell(&run);
	take_counts(&run.counts, result);
	teardown(&run);
	buf_fini(&range);
	return rc;
}
