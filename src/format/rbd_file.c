/* SPDX-License-Identifier: Apache-2.0 */
#include "format/rbd_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct rbd_file {
	struct rbd_in *in;
	bool is_export;
	struct rbd_export_head image;
	uint64_t left; /* streams not opened yet */
	struct rbd_diff *diff;
	struct rbd_chain chain; /* of a container */
};

enum err
rbd_file_open(struct rbd_file **out, struct rbd_in *in, struct error *err)
{
	struct rbd_file *f = calloc(1, sizeof(*f));
	char banner[RBD_EXPORT_BANNER];
	size_t got = 0;
	enum err rc;

	if (f == NULL) {
		rbd_in_free(in);
		return err_set(err, ERR_NOMEM, "no memory to read a stream");
	}
	f->in = in;
	rc = rbd_in_peek(in, banner, sizeof(banner), &got, err);
	f->is_export = rc == ERR_OK && rbd_export_is(banner, got);
	if (f->is_export)
		rc = rbd_export_read_head(&f->image, in, err);
	f->left = f->is_export ? f->image.n_diffs : 1;
	if (rc != ERR_OK) {
		rbd_file_close(f);
		return rc;
	}
	*out = f;
	return ERR_OK;
}

void
rbd_file_close(struct rbd_file *f)
{
	if (f == NULL)
		return;
	rbd_diff_close(f->diff);
	rbd_chain_fini(&f->chain);
	rbd_export_head_fini(&f->image);
	rbd_in_free(f->in);
	free(f);
}

const struct rbd_export_head *
rbd_file_image(const struct rbd_file *f)
{
	return f->is_export ? &f->image : NULL;
}

/* Go to the end mark of the stream that is open. */
static enum err
finish(struct rbd_file *f, struct error *err)
{
	struct rbd_diff_range run = { .kind = RBD_DIFF_ZERO };
	enum err rc = ERR_OK;

	while (rc == ERR_OK && run.kind != RBD_DIFF_END)
		rc = rbd_diff_next(f->diff, &run, err);
	return rc;
}

/* A container begins with a full stream, and the others follow it. */
static enum err
check_order(struct rbd_file *f, uint64_t at, struct error *err)
{
	const struct rbd_diff_head *head = rbd_diff_head(f->diff);
	struct error why = ERROR_INIT;

	if (f->chain.name == NULL && head->from != NULL)
		return err_set(err, ERR_CORRUPT,
			"at byte %" PRIu64 ": the first difference does not "
			"begin at nothing",
			at);
	if (rbd_chain_add(&f->chain, head, "a difference", &why) == ERR_OK)
		return ERR_OK;
	return err_set(err, ERR_CORRUPT, "at byte %" PRIu64 ": %s", at,
		why.msg);
}

enum err
rbd_file_next(struct rbd_file *f, struct rbd_diff **diff, struct error *err)
{
	uint64_t at;
	enum err rc = ERR_OK;

	if (f->diff != NULL)
		rc = finish(f, err);
	if (rc != ERR_OK)
		return rc;
	rbd_diff_close(f->diff);
	f->diff = NULL;
	*diff = NULL;
	if (f->left == 0)
		return ERR_OK;
	at = rbd_in_at(f->in);
	rc = rbd_diff_open(&f->diff, f->in,
		f->is_export ? RBD_DIFF_V2 : RBD_DIFF_V1, err);
	if (rc == ERR_OK && f->is_export)
		rc = check_order(f, at, err);
	if (rc != ERR_OK)
		return rc;
	f->left--;
	*diff = f->diff;
	return ERR_OK;
}

enum err
rbd_file_trailing(struct rbd_file *f, bool *more, struct error *err)
{
	uint8_t byte;
	size_t got = 0;
	enum err rc = rbd_in_peek(f->in, &byte, 1, &got, err);

	*more = got > 0;
	return rc;
}
