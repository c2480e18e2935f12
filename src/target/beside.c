/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The own name appears by a rename, after the bytes and before the directory
 * were made durable: whoever sees it sees all of it.
 */
#include "target/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsx.h"

static enum err
split(struct beside *b, const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash != NULL ? slash + 1 : path;

	if (*base == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
		return err_set(err, ERR_USAGE, "\"%s\" does not name a file",
			path);
	b->path = strdup(path);
	b->base = strdup(base);
	if (b->path == NULL || b->base == NULL ||
		asprintf(&b->temp, "%s.coffer-restore", base) < 0) {
		b->temp = NULL;
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	return ERR_OK;
}

static enum err
open_dir(struct beside *b, struct error *err)
{
	size_t len = strlen(b->path) - strlen(b->base);
	char *dir = len > 0 ? strndup(b->path, len) : strdup(".");
	enum err rc = ERR_OK;

	if (dir == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	b->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->dirfd < 0)
		rc = err_sys(err, errno, "open directory %s", dir);
	free(dir);
	return rc;
}

enum err
beside_open(struct beside *b, const char *path, struct error *err)
{
	struct stat st;
	enum err rc;

	*b = (struct beside){ .dirfd = -1, .fd = -1 };
	rc = split(b, path, err);
	if (rc == ERR_OK)
		rc = open_dir(b, err);
	if (rc == ERR_OK &&
		fstatat(b->dirfd, b->base, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		b->is_there = true;
		if (!S_ISREG(st.st_mode))
			rc = err_set(err, ERR_USAGE, "%s is not a regular file",
				path);
	} else if (rc == ERR_OK && errno != ENOENT) {
		rc = err_sys(err, errno, "%s", path);
	}
	if (rc != ERR_OK)
		beside_close(b);
	return rc;
}

void
beside_close(struct beside *b)
{
	fsx_close(&b->fd);
	fsx_close(&b->dirfd);
	free(b->path);
	free(b->base);
	free(b->temp);
	b->path = b->base = b->temp = NULL;
}

static enum err
lock(struct beside *b, const char *name, struct error *err)
{
	struct stat st, named;

	if (fstat(b->fd, &st) != 0)
		return err_sys(err, errno, "%s", b->path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_USAGE, "%s: %s is not a regular file",
			b->path, name);
	if (flock(b->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		return err_set(err, ERR_EXISTS,
			"%s: another restore is writing it", b->path);
	/* Who held the lock may have renamed it before letting go. */
	if (fstatat(b->dirfd, name, &named, AT_SYMLINK_NOFOLLOW) != 0 ||
		named.st_ino != st.st_ino || named.st_dev != st.st_dev)
		return err_set(err, ERR_EXISTS,
			"%s: another restore has finished it just now",
			b->path);
	return ERR_OK;
}

static enum err
open_locked(struct beside *b, const char *name, int flags, struct error *err)
{
	enum err rc;

	b->fd = openat(b->dirfd, name,
		O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | flags, 0600);
	if (b->fd < 0)
		return err_sys(err, errno, "open %s", b->path);
	rc = lock(b, name, err);
	if (rc != ERR_OK)
		fsx_close(&b->fd);
	return rc;
}

enum err
beside_make(struct beside *b, struct error *err)
{
	return open_locked(b, b->temp, O_CREAT, err);
}

enum err
beside_take(struct beside *b, struct error *err)
{
	enum err rc = open_locked(b, b->base, 0, err);

	if (rc == ERR_OK && renameat(b->dirfd, b->base, b->dirfd, b->temp) != 0)
		rc = err_sys(err, errno, "rename %s to %s", b->path, b->temp);
	return rc;
}

enum err
beside_look(struct beside *b, struct error *err)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;

	b->fd = openat(b->dirfd, b->temp, flags);
	if (b->fd < 0)
		b->fd = openat(b->dirfd, b->base, flags);
	if (b->fd < 0 && errno != ENOENT)
		return err_sys(err, errno, "open %s", b->path);
	return ERR_OK;
}

enum err
beside_finish(struct beside *b, bool replace, struct error *err)
{
	const char *from = b->temp, *to = b->base;
	int rc;

	if (fsync(b->fd) != 0)
		return err_sys(err, errno, "sync %s", b->path);
	rc = renameat2(b->dirfd, from, b->dirfd, to,
		replace ? 0 : RENAME_NOREPLACE);
	if (rc != 0 && errno == EINVAL) {
		rc = linkat(b->dirfd, from, b->dirfd, to, 0);
		if (rc == 0)
			rc = unlinkat(b->dirfd, from, 0);
	}
	if (rc != 0)
		return err_sys(err, errno, "rename %s to its name", b->path);
	return fsx_sync_dir(b->dirfd, b->path, err);
}

void
beside_drop(struct beside *b)
{
	(void)unlinkat(b->dirfd, b->temp, 0);
}
