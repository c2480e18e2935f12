/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/extents.h"

#include "base/rd.h"
#include "repo/record.h"

void
extent_key(uint64_t off, uint8_t out[EXTENT_KEY])
{
	for (int i = EXTENT_KEY - 1; i >= 0; i--) {
		out[i] = (uint8_t)off;
		off >>= 8;
	}
}

static size_t
put_varint(uint8_t *out, uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		out[n++] = (uint8_t)(v | 0x80);
	out[n++] = (uint8_t)v;
	return n;
}

void
extent_encode(const struct extent *e, struct extent_item *out)
{
	size_t len;

	extent_key(e->off, out->key);
	len = put_varint(out->val, e->len);
	len += put_varint(out->val + len, e->chunk_off);
	out->ref = (struct ref){ .id = e->chunk };
	out->item = (struct item){ .key = { out->key, EXTENT_KEY },
		.val = { out->val, len },
		.refs = &out->ref,
		.n_refs = 1,
		.weight = e->len };
}

enum err
extent_decode(const struct item *item, struct extent *e, struct error *err)
{
	struct extent made = { 0 };
	uint64_t end;
	struct rd r;

	if (item->key.len != EXTENT_KEY || item->n_refs != 1 ||
		item->refs[0].node)
		return err_set(err, ERR_CORRUPT, "an extent that cannot be");
	for (size_t i = 0; i < EXTENT_KEY; i++)
		made.off = made.off << 8 | item->key.data[i];
	rd_init(&r, item->val.data, item->val.len);
	made.len = rd_varint_max(&r, CHUNK_MAX);
	made.chunk_off = (uint32_t)rd_varint_max(&r, CHUNK_MAX - made.len);
	made.chunk = item->refs[0].id;
	if (!rd_done(&r) || made.len == 0 || item->weight != made.len ||
		__builtin_add_overflow(made.off, made.len, &end))
		return err_set(err, ERR_CORRUPT,
			"an extent at %llu that cannot be",
			(unsigned long long)made.off);
	*e = made;
	return ERR_OK;
}
