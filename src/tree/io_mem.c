/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_mem: chunks in a hash table, by the hash of their bytes; a chunk that is
 * there already is not stored twice.  Nothing is ever removed.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "codec/hash.h"
#include "tree/io.h"

enum { SLOTS_MIN = 1024 };

struct chunk {
	struct id id;
	bool node;
	size_t head_len, len; /* len: all of it */
	uint8_t bytes[];
};

struct tree_io_mem {
	struct tree_io io;
	struct shorthash_key boundary;
	struct tree_io_count count;
	struct chunk **slots;
	size_t cap, n; /* cap: a power of two */
};

static struct tree_io_mem *
to_mem(struct tree_io *io)
{
	return container_of(io, struct tree_io_mem, io);
}

static struct chunk **
slot_of(struct chunk **slots, size_t cap, const struct id *id)
{
	size_t i = id_prefix(id) & (cap - 1);

	while (slots[i] != NULL && !id_eq(&slots[i]->id, id))
		i = (i + 1) & (cap - 1);
	return &slots[i];
}

static enum err
make_room(struct tree_io_mem *m, struct error *err)
{
	size_t cap = m->cap == 0 ? SLOTS_MIN : 2 * m->cap;
	struct chunk **slots;

	if (m->n < m->cap / 2)
		return ERR_OK;
	slots = calloc(cap, sizeof(*slots));
	if (slots == NULL)
		return err_set(err, ERR_NOMEM, "no memory for chunks");
	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i] != NULL)
			*slot_of(slots, cap, &m->slots[i]->id) = m->slots[i];
	free(m->slots);
	m->slots = slots;
	m->cap = cap;
	return ERR_OK;
}

static enum err
store(struct tree_io_mem *m, const struct node_bytes *b, bool node,
	struct id *id, struct error *err)
{
	/* One namespace for nodes and data, as their names differ. */
	static const struct secret kinds[2] = { { { 0 } }, { { 1 } } };
	struct chunk **slot, *c;
	enum err rc;

	rc = make_room(m, err);
	if (rc != ERR_OK)
		return rc;
	hash_keyed2(id, &kinds[node ? 1 : 0], b->head, b->head_len, b->body,
		b->body_len);
	slot = slot_of(m->slots, m->cap, id);
	if (*slot != NULL)
		return ERR_OK;
	c = malloc(sizeof(*c) + b->head_len + b->body_len);
	if (c == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a chunk");
	c->id = *id;
	c->node = node;
	c->head_len = b->head_len;
	c->len = b->head_len + b->body_len;
	if (b->head_len > 0)
		memcpy(c->bytes, b->head, b->head_len);
	if (b->body_len > 0)
		memcpy(c->bytes + b->head_len, b->body, b->body_len);
	*slot = c;
	m->n++;
	return ERR_OK;
}

static enum err
load(const struct tree_io_mem *m, const struct id *id, bool node,
	struct buf *out, size_t *head_len, struct error *err)
{
	const struct chunk *c =
		m->n > 0 ? *slot_of(m->slots, m->cap, id) : NULL;
	char hex[ID_HEX + 1];

	hex_encode(id->b, ID_LEN, hex);
	if (c == NULL)
		return err_set(err, ERR_NOTFOUND, "no chunk %s", hex);
	if (c->node != node)
		return err_set(err, ERR_CORRUPT, "chunk %s is of another type",
			hex);
	*head_len = c->head_len;
	return buf_put(out, c->bytes, c->len, err);
}

static enum err
mem_get_node(struct tree_io *io, const struct id *id, struct buf *out,
	size_t *head_len, struct error *err)
{
	struct tree_io_mem *m = to_mem(io);

	m->count.node_get++;
	return load(m, id, true, out, head_len, err);
}

static enum err
mem_get_data(struct tree_io *io, const struct id *id, struct buf *out,
	struct error *err)
{
	struct tree_io_mem *m = to_mem(io);
	size_t head_len;

	m->count.data_get++;
	return load(m, id, false, out, &head_len, err);
}

static enum err
mem_put_node(struct tree_io *io, const struct node_bytes *node, struct id *id,
	struct error *err)
{
	struct tree_io_mem *m = to_mem(io);

	m->count.node_put++;
	return store(m, node, true, id, err);
}

static enum err
mem_put_data(struct tree_io *io, const void *data, size_t len, struct ticket *t,
	struct error *err)
{
	struct node_bytes bytes = { .body = data, .body_len = len };
	struct tree_io_mem *m = to_mem(io);
	enum err rc;

	gate_init(&t->done);
	t->err = ERROR_INIT;
	m->count.data_put++;
	m->count.data_bytes += len;
	rc = store(m, &bytes, false, &t->id, err);
	if (rc != ERR_OK)
		t->err = *err;
	gate_open(&t->done);
	return rc;
}

static const struct tree_io_ops mem_ops = {
	.get_node = mem_get_node,
	.get_data = mem_get_data,
	.put_node = mem_put_node,
	.put_data = mem_put_data,
};

enum err
tree_io_mem_new(struct tree_io_mem **out, struct error *err)
{
	struct tree_io_mem *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a tree's io");
	m->io.ops = &mem_ops;
	m->io.boundary = &m->boundary;
	*out = m;
	return ERR_OK;
}

void
tree_io_mem_free(struct tree_io_mem *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->cap; i++)
		free(m->slots[i]);
	free(m->slots);
	free(m);
}

struct tree_io *
tree_io_mem_io(struct tree_io_mem *m)
{
	return &m->io;
}

struct tree_io_count
tree_io_mem_count(const struct tree_io_mem *m)
{
	return m->count;
}
