/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device: an existing block device, on which what differs is written.
 *
 * A device has one name, so nothing tells one that is half written from one
 * that is done but the command that did not end; it is run again, and finds
 * what is right already.  O_EXCL keeps away from a device that is mounted or
 * part of something else.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsx.h"
#include "target/blocks.h"
#include "target/drivers.h"

struct device {
	struct target base;
	char *path;
	int fd;
	uint64_t size; /* of the image */
};

static const struct option_spec device_options[] = {
	{ NULL, OPTION_TEXT, NULL, NULL },
};

static struct device *
device_of(struct target *t)
{
	return container_of(t, struct device, base);
}

static enum err
open_path(struct device *d, bool dry_run, struct error *err)
{
	int how = dry_run ? O_RDONLY : O_RDWR | O_EXCL;
	struct stat st;

	if (stat(d->path, &st) != 0)
		return err_sys(err, errno, "%s", d->path);
	if (!S_ISBLK(st.st_mode))
		return err_set(err, ERR_USAGE,
			"%s is not a block device (raw:%s is a file)", d->path,
			d->path);
	d->fd = open(d->path, how | O_CLOEXEC | O_NONBLOCK);
	if (d->fd < 0 && errno == EBUSY)
		return err_set(err, ERR_EXISTS,
			"%s is in use: mounted, or part of something", d->path);
	if (d->fd < 0)
		return err_sys(err, errno, "open %s", d->path);
	if (fstat(d->fd, &st) != 0 || !S_ISBLK(st.st_mode))
		return err_set(err, ERR_IO, "%s was replaced just now",
			d->path);
	return ERR_OK;
}

static enum err
check_size(const struct device *d, struct error *err)
{
	uint64_t there = 0;

	if (ioctl(d->fd, BLKGETSIZE64, &there) != 0)
		return err_sys(err, errno, "%s: ask for its size", d->path);
	if (there < d->size)
		return err_set(err, ERR_NOSPACE,
			"%s has %llu bytes, and the image %llu", d->path,
			(unsigned long long)there, (unsigned long long)d->size);
	return ERR_OK;
}

static void
device_close(struct target *t)
{
	struct device *d = device_of(t);

	fsx_close(&d->fd);
	free(d->path);
	free(d);
}

static enum err
device_open(struct target **out, const struct target_conf *conf,
	const struct target_image *image, struct error *err)
{
	struct device *d = calloc(1, sizeof(*d));
	enum err rc;

	if (d == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	*d = (struct device){ .base.ops = &device_target_ops,
		.fd = -1,
		.size = image->size,
		.path = strdup(conf->rest) };
	rc = d->path != NULL ? open_path(d, conf->dry_run, err)
			     : err_set(err, ERR_NOMEM, "out of memory");
	if (rc == ERR_OK)
		rc = check_size(d, err);
	if (rc == ERR_OK && !conf->overwrite)
		rc = err_set(err, ERR_EXISTS,
			"%s exists (--overwrite always writes over it)",
			d->path);
	if (rc != ERR_OK) {
		device_close(&d->base);
		return rc;
	}
	*out = &d->base;
	return ERR_OK;
}

static enum err
device_write(struct target *t, uint64_t off, const void *data, size_t len,
	struct error *err)
{
	struct device *d = device_of(t);

	return fsx_pwrite(d->fd, data, len, off, d->path, err);
}

static enum err
device_zero(struct target *t, uint64_t off, uint64_t len, struct error *err)
{
	struct device *d = device_of(t);

	return blocks_zero(d->fd, true, off, len, d->path, err);
}

static enum err
device_read(struct target *t, uint64_t off, void *data, size_t len,
	struct error *err)
{
	struct device *d = device_of(t);

	return blocks_read(d->fd, off, data, len, d->path, err);
}

static enum err
device_finish(struct target *t, struct error *err)
{
	struct device *d = device_of(t);

	if (fsync(d->fd) != 0)
		return err_sys(err, errno, "sync %s", d->path);
	(void)ioctl(d->fd, BLKFLSBUF, 0);
	return ERR_OK;
}

const struct target_ops device_target_ops = {
	.scheme = "device",
	.summary = "an existing block device (device:/dev/NAME)",
	.options = device_options,
	.open = device_open,
	.close = device_close,
	.write = device_write,
	.zero = device_zero,
	.read = device_read,
	.finish = device_finish,
};
