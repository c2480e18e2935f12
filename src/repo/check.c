/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: a pack against what the index says of it.
 *
 * Without the data secret the bodies stay closed; the pack's name, which the
 * index vouches for, proves then that they are what the writer sealed.
 */
#include "repo/lane.h"

#include <string.h>

#include "codec/hash.h"
#include "repo/pack.h"

struct checked {
	struct lane *lane;
	const struct pack_info *info;
	const struct record *recs;
	char name[PACK_NAME];
	struct pack_header header;
	uint8_t header_bytes[PACK_HEADER];
	uint64_t table_at; /* where it begins in the pack */
	const uint8_t *whole; /* NULL where the data is not read */
};

static enum err
wrong(const struct checked *c, const char *what, struct error *err)
{
	return err_set(err, ERR_CORRUPT, "%s", what);
}

static enum err
check_size(const struct checked *c, struct error *err)
{
	uint64_t size;
	enum err rc = store_size(c->lane->repo->st, c->name, &size, err);

	if (rc == ERR_NOTFOUND)
		return err_set(err, ERR_CORRUPT, "is missing");
	if (rc != ERR_OK)
		return rc;
	if (size != c->info->size)
		return err_set(err, ERR_CORRUPT,
			"has %llu bytes, by the index %llu",
			(unsigned long long)size,
			(unsigned long long)c->info->size);
	if (size < PACK_HEADER + PACK_TRAILER || size > PACK_MAX)
		return wrong(c, "has a size that no pack has", err);
	return ERR_OK;
}

static enum err
fetch(const struct checked *c, uint64_t off, size_t len, struct buf *out,
	struct error *err)
{
	buf_clear(out);
	if (c->whole != NULL)
		return buf_put(out, c->whole + off, len, err);
	return store_get(c->lane->repo->st, c->name, off, len, out, err);
}

/* Header, trailer, and the plain bytes of the table to table. */
static enum err
read_frame(struct checked *c, struct buf *table, struct error *err)
{
	struct buf bytes = BUF_INIT(PACK_TABLE_MAX);
	uint64_t end = c->info->size - PACK_TRAILER;
	uint32_t len = 0;
	enum err rc;

	rc = fetch(c, 0, PACK_HEADER, &bytes, err);
	if (rc == ERR_OK) {
		memcpy(c->header_bytes, bytes.data, PACK_HEADER);
		rc = pack_header_decode(&c->header, c->header_bytes, err);
	}
	if (rc == ERR_OK)
		rc = fetch(c, end, PACK_TRAILER, &bytes, err);
	if (rc == ERR_OK)
		rc = pack_table_len(&len, bytes.data, c->info->size, err);
	if (rc == ERR_OK)
		rc = fetch(c, end - len, len, &bytes, err);
	if (rc == ERR_OK)
		rc = pack_table_open(table, &c->lane->repo->keys.structure,
			c->header_bytes, bytes.data, bytes.len, err);
	c->table_at = end - len;
	buf_fini(&bytes);
	return rc;
}

static bool
same(const struct record *a, const struct record *b)
{
	return a->type == b->type && a->codec == b->codec &&
	       a->envelope == b->envelope && a->number == b->number &&
	       a->stored_len == b->stored_len && a->plain_len == b->plain_len &&
	       a->head_len == b->head_len && id_eq(&a->id, &b->id);
}

static enum err
check_table(const struct checked *c, const struct buf *table, struct error *err)
{
	struct pack_table t;
	enum err rc = pack_table_begin(&t, table->data, table->len, err);

	if (rc == ERR_OK && t.n_recs != c->info->n_records)
		rc = err_set(err, ERR_CORRUPT,
			"has %u records, by the index %u", t.n_recs,
			c->info->n_records);
	for (uint32_t i = 0; rc == ERR_OK && i < t.n_recs; i++) {
		struct record r;
		uint64_t off;

		rc = pack_table_next(&t, &r, &off, err);
		if (rc == ERR_OK && !same(&r, &c->recs[i]))
			rc = err_set(err, ERR_CORRUPT,
				"record %u is not as the index has it", i);
		if (rc == ERR_OK && (r.type == CHUNK_NODE) !=
					    (c->header.kind == PACK_NODES))
			rc = err_set(err, ERR_CORRUPT,
				"record %u is of the other kind", i);
	}
	return rc == ERR_OK ? pack_table_end(&t, c->table_at, err) : rc;
}

/* The pack from the store, proven by its name. */
static enum err
read_whole(struct checked *c, struct buf *whole, struct error *err)
{
	struct id id;
	enum err rc;

	rc = store_get(c->lane->repo->st, c->name, 0, (size_t)c->info->size,
		whole, err);
	if (rc != ERR_OK)
		return rc;
	hash_plain(&id, whole->data, whole->len);
	if (!id_eq(&id, &c->info->id))
		return wrong(c, "its bytes do not match its name", err);
	c->whole = whole->data;
	return ERR_OK;
}

static enum err
check_record(const struct checked *c, const struct record *r,
	const uint8_t *sealed, const struct pack_keys *keys, struct error *err)
{
	struct lane *lane = c->lane;
	uint8_t *head, *body, *plain;
	enum err rc;

	rc = lane_room(&lane->stored, r->stored_len, err);
	if (rc == ERR_OK)
		rc = lane_room(&lane->plain, r->plain_len, err);
	if (rc != ERR_OK)
		return rc;
	head = lane->stored.data;
	body = head + r->head_len;
	plain = r->codec == CODEC_RAW ? body : lane->plain.data;
	if (r->type == CHUNK_NODE)
		rc = pack_open_head(lane->aead, keys, r, sealed, head, err);
	if (rc != ERR_OK || !keys->has_content || !lane->repo->keys.has_id)
		return rc;
	rc = pack_open_body(lane->aead, keys, r, sealed, body, err);
	if (rc == ERR_OK)
		rc = lane_expand(lane, r, body, plain, err);
	return rc == ERR_OK ? lane_prove(lane, r, head, plain, err) : rc;
}

static enum err
check_records(const struct checked *c, struct error *err)
{
	uint64_t off = PACK_HEADER;
	enum err rc = ERR_OK;

	/* Their lengths add up: check_table saw to that. */
	for (uint32_t i = 0; rc == ERR_OK && i < c->info->n_records; i++) {
		const struct record *r = &c->recs[i];
		struct pack_keys keys;

		rc = keycache_get(c->lane->repo->keycache, &c->info->id,
			r->envelope, &keys, err);
		if (rc != ERR_OK)
			return rc;
		rc = check_record(c, r, c->whole + off, &keys, err);
		pack_keys_wipe(&keys);
		if (rc != ERR_OK)
			return err_wrap(err, "record %u", i);
		off += r->stored_len;
	}
	return rc;
}

enum err
repo_check_pack(struct lane *lane, const struct pack_info *pack,
	const struct record *recs, bool read_data, struct error *err)
{
	struct checked c = { .lane = lane, .info = pack, .recs = recs };
	struct buf whole = BUF_INIT(PACK_MAX);
	struct buf table = BUF_INIT(PACK_TABLE_MAX);
	enum err rc;

	pack_name(c.name, &pack->id);
	rc = check_size(&c, err);
	if (rc == ERR_OK && read_data)
		rc = read_whole(&c, &whole, err);
	if (rc == ERR_OK)
		rc = read_frame(&c, &table, err);
	if (rc == ERR_OK)
		rc = check_table(&c, &table, err);
	if (rc == ERR_OK && read_data)
		rc = check_records(&c, err);
	buf_fini(&table);
	buf_fini(&whole);
	return rc == ERR_OK ? rc : err_wrap(err, "%s", c.name);
}
