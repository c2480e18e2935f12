/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf: bytes that grow, up to a maximum fixed at birth.
 *
 * The memory doubles, so that appending costs constant time on average.
 */
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

enum { CAP_MIN = 64, VARINT_MAX = 10 };

void
buf_init(struct buf *b, size_t max)
{
	*b = BUF_INIT(max);
}

void
buf_fini(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT(b->max);
}

void
buf_wipe(struct buf *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data, b->cap);
	buf_fini(b);
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
}

enum err
buf_reserve(struct buf *b, size_t extra, struct error *err)
{
	size_t need, cap;
	uint8_t *data;

	if (extra <= b->cap - b->len)
		return ERR_OK;
	if (__builtin_add_overflow(b->len, extra, &need) || need > b->max)
		return err_set(err, ERR_NOMEM,
			"%zu more bytes would pass the limit of %zu", extra,
			b->max);
	cap = b->cap < b->max / 2 ? b->cap * 2 : b->max;
	if (cap < CAP_MIN)
		cap = CAP_MIN < b->max ? CAP_MIN : b->max;
	if (cap < need)
		cap = need;
	data = realloc(b->data, cap);
	if (data == NULL)
		return err_set(err, ERR_NOMEM, "no memory for %zu bytes", cap);
	b->data = data;
	b->cap = cap;
	return ERR_OK;
}

enum err
buf_put(struct buf *b, const void *data, size_t len, struct error *err)
{
	enum err rc;

	if (len == 0)
		return ERR_OK;
	rc = buf_reserve(b, len, err);
	if (rc != ERR_OK)
		return rc;
	memcpy(b->data + b->len, data, len);
	b->len += len;
	return ERR_OK;
}

enum err
buf_put_zero(struct buf *b, size_t len, struct error *err)
{
	enum err rc;

	if (len == 0)
		return ERR_OK;
	rc = buf_reserve(b, len, err);
	if (rc != ERR_OK)
		return rc;
	memset(b->data + b->len, 0, len);
	b->len += len;
	return ERR_OK;
}

static enum err
put_le(struct buf *b, uint64_t v, size_t len, struct error *err)
{
	uint8_t raw[8];

	for (size_t i = 0; i < len; i++)
		raw[i] = (uint8_t)(v >> (8 * i));
	return buf_put(b, raw, len, err);
}

enum err
buf_put_u8(struct buf *b, uint8_t v, struct error *err)
{
	return buf_put(b, &v, 1, err);
}

enum err
buf_put_u16(struct buf *b, uint16_t v, struct error *err)
{
	return put_le(b, v, 2, err);
}

enum err
buf_put_u32(struct buf *b, uint32_t v, struct error *err)
{
	return put_le(b, v, 4, err);
}

enum err
buf_put_u64(struct buf *b, uint64_t v, struct error *err)
{
	return put_le(b, v, 8, err);
}

static size_t
varint_encode(uint64_t v, uint8_t out[VARINT_MAX])
{
	size_t n = 0;

	while (v >= 0x80) {
		out[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	out[n++] = (uint8_t)v;
	return n;
}

enum err
buf_put_varint(struct buf *b, uint64_t v, struct error *err)
{
	uint8_t raw[VARINT_MAX];

	return buf_put(b, raw, varint_encode(v, raw), err);
}

enum err
buf_put_svarint(struct buf *b, int64_t v, struct error *err)
{
	uint64_t sign = v < 0 ? UINT64_MAX : 0;

	return buf_put_varint(b, ((uint64_t)v << 1) ^ sign, err);
}

enum err
buf_put_bytes(struct buf *b, const void *data, size_t len, struct error *err)
{
	size_t before = b->len;
	enum err rc;

	rc = buf_put_varint(b, len, err);
	if (rc != ERR_OK)
		return rc;
	rc = buf_put(b, data, len, err);
	if (rc != ERR_OK)
		b->len = before;
	return rc;
}

enum err
buf_put_str(struct buf *b, const char *text, struct error *err)
{
	return buf_put_bytes(b, text, strlen(text), err);
}
