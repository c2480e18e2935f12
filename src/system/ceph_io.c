/* SPDX-License-Identifier: Apache-2.0 */
/* ceph_io: operations on their way. */
#include <rbd/librbd.h>

#include "system/ceph.h"
#include "system/ceph_lib.h"
#include "system/ceph_patience.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const verbs[] = {
	[CEPH_READ] = "read",
	[CEPH_WRITE] = "write",
	[CEPH_ZERO] = "zero",
	[CEPH_FLUSH] = "flush",
};

static enum err
fail(const struct ceph_op *op, int r, struct error *err)
{
	if (op->what == CEPH_FLUSH)
		return ceph_fail(err, r, "%s: cannot flush", op->img->label);
	return ceph_fail(err, r, "%s: cannot %s %zu bytes at %llu",
		op->img->label, verbs[op->what], op->len,
		(unsigned long long)op->off);
}

static enum err
prepare(struct ceph_op *op, struct ceph_image *img, struct error *err)
{
	int r;

	op->img = img;
	r = img->lib->rbd_aio_create_completion(NULL, NULL, &op->completion);
	return r < 0 ? fail(op, r, err) : ERR_OK;
}

static enum err
begun(struct ceph_op *op, int r, struct error *err)
{
	if (r >= 0)
		return ERR_OK;
	op->img->lib->rbd_aio_release(op->completion);
	op->completion = NULL;
	return fail(op, r, err);
}

/* What is read is kept by us, or is not needed again. */
enum { ONCE = LIBRADOS_OP_FLAG_FADVISE_NOCACHE };

enum err
ceph_read(struct ceph_op *op, struct ceph_image *img, uint64_t off, void *data,
	size_t len, struct error *err)
{
	enum err e;

	*op = (struct ceph_op){ .what = CEPH_READ, .off = off, .len = len };
	op->data = data;
	/* librbd may write to it when nobody waits any more. */
	if (img->write) {
		op->own = malloc(len > 0 ? len : 1);
		if (op->own == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory for %zu bytes of an image", len);
	}
	e = prepare(op, img, err);
	if (e == ERR_OK)
		e = begun(op,
			img->lib->rbd_aio_read2(img->rbd, off, len,
				op->own != NULL ? op->own : data,
				op->completion, ONCE),
			err);
	if (e != ERR_OK)
		free(op->own);
	return e;
}

enum err
ceph_write(struct ceph_op *op, struct ceph_image *img, uint64_t off,
	const void *data, size_t len, struct error *err)
{
	enum err e;

	*op = (struct ceph_op){ .what = CEPH_WRITE, .off = off, .len = len };
	e = prepare(op, img, err);
	if (e != ERR_OK)
		return e;
	return begun(op,
		img->lib->rbd_aio_write2(img->rbd, off, len, data,
			op->completion, ONCE),
		err);
}

enum err
ceph_zero(struct ceph_op *op, struct ceph_image *img, uint64_t off,
	uint64_t len, struct error *err)
{
	enum err e;

	*op = (struct ceph_op){ .what = CEPH_ZERO,
		.off = off,
		.len = (size_t)len };
	e = prepare(op, img, err);
	if (e != ERR_OK)
		return e;
	return begun(op,
		img->lib->rbd_aio_write_zeroes(img->rbd, off, (size_t)len,
			op->completion, 0, 0),
		err);
}

enum err
ceph_flush(struct ceph_op *op, struct ceph_image *img, struct error *err)
{
	enum err e;

	*op = (struct ceph_op){ .what = CEPH_FLUSH };
	e = prepare(op, img, err);
	if (e != ERR_OK)
		return e;
	return begun(op, img->lib->rbd_aio_flush(img->rbd, op->completion),
		err);
}

enum err
ceph_op_wait(struct ceph_op *op, struct error *err)
{
	const struct ceph_lib *lib = op->img->lib;
	ssize_t got;
	int r;

	if (op->img->write && !ceph_await(op->img, op->completion))
		return fail(op, -ETIMEDOUT, err);
	r = lib->rbd_aio_wait_for_complete(op->completion);
	got = r < 0 ? r : lib->rbd_aio_get_return_value(op->completion);
	lib->rbd_aio_release(op->completion);
	op->completion = NULL;
	if (op->own != NULL && got > 0 && (size_t)got <= op->len)
		memcpy(op->data, op->own, (size_t)got);
	free(op->own);
	op->own = NULL;
	if (got < 0)
		return fail(op, (int)got, err);
	if (op->what == CEPH_READ && (size_t)got != op->len)
		return err_set(err, ERR_IO,
			"%s: of %zu bytes at %llu there were only %zd",
			op->img->label, op->len, (unsigned long long)op->off,
			got);
	return ERR_OK;
}
