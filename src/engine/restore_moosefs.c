/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_moosefs: the set is written.
 *
 * Killed at any point: a directory with metadata.mfs.back in it has the whole
 * set.  Both files are written under names that no master looks at, fsynced,
 * and renamed when both are there: the log first, as an image alone would pass
 * for an older state, while a log alone is refused by every master.  The
 * image's temporary name is there from the first to the last moment, and so
 * marks what an earlier run left: the next one removes it and begins anew.
 *
 * mfsmaster takes every file that begins with "metadata" for an image, and
 * drops a log silently that does not end in a whole line or jumps far; so there
 * is one of each, and each line was checked against the chain.
 */
#include "engine/restore_moosefs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fsx.h"
#include "codec/hash.h"
#include "engine/mfs_ended.h"
#include "engine/restore_moosefs_owner.h"

enum { DIR_MODE = 0750, FILE_MODE = 0640, OUT_ROOM = 1 << 20 };

static const char image_name[] = "metadata.mfs.back";
static const char log_name[] = "changelog.0.mfs";
static const char image_tmp[] = "coffer-restore.image";
static const char log_tmp[] = "coffer-restore.log";

const struct option_spec restore_moosefs_options[] = {
	{ "until", OPTION_TEXT, NULL,
		"the last change: its id, or a time (default: all there are)" },
	{ "prove", OPTION_BOOL, "yes",
		"run mfsmaster -a restore there and compare the version" },
	{ "owner", OPTION_TEXT, NULL,
		"USER[:GROUP] of the files (default: mfs, where root "
		"restores)" },
	{ NULL, OPTION_BOOL, NULL, NULL },
};

struct writing {
	const struct restore_moosefs_conf *conf;
	const struct report *report;
	struct restore_moosefs_result *result;
	struct mfs_set *set;
	int dir; /* -1 in a dry run */
	bool made; /* the directory is ours */
	int fd; /* of the file at work */
	struct buf out;
	const struct snapshot *snap;
	struct hash_run hash; /* of the image */
	struct mfs_ended ended;

	/* ---- where the log is cut ---- */
	bool has_before; /* the line before the image's version was seen */
	uint64_t before_seconds;
	bool is_cut;
	uint64_t cut_id, cut_seconds; /* the first line that is left out */
	uint64_t late; /* lines behind it that are of an earlier second */
};

/* ---- the place ---- */

static bool
is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool
is_ours(const char *name)
{
	return strcmp(name, image_tmp) == 0 || strcmp(name, log_tmp) == 0 ||
	       strcmp(name, log_name) == 0;
}

/* Counts what is there; *foreign is set where some of it is not of a restore
 * that was killed. */
static enum err
look_around(struct writing *w, size_t *n, bool *foreign, struct error *err)
{
	int fd = openat(w->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	struct stat st;
	enum err rc = ERR_OK;

	*n = 0;
	if (d == NULL) {
		rc = err_sys(err, errno, "list %s", w->conf->dir);
		fsx_close(&fd);
		return rc;
	}
	*foreign = fstatat(w->dir, image_tmp, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		   !S_ISREG(st.st_mode);
	errno = 0;
	while ((e = readdir(d)) != NULL) {
		if (is_dots(e->d_name))
			continue;
		++*n;
		if (!is_ours(e->d_name))
			*foreign = true;
		errno = 0;
	}
	if (errno != 0)
		rc = err_sys(err, errno, "list %s", w->conf->dir);
	(void)closedir(d);
	return rc;
}

static void
remove_files(struct writing *w)
{
	(void)unlinkat(w->dir, log_name, 0);
	(void)unlinkat(w->dir, log_tmp, 0);
	(void)unlinkat(w->dir, image_tmp, 0);
}

static enum err
check_empty(struct writing *w, struct error *err)
{
	size_t n;
	bool foreign;
	enum err rc = look_around(w, &n, &foreign, err);

	if (rc != ERR_OK || n == 0)
		return rc;
	if (foreign)
		return err_set(err, ERR_EXISTS,
			"%s is not empty; a set for mfsmaster must be alone "
			"in its directory",
			w->conf->dir);
	if (!w->conf->dry_run)
		remove_files(w);
	return ERR_OK;
}

static enum err
make_dir(struct writing *w, struct error *err)
{
	char *copy = strdup(w->conf->dir);
	enum err rc;

	if (copy == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	rc = fsx_mkdirs(dirname(copy), 0755, err);
	free(copy);
	if (rc != ERR_OK)
		return rc;
	if (mkdir(w->conf->dir, DIR_MODE) == 0)
		w->made = true;
	else if (errno != EEXIST)
		return err_sys(err, errno, "make %s", w->conf->dir);
	return ERR_OK;
}

static enum err
open_dir(struct writing *w, struct error *err)
{
	enum err rc = w->conf->dry_run ? ERR_OK : make_dir(w, err);

	if (rc != ERR_OK)
		return rc;
	w->dir = open(w->conf->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->dir < 0 && w->conf->dry_run && errno == ENOENT)
		return ERR_OK;
	if (w->dir < 0)
		return err_sys(err, errno, "open %s", w->conf->dir);
	if (flock(w->dir, LOCK_EX | LOCK_NB) != 0)
		return err_set(err, ERR_EXISTS,
			"%s: another restore is at work there", w->conf->dir);
	return check_empty(w, err);
}

/* Also one that was there: empty, it is to be the master's. */
static enum err
own_dir(struct writing *w, struct error *err)
{
	struct stat st;

	if (fstat(w->dir, &st) != 0)
		return err_sys(err, errno, "look at %s", w->conf->dir);
	if (st.st_uid == w->result->uid && st.st_gid == w->result->gid)
		return ERR_OK;
	if (fchown(w->dir, w->result->uid, w->result->gid) != 0)
		return err_sys(err, errno, "give %s to its owner",
			w->conf->dir);
	return ERR_OK;
}

/* ---- files ---- */

static enum err
begin_file(struct writing *w, const char *name, struct error *err)
{
	if (w->conf->dry_run)
		return ERR_OK;
	w->fd = openat(w->dir, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		FILE_MODE);
	if (w->fd < 0)
		return err_sys(err, errno, "make %s/%s", w->conf->dir, name);
	if (fchmod(w->fd, FILE_MODE) != 0 ||
		fchown(w->fd, w->result->uid, w->result->gid) != 0)
		return err_sys(err, errno, "set owner and mode of %s/%s",
			w->conf->dir, name);
	return ERR_OK;
}

static enum err
flush(struct writing *w, struct error *err)
{
	enum err rc = ERR_OK;

	if (w->out.len > 0 && !w->conf->dry_run)
		rc = fsx_write(w->fd, w->out.data, w->out.len, w->conf->dir,
			err);
	buf_clear(&w->out);
	return rc;
}

static enum err
end_file(struct writing *w, const char *name, struct error *err)
{
	enum err rc = flush(w, err);

	if (rc == ERR_OK && w->fd >= 0 && fsync(w->fd) != 0)
		rc = err_sys(err, errno, "flush %s/%s", w->conf->dir, name);
	fsx_close(&w->fd);
	return rc;
}

static enum err
put_image(void *arg, const void *data, size_t len, struct error *err)
{
	struct writing *w = arg;

	w->result->bytes_image += len;
	w->report->progress->bytes_done += len;
	hash_run_add(&w->hash, data, len);
	if (w->conf->dry_run)
		return ERR_OK;
	return fsx_write(w->fd, data, len, w->conf->dir, err);
}

/* Whether it is what the master had, and not only what was stored: most images
 * are stored as an edit of the one before. */
static enum err
check_hash(struct writing *w, struct error *err)
{
	struct mfs_record record;
	char uid[UID_HEX + 1];
	bool found = false;
	struct id id;
	enum err rc = mfs_set_record(w->set, &record, &found, err);

	if (rc != ERR_OK || !found || !record.has_hash)
		return rc;
	hash_run_get(&w->hash, &id);
	if (id_eq(&id, &record.image_hash))
		return ERR_OK;
	hex_encode(w->snap->uid.b, UID_LEN, uid);
	return err_set(err, ERR_CORRUPT,
		"snapshot %.8s: the image in it is not the one that the master "
		"had, by the hash that was taken then; other snapshots may be "
		"whole",
		uid);
}

static enum err
write_image(struct writing *w, struct error *err)
{
	const struct mfs_image_fn walk = { .section = mfs_ended_section,
		.data = mfs_ended_data,
		.arg = &w->ended };
	enum err rc = begin_file(w, image_tmp, err);

	hash_run_init(&w->hash);
	if (rc == ERR_OK)
		rc = mfs_set_image(w->set, &walk, put_image, w, err);
	if (rc == ERR_OK)
		rc = check_hash(w, err);
	if (rc == ERR_OK)
		rc = end_file(w, image_tmp, err);
	return rc;
}

/* ---- the log ---- */

/* Clocks step: what is behind a cut by time may be of an earlier second, and
 * is counted to be told. */
static void
pass_over(struct writing *w, const struct mfs_set_line *line, bool later)
{
	if (!w->is_cut) {
		w->is_cut = true;
		w->cut_id = line->id;
		w->cut_seconds = line->seconds;
	}
	if (!later)
		w->late++;
}

static enum err
put_line(void *arg, const struct mfs_set_line *line, bool *enough,
	struct error *err)
{
	struct writing *w = arg;
	bool later =
		mfs_moment_is_before(&w->conf->until, line->id, line->seconds);
	size_t before = w->out.len;
	enum err rc;

	if (line->surplus) {
		if (line->id + 1 == w->result->version) {
			w->has_before = true;
			w->before_seconds = line->seconds;
		}
		return ERR_OK;
	}
	if (w->is_cut || later) {
		pass_over(w, line, later);
		return ERR_OK;
	}
	w->result->lines++;
	w->result->last = line->id;
	w->result->last_seconds = line->seconds;
	/* What is wrong behind it is of no concern. */
	*enough = w->conf->until.kind == MFS_MOMENT_ID &&
		  line->id == w->conf->until.id;
	rc = mfs_ended_line(&w->ended, line->p, line->len, &w->out, err);
	w->result->bytes_log += w->out.len - before;
	w->report->progress->bytes_done += w->out.len - before;
	if (rc == ERR_OK && w->out.len > OUT_ROOM / 2)
		rc = flush(w, err);
	return rc;
}

static enum err
check_id_reached(const struct writing *w, struct error *err)
{
	const struct restore_moosefs_result *r = w->result;

	if (w->conf->until.id < r->version - 1)
		return err_set(err, ERR_NOTFOUND,
			"the image holds all changes up to %" PRIu64
			" in it already: an older snapshot is needed",
			r->version - 1);
	if (r->last < w->conf->until.id)
		return err_set(err, ERR_NOTFOUND,
			"the log ends with change %" PRIu64
			": a later snapshot is needed",
			r->last);
	return ERR_OK;
}

static void
note(const struct writing *w, const char *sentence)
{
	w->report->note(w->report->arg, sentence);
}

/* The first line that is left out is later; whether the image itself is, only
 * the line before it can tell. */
static enum err
check_time_reached(const struct writing *w, struct error *err)
{
	const struct restore_moosefs_result *r = w->result;
	char text[400], when[40], last[40];

	mfs_moment_text(w->cut_seconds, when);
	mfs_moment_text(r->last_seconds, last);
	if (w->is_cut && r->lines == 0 &&
		(!w->has_before || mfs_moment_is_before(&w->conf->until,
					   r->version - 1, w->before_seconds)))
		return err_set(err, ERR_NOTFOUND,
			"the first change behind the image, %" PRIu64
			", is of %s: an older snapshot is needed",
			r->version, when);
	if (!w->is_cut && r->lines > 0) {
		(void)snprintf(text, sizeof(text),
			"the log ends at %s, which is not later than asked "
			"for: everything that the snapshot has is restored",
			last);
		note(w, text);
	}
	if (w->late == 0)
		return ERR_OK;
	(void)snprintf(text, sizeof(text),
		"the master's clock stepped back: change %" PRIu64
		" is of %s and the first that is left out, but %" PRIu64
		" changes behind it are of an earlier second; until=ID says "
		"exactly what is meant",
		w->cut_id, when, w->late);
	note(w, text);
	return ERR_OK;
}

static void
note_ended(const struct writing *w)
{
	char text[300];

	if (w->ended.n == 0)
		return;
	(void)snprintf(text, sizeof(text),
		"%" PRIu64 " changes that end sessions of clients, which had "
		"ended when the image was saved and are not in it, are "
		"replaced by ones that do nothing: mfsmaster would refuse them",
		w->ended.n);
	note(w, text);
}

static enum err
check_reached(const struct writing *w, struct error *err)
{
	switch (w->conf->until.kind) {
	case MFS_MOMENT_ID:
		return check_id_reached(w, err);
	case MFS_MOMENT_TIME:
		return check_time_reached(w, err);
	case MFS_MOMENT_NONE:
		break;
	}
	return ERR_OK;
}

/* Behind a cut by time lines are only counted. */
static enum err
pass_over_damage(const struct writing *w, const struct error *why)
{
	char text[600];

	(void)snprintf(text, sizeof(text), "behind the moment asked for: %s",
		why->msg);
	note(w, text);
	return ERR_OK;
}

static enum err
write_log(struct writing *w, struct error *err)
{
	bool image_alone = w->conf->until.kind == MFS_MOMENT_ID &&
			   w->conf->until.id < w->result->version;
	struct error why = ERROR_INIT;
	enum err rc = begin_file(w, log_tmp, err);

	if (rc == ERR_OK && !image_alone)
		rc = mfs_set_lines(w->set, put_line, w, &why);
	if (rc == ERR_CORRUPT && w->is_cut)
		rc = pass_over_damage(w, &why);
	if (why.code != ERR_OK && rc != ERR_OK)
		*err = why;
	if (rc == ERR_OK)
		rc = check_reached(w, err);
	if (rc == ERR_OK)
		note_ended(w);
	if (rc == ERR_OK)
		rc = end_file(w, log_tmp, err);
	return rc;
}

/* ---- the step ---- */

static enum err
give_names(struct writing *w, struct error *err)
{
	enum err rc;

	if (renameat(w->dir, log_tmp, w->dir, log_name) != 0)
		return err_sys(err, errno, "rename %s/%s", w->conf->dir,
			log_tmp);
	rc = fsx_sync_dir(w->dir, w->conf->dir, err);
	if (rc != ERR_OK)
		return rc;
	if (renameat(w->dir, image_tmp, w->dir, image_name) != 0)
		return err_sys(err, errno, "rename %s/%s", w->conf->dir,
			image_tmp);
	return fsx_sync_dir(w->dir, w->conf->dir, err);
}

/* So that the directory itself is found again. */
static enum err
sync_parent(const struct writing *w, struct error *err)
{
	int fd = openat(w->dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err rc;

	if (fd < 0)
		return err_sys(err, errno, "open the parent of %s",
			w->conf->dir);
	rc = fsx_sync_dir(fd, w->conf->dir, err);
	fsx_close(&fd);
	return rc;
}

static enum err
write_files(struct writing *w, struct error *err)
{
	enum err rc = write_image(w, err);

	if (rc == ERR_OK)
		rc = write_log(w, err);
	if (rc != ERR_OK || w->conf->dry_run)
		return rc;
	rc = own_dir(w, err);
	if (rc == ERR_OK && w->made)
		rc = sync_parent(w, err);
	if (rc == ERR_OK)
		rc = give_names(w, err);
	return rc;
}

/* As it was.  An image that got its name belongs to a whole set. */
static void
undo(struct writing *w)
{
	struct stat st;

	fsx_close(&w->fd);
	if (w->conf->dry_run || w->dir < 0 ||
		fstatat(w->dir, image_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	remove_files(w);
	if (w->made)
		(void)rmdir(w->conf->dir);
}

static void
take_facts(struct writing *w)
{
	const struct mfs_set_facts *f = mfs_set_facts(w->set);
	struct restore_moosefs_result *r = w->result;

	memcpy(r->name, f->name, sizeof(r->name));
	r->id = f->id;
	r->version = f->version;
	r->last = f->version - 1;
	mfs_ended_init(&w->ended, f->is_new);
	w->report->progress->bytes_total += f->image_size;
}

enum err
restore_moosefs_write(struct repo *r, const struct snapshot *snap,
	const struct restore_moosefs_conf *conf, const struct report *report,
	struct restore_moosefs_result *result, struct error *err)
{
	struct writing w = { .conf = conf,
		.snap = snap,
		.report = report,
		.result = result,
		.dir = -1,
		.fd = -1,
		.out = BUF_INIT(OUT_ROOM) };
	bool entered = false;
	enum err rc;

	*result = (struct restore_moosefs_result){ 0 };
	rc = restore_moosefs_owner(conf->owner, &result->uid, &result->gid,
		err);
	if (rc == ERR_OK)
		rc = mfs_set_open(&w.set, r, snap, conf->subpath, report->stop,
			err);
	if (rc == ERR_OK) {
		take_facts(&w);
		rc = open_dir(&w, err);
		entered = rc == ERR_OK;
	}
	if (entered)
		rc = write_files(&w, err);
	if (entered && rc != ERR_OK)
		undo(&w);
	fsx_close(&w.dir);
	mfs_set_close(w.set);
	mfs_ended_fini(&w.ended);
	buf_fini(&w.out);
	return rc;
}
