/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_format: the bytes of a run, a file of the local cache.
 *
 *   header page | segments | packs | fences | filter | records
 *
 * Everything lies in pages of 4096 bytes: 4080 of content and 16 of a keyed
 * BLAKE3 over the content and the number of the page.  The key is derived
 * from the structure key and the run's uid, so a page that was damaged, or
 * that belongs elsewhere or to another repository, is known when it is first
 * touched, and opening a run reads its header only.
 *
 * Each table has items of one size that do not cross pages.  Records are
 * sorted by id, then pack, then offset; there is one fence per page of
 * records, the first eight bytes of its first id.  Packs are sorted by id.
 * Segments, those that the run covers, come in any order.  The number of
 * items of each table is in the header and fixes where every table begins.
 *
 * The layout may change at any time; then VERSION does, and caches are
 * rebuilt.
 */
#ifndef REPO_RUN_FORMAT_H
#define REPO_RUN_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/id.h"
#include "base/secret.h"
#include "repo/filter.h"
#include "repo/record.h"
#include "repo/segment.h"

enum { RUN_PAGE = 4096, RUN_MAC = 16, RUN_CONTENT = RUN_PAGE - RUN_MAC };

enum run_table {
	RUN_SEGS,
	RUN_PACKS,
	RUN_FENCES,
	RUN_FILTER,
	RUN_RECORDS,
	RUN_TABLES
};

enum {
	RUN_SEG_LEN = 48,
	RUN_PACK_LEN = 48,
	RUN_FENCE_LEN = 8,
	RUN_RECORD_LEN = 60
};

/* Bytes of an item, and items of a page; here, because lookups divide by
 * them. */
static const uint32_t run_item_len[RUN_TABLES] = {
	[RUN_SEGS] = RUN_SEG_LEN,
	[RUN_PACKS] = RUN_PACK_LEN,
	[RUN_FENCES] = RUN_FENCE_LEN,
	[RUN_FILTER] = FILTER_BLOCK,
	[RUN_RECORDS] = RUN_RECORD_LEN,
};

static const uint32_t run_per_page[RUN_TABLES] = {
	[RUN_SEGS] = RUN_CONTENT / RUN_SEG_LEN,
	[RUN_PACKS] = RUN_CONTENT / RUN_PACK_LEN,
	[RUN_FENCES] = RUN_CONTENT / RUN_FENCE_LEN,
	[RUN_FILTER] = RUN_CONTENT / FILTER_BLOCK,
	[RUN_RECORDS] = RUN_CONTENT / RUN_RECORD_LEN,
};

struct run_layout {
	uint64_t n[RUN_TABLES]; /* items */
	uint64_t first[RUN_TABLES]; /* page */
	uint64_t n_pages;
};

/* false where a file cannot be that large. */
bool run_layout(struct run_layout *out, uint64_t n_segs, uint64_t n_packs,
	uint64_t n_records) MUST_CHECK;

void run_key(struct secret *out, const struct secret *structure,
	const struct uid *uid);

/* Compute, or compare, the last RUN_MAC bytes of page no. */
void run_page_seal(const struct secret *key, uint64_t no,
	uint8_t page[RUN_PAGE]);
bool run_page_check(const struct secret *key, uint64_t no,
	const uint8_t page[RUN_PAGE]) MUST_CHECK;

void run_header_put(uint8_t content[RUN_CONTENT],
	const struct run_layout *layout);
/* false where it is not a header of this version. */
bool run_header_get(struct run_layout *out,
	const uint8_t content[RUN_CONTENT]) MUST_CHECK;

/* A record as the run has it: pack is a number in the table of packs. */
struct run_item {
	struct record rec;
	uint32_t off;
	uint32_t pack;
};

struct run_pack {
	struct pack_info info;
	uint32_t seg; /* number in the table of segments */
};

void run_item_put(uint8_t *at, const struct run_item *item);
void run_item_get(struct run_item *item, const uint8_t *at);
void run_pack_put(uint8_t *at, const struct run_pack *pack);
void run_pack_get(struct run_pack *pack, const uint8_t *at);
void run_seg_put(uint8_t *at, const struct segment_ref *seg);
void run_seg_get(struct segment_ref *seg, const uint8_t *at);
void run_fence_put(uint8_t *at, uint64_t prefix);
uint64_t run_fence_get(const uint8_t *at);

#endif /* REPO_RUN_FORMAT_H */
