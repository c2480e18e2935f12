/* SPDX-License-Identifier: Apache-2.0 */
#include "target/blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fsx.h"

enum { ZEROES = 256 << 10 };

enum err
blocks_read(int fd, uint64_t off, void *data, size_t len, const char *what,
	struct error *err)
{
	size_t got;
	enum err rc = fsx_pread(fd, data, len, off, &got, what, err);

	if (rc == ERR_OK)
		memset((uint8_t *)data + got, 0, len - got);
	return rc;
}

static enum err
write_zeroes(int fd, uint64_t off, uint64_t len, const char *what,
	struct error *err)
{
	static const uint8_t zeroes[ZEROES];
	enum err rc = ERR_OK;

	while (len > 0 && rc == ERR_OK) {
		size_t n = len < ZEROES ? (size_t)len : ZEROES;

		rc = fsx_pwrite(fd, zeroes, n, off, what, err);
		off += n;
		len -= n;
	}
	return rc;
}

/* That it cannot be done this way, which is no failure. */
static bool
unsupported(int errnum)
{
	return errnum == EOPNOTSUPP || errnum == ENOSYS || errnum == EINVAL ||
	       errnum == ENOTTY || errnum == EPERM;
}

enum err
blocks_zero(int fd, bool is_device, uint64_t off, uint64_t len,
	const char *what, struct error *err)
{
	uint64_t range[2] = { off, len }, end;
	int rc;

	if (len == 0)
		return ERR_OK;
	if (__builtin_add_overflow(off, len, &end) || end > INT64_MAX)
		return err_set(err, ERR_IO, "%s: a range beyond any file",
			what);
	do {
		rc = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)off, (off_t)len);
	} while (rc != 0 && errno == EINTR);
	if (rc != 0 && is_device && unsupported(errno))
		rc = ioctl(fd, BLKZEROOUT, range);
	if (rc == 0)
		return ERR_OK;
	if (unsupported(errno))
		return write_zeroes(fd, off, len, what, err);
	return err_sys(err, errno, "%s: zero %llu bytes at %llu", what,
		(unsigned long long)len, (unsigned long long)off);
}

enum err
blocks_each_data(int fd, uint64_t size, target_range_fn *fn, void *arg,
	struct error *err)
{
	off_t end, at = 0;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && (uint64_t)at < size) {
		at = lseek(fd, at, SEEK_DATA);
		if (at < 0 && errno == ENXIO)
			return ERR_OK;
		if (at < 0)
			return fn(arg, 0, size, err);
		if ((uint64_t)at >= size)
			return ERR_OK;
		end = lseek(fd, at, SEEK_HOLE);
		if (end < 0 || (uint64_t)end > size)
			end = (off_t)size;
		rc = fn(arg, (uint64_t)at, (uint64_t)(end - at), err);
		at = end;
	}
	return rc;
}

void
blocks_drop_cache(int fd)
{
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}
