/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: the plain bytes of a segment.  A segment that is refused is not
 * handed out in part; one that is taken has only records that lie in their
 * packs, one behind the other, and encodes to the same bytes again.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "repo/pack.h"
#include "repo/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
	struct segment seg; /* what was handed out, encoded again */
	struct pack_info pack;
	struct record *recs;
	uint32_t n, off;
	unsigned calls;
};

static void
encode_pack(struct seen *s)
{
	struct error err = ERROR_INIT;

	if (s->recs == NULL)
		return;
	assert(s->n == s->pack.n_records);
	assert(segment_add(&s->seg, &s->pack, s->recs, &err) == ERR_OK);
	free(s->recs);
	s->recs = NULL;
}

static enum err
see_pack(void *arg, const struct pack_info *pack, struct error *err)
{
	struct seen *s = arg;

	encode_pack(s);
	s->pack = *pack;
	s->recs = calloc((size_t)pack->n_records + 1, sizeof(*s->recs));
	assert(s->recs != NULL);
	s->n = 0;
	s->off = PACK_HEADER;
	s->calls++;
	return ERR_OK;
}

static enum err
see_record(void *arg, const struct location *loc, struct error *err)
{
	struct seen *s = arg;

	assert(s->n < s->pack.n_records && loc->off == s->off);
	assert(id_eq(&loc->pack, &s->pack.id));
	assert(loc->rec.stored_len > 0 &&
		(uint64_t)loc->off + loc->rec.stored_len <= s->pack.size);
	s->off += loc->rec.stored_len;
	s->recs[s->n++] = loc->rec;
	s->calls++;
	return ERR_OK;
}

static enum err
see_session(void *arg, const struct uid *session, struct error *err)
{
	struct seen *s = arg;

	assert(s->calls == 0);
	s->calls++;
	return ERR_OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct seen s = { .n = 0 };
	const struct segment_visitor v = { see_pack, see_record, see_session,
		&s };
	struct error err = ERROR_INIT;
	enum err rc;

	segment_init(&s.seg);
	rc = segment_parse(data, len, &v, &err);
	assert(rc == ERR_OK || (rc == ERR_CORRUPT && s.calls == 0));
	encode_pack(&s);
	/* The packs come last, so they are the tail of the input. */
	assert(rc != ERR_OK ||
		(s.seg.packs.len < len &&
			(s.seg.packs.len == 0 ||
				memcmp(data + len - s.seg.packs.len,
					s.seg.packs.data,
					s.seg.packs.len) == 0)));
	segment_fini(&s.seg);
	return 0;
}
