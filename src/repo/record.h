/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record: one chunk in a pack as tables and index segments describe it
 * (docs/format.md, section 5).
 */
#ifndef REPO_RECORD_H
#define REPO_RECORD_H

#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "base/rd.h"

enum chunk_type { CHUNK_DATA = 1, CHUNK_NODE = 2 };

enum { CHUNK_MAX = 16 << 20, RECORD_AAD = 42 };

struct record {
	struct id id;
	uint8_t type; /* enum chunk_type */
	uint8_t codec; /* enum codec */
	uint16_t envelope;
	uint32_t number;
	uint32_t stored_len; /* with the tags */
	uint32_t plain_len; /* of data, or of a node's body */
	uint32_t head_len; /* of a node's references; 0 for data */
};

/* Where a chunk lies. */
struct location {
	struct id pack;
	uint32_t off;
	struct record rec;
};

enum err record_put(struct buf *out, const struct record *r,
	struct error *err) MUST_CHECK;

/* One record; rd turns bad on anything that cannot be. */
void record_get(struct rd *rd, struct record *r);

/* The additional data that a record is sealed with. */
void record_aad(const struct record *r, uint8_t out[RECORD_AAD]);

#endif /* REPO_RECORD_H */
