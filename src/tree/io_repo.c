/* SPDX-License-Identifier: Apache-2.0 */
/* io_repo: a tree over a repository, all on the calling thread. */
#include "base/compiler.h"
#include "tree/io.h"

static struct tree_io_repo *
to_repo(struct tree_io *io)
{
	return container_of(io, struct tree_io_repo, io);
}

static enum err
repo_get_node(struct tree_io *io, const struct id *id, struct buf *out,
	size_t *head_len, struct error *err)
{
	return repo_read_node(to_repo(io)->lane, id, out, head_len, err);
}

static enum err
repo_get_data(struct tree_io *io, const struct id *id, struct buf *out,
	struct error *err)
{
	return repo_read_data(to_repo(io)->lane, id, out, err);
}

static enum err
need_writer(const struct tree_io_repo *t, struct error *err)
{
	if (t->w == NULL)
		return err_set(err, ERR_USAGE,
			"the repository was opened for reading only");
	return ERR_OK;
}

static enum err
repo_put_node(struct tree_io *io, const struct node_bytes *node, struct id *id,
	struct error *err)
{
	struct tree_io_repo *t = to_repo(io);
	enum err rc;

	rc = need_writer(t, err);
	if (rc != ERR_OK)
		return rc;
	return writer_put_node(t->w, t->lane, node, id, NULL, err);
}

static enum err
repo_put_data(struct tree_io *io, const void *data, size_t len,
	struct ticket *ticket, struct error *err)
{
	struct tree_io_repo *t = to_repo(io);
	enum err rc;

	gate_init(&ticket->done);
	ticket->err = ERROR_INIT;
	rc = need_writer(t, err);
	if (rc == ERR_OK)
		rc = writer_put_data(t->w, t->lane, data, len, &ticket->id,
			NULL, err);
	if (rc != ERR_OK)
		ticket->err = *err;
	gate_open(&ticket->done);
	return rc;
}

static const struct tree_io_ops repo_ops = {
	.get_node = repo_get_node,
	.get_data = repo_get_data,
	.put_node = repo_put_node,
	.put_data = repo_put_data,
};

void
tree_io_repo_init(struct tree_io_repo *t, struct repo *r, struct lane *lane,
	struct writer *w)
{
	*t = (struct tree_io_repo){
		.io = { .ops = &repo_ops, .boundary = &repo_keys(r)->boundary },
		.lane = lane,
		.w = w,
	};
}
