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
#include "repo/names.h"
#include "repo/pack.h"

enum {
	/* the shortest encodings */
	PACK_MIN = ID_LEN + 2,
	RECORD_MIN = 7 + ID_LEN,
	/* what stands before the packs when a segment is published */
	HEAD_MAX = UID_LEN + 10
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

int
segment_cmp(const struct segment_ref *a, const struct segment_ref *b)
{
	if (a->epoch != b->epoch)
		return a->epoch < b->epoch ? -1 : 1;
	if (a->base != b->base)
		return b->base ? -1 : 1;
	return id_cmp(&a->id, &b->id);
}

/* The name but for its last component: what the box is bound to. */
static void
dir_name(uint64_t epoch, bool base, char out[SEGMENT_NAME_MAX])
{
	(void)snprintf(out, SEGMENT_NAME_MAX, "index/%llu%s",
		(unsigned long long)epoch, base ? ".base" : "");
}

void
segment_name(const struct segment_ref *ref, char out[SEGMENT_NAME_MAX])
{
	char hex[ID_HEX + 1];
	size_t n;

	dir_name(ref->epoch, ref->base, out);
	hex_encode(ref->id.b, ID_LEN, hex);
	n = strlen(out);
	(void)snprintf(out + n, SEGMENT_NAME_MAX - n, "/%s", hex);
}

bool
segment_name_parse(const char *name, struct segment_ref *ref)
{
	struct segment_ref found = { 0 };
	const char *at = name;

	if (!names_text(&at, "index/") || !names_number(&at, &found.epoch))
		return false;
	found.base = names_text(&at, ".base");
	if ((found.base && found.epoch == 0) || !names_text(&at, "/") ||
		!names_hex(&at, found.id.b, ID_LEN) || *at != '\0')
		return false;
	*ref = found;
	return true;
}

static enum err
put_plain(struct buf *out, const struct segment *seg, const struct uid *session,
	struct error *err)
{
	enum err rc = buf_put(out, session->b, UID_LEN, err);

	if (rc == ERR_OK)
		rc = buf_put_varint(out, seg->n_packs, err);
	if (rc == ERR_OK)
		rc = buf_put(out, seg->packs.data, seg->packs.len, err);
	return rc;
}

enum err
segment_publish(const struct segment *seg, struct store *st,
	const struct secret *structure, const struct segment_owner *owner,
	struct segment_ref *ref, struct error *err)
{
	struct segment_ref made = { .epoch = owner->epoch,
		.base = owner->base };
	struct buf plain = BUF_INIT(SEGMENT_MAX);
	struct buf object = BUF_INIT(SEGMENT_MAX + BOX_HEADER + AEAD_TAG);
	char name[SEGMENT_NAME_MAX];
	enum err rc;

	dir_name(owner->epoch, owner->base, name);
	rc = put_plain(&plain, seg, &owner->session, err);
	if (rc == ERR_OK)
		rc = box_seal(&object, BOX_INDEX, name, structure, plain.data,
			plain.len, err);
	if (rc != ERR_OK)
		goto out;
	hash_plain(&made.id, object.data, object.len);
	segment_name(&made, name);
	rc = store_put(st, name, object.data, object.len, err);
	/* The name is a hash of 32 random bytes, too: what is there already
	 * was put by this very call, whose reply was lost. */
	if (rc == ERR_EXISTS)
		rc = ERR_OK;
	if (rc == ERR_OK)
		*ref = made;
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
walk_session(struct rd *rd, const struct segment_visitor *v, struct error *err)
{
	struct uid session;

	rd_copy(rd, session.b, UID_LEN);
	return rd_ok(rd) && v->session != NULL
		       ? v->session(v->arg, &session, err)
		       : ERR_OK;
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
	rc = walk_session(&rd, v, err);
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
	char dir[SEGMENT_NAME_MAX];
	struct segment_ref named;
	struct id hash;
	enum err rc;

	if (!segment_name_parse(name, &named))
		return err_set(err, ERR_CORRUPT,
			"%s: not the name of an index segment", name);
	rc = store_get_all(st, name, object.max, &object, err);
	if (rc != ERR_OK)
		goto out;
	hash_plain(&hash, object.data, object.len);
	dir_name(named.epoch, named.base, dir);
	if (!id_eq(&hash, &named.id))
		rc = err_set(err, ERR_CORRUPT, "its bytes are damaged");
	if (rc == ERR_OK)
		rc = box_open(&plain, BOX_INDEX, dir, structure, object.data,
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
