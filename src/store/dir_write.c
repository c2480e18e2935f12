/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dir_write: bytes first, then the name.
 *
 * Crash argument.  (1) The bytes go into a file that has no name (O_TMPFILE)
 * or a temporary one, which begins with a dot and so is no object's; (2)
 * fdatasync; (3) link(2), or rename without replacing, gives it the name; (4)
 * fsync of the directory.  A crash before 3 leaves no object; the nameless
 * file is freed by the file system.  A crash between 3 and 4 leaves the whole
 * object or none, as the bytes were durable before.  ERR_OK follows 4 only.
 * When 4 fails the name may stay: the object below it is whole, and a second
 * put finds it, makes it durable, and reports ERR_EXISTS.
 *
 * Whoever meets an existing file syncs it and the directory before saying so:
 * its creator may have died between 3 and 4.
 *
 * A temporary is locked (flock) as long as its writer lives, so one whose lock
 * can be taken is garbage, however young.  A writer that was swept between
 * creating and locking sees that its file has no name left, and begins again.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsx.h"
#include "store/dir_write.h"

enum {
	/* An object never changes, so that nobody needs to write to it; and it
	 * is its owner's alone.  Deleting asks for the directory only. */
	OBJECT_MODE = 0400,
	/* Until it is an object the sweeper has to lock it, which NFS allows
	 * on files open for writing only. */
	TEMP_MODE = 0600,
	TEMP_TRIES = 100,
	PIECE_LEN = 1 << 20
};

#define TEMP_PREFIX ".tmp-"

struct temp {
	int fd;
	char name[32]; /* empty: nameless */
};

/* Whether errno says that the file system does not know the operation.
 * EPERM is what link(2) says there, EISDIR what old O_TMPFILE says. */
static bool
unsupported(int errnum)
{
	return errnum == EOPNOTSUPP || errnum == ENOSYS || errnum == EINVAL ||
	       errnum == EPERM || errnum == EISDIR || errnum == EMLINK;
}

/* The disk begins to work on a piece while the next is copied, so that little
 * is left for fdatasync to wait for. */
static enum err
write_durably(const struct dir_file *f, int fd, struct error *err)
{
	const uint8_t *data = f->data;
	size_t off = 0, n;
	enum err rc;

	while (off < f->len) {
		n = f->len - off < PIECE_LEN ? f->len - off : PIECE_LEN;
		rc = fsx_write(fd, data + off, n, f->what, err);
		if (rc != ERR_OK)
			return rc;
		if (n == PIECE_LEN)
			(void)sync_file_range(fd, (off_t)off, (off_t)n,
				SYNC_FILE_RANGE_WRITE);
		off += n;
	}
	if (fdatasync(fd) != 0)
		return err_sys(err, errno, "%s: sync", f->what);
	return ERR_OK;
}

static int
temp_nameless(struct temp *t, int dirfd)
{
	t->name[0] = '\0';
	t->fd = openat(dirfd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC,
		OBJECT_MODE);
	return t->fd >= 0 ? 0 : errno;
}

/* Lock a temporary just created; false where a sweeper was faster.  Without
 * locks on this file system nobody sweeps. */
static bool
temp_lock(int fd)
{
	struct stat sb;

	while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
		;
	return fstat(fd, &sb) != 0 || sb.st_nlink > 0;
}

static int
temp_named(struct temp *t, int dirfd)
{
	uint64_t r;

	for (unsigned n = 0; n < TEMP_TRIES; n++) {
		if (getrandom(&r, sizeof(r), 0) != sizeof(r))
			return EIO;
		(void)snprintf(t->name, sizeof(t->name), TEMP_PREFIX "%016llx",
			(unsigned long long)r);
		t->fd = openat(dirfd, t->name,
			O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			TEMP_MODE);
		if (t->fd < 0 && errno != EEXIST)
			return errno;
		if (t->fd >= 0 && temp_lock(t->fd))
			return 0;
		fsx_close(&t->fd);
	}
	return EEXIST;
}

/* After a rename there is nothing left to unlink. */
static void
temp_unlink(struct temp *t, int dirfd)
{
	if (t->name[0] != '\0')
		(void)unlinkat(dirfd, t->name, 0);
	t->name[0] = '\0';
}

/* Whether leaf is the very file that fd has open. */
static bool
is_same(int fd, int dirfd, const char *leaf)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 &&
	       fstatat(dirfd, leaf, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* AT_EMPTY_PATH asks for a capability before Linux 6.10, the other spelling
 * for a mounted /proc. */
static int
link_nameless(const struct temp *t, const struct dir_file *f)
{
	char proc[48];

	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", t->fd);
	if (linkat(AT_FDCWD, proc, f->dirfd, f->leaf, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	if (errno != ENOENT)
		return errno;
	if (linkat(t->fd, "", f->dirfd, f->leaf, AT_EMPTY_PATH) == 0)
		return 0;
	return errno == ENOENT ? ENOSYS : errno;
}

static int
link_named(const struct temp *t, const struct dir_file *f, enum dir_way way)
{
	int errnum, rc;

	rc = way == DIR_WAY_LINK
		     ? linkat(f->dirfd, t->name, f->dirfd, f->leaf, 0)
		     : renameat2(f->dirfd, t->name, f->dirfd, f->leaf,
			       RENAME_NOREPLACE);
	if (rc == 0)
		return 0;
	errnum = errno;
	/* A network file system that lost the reply asked twice, and reports
	 * what became of the second request. */
	if ((errnum == EEXIST || errnum == ENOENT) &&
		is_same(t->fd, f->dirfd, f->leaf))
		return 0;
	return errnum;
}

/* What has the name becomes durable before anybody relies on it. */
static enum err
settle_existing(const struct dir_file *f, struct error *err)
{
	struct stat sb;
	enum err rc = ERR_OK;
	int fd;

	fd = openat(f->dirfd, f->leaf,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_AGAIN,
			"%s: was deleted while it was put", f->what);
	if (fd < 0 && errno != ELOOP)
		return err_sys(err, errno, "%s: exists; open", f->what);
	if (fd < 0 || fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode))
		rc = err_set(err, ERR_USAGE,
			"%s: the name is taken by what is not an object",
			f->what);
	else if (fsync(fd) != 0)
		rc = err_sys(err, errno, "%s: exists; sync", f->what);
	else
		rc = fsx_sync_dir(f->dirfd, f->what, err);
	fsx_close(&fd);
	if (rc == ERR_OK)
		rc = err_set(err, ERR_EXISTS, "%s: exists", f->what);
	return rc;
}

/* errnum 0, or why the file did not get its name. */
static enum err
finish(const struct dir_file *f, const struct temp *t, int errnum,
	struct error *err)
{
	if (errnum == 0)
		return fsx_sync_dir(f->dirfd, f->what, err);
	if (errnum == EEXIST)
		return settle_existing(f, err);
	if (errnum == ENOENT && t->name[0] != '\0')
		return err_set(err, ERR_AGAIN,
			"%s: its temporary file was removed by somebody",
			f->what);
	return err_sys(err, errnum, "%s: create", f->what);
}

/* One attempt; *unfit where the file system does not know this way. */
static enum err
create(const struct dir_file *f, enum dir_way way, bool *unfit,
	struct error *err)
{
	struct temp t = { .fd = -1 };
	enum err rc;
	int errnum;

	*unfit = false;
	errnum = way == DIR_WAY_TMPFILE ? temp_nameless(&t, f->dirfd)
					: temp_named(&t, f->dirfd);
	if (errnum != 0) {
		*unfit = unsupported(errnum);
		return err_sys(err, errnum, "%s: create", f->what);
	}
	rc = write_durably(f, t.fd, err);
	if (rc != ERR_OK)
		goto out;
	if (way != DIR_WAY_TMPFILE)
		(void)fchmod(t.fd, OBJECT_MODE);
	errnum = way == DIR_WAY_TMPFILE ? link_nameless(&t, f)
					: link_named(&t, f, way);
	*unfit = unsupported(errnum);
	if (errnum == 0)
		temp_unlink(&t, f->dirfd);
	rc = finish(f, &t, errnum, err);
out:
	temp_unlink(&t, f->dirfd);
	fsx_close(&t.fd);
	return rc;
}

enum err
dir_write(const struct dir_file *f, _Atomic int *way, struct error *err)
{
	struct error last = ERROR_INIT;
	int first = *way;
	bool unfit = true;
	enum err rc = ERR_OK;

	assert(first >= 0 && first < DIR_WAY_END);
	for (int w = first; w < DIR_WAY_END && unfit; w++) {
		rc = create(f, (enum dir_way)w, &unfit, &last);
		/* Not before it served: the errors that mean "unsupported"
		 * have other meanings too. */
		if (w != first && (rc == ERR_OK || rc == ERR_EXISTS))
			*way = w;
	}
	if (rc != ERR_OK)
		*err = last;
	return rc;
}

static void
sweep_one(int dirfd, const char *name)
{
	const int flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd;

	fd = openat(dirfd, name, O_RDWR | flags);
	if (fd < 0) /* its writer died with the mode of an object on it */
		fd = openat(dirfd, name, O_RDONLY | flags);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		(void)unlinkat(dirfd, name, 0);
	fsx_close(&fd);
}

void
dir_write_sweep(int dirfd)
{
	const struct dirent *e;
	DIR *dir;
	int fd;

	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	dir = fdopendir(fd);
	if (dir == NULL) {
		fsx_close(&fd);
		return;
	}
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): our own stream */
	while ((e = readdir(dir)) != NULL)
		if (strncmp(e->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0)
			sweep_one(dirfd, e->d_name);
	(void)closedir(dir);
}
