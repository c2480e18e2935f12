/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_dir: the object a/b/c is the file a/b/c below the root.
 *
 * Crash argument.  dir_write gives a file its name only when its bytes are
 * durable, and returns only when the name is, see there.  The directories on
 * the way are durable before that: whoever makes one, or finds one for the
 * first time (its maker may have died meanwhile), syncs the one above it; the
 * root and all above it are synced when they are created.  Directories are
 * never removed, so this holds for as long as the store is open.
 *
 * On file systems without nameless files a crash leaves a temporary, which
 * list does not show.  The first put of a run into a directory removes those
 * whose writers are dead.
 *
 * A symbolic link inside the store is never followed: openat2(2) refuses it.
 * The path that leads to the root may have some, it is the operator's.
 *
 * Directories are 0700 and objects 0400: names and sizes of objects are
 * nobody else's business, and an object is never written to again.
 */
#include "store/store_dir.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fsx.h"
#include "store/dir_walk.h"
#include "store/fdcache.h"

enum { DIR_MODE = 0700, SETTLED_MAX = 4096 };

struct store_dir {
	struct store base;
	char *root;
	int root_fd;
	_Atomic int way; /* enum dir_way that this file system takes */
	struct fdcache files;

	pthread_mutex_t lock; /* of the following */
	char **settled; /* directories known to be durable */
	size_t n_settled, cap_settled;
};

static struct store_dir *
to_dir(struct store *st)
{
	return container_of(st, struct store_dir, base);
}

/* "" is the root. */
static int
open_below(const struct store_dir *sd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};

	return (int)syscall(SYS_openat2, sd->root_fd,
		path[0] == '\0' ? "." : path, &how, sizeof(how));
}

/* The error of an open_below that failed, as the contract has it. */
static enum err
open_failed(const char *what, int errnum, struct error *err)
{
	switch (errnum) {
	case ENOENT:
	case ENOTDIR: /* a/b where a is an object */
		return err_set(err, ERR_NOTFOUND, "object %s: does not exist",
			what);
	case ELOOP:
		return err_set(err, ERR_IO,
			"object %s: a symbolic link stands in its path, and "
			"is not followed",
			what);
	case ENOSYS:
		return err_set(err, ERR_IO,
			"object %s: the system call openat2 is missing "
			"(Linux 5.6 has it)",
			what);
	default:
		return err_sys(err, errnum, "object %s: open", what);
	}
}

/* The error of an open_below that failed on a way to put something. */
static enum err
parent_failed(const char *path, int errnum, struct error *err)
{
	if (errnum == ENOTDIR)
		return err_set(err, ERR_USAGE,
			"object %s: a part of its path is an object already, "
			"and so cannot be a prefix",
			path);
	return open_failed(path, errnum, err);
}

static bool
is_settled(struct store_dir *sd, const char *path)
{
	bool found = false;

	(void)pthread_mutex_lock(&sd->lock);
	for (size_t i = 0; i < sd->n_settled && !found; i++)
		found = strcmp(sd->settled[i], path) == 0;
	(void)pthread_mutex_unlock(&sd->lock);
	return found;
}

/* What finds no room is synced again next time: slower, not wrong. */
static void
add_settled(struct store_dir *sd, const char *path)
{
	char *copy = strdup(path);

	(void)pthread_mutex_lock(&sd->lock);
	if (sd->n_settled == sd->cap_settled && sd->cap_settled < SETTLED_MAX) {
		size_t cap = sd->cap_settled == 0 ? 64 : sd->cap_settled * 2;
		char **v = realloc(sd->settled, cap * sizeof(*v));

		if (v != NULL) {
			sd->settled = v;
			sd->cap_settled = cap;
		}
	}
	if (copy != NULL && sd->n_settled < sd->cap_settled) {
		sd->settled[sd->n_settled++] = copy;
		copy = NULL;
	}
	(void)pthread_mutex_unlock(&sd->lock);
	free(copy);
}

/* Make the directory path (its parent exists) if need be, and its name
 * durable. */
static enum err
settle_one(struct store_dir *sd, const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	const char *leaf = slash == NULL ? path : slash + 1;
	char parent[STORE_NAME_MAX + 1] = "";
	int fd = -1;
	enum err rc;

	if (is_settled(sd, path))
		return ERR_OK;
	if (slash != NULL)
		memcpy(parent, path, (size_t)(slash - path));
	fd = open_below(sd, parent, O_RDONLY | O_DIRECTORY);
	if (fd < 0) {
		rc = parent_failed(path, errno, err);
		goto out;
	}
	if (mkdirat(fd, leaf, DIR_MODE) != 0 && errno != EEXIST) {
		rc = err_sys(err, errno, "create directory %s", path);
		goto out;
	}
	rc = fsx_sync_dir(fd, path, err);
	if (rc == ERR_OK)
		add_settled(sd, path);
out:
	fsx_close(&fd);
	return rc;
}

/* Open the directory that is to hold name, all above it durable.  *first:
 * nobody asked for it before in this run. */
static enum err
open_parent(struct store_dir *sd, const char *name, int *fd, bool *first,
	struct error *err)
{
	char path[STORE_NAME_MAX + 1];
	size_t len = strlen(name);
	char *slash;
	enum err rc;

	memcpy(path, name, len + 1);
	slash = strrchr(path, '/');
	*(slash == NULL ? path : slash) = '\0';
	*first = !is_settled(sd, path);
	if (*first) {
		for (char *p = path; (p = strchr(p, '/')) != NULL; *p++ = '/') {
			*p = '\0';
			rc = settle_one(sd, path, err);
			if (rc != ERR_OK)
				return rc;
		}
		if (path[0] == '\0')
			add_settled(sd, path);
		else if ((rc = settle_one(sd, path, err)) != ERR_OK)
			return rc;
	}
	*fd = open_below(sd, path, O_RDONLY | O_DIRECTORY);
	return *fd < 0 ? parent_failed(name, errno, err) : ERR_OK;
}

static enum err
dir_put(struct store *st, const char *name, const void *data, size_t len,
	struct error *err)
{
	struct store_dir *sd = to_dir(st);
	const char *slash = strrchr(name, '/');
	bool first;
	int fd = -1;
	enum err rc;

	rc = open_parent(sd, name, &fd, &first, err);
	if (rc == ERR_OK) {
		struct dir_file f = {
			.dirfd = fd,
			.leaf = slash == NULL ? name : slash + 1,
			.data = data,
			.len = len,
			.what = name,
		};
		rc = dir_write(&f, &sd->way, err);
		if (first && sd->way != DIR_WAY_TMPFILE)
			dir_write_sweep(fd);
	}
	fsx_close(&fd);
	return rc == ERR_OK ? ERR_OK : err_wrap(err, "store %s", sd->root);
}

/* Hold the file of an object.  One from the cache may have been deleted by
 * another process meanwhile: it then has no name left. */
static enum err
object_open(struct store_dir *sd, const char *name, struct fdcache_hold *hold,
	struct stat *sb, struct error *err)
{
	int fd;

	if (fdcache_take(&sd->files, name, hold)) {
		if (fstat(hold->fd, sb) == 0 && sb->st_nlink > 0)
			return ERR_OK;
		fdcache_drop(&sd->files, name);
		fdcache_release(&sd->files, hold);
	}
	fd = open_below(sd, name, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return open_failed(name, errno, err);
	if (fstat(fd, sb) != 0 || !S_ISREG(sb->st_mode)) {
		fsx_close(&fd);
		return open_failed(name, ENOENT, err);
	}
	fdcache_add(&sd->files, name, fd, hold);
	return ERR_OK;
}

static enum err
ends_early(const char *name, uint64_t size, uint64_t off, size_t len,
	struct error *err)
{
	return err_set(err, ERR_CORRUPT,
		"object %s: ends after %llu bytes, %zu at %llu were asked for",
		name, (unsigned long long)size, len, (unsigned long long)off);
}

static enum err
dir_get(struct store *st, const char *name, uint64_t off, size_t len,
	struct buf *out, struct error *err)
{
	struct store_dir *sd = to_dir(st);
	struct fdcache_hold hold = FDCACHE_HOLD_NONE;
	struct stat sb;
	uint64_t size;
	size_t got = 0;
	enum err rc;

	rc = object_open(sd, name, &hold, &sb, err);
	if (rc != ERR_OK)
		goto out;
	size = (uint64_t)sb.st_size;
	/* Before any memory is asked for: len may come from stored bytes. */
	if (off > size || len > size - off) {
		rc = ends_early(name, size, off, len, err);
		goto out;
	}
	rc = buf_reserve(out, len, err);
	if (rc != ERR_OK || len == 0)
		goto out;
	rc = fsx_pread(hold.fd, out->data + out->len, len, off, &got, name,
		err);
	if (rc == ERR_OK && got < len)
		rc = ends_early(name, off + got, off, len, err);
	if (rc == ERR_OK)
		out->len += len;
out:
	fdcache_release(&sd->files, &hold);
	return rc == ERR_OK ? ERR_OK : err_wrap(err, "store %s", sd->root);
}

static enum err
dir_size(struct store *st, const char *name, uint64_t *size, struct error *err)
{
	struct store_dir *sd = to_dir(st);
	struct fdcache_hold hold = FDCACHE_HOLD_NONE;
	struct stat sb;
	enum err rc;

	rc = object_open(sd, name, &hold, &sb, err);
	fdcache_release(&sd->files, &hold);
	if (rc != ERR_OK)
		return err_wrap(err, "store %s", sd->root);
	*size = (uint64_t)sb.st_size;
	return ERR_OK;
}

/* The time of the last write, which is the put's: a file gets its name only
 * afterwards and is never written to again. */
static enum err
dir_time(struct store *st, const char *name, struct when *out,
	struct error *err)
{
	struct store_dir *sd = to_dir(st);
	struct fdcache_hold hold = FDCACHE_HOLD_NONE;
	struct stat sb;
	enum err rc;

	rc = object_open(sd, name, &hold, &sb, err);
	fdcache_release(&sd->files, &hold);
	if (rc != ERR_OK)
		return err_wrap(err, "store %s", sd->root);
	*out = (struct when){ .sec = sb.st_mtim.tv_sec,
		.nsec = (uint32_t)sb.st_mtim.tv_nsec };
	return ERR_OK;
}

static enum err
dir_del(struct store *st, const char *name, struct error *err)
{
	struct store_dir *sd = to_dir(st);
	const char *slash = strrchr(name, '/');
	char parent[STORE_NAME_MAX + 1] = "";
	int fd = -1;
	enum err rc;

	if (slash != NULL)
		memcpy(parent, name, (size_t)(slash - name));
	fd = open_below(sd, parent, O_RDONLY | O_DIRECTORY);
	if (fd < 0) {
		rc = open_failed(name, errno, err);
		goto out;
	}
	if (unlinkat(fd, slash == NULL ? name : slash + 1, 0) != 0) {
		/* A directory is no object. */
		rc = errno == ENOENT || errno == EISDIR
			     ? open_failed(name, ENOENT, err)
			     : err_sys(err, errno, "object %s: delete", name);
		goto out;
	}
	fdcache_drop(&sd->files, name);
	rc = fsx_sync_dir(fd, name, err);
out:
	fsx_close(&fd);
	return rc == ERR_OK ? ERR_OK : err_wrap(err, "store %s", sd->root);
}

/* A prefix that names an object has nothing below it. */
static enum err
dir_list(struct store *st, const char *prefix, store_list_fn *fn, void *arg,
	struct error *err)
{
	struct store_dir *sd = to_dir(st);
	int fd;

	fd = open_below(sd, prefix, O_RDONLY | O_DIRECTORY);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return ERR_OK;
	if (fd < 0) {
		(void)open_failed(prefix, errno, err);
		return err_wrap(err, "store %s", sd->root);
	}
	return dir_walk(fd, prefix, fn, arg, err);
}

/*
 * Make the names of the root and of the directories above it durable, up to
 * the mount: mkdir may have made any of them.  One that may not be read cannot
 * be synced by itself.
 */
static enum err
sync_above(int root_fd, const char *root, struct error *err)
{
	struct stat below, sb;
	int fd, up;
	enum err rc = ERR_OK;

	fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &below) != 0) {
		rc = err_sys(err, errno, "%s", root);
		goto out;
	}
	for (;;) {
		up = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (up < 0) {
			if (syncfs(fd) != 0)
				rc = err_sys(err, errno, "%s: sync", root);
			break;
		}
		fsx_close(&fd);
		fd = up;
		if (fstat(fd, &sb) != 0 || sb.st_dev != below.st_dev ||
			sb.st_ino == below.st_ino)
			break;
		rc = fsx_sync_dir(fd, root, err);
		if (rc != ERR_OK)
			break;
		below = sb;
	}
out:
	fsx_close(&fd);
	return rc;
}

static void
dir_close(struct store *st)
{
	struct store_dir *sd = to_dir(st);

	for (size_t i = 0; i < sd->n_settled; i++)
		free(sd->settled[i]);
	free(sd->settled);
	fdcache_fini(&sd->files);
	(void)pthread_mutex_destroy(&sd->lock);
	fsx_close(&sd->root_fd);
	free(sd->root);
	free(sd);
}

static enum err
root_open(const char *path, bool create, int *fd, struct error *err)
{
	enum err rc;

	if (path[0] == '\0')
		return err_set(err, ERR_USAGE, "the path of a store is empty");
	if (create) {
		rc = fsx_mkdirs(path, DIR_MODE, err);
		if (rc != ERR_OK)
			return err_wrap(err, "store %s", path);
	}
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return err_sys(err, errno, "store %s", path);
	return create ? sync_above(*fd, path, err) : ERR_OK;
}

static enum err
dir_open(struct store **out, const char *rest, bool create, struct error *err)
{
	struct store_dir *sd;
	int fd = -1;
	enum err rc;

	rc = root_open(rest, create, &fd, err);
	if (rc != ERR_OK) {
		fsx_close(&fd);
		return rc;
	}
	sd = calloc(1, sizeof(*sd));
	if (sd == NULL) {
		fsx_close(&fd);
		return err_set(err, ERR_NOMEM, "store %s: no memory", rest);
	}
	sd->base.ops = &store_dir_ops;
	sd->root_fd = fd;
	(void)pthread_mutex_init(&sd->lock, NULL);
	fdcache_init(&sd->files);
	sd->root = strdup(rest);
	if (sd->root == NULL) {
		dir_close(&sd->base);
		return err_set(err, ERR_NOMEM, "store %s: no memory", rest);
	}
	*out = &sd->base;
	return ERR_OK;
}

void
store_dir_limit(struct store *st, enum dir_way first)
{
	assert(st->ops == &store_dir_ops && first < DIR_WAY_END);
	to_dir(st)->way = first;
}

const struct store_ops store_dir_ops = {
	.scheme = "file",
	.open = dir_open,
	.close = dir_close,
	.put = dir_put,
	.get = dir_get,
	.size = dir_size,
	.time = dir_time,
	.list = dir_list,
	.del = dir_del,
};
