/* SPDX-License-Identifier: Apache-2.0 */
#include "source/files/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"
#include "source/files/attrs.h"

enum { READ_AHEAD_MIN = 1 << 20 };

struct file {
	struct reader base;
	struct dir *dir;
	struct names *names;
	uint64_t dev, ino;
	int fd;
	bool sparse;
	struct stamp opened; /* as it was found at open */
	struct buf xattrs;
	char name[];
};

static struct file *
to_file(struct reader *r)
{
	return container_of(r, struct file, base);
}

static int
open_name(int at, const char *name)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = openat(at, name, flags | O_NOATIME);

	if (fd < 0 && errno == EPERM)
		fd = openat(at, name, flags);
	return fd;
}

static enum err
gone(struct error *err)
{
	return err_set(err, ERR_NOTFOUND,
		"the file was removed or replaced meanwhile");
}

static enum err
open_fd(struct file *f, struct error *err)
{
	enum err rc;
	int at;

	rc = dirs_acquire(f->dir, &at, err);
	if (rc != ERR_OK)
		return rc;
	f->fd = open_name(at, f->name);
	if (f->fd < 0)
		rc = errno == ELOOP || errno == ENXIO || errno == ESTALE
			     ? gone(err)
			     : err_sys(err, errno, "open the file");
	dirs_release(f->dir);
	return rc;
}

static enum err
file_open(struct reader *r, struct entry *e, struct error *err)
{
	struct file *f = to_file(r);
	struct stamp *s = &f->opened;
	enum err rc;

	fsx_close(&f->fd);
	rc = open_fd(f, err);
	if (rc != ERR_OK)
		return rc;
	if (!stamp_get(s, f->fd, "")) {
		rc = err_sys(err, s->errnum, "look at the file");
		goto out;
	}
	if (!stamp_is_file(s) || s->ino != f->ino || s->dev != f->dev) {
		rc = gone(err);
		goto out;
	}
	stamp_fill(s, e, f->names);
	f->sparse = s->blocks < s->size / 512;
	if (s->size >= READ_AHEAD_MIN)
		(void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	rc = attrs_of_fd(e, &f->xattrs, f->fd, err);
out:
	if (rc != ERR_OK)
		fsx_close(&f->fd);
	return rc;
}

static enum err
file_read(struct reader *r, uint64_t off, void *data, size_t len, size_t *got,
	struct error *err)
{
	return fsx_pread(to_file(r)->fd, data, len, off, got, "the file", err);
}

/* Where the next byte of the kind lies, at most size; off itself where the
 * file system does not tell. */
static uint64_t
seek(int fd, uint64_t off, uint64_t size, int whence)
{
	off_t at = lseek(fd, (off_t)off, whence);

	if (at < 0)
		return errno == ENXIO ? size : off;
	if ((uint64_t)at < off)
		return off;
	return (uint64_t)at < size ? (uint64_t)at : size;
}

static enum err
file_region(struct reader *r, uint64_t off, uint64_t size, struct region *out,
	struct error *err)
{
	struct file *f = to_file(r);
	uint64_t end = size;

	(void)err;
	*out = (struct region){ .off = off };
	/* Where all blocks are there it saves the calls. */
	if (f->sparse && off < size && off <= INT64_MAX) {
		end = seek(f->fd, off, size, SEEK_DATA);
		out->hole = end > off;
		if (!out->hole)
			end = seek(f->fd, off, size, SEEK_HOLE);
		/* Cut off meanwhile, or no answer: settle will tell. */
		if (end <= off)
			end = size;
	}
	out->len = end > off ? end - off : 0;
	return ERR_OK;
}

static enum err
file_settle(struct reader *r, bool *changed, struct error *err)
{
	struct file *f = to_file(r);
	const struct stamp *was = &f->opened;
	struct stamp now;

	if (!stamp_get(&now, f->fd, ""))
		return err_sys(err, now.errnum, "look at the file");
	*changed = now.size != was->size || now.mtime != was->mtime ||
		   now.mtime_nsec != was->mtime_nsec ||
		   now.ctime != was->ctime || now.ctime_nsec != was->ctime_nsec;
	return ERR_OK;
}

static void
file_close(struct reader *r)
{
	struct file *f = to_file(r);

	fsx_close(&f->fd);
	buf_fini(&f->xattrs);
	dirs_unref(f->dir);
	free(f);
}

static const struct reader_ops file_ops = {
	.open = file_open,
	.read = file_read,
	.region = file_region,
	.settle = file_settle,
	.close = file_close,
};

enum err
file_new(struct reader **out, struct dir *dir, const char *name, size_t len,
	const struct stamp *s, struct names *names, struct error *err)
{
	struct file *f = malloc(sizeof(*f) + len + 1);

	if (f == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a file");
	*f = (struct file){
		.base.ops = &file_ops,
		.dir = dirs_ref(dir),
		.names = names,
		.dev = s->dev,
		.ino = s->ino,
		.fd = -1,
		.xattrs = BUF_INIT(ATTRS_MAX),
	};
	memcpy(f->name, name, len + 1);
	*out = &f->base;
	return ERR_OK;
}
