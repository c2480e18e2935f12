/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/restore_place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engine/restore_delete.h"
#include "engine/restore_dirs.h"
#include "engine/restore_xattrs.h"

static const unsigned locked = STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND;

/* ---- what is no directory ---- */

static mode_t
type_bits(enum entry_type type)
{
	switch (type) {
	case ENTRY_DIR:
		return S_IFDIR;
	case ENTRY_SYMLINK:
		return S_IFLNK;
	case ENTRY_CHR:
		return S_IFCHR;
	case ENTRY_BLK:
		return S_IFBLK;
	case ENTRY_FIFO:
		return S_IFIFO;
	case ENTRY_SOCKET:
		return S_IFSOCK;
	default:
		return S_IFREG;
	}
}

static int
age(const struct statx *sx, const struct entry *e)
{
	struct when there = { sx->stx_mtime.tv_sec, sx->stx_mtime.tv_nsec };

	return when_cmp(&there, &e->mtime);
}

static bool
link_is(int dirfd, const char *name, struct bytes target)
{
	char text[PATH_MAX];
	ssize_t n = readlinkat(dirfd, name, text, sizeof(text));

	return n >= 0 && (size_t)n == target.len &&
	       memcmp(text, target.data, target.len) == 0;
}

/* All that the entry has beside its attributes, where it has no content. */
static bool
is_equal(int dirfd, const char *name, const struct statx *sx,
	const struct entry *e)
{
	if ((sx->stx_mode & S_IFMT) != type_bits(e->type))
		return false;
	switch (e->type) {
	case ENTRY_SYMLINK:
		return link_is(dirfd, name, e->target);
	case ENTRY_CHR:
	case ENTRY_BLK:
		return sx->stx_rdev_major == e->major &&
		       sx->stx_rdev_minor == e->minor;
	case ENTRY_FIFO:
	case ENTRY_SOCKET:
		return true;
	default:
		return false;
	}
}

static bool
has_stamp(const struct statx *sx, const struct entry *e)
{
	return S_ISREG(sx->stx_mode) && type_bits(e->type) == S_IFREG &&
	       sx->stx_size == e->size && age(sx, e) == 0 &&
	       (sx->stx_nlink == 1 || e->nlink > 1);
}

static enum how
choose(const struct restoring *r, int dirfd, const char *name,
	const struct statx *sx, const struct entry *e)
{
	bool both = S_ISREG(sx->stx_mode) && type_bits(e->type) == S_IFREG;
	enum overwrite when = r->conf->overwrite;

	if (r->pass == PASS_VERIFY)
		return when < OVERWRITE_IF_NEWER || has_stamp(sx, e)
			       ? HOW_VERIFY
			       : HOW_LEAVE;
	if (when == OVERWRITE_NEVER)
		return HOW_LEAVE;
	if (when == OVERWRITE_IF_NEWER && age(sx, e) >= 0)
		return HOW_LEAVE;
	if (is_equal(dirfd, name, sx, e))
		return HOW_ATTRS;
	if (when == OVERWRITE_IF_CHANGED && has_stamp(sx, e))
		return HOW_ATTRS;
	if (r->conf->delta && both && sx->stx_nlink == 1)
		return HOW_PATCH;
	return HOW_REPLACE;
}

/* A directory where something else is to be. */
static enum err
clear_dir(struct restoring *r, struct rdir *dir, int dirfd, const char *name,
	struct error *err)
{
	bool all = r->conf->delete;

	if (r->conf->dry_run)
		return ERR_OK;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
		return ERR_OK;
	if (all && (errno == ENOTEMPTY || errno == EEXIST)) {
		if (restore_delete_tree(r, dir, name, err) != ERR_OK)
			return err->code;
		if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
			return ERR_OK;
	}
	return err_set(err, ERR_EXISTS, "a directory stands there: %s",
		strerrordesc_np(errno));
}

static void
place_old(const struct restoring *r, int dirfd, const char *name,
	const struct statx *sx, const struct entry *e, enum how *how)
{
	*how = choose(r, dirfd, name, sx, e);
	if (*how != HOW_LEAVE && *how != HOW_VERIFY && !r->conf->dry_run &&
		(sx->stx_attributes & locked) != 0)
		restore_attrs_unlock_name(dirfd, name);
}

enum err
restore_place(struct restoring *r, struct rdir *dir, const char *name,
	const struct entry *e, enum how *how, enum change *change,
	struct error *err)
{
	const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
	struct statx sx;
	int dirfd;
	enum err rc;

	*how = HOW_CREATE;
	*change = CHANGE_NEW;
	if (dir->fresh || dir->state == RDIR_ABSENT)
		return ERR_OK;
	rc = restore_dirs_pin(dir, &dirfd, err);
	if (rc != ERR_OK)
		return rc;
	if (statx(dirfd, name, flags, STATX_BASIC_STATS, &sx) != 0) {
		if (errno != ENOENT || r->pass == PASS_VERIFY)
			rc = err_sys(err, errno, "look at what stands there");
	} else if (S_ISDIR(sx.stx_mode) && r->pass != PASS_VERIFY &&
		   r->conf->overwrite != OVERWRITE_NEVER) {
		*change = CHANGE_MODIFIED;
		rc = clear_dir(r, dir, dirfd, name, err);
	} else {
		place_old(r, dirfd, name, &sx, e, how);
		*change = *how == HOW_ATTRS || *how == HOW_LEAVE ||
					  has_stamp(&sx, e)
				  ? CHANGE_SAME
				  : CHANGE_MODIFIED;
	}
	restore_dirs_unpin(dir);
	return rc;
}

/* ---- directories ---- */

/* It is not to be made: a pass that only looks, or a dry run. */
static bool
only_looks(const struct restoring *r)
{
	return r->pass != PASS_MAKE || r->conf->dry_run;
}

static enum err
in_the_way(int parent, const char *name, struct error *err)
{
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return err_sys(err, errno, "look at what stands there");
	return err_set(err, ERR_EXISTS, "%s stands where a directory should be",
		S_ISLNK(st.st_mode) ? "a symbolic link" : "no directory");
}

/* No directory has its name: it goes, if that is what --overwrite says. */
static enum err
clear_other(struct restoring *r, const struct rdir *d, int parent, bool guard,
	struct error *err)
{
	if (guard || d->implied || r->conf->overwrite >= OVERWRITE_IF_NEWER)
		return in_the_way(parent, d->name, err);
	restore_attrs_unlock_name(parent, d->name);
	if (unlinkat(parent, d->name, 0) != 0)
		return err_sys(err, errno, "remove what stands there");
	return ERR_OK;
}

static bool
is_no_directory(int errnum)
{
	return errnum == ENOTDIR || errnum == ELOOP;
}

/* Open what was just made, or was there all the time. */
static enum err
open_made(struct restoring *r, struct rdir *d, int parent, int *fd,
	struct error *err)
{
	*fd = restore_dirs_step(parent, d->name);
	if (*fd < 0)
		return err_sys(err, errno, "open directory");
	if (!d->fresh)
		return ERR_OK;
	if (d->parent->hands_on)
		restore_xattrs_forget_acl(*fd);
	return ERR_OK;
}

/*
 * Another's directory that its owner closed even to himself, or that must not
 * be changed, is opened up until its end; where that is not ours to do, what
 * is done in it will fail and say so.
 */
static int
open_closed(struct rdir *d, int parent)
{
	struct stat st;

	if (fstatat(parent, d->name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		!S_ISDIR(st.st_mode) ||
		fchmodat(parent, d->name, (st.st_mode & 07777) | 0700,
			AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	d->found = st;
	return restore_dirs_step(parent, d->name);
}

static enum err
find_dir(struct restoring *r, struct rdir *d, int parent, int *fd,
	struct error *err)
{
	*fd = restore_dirs_step(parent, d->name);
	if (*fd < 0 && errno == EACCES)
		*fd = open_closed(d, parent);
	if (*fd < 0)
		return err_sys(err, errno, "open directory");
	return ERR_OK;
}

static enum err
make_dir(struct restoring *r, struct rdir *d, int parent, bool guard, int *fd,
	struct error *err)
{
	mode_t mode = d->attrs != NULL ? 0700 : 0777;
	enum err rc;

	*fd = -1;
	d->fresh = mkdirat(parent, d->name, mode) == 0;
	if (d->fresh)
		return open_made(r, d, parent, fd, err);
	if (errno != EEXIST)
		return err_sys(err, errno, "create directory");
	rc = find_dir(r, d, parent, fd, err);
	if (rc == ERR_OK || !is_no_directory(err->sys_errno))
		return rc;
	rc = clear_other(r, d, parent, guard, err);
	if (rc != ERR_OK)
		return rc;
	if (mkdirat(parent, d->name, mode) != 0)
		return err_sys(err, errno, "create directory");
	d->fresh = true;
	return open_made(r, d, parent, fd, err);
}

/* A dry run does not change even what forbids it to look. */
static enum err
look_dir(struct restoring *r, struct rdir *d, int parent, bool guard, int *fd,
	struct error *err)
{
	*fd = restore_dirs_step(parent, d->name);
	if (*fd >= 0)
		return ERR_OK;
	if (r->pass != PASS_MAKE && errno == EACCES)
		return find_dir(r, d, parent, fd, err);
	if (r->pass == PASS_MAKE && is_no_directory(errno) &&
		(guard || d->implied ||
			r->conf->overwrite >= OVERWRITE_IF_NEWER))
		return in_the_way(parent, d->name, err);
	if (r->pass == PASS_MAKE &&
		(errno == ENOENT || is_no_directory(errno))) {
		d->state = RDIR_ABSENT;
		return ERR_OK;
	}
	return err_sys(err, errno, "open directory");
}

/* Whether what the snapshot says of it replaces what it has. */
static bool
gets_attrs(const struct restoring *r, const struct rdir *d, bool guard)
{
	if (only_looks(r) || d->attrs == NULL)
		return false;
	return d->fresh || (!guard && r->conf->overwrite < OVERWRITE_IF_NEWER);
}

/* What was there: how it is to be at the end, and open until then. */
static void
remember(struct restoring *r, struct rdir *d, int fd, bool guard)
{
	bool closed = d->found.st_mode != 0;
	mode_t mode = d->found.st_mode;

	if (fstat(fd, &d->found) != 0)
		memset(&d->found, 0, sizeof(d->found));
	else if (closed)
		d->found.st_mode = mode;
	d->put_back = !gets_attrs(r, d, guard);
	if (d->fresh || r->conf->dry_run)
		return;
	d->hands_on = restore_xattrs_hands_on(fd);
	if ((d->found.st_mode & 0700) != 0700)
		(void)fchmod(fd, (d->found.st_mode & 07777) | 0700);
	d->found_flags = restore_attrs_unlock(fd);
}

enum err
restore_place_dir(struct restoring *r, struct rdir *d, bool guard,
	enum change *change, struct error *err)
{
	int parent, fd = -1;
	enum err rc;

	*change = CHANGE_NEW;
	if (d->parent->state == RDIR_ABSENT) {
		d->state = RDIR_ABSENT;
		return ERR_OK;
	}
	rc = restore_dirs_pin(d->parent, &parent, err);
	if (rc != ERR_OK)
		return rc;
	if (only_looks(r))
		rc = look_dir(r, d, parent, guard, &fd, err);
	else
		rc = make_dir(r, d, parent, guard, &fd, err);
	restore_dirs_unpin(d->parent);
	if (rc != ERR_OK || fd < 0)
		return rc;
	remember(r, d, fd, guard);
	*change = d->fresh ? CHANGE_NEW : CHANGE_SAME;
	restore_dirs_opened(d, fd);
	return ERR_OK;
}

void
restore_place_root(struct restoring *r, struct rdir *d, int fd)
{
	remember(r, d, fd, true);
	restore_dirs_opened(d, fd);
}

void
restore_place_root_attrs(struct restoring *r, struct rdir *d,
	struct attrs *attrs)
{
	free(d->attrs);
	d->attrs = attrs;
	d->put_back = !gets_attrs(r, d, false);
}

/* As it was found; its times only if we may have changed them. */
static void
put_back(struct restoring *r, const struct rdir *d, int fd)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		d->found.st_mtim };

	if ((d->found.st_mode & 0700) != 0700)
		(void)fchmod(fd, d->found.st_mode & 07777);
	if (r->pass == PASS_LINKS)
		(void)futimens(fd, times);
	restore_attrs_lock(fd, d->found_flags);
}

static enum err
finish_dir(struct restoring *r, struct rdir *d, int fd, struct error *err)
{
	struct spot at = { fd, -1, NULL };
	struct have have;
	struct stat st;

	if (d->put_back) {
		put_back(r, d, fd);
		return ERR_OK;
	}
	if (fstat(fd, &st) != 0)
		return err_sys(err, errno, "look at directory");
	have = restore_attrs_have(&st);
	have.clean = d->fresh;
	if (!d->attrs->has_flags)
		restore_attrs_lock(fd, d->found_flags);
	if (restore_attrs_set(r, d->attrs, &at, &have, err) != ERR_OK)
		return err->code;
	return restore_attrs_flags(r, d->attrs, &at, &have, err);
}

void
restore_place_dir_done(void *arg, struct rdir *d)
{
	struct restoring *r = arg;
	struct error why = ERROR_INIT;
	int fd;
	enum err rc;

	/* Nothing to do; one that was removed is not even there. */
	if (d->put_back && (d->fresh || r->conf->dry_run))
		return;
	rc = restore_dirs_pin(d, &fd, &why);
	if (rc == ERR_OK) {
		rc = finish_dir(r, d, fd, &why);
		restore_dirs_unpin(d);
	}
	if (rc != ERR_OK)
		restoring_problem(r, d, NULL, &why);
}
