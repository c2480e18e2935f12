/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow: a file in QEMU's format (format/qcow2.h), written under a temporary
 * name; what was half written is removed.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "format/qcow2.h"
#include "target/beside.h"
#include "target/drivers.h"

struct qcow {
	struct target base;
	struct beside file;
	struct qcow2 *image;
	bool replace, finished;
};

static const struct option_spec qcow_options[] = {
	{ NULL, OPTION_TEXT, NULL, NULL },
};

static struct qcow *
qcow_of(struct target *t)
{
	return container_of(t, struct qcow, base);
}

static enum err
prepare(struct qcow *q, const struct target_conf *conf, uint64_t size,
	struct error *err)
{
	enum err rc;

	if (q->file.is_there && !conf->overwrite)
		return err_set(err, ERR_EXISTS,
			"%s exists (--overwrite always replaces it)",
			q->file.path);
	if (conf->dry_run)
		return ERR_OK;
	rc = beside_make(&q->file, err);
	if (rc == ERR_OK && ftruncate(q->file.fd, 0) != 0)
		rc = err_sys(err, errno, "truncate %s", q->file.path);
	if (rc == ERR_OK)
		rc = qcow2_new(&q->image, q->file.fd, size, q->file.path, err);
	return rc;
}

static void
qcow_close(struct target *t)
{
	struct qcow *q = qcow_of(t);

	if (q->file.fd >= 0 && !q->finished)
		beside_drop(&q->file);
	qcow2_free(q->image);
	beside_close(&q->file);
	free(q);
}

static enum err
qcow_open(struct target **out, const struct target_conf *conf,
	const struct target_image *image, struct error *err)
{
	struct qcow *q = calloc(1, sizeof(*q));
	enum err rc;

	if (q == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	q->base = (struct target){ .ops = &qcow_target_ops, .blank = true };
	q->replace = conf->overwrite;
	rc = beside_open(&q->file, conf->rest, err);
	if (rc == ERR_OK)
		rc = prepare(q, conf, image->size, err);
	if (rc != ERR_OK) {
		qcow_close(&q->base);
		return rc;
	}
	*out = &q->base;
	return ERR_OK;
}

static enum err
qcow_write(struct target *t, uint64_t off, const void *data, size_t len,
	struct error *err)
{
	return qcow2_write(qcow_of(t)->image, off, data, len, err);
}

static enum err
qcow_zero(struct target *t, uint64_t off, uint64_t len, struct error *err)
{
	return qcow2_zero(qcow_of(t)->image, off, len, err);
}

static enum err
qcow_read(struct target *t, uint64_t off, void *data, size_t len,
	struct error *err)
{
	return qcow2_read(qcow_of(t)->image, off, data, len, err);
}

static enum err
qcow_each_data(struct target *t, target_range_fn *fn, void *arg,
	struct error *err)
{
	return qcow2_each_data(qcow_of(t)->image, fn, arg, err);
}

static enum err
qcow_finish(struct target *t, struct error *err)
{
	struct qcow *q = qcow_of(t);
	enum err rc = qcow2_finish(q->image, err);

	if (rc == ERR_OK)
		rc = beside_finish(&q->file, q->replace, err);
	q->finished = rc == ERR_OK;
	return rc;
}

const struct target_ops qcow_target_ops = {
	.scheme = "qcow2",
	.summary = "a file in QEMU's format, version 3 (qcow2:PATH)",
	.options = qcow_options,
	.open = qcow_open,
	.close = qcow_close,
	.write = qcow_write,
	.zero = qcow_zero,
	.read = qcow_read,
	.each_data = qcow_each_data,
	.finish = qcow_finish,
};
