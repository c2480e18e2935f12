/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rd: every function takes its bytes through rd_raw, the only place that
 * moves the position, so the only one that has to be right about the end.
 */
#include "base/rd.h"

#include <string.h>

void
rd_init(struct rd *r, const void *data, size_t len)
{
	r->p = data;
	r->end = len > 0 ? r->p + len : r->p;
	r->bad = false;
}

bool
rd_ok(const struct rd *r)
{
	return !r->bad;
}

bool
rd_done(const struct rd *r)
{
	return !r->bad && r->p == r->end;
}

size_t
rd_left(const struct rd *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->p);
}

const uint8_t *
rd_raw(struct rd *r, size_t len)
{
	const uint8_t *at = r->p;

	if (len > rd_left(r))
		r->bad = true;
	if (r->bad)
		return NULL;
	if (len > 0)
		r->p += len;
	return at;
}

static uint64_t
read_le(struct rd *r, size_t len)
{
	const uint8_t *raw = rd_raw(r, len);
	uint64_t v = 0;

	if (raw == NULL)
		return 0;
	for (size_t i = 0; i < len; i++)
		v |= (uint64_t)raw[i] << (8 * i);
	return v;
}

uint8_t
rd_u8(struct rd *r)
{
	return (uint8_t)read_le(r, 1);
}

uint16_t
rd_u16(struct rd *r)
{
	return (uint16_t)read_le(r, 2);
}

uint32_t
rd_u32(struct rd *r)
{
	return (uint32_t)read_le(r, 4);
}

uint64_t
rd_u64(struct rd *r)
{
	return read_le(r, 8);
}

uint64_t
rd_varint(struct rd *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		const uint8_t *at = rd_raw(r, 1);

		if (at == NULL)
			return 0;
		/* A last byte of zero, or bits above the 64th: one number
		 * would have two spellings, and so one tree two hashes. */
		if ((*at == 0 && shift > 0) || (shift == 63 && *at > 1))
			break;
		v |= (uint64_t)(*at & 0x7f) << shift;
		if (*at < 0x80)
			return v;
	}
	r->bad = true;
	return 0;
}

int64_t
rd_svarint(struct rd *r)
{
	uint64_t v = rd_varint(r);
	uint64_t sign = (v & 1) != 0 ? UINT64_MAX : 0;

	return (int64_t)((v >> 1) ^ sign);
}

uint64_t
rd_varint_max(struct rd *r, uint64_t max)
{
	uint64_t v = rd_varint(r);

	if (v <= max)
		return v;
	r->bad = true;
	return 0;
}

const uint8_t *
rd_bytes(struct rd *r, size_t max, size_t *len)
{
	size_t n = (size_t)rd_varint_max(r, max);
	const uint8_t *at = rd_raw(r, n);

	*len = at != NULL ? n : 0;
	return at;
}

void
rd_copy(struct rd *r, void *out, size_t len)
{
	const uint8_t *at = rd_raw(r, len);

	if (len == 0)
		return;
	if (at != NULL)
		memcpy(out, at, len);
	else
		memset(out, 0, len);
}
