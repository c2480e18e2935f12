/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw: a sparse file with the image's bytes, and nothing else.
 *
 * While it is written it has another name (beside.h) and is longer than the
 * image: behind the end it says how far it came (resume.h).  A file that is
 * written over is renamed to that name first, so that nobody takes what is half
 * written for either image.  At the end the mark is cut off, and the file gets
 * its name; who is killed in between starts over.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fsx.h"
#include "target/beside.h"
#include "target/blocks.h"
#include "target/drivers.h"
#include "target/resume.h"

struct raw {
	struct target base;
	struct beside file;
	struct resume mark;
	uint64_t size;
	bool made; /* the temporary file is no older file */
	bool found; /* an earlier restore's mark */
	bool finished;
};

static const struct option_spec raw_options[] = {
	{ NULL, OPTION_TEXT, NULL, NULL },
};

static struct raw *
raw_of(struct target *t)
{
	return container_of(t, struct raw, base);
}

/* What an earlier restore has left under the temporary name. */
static enum err
take_left(struct raw *r, struct error *err)
{
	bool found;
	enum err rc = resume_read(&r->mark, r->file.fd, &found, err);

	if (rc != ERR_OK)
		return rc;
	r->found = found;
	r->made = !found || r->mark.blank;
	r->base.blank = !found || r->mark.blank;
	r->base.resume = found ? r->mark.done : 0;
	if (!found && ftruncate(r->file.fd, 0) != 0)
		return err_sys(err, errno, "truncate %s", r->file.path);
	return ERR_OK;
}

/* A file that gets longer has its old end where the mark comes: what it holds
 * behind the image's end must not be taken for one. */
static enum err
make_room(struct raw *r, struct error *err)
{
	if (r->found)
		return ERR_OK;
	if (ftruncate(r->file.fd, (off_t)r->size) != 0 ||
		ftruncate(r->file.fd, (off_t)resume_file_size(r->size)) != 0)
		return err_sys(err, errno, "set the size of %s", r->file.path);
	r->mark.blank = r->base.blank;
	return resume_write(&r->mark, r->file.fd, r->file.path, err);
}

static enum err
prepare(struct raw *r, const struct target_conf *conf, struct error *err)
{
	enum err rc;

	if (r->file.is_there && !conf->overwrite)
		return err_set(err, ERR_EXISTS,
			"%s exists (--overwrite always writes over it)",
			r->file.path);
	if (conf->dry_run) {
		r->base.blank = !r->file.is_there;
		return r->file.is_there ? beside_look(&r->file, err) : ERR_OK;
	}
	if (r->file.is_there) {
		rc = beside_take(&r->file, err);
	} else {
		rc = beside_make(&r->file, err);
		if (rc == ERR_OK)
			rc = take_left(r, err);
	}
	return rc == ERR_OK ? make_room(r, err) : rc;
}

static void
raw_close(struct target *t)
{
	struct raw *r = raw_of(t);

	if (r->made && r->mark.done == 0 && !r->finished)
		beside_drop(&r->file);
	beside_close(&r->file);
	free(r);
}

static enum err
raw_open(struct target **out, const struct target_conf *conf,
	const struct target_image *image, struct error *err)
{
	struct raw *r;
	enum err rc;

	if (image->size > (uint64_t)INT64_MAX - 4 * (uint64_t)RESUME_SECTOR)
		return err_set(err, ERR_USAGE,
			"the image is larger than files can be");
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	r->base.ops = &raw_target_ops;
	r->size = image->size;
	r->mark = (struct resume){ .size = image->size, .key = image->key };
	rc = beside_open(&r->file, conf->rest, err);
	if (rc == ERR_OK)
		rc = prepare(r, conf, err);
	if (rc != ERR_OK) {
		raw_close(&r->base);
		return rc;
	}
	*out = &r->base;
	return ERR_OK;
}

static enum err
raw_write(struct target *t, uint64_t off, const void *data, size_t len,
	struct error *err)
{
	struct raw *r = raw_of(t);

	return fsx_pwrite(r->file.fd, data, len, off, r->file.path, err);
}

static enum err
raw_zero(struct target *t, uint64_t off, uint64_t len, struct error *err)
{
	struct raw *r = raw_of(t);

	return blocks_zero(r->file.fd, false, off, len, r->file.path, err);
}

static enum err
raw_read(struct target *t, uint64_t off, void *data, size_t len,
	struct error *err)
{
	struct raw *r = raw_of(t);

	return blocks_read(r->file.fd, off, data, len, r->file.path, err);
}

static enum err
raw_each_data(struct target *t, target_range_fn *fn, void *arg,
	struct error *err)
{
	struct raw *r = raw_of(t);

	return blocks_each_data(r->file.fd, r->size, fn, arg, err);
}

static enum err
raw_mark(struct target *t, uint64_t done, struct error *err)
{
	struct raw *r = raw_of(t);
	enum err rc;

	r->mark.done = done;
	rc = resume_write(&r->mark, r->file.fd, r->file.path, err);
	if (rc == ERR_OK)
		blocks_drop_cache(r->file.fd);
	return rc;
}

static enum err
raw_finish(struct target *t, struct error *err)
{
	struct raw *r = raw_of(t);
	enum err rc;

	if (fdatasync(r->file.fd) != 0)
		return err_sys(err, errno, "sync %s", r->file.path);
	if (ftruncate(r->file.fd, (off_t)r->size) != 0)
		return err_sys(err, errno, "set the size of %s", r->file.path);
	rc = beside_finish(&r->file, false, err);
	r->finished = rc == ERR_OK;
	return rc;
}

const struct target_ops raw_target_ops = {
	.scheme = "raw",
	.summary = "a sparse file with the image's bytes (raw:PATH)",
	.options = raw_options,
	.open = raw_open,
	.close = raw_close,
	.write = raw_write,
	.zero = raw_zero,
	.read = raw_read,
	.each_data = raw_each_data,
	.mark = raw_mark,
	.finish = raw_finish,
};
