/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader: from the id of a chunk to its proven bytes.
 *
 * Nothing is appended to the caller's buffer before the tag, the codec and
 * the id agreed.  The lengths come from the record, which record_get bounded,
 * and are part of what the tag proves.
 *
 * Where a pack is gone, or a record does not pass, the other places of the
 * chunk are tried, and then those of an index read anew: a prune may have
 * moved it.
 */
#include "repo/lane.h"

#include <stdlib.h>

#include "base/array.h"
#include "repo/pack.h"

enum { PLACES_MAX = 16, COPIES_MAX = 4096 };

static enum err
wrap_chunk(const struct id *id, struct error *err)
{
	char hex[ID_HEX + 1];

	hex_encode(id->b, ID_LEN, hex);
	return err_wrap(err, "chunk %s", hex);
}

/* The first len bytes of a record as stored to lane->stored. */
static enum err
fetch(struct lane *lane, const struct location *loc, size_t len,
	struct error *err)
{
	char name[PACK_NAME];

	buf_clear(&lane->stored);
	pack_name(name, &loc->pack);
	return store_get(lane->repo->st, name, loc->off, len, &lane->stored,
		err);
}

static enum err
open_body(struct lane *lane, const struct record *r,
	const struct pack_keys *keys, uint8_t *out, struct error *err)
{
	uint8_t *sealed = lane->stored.data;
	uint8_t *body = r->codec == CODEC_RAW ? out : sealed;
	enum err rc;

	if (body == sealed)
		body += pack_sealed_head(r); /* in place */
	rc = pack_open_body(lane->aead, keys, r, sealed, body, err);
	return rc == ERR_OK ? lane_expand(lane, r, body, out, err) : rc;
}

/* Room for len bytes, and, also where len is 0, memory to point at. */
static enum err
room(struct buf *out, size_t len, struct error *err)
{
	return buf_reserve(out, len > 0 ? len : 1, err);
}

static enum err
read_whole(struct lane *lane, const struct location *loc,
	const struct pack_keys *keys, struct buf *out, struct error *err)
{
	const struct record *r = &loc->rec;
	uint8_t *head, *body;
	enum err rc;

	rc = fetch(lane, loc, r->stored_len, err);
	if (rc == ERR_OK)
		rc = room(out, (size_t)r->head_len + r->plain_len, err);
	if (rc != ERR_OK)
		return rc;
	head = out->data + out->len;
	body = head + r->head_len;
	if (r->type == CHUNK_NODE)
		rc = pack_open_head(lane->aead, keys, r, lane->stored.data,
			head, err);
	if (rc == ERR_OK)
		rc = open_body(lane, r, keys, body, err);
	if (rc == ERR_OK)
		rc = lane_prove(lane, r, head, body, err);
	if (rc == ERR_OK)
		out->len += (size_t)r->head_len + r->plain_len;
	return rc;
}

static enum err
read_chunk(struct lane *lane, const struct location *loc, struct buf *out,
	size_t *head_len, struct error *err)
{
	struct repo *repo = lane->repo;
	struct pack_keys keys;
	enum err rc;

	rc = keycache_get(repo->keycache, &loc->pack, loc->rec.envelope, &keys,
		err);
	if (rc != ERR_OK)
		return rc;
	if (!keys.has_content || !repo->keys.has_id)
		rc = err_set(err, ERR_DENIED,
			"a %s key cannot read content, only a reader or admin "
			"key can",
			role_name(repo->keys.role));
	else
		rc = read_whole(lane, loc, &keys, out, err);
	pack_keys_wipe(&keys);
	if (rc == ERR_OK && head_len != NULL)
		*head_len = loc->rec.head_len;
	return rc;
}

static enum err
read_head(struct lane *lane, const struct location *loc, struct buf *out,
	size_t *head_len, struct error *err)
{
	const struct record *r = &loc->rec;
	struct pack_keys keys;
	enum err rc;

	rc = keycache_get(lane->repo->keycache, &loc->pack, r->envelope, &keys,
		err);
	if (rc != ERR_OK)
		return rc;
	rc = fetch(lane, loc, pack_sealed_head(r), err);
	if (rc == ERR_OK)
		rc = room(out, r->head_len, err);
	if (rc == ERR_OK)
		rc = pack_open_head(lane->aead, &keys, r, lane->stored.data,
			out->data + out->len, err);
	if (rc == ERR_OK)
		out->len += r->head_len;
	pack_keys_wipe(&keys);
	return rc;
}

/* A chunk that is wanted, and where it was not. */
struct hunt {
	struct lane *lane;
	const struct id *id;
	enum chunk_type type;
	enum err (*read)(struct lane *lane, const struct location *loc,
		struct buf *out, size_t *head_len, struct error *err);
	struct buf *out;
	size_t *head_len;

	struct location tried[PLACES_MAX];
	size_t n_tried;
	bool looked; /* in an index read anew */
	struct error why; /* the first place did not do */
};

/* ERR_NOTFOUND and ERR_CORRUPT are about this place, others about all. */
static enum err
try_place(struct hunt *h, const struct location *loc, struct error *err)
{
	char name[PACK_NAME];
	enum err rc;

	if (loc->rec.type != h->type)
		return err_set(err, ERR_CORRUPT, "is %s where %s was expected",
			lane_type_name(loc->rec.type),
			lane_type_name((uint8_t)h->type));
	rc = h->read(h->lane, loc, h->out, h->head_len, err);
	if (rc != ERR_NOTFOUND)
		return rc;
	pack_name(name, &loc->pack);
	return err_set(err, ERR_NOTFOUND, "%s is gone", name);
}

/* The next place to try; *found false where there is none left. */
static enum err
next_place(struct hunt *h, struct location *loc, bool *found, struct error *err)
{
	struct index *idx;
	enum err rc = repo_index(h->lane->repo, &idx, err);

	if (rc == ERR_OK)
		rc = index_find_other(idx, h->id, h->tried, h->n_tried, loc,
			found, err);
	if (rc != ERR_OK || *found || h->looked)
		return rc;
	h->looked = true;
	rc = index_look_again(idx, found, err);
	if (rc == ERR_OK && *found)
		rc = index_find_other(idx, h->id, h->tried, h->n_tried, loc,
			found, err);
	return rc;
}

/* Read the chunk, at first where the caller says, if it does. */
static enum err
hunt(struct hunt *h, const struct location *first, struct error *err)
{
	struct error why = ERROR_INIT;
	bool found = first != NULL;
	struct location loc;
	enum err rc = ERR_OK;

	if (found)
		loc = *first;
	while (rc == ERR_OK && h->n_tried < PLACES_MAX) {
		if (h->n_tried > 0 || !found)
			rc = next_place(h, &loc, &found, err);
		if (rc != ERR_OK || !found)
			break;
		rc = try_place(h, &loc, &why);
		if (rc == ERR_OK)
			return ERR_OK;
		if (h->n_tried == 0)
			h->why = why;
		h->tried[h->n_tried++] = loc;
		if (rc != ERR_NOTFOUND && rc != ERR_CORRUPT) {
			*err = why;
			return wrap_chunk(h->id, err);
		}
		rc = ERR_OK;
	}
	if (rc != ERR_OK)
		return wrap_chunk(h->id, err);
	*err = h->why;
	if (h->n_tried == 0)
		(void)err_set(err, ERR_NOTFOUND, "not in the repository");
	return wrap_chunk(h->id, err);
}

enum err
repo_read_at(struct lane *lane, const struct location *loc, struct buf *out,
	size_t *head_len, struct error *err)
{
	struct hunt h = { .lane = lane,
		.id = &loc->rec.id,
		.type = loc->rec.type,
		.read = read_chunk,
		.out = out,
		.head_len = head_len };

	return hunt(&h, loc, err);
}

enum err
repo_read_data(struct lane *lane, const struct id *id, struct buf *out,
	struct error *err)
{
	struct hunt h = { .lane = lane,
		.id = id,
		.type = CHUNK_DATA,
		.read = read_chunk,
		.out = out };

	return hunt(&h, NULL, err);
}

enum err
repo_read_node(struct lane *lane, const struct id *id, struct buf *out,
	size_t *head_len, struct error *err)
{
	struct hunt h = { .lane = lane,
		.id = id,
		.type = CHUNK_NODE,
		.read = read_chunk,
		.out = out,
		.head_len = head_len };

	return hunt(&h, NULL, err);
}

enum err
repo_read_head(struct lane *lane, const struct id *id, struct buf *out,
	struct error *err)
{
	struct hunt h = { .lane = lane,
		.id = id,
		.type = CHUNK_NODE,
		.read = read_head,
		.out = out };

	return hunt(&h, NULL, err);
}

struct head_visit {
	repo_head_fn *fn;
	void *arg;
	struct buf head;
};

/* The copies of a node; any: one of them was read. */
struct copies {
	struct location *v;
	size_t n, cap;
	bool any;
};

static enum err
copies_add(struct copies *c, const struct location *loc, struct error *err)
{
	struct location *v;

	if (c->n == COPIES_MAX)
		return err_set(err, ERR_CORRUPT, "has more than %d copies",
			COPIES_MAX);
	v = array_grow(c->v, c->n, &c->cap, sizeof(*v), err);
	if (v == NULL)
		return err->code;
	c->v = v;
	c->v[c->n++] = *loc;
	return ERR_OK;
}

static enum err
visit_copy(struct lane *lane, const struct location *loc, struct copies *c,
	struct head_visit *visit, struct error *err)
{
	struct error why = ERROR_INIT;
	enum err rc;

	buf_clear(&visit->head);
	rc = loc->rec.type == CHUNK_NODE
		     ? read_head(lane, loc, &visit->head, NULL, &why)
		     : err_set(&why, ERR_CORRUPT, "is no node");
	if (rc == ERR_NOTFOUND)
		return ERR_OK;
	if (rc != ERR_OK) {
		*err = why;
		return rc;
	}
	c->any = true;
	return visit->fn(visit->arg, visit->head.data, visit->head.len, err);
}

/* Every copy that the index tells of and that was not visited yet. */
static enum err
visit_copies(struct lane *lane, struct index *idx, const struct id *id,
	struct copies *c, struct head_visit *visit, struct error *err)
{
	struct location loc;
	bool found;
	enum err rc;

	for (;;) {
		rc = index_find_other(idx, id, c->v, c->n, &loc, &found, err);
		if (rc != ERR_OK || !found)
			return rc;
		rc = copies_add(c, &loc, err);
		if (rc == ERR_OK)
			rc = visit_copy(lane, &loc, c, visit, err);
		if (rc != ERR_OK)
			return rc;
	}
}

enum err
repo_each_head(struct lane *lane, const struct id *id, repo_head_fn *fn,
	void *arg, struct error *err)
{
	struct head_visit visit = { fn, arg, BUF_INIT((size_t)2 * CHUNK_MAX) };
	struct copies c = { NULL, 0, 0, false };
	struct index *idx;
	bool looked = false;
	enum err rc = repo_index(lane->repo, &idx, err);

	if (rc == ERR_OK)
		rc = visit_copies(lane, idx, id, &c, &visit, err);
	if (rc == ERR_OK && !c.any)
		rc = index_look_again(idx, &looked, err);
	if (rc == ERR_OK && looked)
		rc = visit_copies(lane, idx, id, &c, &visit, err);
	if (rc == ERR_OK && !c.any)
		rc = err_set(err, ERR_NOTFOUND, "not in the repository");
	buf_fini(&visit.head);
	free(c.v);
	return rc == ERR_OK ? rc : wrap_chunk(id, err);
}
