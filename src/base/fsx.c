/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fsx.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_STEP = 64 << 10 };

enum err
fsx_write(int fd, const void *data, size_t len, const char *what,
	struct error *err)
{
	const uint8_t *at = data;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "write %s", what);
		at += n;
		len -= (size_t)n;
	}
	return ERR_OK;
}

/* Does [off, off + len) lie within what off_t can name? */
static enum err
check_range(uint64_t off, size_t len, const char *what, struct error *err)
{
	uint64_t end;

	if (__builtin_add_overflow(off, len, &end) || end > INT64_MAX)
		return err_set(err, ERR_IO,
			"%s: offset %" PRIu64 " is beyond any file", what, off);
	return ERR_OK;
}

enum err
fsx_pwrite(int fd, const void *data, size_t len, uint64_t off, const char *what,
	struct error *err)
{
	const uint8_t *at = data;
	enum err rc = check_range(off, len, what, err);

	if (rc != ERR_OK)
		return rc;
	while (len > 0) {
		ssize_t n = pwrite(fd, at, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno,
				"write %s at offset %" PRIu64, what, off);
		at += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return ERR_OK;
}

enum err
fsx_read(int fd, void *data, size_t len, size_t *got, const char *what,
	struct error *err)
{
	uint8_t *at = data;
	size_t have = 0;

	while (have < len) {
		ssize_t n = read(fd, at + have, len - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "read %s", what);
		if (n == 0)
			break;
		have += (size_t)n;
	}
	*got = have;
	return ERR_OK;
}

enum err
fsx_pread(int fd, void *data, size_t len, uint64_t off, size_t *got,
	const char *what, struct error *err)
{
	uint8_t *at = data;
	size_t have = 0;
	enum err rc = check_range(off, len, what, err);

	if (rc != ERR_OK)
		return rc;
	while (have < len) {
		ssize_t n =
			pread(fd, at + have, len - have, (off_t)(off + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "read %s at offset %" PRIu64,
				what, off + have);
		if (n == 0)
			break;
		have += (size_t)n;
	}
	*got = have;
	return ERR_OK;
}

/* Nothing may follow once out is full. */
static enum err
expect_end(int fd, const struct buf *out, const char *what, struct error *err)
{
	uint8_t more;
	size_t got;
	enum err rc = fsx_read(fd, &more, 1, &got, what, err);

	if (rc != ERR_OK)
		return rc;
	if (got > 0)
		return err_set(err, ERR_NOMEM, "%s: longer than %zu bytes",
			what, out->max);
	return ERR_OK;
}

enum err
fsx_read_all(int fd, struct buf *out, const char *what, struct error *err)
{
	size_t before = out->len, room, got;
	enum err rc = ERR_OK;

	for (;;) {
		room = out->max - out->len;
		if (room == 0) {
			rc = expect_end(fd, out, what, err);
			break;
		}
		if (room > READ_STEP)
			room = READ_STEP;
		rc = buf_reserve(out, room, err);
		if (rc != ERR_OK) {
			rc = err_wrap(err, "%s", what);
			break;
		}
		room = out->cap - out->len;
		rc = fsx_read(fd, out->data + out->len, room, &got, what, err);
		if (rc != ERR_OK)
			break;
		out->len += got;
		if (got < room)
			break;
	}
	if (rc != ERR_OK)
		out->len = before;
	return rc;
}

enum err
fsx_sync_dir(int dirfd, const char *what, struct error *err)
{
	/* EINVAL: this file system has no such operation (fsync(2)); then it
	 * gives no more than it gave when it returned from the change. */
	if (fsync(dirfd) != 0 && errno != EINVAL)
		return err_sys(err, errno, "sync directory %s", what);
	return ERR_OK;
}

static enum err
make_dir(const char *path, mode_t mode, struct error *err)
{
	struct stat st;
	int errnum;

	if (mkdir(path, mode) == 0)
		return ERR_OK;
	errnum = errno;
	if (errnum == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return ERR_OK;
	return err_sys(err, errnum, "create directory %s", path);
}

enum err
fsx_mkdirs(const char *path, mode_t mode, struct error *err)
{
	char *copy = strdup(path);
	enum err rc = ERR_OK;
	char *at;

	if (copy == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a path");
	at = copy;
	while (rc == ERR_OK && *at != '\0') {
		char cut;

		at += strspn(at, "/");
		if (*at == '\0' && at != copy && at[-1] == '/')
			break;
		at += strcspn(at, "/");
		cut = *at;
		*at = '\0';
		rc = make_dir(copy, mode, err);
		*at = cut;
	}
	free(copy);
	return rc;
}

void
fsx_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

size_t
fsx_raise_nofile(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return 0;
	if (lim.rlim_cur < lim.rlim_max) {
		rlim_t soft = lim.rlim_cur;

		lim.rlim_cur = lim.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &lim) != 0)
			lim.rlim_cur = soft;
	}
	return (size_t)lim.rlim_cur;
}
