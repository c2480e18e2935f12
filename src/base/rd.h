/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rd: reads hostile bytes, front to back, without ever leaving them.
 *
 * A reader that ran over its end, or met a varint that is not in its shortest
 * form, turns bad and stays bad; from then on every function returns zero or
 * an empty range.  So a decoder reads a whole structure straight through and
 * asks rd_ok (or rd_done) once, before it believes any of it; only a count
 * that steers a loop or an allocation is checked on the spot.
 */
#ifndef BASE_RD_H
#define BASE_RD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct rd {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

void rd_init(struct rd *r, const void *data, size_t len);

/* Nothing went wrong so far. */
bool rd_ok(const struct rd *r) MUST_CHECK;
/* Nothing went wrong and nothing is left over. */
bool rd_done(const struct rd *r) MUST_CHECK;
size_t rd_left(const struct rd *r);

uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
uint64_t rd_varint(struct rd *r);
int64_t rd_svarint(struct rd *r);
/* A varint that must be <= max; otherwise the reader turns bad. */
uint64_t rd_varint_max(struct rd *r, uint64_t max);

/* len raw bytes, in place; NULL once bad. */
const uint8_t *rd_raw(struct rd *r, size_t len);
/* varint length (<= max), then so many bytes, in place; *len 0 once bad. */
const uint8_t *rd_bytes(struct rd *r, size_t max, size_t *len);
/* Copy len raw bytes to out; zeroes once bad. */
void rd_copy(struct rd *r, void *out, size_t len);

#endif /* BASE_RD_H */
