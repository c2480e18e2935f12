/* SPDX-License-Identifier: Apache-2.0 */
/* dir_walk: depth first, with a stack as deep as names may be. */
#include "store/dir_walk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fsx.h"

enum { DEPTH_MAX = 8 };

/* The directories from the prefix down to the one being read. */
struct walk {
	unsigned depth;
	DIR *dir[DEPTH_MAX];
	size_t len[DEPTH_MAX]; /* of path, up to this directory's names */
	char path[STORE_NAME_MAX + 1];
};

/* Takes over fd, the directory w->path[0 .. len). */
static enum err
walk_push(struct walk *w, int fd, size_t len, struct error *err)
{
	DIR *dir = NULL;

	assert(w->depth < DEPTH_MAX);
	dir = fdopendir(fd);
	if (dir == NULL) {
		enum err rc = err_sys(err, errno, "list %s", w->path);

		fsx_close(&fd);
		return rc;
	}
	if (len > 0)
		w->path[len++] = '/';
	w->dir[w->depth] = dir;
	w->len[w->depth++] = len;
	return ERR_OK;
}

static enum err
walk_down(struct walk *w, const char *leaf, size_t len, struct error *err)
{
	int fd;

	/* No name is as deep as what lies below. */
	if (w->depth == DEPTH_MAX || len + 1 >= STORE_NAME_MAX)
		return ERR_OK;
	fd = openat(dirfd(w->dir[w->depth - 1]), leaf,
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return ERR_OK;
	if (fd < 0)
		return err_sys(err, errno, "list %s", w->path);
	return walk_push(w, fd, len, err);
}

/* What was deleted since it was read is passed over. */
static enum err
walk_entry(struct walk *w, const char *leaf, store_list_fn *fn, void *arg,
	struct error *err)
{
	size_t at = w->len[w->depth - 1], len = strlen(leaf);
	struct stat sb;

	if (len > STORE_NAME_MAX - at)
		return ERR_OK;
	memcpy(w->path + at, leaf, len + 1);
	if (!store_name_ok(w->path))
		return ERR_OK;
	if (fstatat(dirfd(w->dir[w->depth - 1]), leaf, &sb,
		    AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT
			       ? ERR_OK
			       : err_sys(err, errno, "list %s", w->path);
	if (S_ISREG(sb.st_mode))
		return fn(arg, w->path, (uint64_t)sb.st_size, err);
	if (S_ISDIR(sb.st_mode))
		return walk_down(w, leaf, at + len, err);
	return ERR_OK;
}

static enum err
walk_all(struct walk *w, store_list_fn *fn, void *arg, struct error *err)
{
	const struct dirent *e;
	enum err rc = ERR_OK;

	while (w->depth > 0 && rc == ERR_OK) {
		errno = 0;
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): our own stream */
		e = readdir(w->dir[w->depth - 1]);
		if (e != NULL)
			rc = walk_entry(w, e->d_name, fn, arg, err);
		else if (errno != 0)
			rc = err_sys(err, errno, "list %s", w->path);
		else
			(void)closedir(w->dir[--w->depth]);
	}
	while (w->depth > 0)
		(void)closedir(w->dir[--w->depth]);
	return rc;
}

enum err
dir_walk(int fd, const char *prefix, store_list_fn *fn, void *arg,
	struct error *err)
{
	struct walk w = { .depth = 0 };
	size_t len = strlen(prefix);
	enum err rc;

	assert(len <= STORE_NAME_MAX);
	memcpy(w.path, prefix, len + 1);
	rc = walk_push(&w, fd, len, err);
	return rc == ERR_OK ? walk_all(&w, fn, arg, err) : rc;
}
