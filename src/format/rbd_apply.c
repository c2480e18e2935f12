/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbd_apply: one pass over the stream, writing as it is read.
 *
 * Crash argument: a new file has a temporary name until the whole chain is in
 * it and durable; that is the caller's part.  In place, each record sets its
 * range to given bytes, whatever was there; so streams that were applied in
 * part, and are applied again from the first one on, lead to the same image.
 */
#include "format/rbd_apply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"

enum {
	COPY = 1 << 20,
	BLOCK = 4 << 10, /* what can be a hole */
	HOLE_MIN = 64 << 10 /* worth a system call, in a file that is there */
};

struct apply {
	struct rbd_diff *diff;
	int fd;
	const char *name;
	bool blank;
	struct rbd_apply_figures *figures;
	uint8_t *copy, *zeroes;
};

static bool
all_zero(const uint8_t *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static enum err
write_at(struct apply *a, uint64_t off, const void *data, size_t len,
	struct error *err)
{
	a->figures->bytes_written += len;
	return fsx_pwrite(a->fd, data, len, off, a->name, err);
}

static enum err
zero_at(struct apply *a, uint64_t off, uint64_t len, struct error *err)
{
	enum err rc = ERR_OK;
	size_t n;

	a->figures->bytes_zeroed += len;
	if (a->blank ||
		fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)off, (off_t)len) == 0)
		return ERR_OK;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return err_sys(err, errno, "punch a hole into %s", a->name);
	for (; rc == ERR_OK && len > 0; off += n, len -= n) {
		n = len < COPY ? (size_t)len : COPY;
		rc = fsx_pwrite(a->fd, a->zeroes, n, off, a->name, err);
	}
	return rc;
}

/* The end of the run of blocks at p that are all zero, or all not. */
static size_t
same_kind(const uint8_t *p, uint64_t off, size_t len, bool *zero)
{
	size_t end = 0, n;

	do {
		n = BLOCK - (size_t)((off + end) % BLOCK);
		n = n < len - end ? n : len - end;
		if (end == 0)
			*zero = all_zero(p, n);
		else if (all_zero(p + end, n) != *zero)
			break;
		end += n;
	} while (end < len);
	return end;
}

static enum err
put_data(struct apply *a, uint64_t off, size_t len, struct error *err)
{
	const uint8_t *p = a->copy;
	enum err rc = ERR_OK;
	bool zero = false;
	size_t n;

	while (rc == ERR_OK && len > 0) {
		n = same_kind(p, off, len, &zero);
		rc = zero && (a->blank || n >= HOLE_MIN)
			     ? zero_at(a, off, n, err)
			     : write_at(a, off, p, n, err);
		p += n;
		off += n;
		len -= n;
	}
	return rc;
}

static enum err
copy_run(struct apply *a, const struct rbd_diff_range *run, struct error *err)
{
	uint64_t off = run->off, left = run->len;
	enum err rc = ERR_OK;
	size_t n;

	while (rc == ERR_OK && left > 0) {
		n = left < COPY ? (size_t)left : COPY;
		rc = rbd_diff_read(a->diff, a->copy, n, err);
		if (rc == ERR_OK)
			rc = put_data(a, off, n, err);
		off += n;
		left -= n;
	}
	return rc;
}

static enum err
apply_runs(struct apply *a, struct error *err)
{
	struct rbd_diff_range run;
	enum err rc;

	for (;;) {
		rc = rbd_diff_next(a->diff, &run, err);
		if (rc != ERR_OK || run.kind == RBD_DIFF_END)
			return rc;
		rc = run.kind == RBD_DIFF_DATA
			     ? copy_run(a, &run, err)
			     : zero_at(a, run.off, run.len, err);
		if (rc != ERR_OK)
			return rc;
	}
}

enum err
rbd_apply(struct rbd_diff *d, int fd, const char *name, bool blank,
	struct rbd_apply_figures *figures, struct error *err)
{
	struct apply a = { .diff = d,
		.fd = fd,
		.name = name,
		.blank = blank,
		.figures = figures };
	enum err rc;

	a.copy = malloc(COPY);
	a.zeroes = calloc(1, COPY);
	if (a.copy == NULL || a.zeroes == NULL)
		rc = err_set(err, ERR_NOMEM, "no memory to write %s", name);
	else if (ftruncate(fd, (off_t)rbd_diff_head(d)->size) != 0)
		rc = err_sys(err, errno, "resize %s", name);
	else
		rc = apply_runs(&a, err);
	free(a.copy);
	free(a.zeroes);
	return rc;
}
