/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: one byte; h: a header, t: a trailer and the size of its pack, else
 * the plain bytes of a table.  Records that a table yields lie one behind the
 * other, encode to what they came from, and have lengths that can be.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "repo/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
header(const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;
	uint8_t bytes[PACK_HEADER] = { 0 }, again[PACK_HEADER];
	struct pack_header h;

	memcpy(bytes, data, len < PACK_HEADER ? len : PACK_HEADER);
	if (pack_header_decode(&h, bytes, &err) != ERR_OK)
		return;
	pack_header_encode(&h, again);
	bytes[11] = 0; /* reserved */
	assert(memcmp(bytes, again, PACK_HEADER) == 0);
}

static void
trailer(const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;
	uint8_t bytes[PACK_TRAILER + 4] = { 0 };
	uint32_t table, size;

	memcpy(bytes, data, len < sizeof(bytes) ? len : sizeof(bytes));
	memcpy(&size, bytes + PACK_TRAILER, 4);
	if (pack_table_len(&table, bytes, size, &err) == ERR_OK)
		assert(size >= PACK_HEADER + table + PACK_TRAILER);
}

static void
check_record(const struct record *r, const uint8_t *at, size_t len)
{
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(PACK_LINE_MAX);

	assert(record_put(&out, r, &err) == ERR_OK);
	assert(out.len == len && memcmp(out.data, at, len) == 0);
	assert(r->plain_len <= CHUNK_MAX && r->head_len <= CHUNK_MAX);
	assert(r->stored_len <= PACK_RECORD_MAX);
	assert(pack_sealed_head(r) + pack_body_len(r) + AEAD_TAG ==
		r->stored_len);
	buf_fini(&out);
}

static void
table(const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;
	uint64_t off, expect = PACK_HEADER;
	struct envelope env;
	struct pack_table t;
	struct record r;

	if (pack_table_begin(&t, data, len, &err) != ERR_OK)
		return;
	for (uint32_t k = 1; k <= t.n_foreign; k++)
		pack_table_envelope(&t, k, &env);
	for (uint32_t i = 0; i < t.n_recs; i++) {
		const uint8_t *at = t.rd.p;

		if (pack_table_next(&t, &r, &off, &err) != ERR_OK)
			return;
		check_record(&r, at, (size_t)(t.rd.p - at));
		assert(off == expect);
		expect += r.stored_len;
	}
	assert(pack_table_next(&t, &r, &off, &err) == ERR_CORRUPT);
	assert(pack_table_end(&t, expect + 1, &err) == ERR_CORRUPT);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	if (data[0] == 'h')
		header(data + 1, len - 1);
	else if (data[0] == 't')
		trailer(data + 1, len - 1);
	else
		table(data + 1, len - 1);
	return 0;
}
