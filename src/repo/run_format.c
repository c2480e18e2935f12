/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/run_format.h"

#include <endian.h>
#include <string.h>

#include "codec/hash.h"
#include "repo/filter.h"

enum { VERSION = 2, MAGIC_LEN = 8 };

static const char magic[MAGIC_LEN + 1] = "cofferRN";

/* So that no product or sum below comes near 2^64. */
#define RECORDS_MAX ((uint64_t)1 << 40)

bool
run_layout(struct run_layout *out, uint64_t n_segs, uint64_t n_packs,
	uint64_t n_records)
{
	uint32_t per = run_per_page[RUN_RECORDS];
	struct run_layout l = { .n_pages = 1 };

	if (n_segs > UINT32_MAX || n_packs > UINT32_MAX ||
		n_records > RECORDS_MAX)
		return false;
	l.n[RUN_SEGS] = n_segs;
	l.n[RUN_PACKS] = n_packs;
	l.n[RUN_RECORDS] = n_records;
	l.n[RUN_FENCES] = (n_records + per - 1) / per;
	l.n[RUN_FILTER] = filter_blocks(n_records);
	for (unsigned t = 0; t < RUN_TABLES; t++) {
		l.first[t] = l.n_pages;
		l.n_pages += (l.n[t] + run_per_page[t] - 1) / run_per_page[t];
	}
	*out = l;
	return true;
}

void
run_key(struct secret *out, const struct secret *structure,
	const struct uid *uid)
{
	hash_derive(out, "coffer 1 cache", structure->b, SECRET_LEN, uid->b,
		UID_LEN);
}

static void
put32(uint8_t *at, uint32_t v)
{
	v = htole32(v);
	memcpy(at, &v, sizeof(v));
}

static uint32_t
get32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return le32toh(v);
}

static void
put64(uint8_t *at, uint64_t v)
{
	v = htole64(v);
	memcpy(at, &v, sizeof(v));
}

static uint64_t
get64(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return le64toh(v);
}

/* The number comes last, so that the content is hashed in whole chunks. */
static void
page_mac(struct id *out, const struct secret *key, uint64_t no,
	const uint8_t page[RUN_PAGE])
{
	uint8_t number[8];

	put64(number, no);
	hash_keyed2(out, key, page, RUN_CONTENT, number, sizeof(number));
}

void
run_page_seal(const struct secret *key, uint64_t no, uint8_t page[RUN_PAGE])
{
	struct id mac;

	page_mac(&mac, key, no, page);
	memcpy(page + RUN_CONTENT, mac.b, RUN_MAC);
}

bool
run_page_check(const struct secret *key, uint64_t no,
	const uint8_t page[RUN_PAGE])
{
	struct id mac;

	page_mac(&mac, key, no, page);
	return memcmp(page + RUN_CONTENT, mac.b, RUN_MAC) == 0;
}

void
run_header_put(uint8_t content[RUN_CONTENT], const struct run_layout *layout)
{
	memset(content, 0, RUN_CONTENT);
	memcpy(content, magic, MAGIC_LEN);
	put32(content + 8, VERSION);
	put64(content + 16, layout->n[RUN_SEGS]);
	put64(content + 24, layout->n[RUN_PACKS]);
	put64(content + 32, layout->n[RUN_RECORDS]);
}

bool
run_header_get(struct run_layout *out, const uint8_t content[RUN_CONTENT])
{
	return memcmp(content, magic, MAGIC_LEN) == 0 &&
	       get32(content + 8) == VERSION &&
	       run_layout(out, get64(content + 16), get64(content + 24),
		       get64(content + 32));
}

void
run_item_put(uint8_t *at, const struct run_item *item)
{
	const struct record *r = &item->rec;

	memcpy(at, r->id.b, ID_LEN);
	put32(at + 32, item->pack);
	put32(at + 36, item->off);
	put32(at + 40, r->stored_len);
	put32(at + 44, r->plain_len);
	put32(at + 48, r->head_len);
	put32(at + 52, r->number);
	at[56] = (uint8_t)r->envelope;
	at[57] = (uint8_t)(r->envelope >> 8);
	at[58] = r->type;
	at[59] = r->codec;
}

void
run_item_get(struct run_item *item, const uint8_t *at)
{
	struct record *r = &item->rec;

	memcpy(r->id.b, at, ID_LEN);
	item->pack = get32(at + 32);
	item->off = get32(at + 36);
	r->stored_len = get32(at + 40);
	r->plain_len = get32(at + 44);
	r->head_len = get32(at + 48);
	r->number = get32(at + 52);
	r->envelope = (uint16_t)(at[56] | at[57] << 8);
	r->type = at[58];
	r->codec = at[59];
}

void
run_pack_put(uint8_t *at, const struct run_pack *pack)
{
	memcpy(at, pack->info.id.b, ID_LEN);
	put64(at + 32, pack->info.size);
	put32(at + 40, pack->info.n_records);
	put32(at + 44, pack->seg);
}

void
run_pack_get(struct run_pack *pack, const uint8_t *at)
{
	memcpy(pack->info.id.b, at, ID_LEN);
	pack->info.size = get64(at + 32);
	pack->info.n_records = get32(at + 40);
	pack->seg = get32(at + 44);
}

void
run_seg_put(uint8_t *at, const struct segment_ref *seg)
{
	memcpy(at, seg->id.b, ID_LEN);
	put64(at + 32, seg->epoch);
	put64(at + 40, seg->base);
}

void
run_seg_get(struct segment_ref *seg, const uint8_t *at)
{
	memcpy(seg->id.b, at, ID_LEN);
	seg->epoch = get64(at + 32);
	seg->base = get64(at + 40) != 0;
}

void
run_fence_put(uint8_t *at, uint64_t prefix)
{
	put64(at, prefix);
}

uint64_t
run_fence_get(const uint8_t *at)
{
	return get64(at);
}
