/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outfile: Crash argument: until the rename the file has a name that nobody
 * looks for, and what it holds is durable before it gets its own.  A command
 * that is killed leaves the temporary file, which says by its name what it was
 * to become.
 */
#include "cli/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsx.h"
#include "cli/cli.h"

enum { FILE_MODE = 0666 };

static enum err
no_memory(struct error *err)
{
	return err_set(err, ERR_NOMEM, "no memory for a name");
}

/* DIR/.NAME.XXXXXX, with the mode that the umask leaves. */
static enum err
create(struct outfile *o, struct error *err)
{
	const char *slash = strrchr(o->path, '/');
	const char *base = slash != NULL ? slash + 1 : o->path;
	mode_t mask;

	if (asprintf(&o->tmp, "%.*s.%s.XXXXXX", (int)(base - o->path), o->path,
		    base) < 0) {
		o->tmp = NULL;
		return no_memory(err);
	}
	o->fd = mkostemp(o->tmp, O_CLOEXEC);
	if (o->fd < 0) {
		int saved = errno;

		free(o->tmp);
		o->tmp = NULL;
		return err_sys(err, saved, "create %s", o->path);
	}
	mask = umask(0);
	(void)umask(mask);
	(void)fchmod(o->fd, FILE_MODE & ~mask);
	return ERR_OK;
}

enum err
outfile_open(struct outfile *o, const char *path, struct error *err)
{
	struct stat st;

	*o = (struct outfile){ .fd = -1 };
	if (strcmp(path, "-") == 0) {
		o->name = "standard output";
		o->is_stdout = true;
		o->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		if (o->fd < 0)
			return err_sys(err, errno, "standard output");
		return ERR_OK;
	}
	if (lstat(path, &st) == 0)
		return err_set(err, ERR_EXISTS, "%s exists already", path);
	o->path = strdup(path);
	if (o->path == NULL)
		return no_memory(err);
	o->name = o->path;
	return create(o, err);
}

enum err
outfile_write(void *arg, const void *data, size_t len, struct error *err)
{
	struct outfile *o = arg;

	if (cli_stop)
		return err_set(err, ERR_CANCELLED, "interrupted");
	return fsx_write(o->fd, data, len, o->name, err);
}

/* A file system without RENAME_NOREPLACE has hard links, or is not used. */
static int
move(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (link(from, to) != 0)
		return -1;
	(void)unlink(from);
	return 0;
}

static enum err
sync_parent(const char *path, struct error *err)
{
	char *copy = strdup(path);
	enum err rc;
	int fd;

	if (copy == NULL)
		return no_memory(err);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd < 0 ? err_sys(err, errno, "directory of %s", path)
		    : fsx_sync_dir(fd, path, err);
	fsx_close(&fd);
	free(copy);
	return rc;
}

enum err
outfile_commit(struct outfile *o, struct error *err)
{
	if (o->is_stdout)
		return ERR_OK;
	if (fsync(o->fd) != 0)
		return err_sys(err, errno, "sync %s", o->path);
	if (move(o->tmp, o->path) != 0) {
		if (errno == EEXIST)
			return err_set(err, ERR_EXISTS, "%s exists already",
				o->path);
		return err_sys(err, errno, "rename to %s", o->path);
	}
	free(o->tmp);
	o->tmp = NULL;
	return sync_parent(o->path, err);
}

void
outfile_close(struct outfile *o)
{
	if (o->name == NULL)
		return;
	fsx_close(&o->fd);
	if (o->tmp != NULL)
		(void)unlink(o->tmp);
	free(o->tmp);
	free(o->path);
	*o = (struct outfile){ .fd = -1 };
}
