/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal: lines are gathered for JOURNAL_SYNC_MS and then written and synced
 * at once (group commit; DeWitt et al. 1984).
 *
 * Crash argument.  Lines go to one file from its begin to its end, and only
 * after what is before them was written.  So whatever a crash leaves of a file
 * is a beginning of it, perhaps with a torn line or zeroes at its end, and
 * opening cuts that: a line that is told as durable lies before a sync that
 * has returned, and is never cut.  A file's name is durable with its first
 * sync.  An image gets its name after it was checked and synced, so what has
 * the name of an image is one.  Files are removed after the snapshot that
 * holds them was committed, and only those that its image does not need; a
 * crash in between leaves too many of them, never too few.
 *
 * The image of the last snapshot is what the next one is made an edit of, so
 * it stays until a newer one was committed.  Killed after the commit, `sealed`
 * names the older one, which may be here or not: which of them the repository
 * has is not asked here but there (capture_image), and the next unpin removes
 * what is too many.
 *
 * A write or a sync that failed may have left anything behind what was durable
 * before (and the kernel may have dropped it: fsync tells once), so
 * journal_recover cuts back to there; the lines come from the master again.
 */
#include "source/moosefs/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsx.h"
#include "source/moosefs/journal_state.h"

enum {
	JOURNAL_SYNC_MS = 30, /* after the oldest line that is not durable */
	PENDING_MAX = 4 << 20,
	PENDING_WRITE = 1 << 20, /* so many are written at once */
	SEGMENT_MAX = 64 << 20
};

static const char new_image[] = "MFSM NEW";

enum err
journal_open(struct journal **out, const struct journal_conf *conf,
	struct error *err)
{
	struct journal *j = calloc(1, sizeof(*j));
	struct error why = ERROR_INIT;
	enum err rc;

	if (j == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a journal");
	j->conf = *conf;
	j->fd = j->dirfd = j->lent = -1;
	buf_init(&j->pending, PENDING_MAX);
	(void)pthread_mutex_init(&j->lock, NULL);
	j->dir = strdup(conf->dir);
	rc = j->dir == NULL ? err_set(err, ERR_NOMEM, "no memory for a name")
			    : fsx_mkdirs(j->dir, 0750, err);
	if (rc == ERR_OK) {
		j->dirfd = open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (j->dirfd < 0)
			rc = err_sys(err, errno, "%s", j->dir);
	}
	if (rc == ERR_OK)
		rc = journal_load_all(j, err);
	if (rc != ERR_OK) {
		journal_close(j);
		return rc;
	}
	/* What cannot be known is sealed once more. */
	if (journal_load_sealed(j->dirfd, j->dir, &j->sealed, &j->sealed_base,
		    &why) != ERR_OK)
		j->sealed = j->sealed_base = 0;
	*out = j;
	return ERR_OK;
}

void
journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	fsx_close(&j->fd);
	fsx_close(&j->lent);
	fsx_close(&j->dirfd);
	buf_fini(&j->pending);
	(void)pthread_mutex_destroy(&j->lock);
	free(j->images.v);
	free(j->segments.v);
	free(j->dir);
	free(j);
}

/* The chain, the file and what is pending may disagree now. */
static enum err
broken(struct journal *j, enum err rc, const struct error *err)
{
	if (rc != ERR_OK)
		j->broken = *err;
	return rc;
}

static enum err
check_whole(const struct journal *j, struct error *err)
{
	if (j->broken.code != ERR_OK)
		*err = j->broken;
	return j->broken.code;
}

/* ---- lines ---- */

static enum err
open_segment(struct journal *j, struct error *err)
{
	char name[JOURNAL_NAME_MAX];

	journal_load_name(name, "changelog", j->open.first);
	j->fd = openat(j->dirfd, name,
		O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC,
		JOURNAL_MODE);
	if (j->fd < 0)
		return err_sys(err, errno, "%s/%s", j->dir, name);
	j->named = false;
	return ERR_OK;
}

static enum err
write_pending(struct journal *j, struct error *err)
{
	enum err rc = ERR_OK;

	if (j->pending.len == 0)
		return ERR_OK;
	if (j->fd < 0)
		rc = open_segment(j, err);
	if (rc == ERR_OK)
		rc = fsx_write(j->fd, j->pending.data, j->pending.len, j->dir,
			err);
	if (rc != ERR_OK)
		return rc;
	j->written += j->pending.len;
	buf_clear(&j->pending);
	return ERR_OK;
}

static enum err
sync_all(struct journal *j, struct error *err)
{
	enum err rc = check_whole(j, err);

	if (rc != ERR_OK || !j->dirty)
		return rc;
	rc = write_pending(j, err);
	if (rc == ERR_OK && fdatasync(j->fd) != 0)
		rc = err_sys(err, errno, "%s", j->dir);
	if (rc == ERR_OK && !j->named)
		rc = fsx_sync_dir(j->dirfd, j->dir, err);
	if (rc != ERR_OK)
		return broken(j, rc, err);
	j->named = true;
	j->dirty = false;
	j->durable = j->chain.next;
	j->open.last = j->durable - 1;
	j->open.size = j->written;
	j->seconds = j->pending_seconds;
	j->saved = when_now();
	return ERR_OK;
}

enum err
journal_close_segment(struct journal *j, struct error *err)
{
	struct stat st;
	enum err rc = sync_all(j, err);

	if (rc != ERR_OK || j->fd < 0)
		return rc;
	if (fstat(j->fd, &st) != 0)
		return err_sys(err, errno, "%s", j->dir);
	j->open.time.sec = st.st_mtim.tv_sec;
	j->open.time.nsec = (uint32_t)st.st_mtim.tv_nsec;
	rc = journal_load_add(&j->segments, &j->open, err);
	if (rc == ERR_OK)
		fsx_close(&j->fd);
	return rc;
}

static enum err
take_line(struct journal *j, uint64_t id, const char *text, size_t len,
	struct error *err)
{
	enum err rc = ERR_OK;

	if (j->written >= SEGMENT_MAX)
		rc = journal_close_segment(j, err);
	if (j->fd < 0 && !j->dirty) {
		j->open = (struct journal_file){ .first = id, .last = id - 1 };
		j->written = 0;
	}
	if (rc == ERR_OK)
		rc = mfs_change_put(&j->pending, id, text, len, err);
	if (rc != ERR_OK)
		return rc;
	if (!j->dirty)
		j->dirty_since = mono_sec();
	j->dirty = true;
	if (j->pending.len >= PENDING_WRITE)
		rc = write_pending(j, err);
	return rc;
}

enum err
journal_add(struct journal *j, uint64_t id, const char *text, size_t len,
	enum mfs_link *link, struct error *err)
{
	uint64_t seconds = 0;
	enum err rc = mfs_change_check_text(&seconds, text, len, err);

	if (rc != ERR_OK)
		return err_wrap(err, "change %" PRIu64, id);
	journal_lock(j);
	rc = check_whole(j, err);
	if (rc == ERR_OK)
		*link = mfs_chain_add(&j->chain, id, text, len);
	if (rc == ERR_OK && *link == MFS_LINK_NEXT) {
		rc = broken(j, take_line(j, id, text, len, err), err);
		j->pending_seconds = seconds;
	}
	return journal_unlock(j, rc);
}

enum err
journal_sync(struct journal *j, struct error *err)
{
	journal_lock(j);
	return journal_unlock(j, sync_all(j, err));
}

int
journal_due(struct journal *j)
{
	double ms;
	int due = -1;

	journal_lock(j);
	if (j->dirty) {
		ms = JOURNAL_SYNC_MS - (mono_sec() - j->dirty_since) * 1000;
		due = ms > 0 ? (int)ms : 0;
	}
	(void)journal_unlock(j, ERR_OK);
	return due;
}

static enum err
cut_back(struct journal *j, struct error *err)
{
	char name[JOURNAL_NAME_MAX];
	int failed;

	if (j->fd < 0)
		return ERR_OK;
	journal_load_name(name, "changelog", j->open.first);
	if (j->open.size == 0)
		failed = unlinkat(j->dirfd, name, 0);
	else
		failed = ftruncate(j->fd, (off_t)j->open.size);
	return failed == 0 ? ERR_OK
			   : err_sys(err, errno, "%s/%s", j->dir, name);
}

enum err
journal_recover(struct journal *j, struct error *err)
{
	uint64_t durable;
	enum err rc;

	journal_lock(j);
	durable = j->durable;
	buf_clear(&j->pending);
	rc = cut_back(j, err);
	if (rc == ERR_OK) {
		fsx_close(&j->fd);
		j->dirty = false;
		rc = journal_load_all(j, err);
	}
	j->broken = rc == ERR_OK ? ERROR_INIT : *err;
	if (rc == ERR_OK && j->durable < durable)
		rc = err_set(err, ERR_CORRUPT,
			"%s: lines that were durable are gone", j->dir);
	return journal_unlock(j, rc);
}

/* ---- the base ---- */

bool
journal_has_begun(struct journal *j)
{
	bool begun;

	journal_lock(j);
	begun = j->begun;
	(void)journal_unlock(j, ERR_OK);
	return begun;
}

enum err
journal_begin(struct journal *j, uint64_t version, struct error *err)
{
	enum err rc;

	journal_lock(j);
	rc = journal_close_segment(j, err);
	if (rc == ERR_OK) {
		mfs_chain_init(&j->chain, version);
		j->durable = version;
		j->begun = true;
	}
	return journal_unlock(j, rc);
}

static enum err
fill_image(struct journal *j, const char *name, uint64_t version,
	struct journal_file *f, struct error *err)
{
	struct stat st;

	if (fstatat(j->dirfd, name, &st, 0) != 0)
		return err_sys(err, errno, "%s/%s", j->dir, name);
	*f = (struct journal_file){ .first = version,
		.last = version,
		.size = (uint64_t)st.st_size,
		.time = { st.st_mtim.tv_sec, (uint32_t)st.st_mtim.tv_nsec } };
	return ERR_OK;
}

/* The file is there by its name. */
static enum err
new_base(struct journal *j, const char *name, uint64_t version, uint64_t id,
	struct error *err)
{
	struct journal_file f;
	enum err rc = fsx_sync_dir(j->dirfd, j->dir, err);

	if (rc == ERR_OK)
		rc = fill_image(j, name, version, &f, err);
	if (rc == ERR_OK)
		rc = journal_load_add(&j->images, &f, err);
	if (rc == ERR_OK)
		j->id = id;
	return rc;
}

static bool
is_newer(const struct journal *j, const struct mfs_header *h)
{
	const struct journal_file *base = journal_base(j);

	return base == NULL || base->first < h->version;
}

enum err
journal_adopt(struct journal *j, const char *path, const struct mfs_header *h,
	struct error *err)
{
	char name[JOURNAL_NAME_MAX];
	enum err rc = ERR_OK;

	journal_lock(j);
	if (!is_newer(j, h))
		return journal_unlock(j, ERR_OK);
	journal_load_name(name, "metadata", h->version);
	if (renameat(AT_FDCWD, path, j->dirfd, name) != 0)
		rc = err_sys(err, errno, "%s/%s", j->dir, name);
	if (rc == ERR_OK)
		rc = new_base(j, name, h->version, h->id, err);
	return journal_unlock(j, rc);
}

enum err
journal_adopt_open(struct journal *j, int fd, const struct mfs_header *h,
	struct error *err)
{
	char name[JOURNAL_NAME_MAX], path[sizeof("/proc/self/fd/") + 12];
	enum err rc = ERR_OK;

	journal_lock(j);
	if (!is_newer(j, h))
		return journal_unlock(j, ERR_OK);
	fsx_close(&j->lent);
	j->lent = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	journal_load_name(name, "metadata", h->version);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", j->lent);
	if (j->lent < 0 || symlinkat(path, j->dirfd, name) != 0)
		rc = err_sys(err, errno, "%s/%s", j->dir, name);
	if (rc == ERR_OK)
		rc = new_base(j, name, h->version, h->id, err);
	return journal_unlock(j, rc);
}

enum err
journal_adopt_new(struct journal *j, struct error *err)
{
	static const char tmp[] = "image.tmp";
	char name[JOURNAL_NAME_MAX];
	enum err rc;
	int fd;

	journal_lock(j);
	journal_load_name(name, "metadata", 1);
	fd = openat(j->dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		JOURNAL_MODE);
	if (fd < 0)
		return journal_unlock(j,
			err_sys(err, errno, "%s/%s", j->dir, tmp));
	rc = fsx_write(fd, new_image, sizeof(new_image) - 1, tmp, err);
	if (rc == ERR_OK && fsync(fd) != 0)
		rc = err_sys(err, errno, "%s/%s", j->dir, tmp);
	fsx_close(&fd);
	if (rc == ERR_OK && renameat(j->dirfd, tmp, j->dirfd, name) != 0)
		rc = err_sys(err, errno, "%s/%s", j->dir, name);
	if (rc == ERR_OK)
		rc = new_base(j, name, 1, 0, err);
	return journal_unlock(j, rc);
}

/* ---- what there is ---- */

static uint64_t
waiting(const struct journal *j)
{
	const struct journal_file *base = journal_base(j);
	uint64_t sum = j->fd >= 0 || j->dirty ? j->written + j->pending.len : 0;

	for (size_t i = j->segments.n; i > 0; i--) {
		if (j->segments.v[i - 1].last < j->sealed)
			break;
		sum += j->segments.v[i - 1].size;
	}
	if (base != NULL && base->first != j->sealed_base)
		sum += base->size;
	return sum;
}

void
journal_figures(struct journal *j, struct journal_figures *out)
{
	const struct journal_file *base;

	journal_lock(j);
	base = journal_base(j);
	*out = (struct journal_figures){ .has_base = base != NULL,
		.base = base != NULL ? base->first : 0,
		.next = j->chain.next,
		.durable = j->durable,
		.sealed = j->sealed,
		.base_sealed = base != NULL && base->first == j->sealed_base,
		.seconds = j->seconds,
		.saved = j->saved,
		.bytes_waiting = waiting(j) };
	(void)journal_unlock(j, ERR_OK);
}
