/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/restore_attrs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/restore_owners.h"
#include "engine/restore_xattrs.h"

enum {
	/* What chattr(1) can change and ext4, XFS or Btrfs keep. */
	FLAGS_SETTABLE = FS_SECRM_FL | FS_UNRM_FL | FS_SYNC_FL |
			 FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL |
			 FS_NOATIME_FL | FS_JOURNAL_DATA_FL | FS_NOTAIL_FL |
			 FS_DIRSYNC_FL | FS_TOPDIR_FL | FS_NOCOW_FL |
			 FS_COMPR_FL | FS_PROJINHERIT_FL,
	FLAGS_EARLY = FS_NOCOW_FL | FS_COMPR_FL,
	FLAGS_LOCK = FS_IMMUTABLE_FL | FS_APPEND_FL
};

static const char *const kinds[N_REFUSED] = {
	[REFUSED_OWNER] = "owner or group",
	[REFUSED_SETID] = "set-user-ID for other owners",
	[REFUSED_MODE] = "permissions",
	[REFUSED_XATTR] = "extended attributes",
	[REFUSED_TIME] = "modification time",
	[REFUSED_FLAGS] = "inode flags",
	[REFUSED_DEVICE] = "device files",
};

/* How a file system or the kernel says "not here" or "not you". */
static bool
is_refusal(int errnum)
{
	return errnum == EPERM || errnum == EACCES || errnum == EINVAL ||
	       errnum == ENOTSUP || errnum == ENOSYS || errnum == ENOTTY;
}

static enum err
failed(struct restoring *r, enum refused kind, struct error *err)
{
	int errnum = errno;

	if (is_refusal(errnum)) {
		restoring_refused(r, kind, errnum);
		return ERR_OK;
	}
	(void)err_sys(err, errnum, "set %s", kinds[kind]);
	/* No room for an attribute is not a full disk. */
	err->code = ERR_IO;
	return ERR_IO;
}

void
restore_attrs_of(struct restoring *r, const struct entry *e, struct attrs *a)
{
	*a = (struct attrs){ .type = e->type,
		.mode = e->mode & 07777,
		.mtime = { .tv_sec = e->mtime.sec, .tv_nsec = e->mtime.nsec },
		.has_flags = e->has_flags,
		.flags = e->flags & FLAGS_SETTABLE };
	/* What has no permissions of its own is its owner's alone. */
	if (a->mode == 0 && e->type >= ENTRY_IMAGE)
		a->mode = 0600;
	a->uid = restore_owners_user(r->owners, e->user, e->uid);
	a->gid = restore_owners_group(r->owners, e->group, e->gid);
}

struct have
restore_attrs_have(const struct stat *st)
{
	return (struct have){ .uid = st->st_uid,
		.gid = st->st_gid,
		.mode = st->st_mode & 07777 };
}

/* ---- each of them ---- */

static int
change_owner(const struct spot *at, uid_t uid, gid_t gid)
{
	if (at->fd >= 0)
		return fchown(at->fd, uid, gid);
	return fchownat(at->dirfd, at->name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

/* have becomes what is then there. */
static enum err
set_owner(struct restoring *r, const struct attrs *a, const struct spot *at,
	struct have *have, struct error *err)
{
	const uid_t keep = (uid_t)-1;

	if (r->conf->no_owner || (a->uid == have->uid && a->gid == have->gid))
		return ERR_OK;
	if (change_owner(at, a->uid, a->gid) == 0) {
		have->uid = a->uid;
		have->gid = a->gid;
		/* It takes set-user-ID away. */
		have->mode &= have->mode == HAVE_MODE_UNKNOWN ? ~0u : ~06000u;
		return ERR_OK;
	}
	if (!is_refusal(errno))
		return failed(r, REFUSED_OWNER, err);
	restoring_refused(r, REFUSED_OWNER, errno);
	if (a->gid != have->gid && change_owner(at, keep, a->gid) == 0)
		have->gid = a->gid;
	return ERR_OK;
}

static enum err
set_mode(struct restoring *r, const struct attrs *a, const struct spot *at,
	const struct have *have, struct error *err)
{
	uint32_t mode = a->mode, drop = 0;
	int rc;

	if (a->type == ENTRY_SYMLINK)
		return ERR_OK;
	/* A program must not run as somebody whose it never was. */
	if (a->type != ENTRY_DIR && a->uid != have->uid)
		drop |= S_ISUID;
	if (a->type != ENTRY_DIR && a->gid != have->gid)
		drop |= S_ISGID;
	if ((mode & drop) != 0)
		restoring_refused(r, REFUSED_SETID, EPERM);
	mode &= ~drop;
	if (mode == have->mode)
		return ERR_OK;
	if (at->fd >= 0)
		rc = fchmod(at->fd, mode);
	else
		rc = fchmodat(at->dirfd, at->name, mode, AT_SYMLINK_NOFOLLOW);
	return rc == 0 ? ERR_OK : failed(r, REFUSED_MODE, err);
}

static enum err
set_xattrs(struct restoring *r, const struct attrs *a, const struct spot *at,
	const struct have *have, struct error *err)
{
	struct bytes want = { a->xattrs, a->xattrs_len };
	enum err rc = ERR_OK;

	if (!have->clean)
		rc = restore_xattrs_drop(at, want, err);
	if (rc == ERR_OK && want.len > 0)
		rc = restore_xattrs_set(r, at, want, err);
	return rc;
}

static enum err
set_time(struct restoring *r, const struct attrs *a, const struct spot *at,
	struct error *err)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, a->mtime };
	int rc;

	if (at->fd >= 0)
		rc = futimens(at->fd, times);
	else
		rc = utimensat(at->dirfd, at->name, times, AT_SYMLINK_NOFOLLOW);
	return rc == 0 ? ERR_OK : failed(r, REFUSED_TIME, err);
}

enum err
restore_attrs_flags(struct restoring *r, const struct attrs *a,
	const struct spot *at, const struct have *have, struct error *err)
{
	unsigned flags = 0, want;

	if (!a->has_flags || at->fd < 0 || (have->clean && a->flags == 0))
		return ERR_OK;
	if (ioctl(at->fd, FS_IOC_GETFLAGS, &flags) != 0)
		return a->flags != 0 ? failed(r, REFUSED_FLAGS, err) : ERR_OK;
	want = (flags & ~(unsigned)FLAGS_SETTABLE) | a->flags;
	if (want == flags || ioctl(at->fd, FS_IOC_SETFLAGS, &want) == 0)
		return ERR_OK;
	return failed(r, REFUSED_FLAGS, err);
}

enum err
restore_attrs_set(struct restoring *r, const struct attrs *a,
	const struct spot *at, const struct have *have, struct error *err)
{
	struct have now = *have;
	enum err rc;

	rc = set_owner(r, a, at, &now, err);
	if (rc == ERR_OK)
		rc = set_xattrs(r, a, at, &now, err);
	if (rc == ERR_OK)
		rc = set_mode(r, a, at, &now, err);
	if (rc == ERR_OK)
		rc = set_time(r, a, at, err);
	return rc;
}

/* ---- flags ---- */

void
restore_attrs_early(const struct attrs *a, int fd)
{
	unsigned flags = 0;

	if (!a->has_flags || (a->flags & FLAGS_EARLY) == 0 ||
		ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0)
		return;
	flags |= a->flags & FLAGS_EARLY;
	(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

uint32_t
restore_attrs_unlock(int fd)
{
	unsigned flags = 0, less;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0)
		return 0;
	less = flags & ~(unsigned)FLAGS_LOCK;
	if (less != flags)
		(void)ioctl(fd, FS_IOC_SETFLAGS, &less);
	return flags;
}

void
restore_attrs_lock(int fd, uint32_t flags)
{
	unsigned all = flags;

	if ((flags & FLAGS_LOCK) != 0)
		(void)ioctl(fd, FS_IOC_SETFLAGS, &all);
}

void
restore_attrs_unlock_name(int dirfd, const char *name)
{
	int fd = openat(dirfd, name,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)restore_attrs_unlock(fd);
	(void)close(fd);
}

/* ---- what was refused ---- */

void
restore_attrs_tell(struct restoring *r)
{
	char text[256];

	for (size_t i = 0; i < N_REFUSED; i++) {
		struct refusal *f = &r->refusals[i];

		if (f->n == 0)
			continue;
		(void)snprintf(text, sizeof(text), "%s: %s, %llu %s without",
			kinds[i], strerrordesc_np(f->errnum),
			(unsigned long long)f->n,
			f->n == 1 ? "entry" : "entries");
		r->report->note(r->report->arg, text);
	}
}
