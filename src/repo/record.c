/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record: the encoding of one line of a pack's table.
 *
 * A length that no writer produces is refused here, once, so that whoever
 * reads a record may allocate and subtract by its fields: plain and head
 * lengths are at most CHUNK_MAX, and a stored length is never more than both
 * of them and a tag for each.
 */
#include "repo/record.h"

#include <string.h>

#include "codec/aead.h"
#include "codec/compress.h"

static bool
possible(const struct record *r)
{
	bool node = r->type == CHUNK_NODE;
	uint32_t tags = node ? 2 * AEAD_TAG : AEAD_TAG;
	uint32_t raw;

	if ((!node && r->type != CHUNK_DATA) || (!node && r->head_len > 0))
		return false;
	if (r->plain_len > CHUNK_MAX || r->head_len > CHUNK_MAX)
		return false;
	raw = tags + r->head_len + r->plain_len;
	if (r->codec == CODEC_RAW)
		return r->stored_len == raw;
	return r->codec <= CODEC_COLUMNS && r->stored_len < raw &&
	       r->stored_len > tags + r->head_len;
}

enum err
record_put(struct buf *out, const struct record *r, struct error *err)
{
	const uint64_t v[] = { r->envelope, r->number, r->stored_len,
		r->plain_len, r->head_len };
	size_t before = out->len;
	enum err rc;

	rc = buf_put_u8(out, r->type, err);
	if (rc == ERR_OK)
		rc = buf_put_u8(out, r->codec, err);
	for (size_t i = 0; i < ARRAY_LEN(v) && rc == ERR_OK; i++)
		rc = buf_put_varint(out, v[i], err);
	if (rc == ERR_OK)
		rc = buf_put(out, r->id.b, ID_LEN, err);
	if (rc != ERR_OK)
		out->len = before;
	return rc;
}

void
record_get(struct rd *rd, struct record *r)
{
	r->type = rd_u8(rd);
	r->codec = rd_u8(rd);
	r->envelope = (uint16_t)rd_varint_max(rd, UINT16_MAX);
	r->number = (uint32_t)rd_varint_max(rd, UINT32_MAX);
	r->stored_len = (uint32_t)rd_varint_max(rd, UINT32_MAX);
	r->plain_len = (uint32_t)rd_varint_max(rd, CHUNK_MAX);
	r->head_len = (uint32_t)rd_varint_max(rd, CHUNK_MAX);
	rd_copy(rd, r->id.b, ID_LEN);
	if (rd_ok(rd) && !possible(r))
		rd->bad = true;
	if (!rd_ok(rd))
		memset(r, 0, sizeof(*r));
}

static void
put_le32(uint8_t *at, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

void
record_aad(const struct record *r, uint8_t out[RECORD_AAD])
{
	out[0] = r->type;
	out[1] = r->codec;
	put_le32(out + 2, r->plain_len);
	put_le32(out + 6, r->head_len);
	memcpy(out + 10, r->id.b, ID_LEN);
}
