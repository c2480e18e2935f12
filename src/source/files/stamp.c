/* SPDX-License-Identifier: Apache-2.0 */
#include "source/files/stamp.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

bool
stamp_get(struct stamp *s, int at, const char *name)
{
	int flags =
		AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_SYNC_AS_STAT;
	struct statx sx;

	if (*name == '\0')
		flags |= AT_EMPTY_PATH;
	s->left_out = false;
	if (statx(at, name, flags, STATX_BASIC_STATS, &sx) != 0) {
		s->errnum = errno;
		s->mode = 0;
		return false;
	}
	s->size = S_ISREG(sx.stx_mode) ? sx.stx_size : 0;
	s->ino = sx.stx_ino;
	s->dev = makedev(sx.stx_dev_major, sx.stx_dev_minor);
	s->blocks = sx.stx_blocks;
	s->mtime = sx.stx_mtime.tv_sec;
	s->mtime_nsec = sx.stx_mtime.tv_nsec;
	s->ctime = sx.stx_ctime.tv_sec;
	s->ctime_nsec = sx.stx_ctime.tv_nsec;
	s->mode = sx.stx_mode;
	s->uid = sx.stx_uid;
	s->gid = sx.stx_gid;
	s->nlink = sx.stx_nlink;
	s->major = sx.stx_rdev_major;
	s->minor = sx.stx_rdev_minor;
	s->errnum = 0;
	return true;
}

bool
stamp_is_dir(const struct stamp *s)
{
	return S_ISDIR(s->mode);
}

bool
stamp_is_file(const struct stamp *s)
{
	return S_ISREG(s->mode);
}

static enum entry_type
type_of(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return ENTRY_DIR;
	case S_IFLNK:
		return ENTRY_SYMLINK;
	case S_IFCHR:
		return ENTRY_CHR;
	case S_IFBLK:
		return ENTRY_BLK;
	case S_IFIFO:
		return ENTRY_FIFO;
	case S_IFSOCK:
		return ENTRY_SOCKET;
	default:
		return ENTRY_FILE;
	}
}

void
stamp_fill(const struct stamp *s, struct entry *e, struct names *names)
{
	e->type = type_of(s->mode);
	e->mode = s->mode & 07777;
	e->uid = s->uid;
	e->gid = s->gid;
	e->mtime = (struct when){ s->mtime, s->mtime_nsec };
	e->ctime = (struct when){ s->ctime, s->ctime_nsec };
	e->ino = s->ino;
	e->size = s->size;
	/* A directory's links are its subdirectories. */
	e->nlink = S_ISDIR(s->mode) ? 1 : s->nlink;
	e->dev = s->dev;
	e->major = S_ISCHR(s->mode) || S_ISBLK(s->mode) ? s->major : 0;
	e->minor = S_ISCHR(s->mode) || S_ISBLK(s->mode) ? s->minor : 0;
	if (names != NULL) {
		e->user = names_user(names, s->uid);
		e->group = names_group(names, s->gid);
	}
}
