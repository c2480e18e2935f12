/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment: index segments, written whole and read as hostile bytes.
 *
 * A segment is walked twice: first to check it to its end, then to hand it
 * out, so that a visitor never sees the beginning of something malformed.
 *
 * Crash argument: a segment is one object, created after the packs that it
 * names are durable; a crash leaves it whole or not there.
 */
#include "repo/segment.h"

#include <stdio.h>
#include <string.h>

#include "codec/aead.h"
#include "codec/hash.h"
#include "repo/box.h"
#include "repo/pack.h"

enum {
	/* the shortest encodings */
	REPLACES_MIN = 1 + ID_LEN,
	PACK_MIN = ID_LEN + 2,
	RECORD_MIN = 7 + ID_LEN,
	/* what stands before the packs when a segment is published */
	HEAD_MAX = 1 + 10
};

void
segment_init(struct segment *seg)
{
	seg->n_packs = 0;
	buf_init(&seg->packs, SEGMENT_MAX - HEAD_MAX);
}

void
segment_fini(struct segment *seg)
{
	seg->n_packs = 0;
	buf_fini(&seg->packs);
}

bool
segment_empty(const struct segment *seg)
{
	return seg->n_packs == 0;
}

enum err
segment_step(const struct pack_info *pack, const struct record *r,
	uint32_t *off, struct error *err)
{
	char hex[ID_HEX + 1];
	uint32_t end;

	if (!__builtin_add_overflow(*off, r->stored_len, &end) &&
		pack->size >= PACK_TRAILER &&
		end <= pack->size - PACK_TRAILER) {
		*off = end;
		return ERR_OK;
	}
	hex_encode(pack->id.b, ID_LEN, hex);
	return err_set(err, ERR_CORRUPT, "pack %s: records beyond its end",
		hex);
}

enum err
segment_add(struct segment *seg, const struct pack_info *pack,
	const struct record *recs, struct error *err)
{
	size_t before = seg->packs.len;
	uint32_t off = PACK_HEADER;
	enum err rc;

	rc = buf_put(&seg->packs, pack->id.b, ID_LEN, err);
	if (rc == ERR_OK)
		rc = buf_put_varint(&seg->packs, pack->size, err);
	if (rc == ERR_OK)
		rc = buf_put_varint(&seg->packs, pack->n_records, err);
	for (uint32_t i = 0; i < pack->n_records && rc == ERR_OK; i++) {
		rc = segment_step(pack, &recs[i], &off, err);
		if (rc == ERR_OK)
			rc = record_put(&seg->packs, &recs[i], err);
	}
	if (rc == ERR_OK)
		seg->n_packs++;
	else
		seg->packs.len = before;
	return rc;
}

void
segment_name(unsigned level, const struct id *id, char out[SEGMENT_NAME_MAX])
{
	char hex[ID_HEX + 1];

	hex_encode(id->b, ID_LEN, hex);
	(void)snprintf(out, SEGMENT_NAME_MAX, "index/%u/%s", level, hex);
}

bool
segment_name_parse(const char *name, unsigned *level, struct id *id)
{
	static const char prefix[] = "index/0/";
	struct id found;
	unsigned digit;

	if (strlen(name) != sizeof(prefix) - 1 + ID_HEX ||
		memcmp(name, prefix, 6) != 0 || name[7] != '/')
		return false;
	digit = (unsigned)(unsigned char)name[6] - '0';
	if (digit > SEGMENT_LEVEL_MAX || !hex_decode(name + 8, found.b, ID_LEN))
		return false;
	*level = digit;
	*id = found;
	return true;
}

enum err
segment_publish(const struct segment *seg, struct store *st,
	const struct secret *structure, struct id *id, struct error *err)
{
	struct buf plain = BUF_INIT(SEGMENT_MAX);
	struct buf object = BUF_INIT(SEGMENT_MAX + BOX_HEADER + AEAD_TAG);
	char name[SEGMENT_NAME_MAX];
	struct id hash;
	enum err rc;

	rc = buf_put_varint(&plain, 0, err);
	if (rc == ERR_OK)
		rc = buf_put_varint(&plain, seg->n_packs, err);
	if (rc == ERR_OK)
		rc = buf_put(&plain, seg->packs.data, seg->packs.len, err);
	if (rc == ERR_OK)
		rc = box_seal(&object, BOX_INDEX, "", structure, plain.data,
			plain.len, err);
	if (rc != ERR_OK)
		goto out;
	hash_plain(&hash, object.data, object.len);
	segment_name(0, &hash, name);
	rc = store_put(st, name, object.data, object.len, err);
	/* The name is a hash of 32 random bytes, too: what is there already
	 * was put by this very call, whose reply was lost. */
	if (rc == ERR_EXISTS)
		rc = ERR_OK;
	if (rc == ERR_OK)
		*id = hash;
out:
	buf_fini(&object);
	buf_fini(&plain);
	return rc;
}

/* A count of things that take at least each bytes; more cannot follow. */
static uint64_t
get_count(struct rd *rd, size_t each)
{
	return rd_varint_max(rd, rd_left(rd) / each);
}

static enum err
walk_replaces(struct rd *rd, const struct segment_visitor *v, struct error *err)
{
	uint64_t n = get_count(rd, REPLACES_MIN);
	enum err rc = ERR_OK;

	for (uint64_t i = 0; i < n && rc == ERR_OK && rd_ok(rd); i++) {
		struct id id;
		uint8_t level = rd_u8(rd);

		rd_copy(rd, id.b, ID_LEN);
		if (level > SEGMENT_LEVEL_MAX)
			rd->bad = true;
		if (rd_ok(rd) && v->replaces != NULL)
			rc = v->replaces(v->arg, level, &id, err);
	}
	return rc;
}

static enum err
walk_records(struct rd *rd, const struct pack_info *pack,
	const struct segment_visitor *v, struct error *err)
{
	struct location loc = { .pack = pack->id };
	uint32_t next = PACK_HEADER;
	enum err rc = ERR_OK;

	for (uint32_t i = 0; i < pack->n_records && rc == ERR_OK; i++) {
		record_get(rd, &loc.rec);
		if (!rd_ok(rd))
			break;
		loc.off = next;
		rc = segment_step(pack, &loc.rec, &next, err);
		if (rc == ERR_OK && v->record != NULL)
			rc = v->record(v->arg, &loc, err);
	}
	return rc;
}

static enum err
walk_pack(struct rd *rd, const struct segment_visitor *v, struct error *err)
{
	struct pack_info pack = { .n_records = 0 };
	enum err rc = ERR_OK;

	rd_copy(rd, pack.id.b, ID_LEN);
	pack.size = rd_varint_max(rd, INT64_MAX);
	pack.n_records = (uint32_t)rd_varint_max(rd, rd_left(rd) / RECORD_MIN);
	if (!rd_ok(rd))
		return ERR_OK;
	if (v->pack != NULL)
		rc = v->pack(v->arg, &pack, err);
	if (rc == ERR_OK)
		rc = walk_records(rd, &pack, v, err);
	return rc;
}

static enum err
walk(const void *data, size_t len, const struct segment_visitor *v,
	struct error *err)
{
	struct rd rd;
	uint64_t n;
	enum err rc;

	rd_init(&rd, data, len);
	rc = walk_replaces(&rd, v, err);
	if (rc != ERR_OK)
		return rc;
	n = get_count(&rd, PACK_MIN);
	for (uint64_t i = 0; i < n && rc == ERR_OK && rd_ok(&rd); i++)
		rc = walk_pack(&rd, v, err);
	if (rc == ERR_OK && !rd_done(&rd))
		rc = err_set(err, ERR_CORRUPT, "malformed");
	return rc;
}

enum err
segment_parse(const void *data, size_t len, const struct segment_visitor *v,
	struct error *err)
{
	static const struct segment_visitor nobody = { NULL };
	enum err rc = walk(data, len, &nobody, err);

	return rc == ERR_OK ? walk(data, len, v, err) : rc;
}

enum err
segment_load(struct store *st, const char *name, const struct secret *structure,
	const struct segment_visitor *v, struct error *err)
{
	struct buf object = BUF_INIT(SEGMENT_MAX + BOX_HEADER + AEAD_TAG);
	struct buf plain = BUF_INIT(SEGMENT_MAX + 1);
	struct id named, hash;
	unsigned level;
	enum err rc;

	if (!segment_name_parse(name, &level, &named))
		return err_set(err, ERR_CORRUPT,
			"%s: not the name of an index segment", name);
	rc = store_get_all(st, name, object.max, &object, err);
	if (rc != ERR_OK)
		goto out;
	hash_plain(&hash, object.data, object.len);
	if (!id_eq(&hash, &named))
		rc = err_set(err, ERR_CORRUPT, "its bytes are damaged");
	if (rc == ERR_OK)
		rc = box_open(&plain, BOX_INDEX, "", structure, object.data,
			object.len, err);
	/* Only one of the two copies is needed from here on. */
	buf_fini(&object);
	if (rc == ERR_OK)
		rc = segment_parse(plain.data, plain.len, v, err);
	if (rc != ERR_OK)
		rc = err_wrap(err, "%s", name);
out:
	buf_fini(&object);
	buf_fini(&plain);
	return rc;
}
