/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf: bytes that grow, up to a maximum fixed at birth.
 *
 * buf_init allocates nothing; a zeroed struct with a max is the same thing.
 * The memory belongs to the buf and moves when it grows: keep offsets, not
 * pointers.  A buf is used by one thread at a time.
 *
 * Every function that grows fails with ERR_NOMEM, also where the maximum
 * would be passed, and then leaves the contents as they were.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
	size_t max;
};

#define BUF_INIT(max_len) ((struct buf){ .max = (max_len) })

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b); /* frees; the buf may be used again */

/* As buf_fini, after wiping what it held. */
void buf_wipe(struct buf *b);

/* Forget the contents, keep the memory. */
void buf_clear(struct buf *b);

/* Room for extra more bytes behind len. */
enum err buf_reserve(struct buf *b, size_t extra, struct error *err) MUST_CHECK;

enum err buf_put(struct buf *b, const void *data, size_t len,
	struct error *err) MUST_CHECK;
enum err buf_put_zero(struct buf *b, size_t len, struct error *err) MUST_CHECK;

/* Little-endian integers; LEB128 varint; zigzag varint; varint length + bytes.
 * Layouts: docs/format.md, "Conventions". */
enum err buf_put_u8(struct buf *b, uint8_t v, struct error *err) MUST_CHECK;
enum err buf_put_u16(struct buf *b, uint16_t v, struct error *err) MUST_CHECK;
enum err buf_put_u32(struct buf *b, uint32_t v, struct error *err) MUST_CHECK;
enum err buf_put_u64(struct buf *b, uint64_t v, struct error *err) MUST_CHECK;
enum err buf_put_varint(struct buf *b, uint64_t v,
	struct error *err) MUST_CHECK;
enum err buf_put_svarint(struct buf *b, int64_t v,
	struct error *err) MUST_CHECK;
enum err buf_put_bytes(struct buf *b, const void *data, size_t len,
	struct error *err) MUST_CHECK;
/* Text without its NUL, as buf_put_bytes. */
enum err buf_put_str(struct buf *b, const char *text,
	struct error *err) MUST_CHECK;

#endif /* BASE_BUF_H */
