/* SPDX-License-Identifier: Apache-2.0 */
#include "format/rbd_in.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsx.h"

enum { TICK_MS = 200 };

struct rbd_in {
	struct rbd_in_conf conf;
	uint64_t at; /* of buf[pos] */
	size_t pos, len; /* what of buf is valid and was not read yet */
	uint8_t buf[RBD_IN_BUF];
};

static void
conf_close(const struct rbd_in_conf *conf)
{
	if (conf->close != NULL)
		conf->close(conf->arg);
}

enum err
rbd_in_new(struct rbd_in **out, const struct rbd_in_conf *conf,
	struct error *err)
{
	struct rbd_in *in = malloc(sizeof(*in));

	if (in == NULL) {
		conf_close(conf);
		return err_set(err, ERR_NOMEM, "no memory to read a stream");
	}
	in->conf = *conf;
	in->at = 0;
	in->pos = in->len = 0;
	*out = in;
	return ERR_OK;
}

void
rbd_in_free(struct rbd_in *in)
{
	if (in == NULL)
		return;
	conf_close(&in->conf);
	free(in);
}

uint64_t
rbd_in_at(const struct rbd_in *in)
{
	return in->at;
}

/* Fill the buffer, which holds less than len bytes. */
static enum err
fill(struct rbd_in *in, struct error *err)
{
	size_t have = in->len - in->pos, got;
	enum err rc;

	memmove(in->buf, in->buf + in->pos, have);
	in->pos = 0;
	in->len = have;
	rc = in->conf.read(in->conf.arg, in->buf + have, RBD_IN_BUF - have,
		&got, err);
	if (rc == ERR_OK)
		in->len += got;
	return rc;
}

/* What the buffer has of len bytes. */
static size_t
from_buffer(struct rbd_in *in, void *data, size_t len)
{
	size_t n = in->len - in->pos < len ? in->len - in->pos : len;

	if (n > 0)
		memcpy(data, in->buf + in->pos, n);
	in->pos += n;
	in->at += n;
	return n;
}

enum err
rbd_in_read(struct rbd_in *in, void *data, size_t len, size_t *got,
	struct error *err)
{
	uint8_t *to = data;
	size_t n = from_buffer(in, to, len), more = 0;
	enum err rc = ERR_OK;

	if (n < len && len - n >= RBD_IN_BUF) {
		rc = in->conf.read(in->conf.arg, to + n, len - n, &more, err);
		in->at += rc == ERR_OK ? more : 0;
	} else if (n < len) {
		rc = fill(in, err);
		if (rc == ERR_OK)
			more = from_buffer(in, to + n, len - n);
	}
	if (rc == ERR_OK)
		*got = n + more;
	return rc;
}

enum err
rbd_in_peek(struct rbd_in *in, void *data, size_t len, size_t *got,
	struct error *err)
{
	enum err rc = ERR_OK;
	size_t have;

	assert(len <= RBD_IN_BUF);
	if (in->len - in->pos < len)
		rc = fill(in, err);
	if (rc != ERR_OK)
		return rc;
	have = in->len - in->pos;
	*got = have < len ? have : len;
	memcpy(data, in->buf + in->pos, *got);
	return ERR_OK;
}

static enum err
skip_by_reading(struct rbd_in *in, uint64_t len, bool *there, struct error *err)
{
	enum err rc = ERR_OK;
	size_t n;

	while (rc == ERR_OK && len > 0) {
		if (in->pos == in->len)
			rc = fill(in, err);
		if (rc != ERR_OK)
			return rc;
		n = in->len - in->pos;
		if (n == 0)
			break;
		n = len < n ? (size_t)len : n;
		in->pos += n;
		in->at += n;
		len -= n;
	}
	*there = len == 0;
	return rc;
}

enum err
rbd_in_skip(struct rbd_in *in, uint64_t len, bool *there, struct error *err)
{
	size_t have = in->len - in->pos;
	enum err rc;

	if (in->conf.skip == NULL || len <= have)
		return skip_by_reading(in, len, there, err);
	in->pos = in->len = 0;
	in->at += have;
	rc = in->conf.skip(in->conf.arg, len - have, there, err);
	if (rc == ERR_OK && *there)
		in->at += len - have;
	return rc;
}

/* ---- a file ---- */

struct file {
	int fd;
	uint64_t pos, size;
	const _Atomic bool *stop;
	char *path;
};

static bool
is_stopped(const struct file *f)
{
	return f->stop != NULL && *f->stop;
}

/* Until a pipe has something to read.  A signal may come just before the wait
 * for it, so nothing waits for long.  False: it is stopped. */
static bool
may_read(const struct file *f)
{
	struct pollfd p = { .fd = f->fd, .events = POLLIN };
	int n = 0;

	while (n == 0 && !is_stopped(f)) {
		n = poll(&p, 1, TICK_MS);
		if (n < 0 && errno == EINTR)
			n = 0;
	}
	return !is_stopped(f);
}

static enum err
file_read(void *arg, void *data, size_t len, size_t *got, struct error *err)
{
	struct file *f = arg;
	uint8_t *to = data;
	size_t done = 0;

	while (done < len && may_read(f)) {
		ssize_t n = read(f->fd, to + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "read %s", f->path);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	if (is_stopped(f))
		return err_set(err, ERR_CANCELLED, "interrupted");
	f->pos += done;
	*got = done;
	return ERR_OK;
}

static enum err
file_skip(void *arg, uint64_t len, bool *there, struct error *err)
{
	struct file *f = arg;

	*there = f->pos <= f->size && len <= f->size - f->pos;
	if (!*there)
		return ERR_OK;
	f->pos += len;
	if (lseek(f->fd, (off_t)f->pos, SEEK_SET) < 0)
		return err_sys(err, errno, "seek in %s", f->path);
	return ERR_OK;
}

static void
file_close(void *arg)
{
	struct file *f = arg;

	fsx_close(&f->fd);
	free(f->path);
	free(f);
}

static enum err
file_open(struct file *f, const char *path, bool *seek, struct error *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	struct stat st;

	f->path = strdup(is_stdin ? "standard input" : path);
	if (f->path == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a name");
	f->fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
			 : open(path, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0)
		return err_sys(err, errno, "open %s", f->path);
	if (fstat(f->fd, &st) != 0)
		return err_sys(err, errno, "open %s", f->path);
	if (S_ISDIR(st.st_mode))
		return err_set(err, ERR_USAGE, "%s is a directory", f->path);
	f->size = st.st_size > 0 ? (uint64_t)st.st_size : 0;
	*seek = *seek && !is_stdin && S_ISREG(st.st_mode);
	return ERR_OK;
}

enum err
rbd_in_open_file(struct rbd_in **out, const char *path, bool seek,
	const _Atomic bool *stop, struct error *err)
{
	struct file *f = calloc(1, sizeof(*f));
	struct rbd_in_conf conf = { .read = file_read,
		.close = file_close,
		.arg = f };
	enum err rc;

	if (f == NULL)
		return err_set(err, ERR_NOMEM, "no memory to read a stream");
	f->fd = -1;
	f->stop = stop;
	rc = file_open(f, path, &seek, err);
	if (rc != ERR_OK) {
		file_close(f);
		return rc;
	}
	conf.skip = seek ? file_skip : NULL;
	return rbd_in_new(out, &conf, err);
}
