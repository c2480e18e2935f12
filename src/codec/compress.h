/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress: zstd frames (RFC 8878), of bytes as they are or of lines as
 * columns, with a raw fallback.
 *
 * A struct compressor holds the contexts of one thread.
 */
#ifndef CODEC_COMPRESS_H
#define CODEC_COMPRESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

/* On disk: docs/format.md, section 5. */
enum codec { CODEC_RAW = 0, CODEC_ZSTD = 1, CODEC_COLUMNS = 2 };

struct compressor;

enum err compressor_new(struct compressor **out, struct error *err) MUST_CHECK;
void compressor_free(struct compressor *c);

/* Bytes that compress_bytes may write for len bytes of input. */
size_t compress_bound(size_t len);

/*
 * Compress len bytes at level (1..19; negative: faster) into out, which has
 * room for compress_bound(len).  Returns the bytes written, or 0, with the
 * contents of out undefined and *codec CODEC_RAW, where less than 3 % would be
 * saved: the caller then stores the bytes themselves.  From level 5 on, bytes
 * of which level 1 would not save so much are not tried any harder, and what
 * looks like lines with numbers is tried as columns, too (which takes two
 * to three times len of memory meanwhile, seven at most).
 */
size_t compress_bytes(struct compressor *c, int level, const void *data,
	size_t len, void *out, enum codec *codec);

/*
 * Decompress what compress_bytes made, by the codec that it told (not
 * CODEC_RAW), into exactly plain_len bytes at out; what holds more or less, or
 * is damaged, is ERR_CORRUPT.  Nothing is written beyond plain_len.  Columns
 * take up to nine times plain_len of memory.
 */
enum err decompress_bytes(struct compressor *c, enum codec codec,
	const void *data, size_t len, void *out, size_t plain_len,
	struct error *err) MUST_CHECK;

#endif /* CODEC_COMPRESS_H */
