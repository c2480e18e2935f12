/* SPDX-License-Identifier: Apache-2.0 */
/* packs: made-up packs and records, as a writer would describe them. */
#ifndef TESTS_LIB_PACKS_H
#define TESTS_LIB_PACKS_H

#include <stdint.h>
#include <string.h>

#include "repo/pack.h"
#include "repo/record.h"
#include "repo/segment.h"
#include "tests/lib/prng.h"

static inline void
packs_record(struct prng *p, struct record *r)
{
	memset(r, 0, sizeof(*r));
	prng_fill(p, r->id.b, ID_LEN);
	r->type = prng_below(p, 4) == 0 ? CHUNK_NODE : CHUNK_DATA;
	r->codec = (uint8_t)prng_below(p, 2);
	r->envelope = (uint16_t)prng_below(p, 3);
	r->number = (uint32_t)prng_below(p, 1 << 16);
	r->plain_len = 2 + (uint32_t)prng_below(p, 5000);
	if (r->type == CHUNK_NODE)
		r->head_len = (uint32_t)prng_below(p, 300);
	r->stored_len = r->plain_len + r->head_len +
			(r->type == CHUNK_NODE ? 32 : 16) - r->codec;
}

/* n records and the pack that they fill. */
static inline void
packs_make(struct prng *p, struct pack_info *pack, struct record *recs,
	uint32_t n)
{
	prng_fill(p, pack->id.b, ID_LEN);
	pack->n_records = n;
	pack->size = PACK_HEADER + PACK_TRAILER + prng_below(p, 4096);
	for (uint32_t i = 0; i < n; i++) {
		packs_record(p, &recs[i]);
		pack->size += recs[i].stored_len;
	}
}

static inline int
packs_same(const struct record *a, const struct record *b)
{
	return id_eq(&a->id, &b->id) && a->type == b->type &&
	       a->codec == b->codec && a->envelope == b->envelope &&
	       a->number == b->number && a->stored_len == b->stored_len &&
	       a->plain_len == b->plain_len && a->head_len == b->head_len;
}

#endif /* TESTS_LIB_PACKS_H */
