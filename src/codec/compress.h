/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress: zstd frames (RFC 8878) with a raw fallback.
 *
 * A struct compressor holds the contexts of one thread.
 */
#ifndef CODEC_COMPRESS_H
#define CODEC_COMPRESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum codec { CODEC_RAW = 0, CODEC_ZSTD = 1 }; /* on disk: docs/format.md */

struct compressor;

enum err compressor_new(struct compressor **out, struct error *err) MUST_CHECK;
void compressor_free(struct compressor *c);

/* Bytes that compress_bytes may write for len bytes of input. */
size_t compress_bound(size_t len);

/*
 * Compress len bytes at level (1..19; negative: faster) into out, which has
 * room for compress_bound(len).  Returns the bytes written, or 0, with the
 * contents of out undefined, where less than 3 % would be saved: the caller
 * then stores the bytes themselves as CODEC_RAW.  From level 5 on, bytes of
 * which level 1 would not save so much are not tried any harder.
 */
size_t compress_bytes(struct compressor *c, int level, const void *data,
	size_t len, void *out);

/*
 * Decompress a zstd frame into exactly plain_len bytes at out; a frame that
 * holds more or less, or is damaged, is ERR_CORRUPT.  Nothing is written
 * beyond plain_len.
 */
enum err decompress_bytes(struct compressor *c, const void *data, size_t len,
	void *out, size_t plain_len, struct error *err) MUST_CHECK;

#endif /* CODEC_COMPRESS_H */
