/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/chunks.h"

#include <string.h>

#include "repo/record.h"

void
chunks_init(struct chunks *c, struct tree_io *io, size_t max)
{
	c->io = io;
	c->max = max;
	c->sum = c->n = 0;
	c->clock = 0;
}

void
chunks_fini(struct chunks *c)
{
	for (size_t i = 0; i < c->n; i++)
		buf_fini(&c->v[i].data);
	c->sum = c->n = 0;
}

static void
drop(struct chunks *c, size_t i)
{
	c->sum -= c->v[i].data.cap;
	buf_fini(&c->v[i].data);
	c->v[i] = c->v[--c->n];
}

/* The one that was not used for the longest time; c->n where there is none. */
static size_t
oldest(const struct chunks *c, bool spent_only)
{
	size_t best = c->n;

	for (size_t i = 0; i < c->n; i++) {
		if (spent_only && !c->v[i].spent)
			continue;
		if (best == c->n || c->v[i].used < c->v[best].used)
			best = i;
	}
	return best;
}

/* So that extra more bytes have room. */
static void
make_room(struct chunks *c, size_t extra)
{
	size_t i;

	while (c->sum + extra > CHUNKS_SPENT && (i = oldest(c, true)) < c->n)
		drop(c, i);
	while (c->n > 0 && (c->n == CHUNKS_MANY || c->sum + extra > c->max))
		drop(c, oldest(c, false));
}

static enum err
fetch(struct chunks *c, const struct id *id, struct error *err)
{
	struct buf data = BUF_INIT(CHUNK_MAX);
	enum err rc = c->io->ops->get_data(c->io, id, &data, err);

	if (rc != ERR_OK) {
		buf_fini(&data);
		return rc;
	}
	make_room(c, data.cap);
	c->v[c->n++] = (struct chunk_kept){ .id = *id, .data = data };
	c->sum += data.cap;
	return ERR_OK;
}

enum err
chunks_read(struct chunks *c, const struct id *id, uint32_t off, void *out,
	size_t len, struct error *err)
{
	char hex[ID_HEX + 1];
	struct chunk_kept *k;
	size_t i = 0;

	while (i < c->n && !id_eq(&c->v[i].id, id))
		i++;
	if (i == c->n) {
		enum err rc = fetch(c, id, err);

		if (rc != ERR_OK)
			return rc;
		i = c->n - 1;
	}
	k = &c->v[i];
	k->used = ++c->clock;
	if (off > k->data.len || len > k->data.len - off) {
		hex_encode(id->b, ID_LEN, hex);
		return err_set(err, ERR_CORRUPT,
			"chunk %s: it ends before what is wanted of it", hex);
	}
	memcpy(out, k->data.data + off, len);
	if (off + len == k->data.len)
		k->spent = true;
	return ERR_OK;
}
