/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/image_out.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Where an operation's chunk is: a ticket's number, or one of these. */
enum { NAMED = IMAGE_TICKETS, SHARED };

struct image_op {
	struct extent e;
	unsigned where;
	bool keep; /* no extent, but the range of old ones to keep */
};

enum err
image_out_open(struct image_out *out, struct tree_io *io,
	const struct id *old_root, struct error *err)
{
	out->io = io;
	out->ops = reallocarray(NULL, IMAGE_OUT_QUEUE, sizeof(*out->ops));
	out->shared = malloc(IMAGE_WINDOW);
	if (out->ops == NULL || out->shared == NULL)
		return err_set(err, ERR_NOMEM, "no memory for an image");
	return edit_open(&out->edit, io, TREE_EXTENTS, old_root, err);
}

void
image_out_close(struct image_out *out)
{
	for (; out->in_flight > 0; out->in_flight--) {
		gate_wait(&out->tickets[out->first].done);
		out->first = (out->first + 1) % IMAGE_TICKETS;
	}
	edit_free(out->edit);
	free(out->ops);
	free(out->shared);
	*out = (struct image_out){ 0 };
}

static struct image_op *
op_at(const struct image_out *out, size_t i)
{
	return &out->ops[(out->head + i) % IMAGE_OUT_QUEUE];
}

/* Leave out the old extents that begin below to and are not settled. */
static enum err
settle(struct image_out *out, uint64_t to, struct error *err)
{
	uint8_t from_key[EXTENT_KEY], to_key[EXTENT_KEY];

	if (to <= out->settled)
		return ERR_OK;
	extent_key(out->settled, from_key);
	extent_key(to, to_key);
	out->settled = to;
	return edit_remove(out->edit, (struct bytes){ from_key, EXTENT_KEY },
		(struct bytes){ to_key, EXTENT_KEY }, err);
}

static enum err
put_last(struct image_out *out, struct error *err)
{
	struct extent_item it;
	enum err rc;

	if (out->last.len == 0)
		return ERR_OK;
	rc = settle(out, out->last.off, err);
	if (rc != ERR_OK)
		return rc;
	extent_encode(&out->last, &it);
	out->settled = out->last.off + 1;
	out->last.len = 0;
	return edit_put(out->edit, &it.item, err);
}

static bool
continues(const struct extent *a, const struct extent *b)
{
	return a->len > 0 && a->off + a->len == b->off &&
	       a->chunk_off + a->len == b->chunk_off &&
	       id_eq(&a->chunk, &b->chunk);
}

static enum err
apply(struct image_out *out, const struct image_op *op, struct error *err)
{
	enum err rc;

	if (!op->keep && continues(&out->last, &op->e)) {
		out->last.len += op->e.len;
		return ERR_OK;
	}
	rc = put_last(out, err);
	if (rc != ERR_OK)
		return rc;
	if (!op->keep) {
		out->last = op->e;
		return ERR_OK;
	}
	rc = settle(out, op->e.off, err);
	out->settled = op->e.off + op->e.len;
	return rc;
}

/* Let go from the head what has its name. */
static enum err
drain(struct image_out *out, struct error *err)
{
	while (out->n > 0 && op_at(out, 0)->where == NAMED) {
		enum err rc = apply(out, op_at(out, 0), err);

		if (rc != ERR_OK)
			return rc;
		out->head = (out->head + 1) % IMAGE_OUT_QUEUE;
		out->n--;
	}
	return ERR_OK;
}

/* Wait for the chunk that was sent first, and tell its extents its name. */
static enum err
take_ticket(struct image_out *out, struct error *err)
{
	struct ticket *t = &out->tickets[out->first];
	enum err rc = ticket_wait(t, err);

	for (size_t i = 0; i < out->n && rc == ERR_OK; i++) {
		struct image_op *op = op_at(out, i);

		if (op->where != out->first)
			continue;
		op->where = NAMED;
		op->e.chunk = t->id;
	}
	out->first = (out->first + 1) % IMAGE_TICKETS;
	out->in_flight--;
	return rc == ERR_OK ? drain(out, err) : rc;
}

/* Have a chunk stored; *where: by which ticket. */
static enum err
send(struct image_out *out, const void *data, size_t len, unsigned *where,
	struct error *err)
{
	struct ticket *t;
	enum err rc = ERR_OK;

	if (out->in_flight == IMAGE_TICKETS)
		rc = take_ticket(out, err);
	if (rc != ERR_OK)
		return rc;
	*where = (out->first + out->in_flight) % IMAGE_TICKETS;
	t = &out->tickets[*where];
	gate_init(&t->done);
	t->err = ERROR_INIT;
	rc = out->io->ops->put_data(out->io, data, len, t, err);
	if (rc != ERR_OK)
		return rc;
	out->in_flight++;
	out->bytes_stored += len;
	return ERR_OK;
}

static enum err
send_shared(struct image_out *out, struct error *err)
{
	unsigned where = 0;
	enum err rc;

	if (out->shared_len == 0)
		return ERR_OK;
	rc = send(out, out->shared, out->shared_len, &where, err);
	if (rc != ERR_OK)
		return rc;
	out->shared_len = 0;
	for (size_t i = 0; i < out->n; i++) {
		if (op_at(out, i)->where == SHARED)
			op_at(out, i)->where = where;
	}
	return ERR_OK;
}

/* So that n_ops more have room. */
static enum err
make_room(struct image_out *out, size_t n_ops, struct error *err)
{
	while (out->n + n_ops > IMAGE_OUT_QUEUE) {
		enum err rc = op_at(out, 0)->where == SHARED
				      ? send_shared(out, err)
				      : take_ticket(out, err);

		if (rc != ERR_OK)
			return rc;
	}
	return ERR_OK;
}

static bool
is_wide(const struct image_out *out, size_t n_ops)
{
	return out->n + n_ops > IMAGE_OUT_MANY &&
	       out->shared_len >= IMAGE_OUT_ENOUGH;
}

enum err
image_out_reserve(struct image_out *out, size_t len, size_t n_ops,
	struct error *err)
{
	enum err rc = ERR_OK;

	assert(len <= IMAGE_WINDOW && n_ops <= IMAGE_OUT_QUEUE);
	if (len > IMAGE_WINDOW - out->shared_len || is_wide(out, n_ops))
		rc = send_shared(out, err);
	return rc == ERR_OK ? make_room(out, n_ops, err) : rc;
}

static enum err
push(struct image_out *out, const struct image_op *op, struct error *err)
{
	enum err rc = make_room(out, 1, err);

	if (rc != ERR_OK)
		return rc;
	*op_at(out, out->n) = *op;
	out->n++;
	return drain(out, err);
}

enum err
image_out_keep(struct image_out *out, uint64_t from, uint64_t to,
	struct error *err)
{
	struct image_op op = { .where = NAMED, .keep = true };

	op.e.off = from;
	op.e.len = to - from;
	return push(out, &op, err);
}

enum err
image_out_extent(struct image_out *out, const struct extent *e,
	struct error *err)
{
	return push(out, &(struct image_op){ .e = *e, .where = NAMED }, err);
}

enum err
image_out_shared(struct image_out *out, uint64_t off, const void *data,
	size_t len, struct error *err)
{
	struct image_op op = { .where = SHARED };

	assert(len <= IMAGE_WINDOW - out->shared_len &&
		out->n < IMAGE_OUT_QUEUE);
	op.e.off = off;
	op.e.len = len;
	op.e.chunk_off = (uint32_t)out->shared_len;
	memcpy(out->shared + out->shared_len, data, len);
	out->shared_len += len;
	return push(out, &op, err);
}

enum err
image_out_chunk(struct image_out *out, uint64_t off, const void *data,
	const struct run *runs, size_t n, struct error *err)
{
	struct image_op op = { 0 };
	size_t len = 0;
	enum err rc;

	for (size_t i = 0; i < n; i++)
		len += runs[i].to - runs[i].from;
	/* Else the ticket could be taken before all of them are there. */
	rc = make_room(out, n, err);
	if (rc == ERR_OK)
		rc = send(out, data, len, &op.where, err);
	len = 0;
	for (size_t i = 0; i < n && rc == ERR_OK; i++) {
		op.e.off = off + runs[i].from;
		op.e.len = runs[i].to - runs[i].from;
		op.e.chunk_off = (uint32_t)len;
		len += op.e.len;
		rc = push(out, &op, err);
	}
	return rc;
}

enum err
image_out_finish(struct image_out *out, uint64_t end, struct tree_root *root,
	struct error *err)
{
	uint8_t key[EXTENT_KEY];
	enum err rc = send_shared(out, err);

	while (rc == ERR_OK && out->in_flight > 0)
		rc = take_ticket(out, err);
	if (rc == ERR_OK)
		rc = drain(out, err);
	if (rc == ERR_OK)
		rc = put_last(out, err);
	if (rc == ERR_OK)
		rc = settle(out, end, err);
	extent_key(end, key);
	if (rc == ERR_OK)
		rc = edit_remove(out->edit, (struct bytes){ key, EXTENT_KEY },
			(struct bytes){ 0 }, err);
	if (rc == ERR_OK)
		rc = edit_finish(out->edit, root, err);
	return rc;
}
