/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress: zstd with contexts that live as long as their thread.
 *
 * A frame carries neither its length nor a checksum: both are kept, and
 * authenticated, by who stores it.
 *
 * At fast levels libzstd gets through incompressible bytes at 3 GB/s, and
 * copies them; from PROBE_LEVEL on it searches them as thoroughly as any
 * others, so there the fast level is asked first.
 *
 * Long inputs are sampled before all that.  Where byte frequencies p are nearly
 * even, entropy coding saves about (256 * sum(p^2) - 1) / (16 ln 2) of the
 * bytes, so the squares of their counts tell what it could save; each sample
 * on its own tells of compressible parts between random ones.  Matches are
 * looked for in a longer piece from the middle, and repeated blocks by samples
 * that begin alike.
 *
 * Decompression in one pass needs no window of its own, whatever the frame
 * claims: memory is what the caller gives.
 */
#include "codec/compress.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum {
	PROBE_LEVEL = 5,
	FAST_LEVEL = 1,
	SAMPLE = 16 << 10,
	/* So many pieces of so many bytes, evenly spread: what is compressible
	 * over a 64th of the input meets one of them. */
	PIECES = 64,
	PIECE = 256,
	GLANCE_MIN = 4 * PIECES * PIECE,
	/* Sums of squares of counts.  Of random bytes: n + n^2 / 256, with a
	 * standard deviation of 23 for one piece. */
	PIECE_SQUARES = 2 * PIECE + PIECE / 2,
	ALL = PIECES * PIECE,
	ALL_SQUARES = ALL + ALL / 256 * ALL / 8 * 9, /* saves 1.1 % */
};

struct compressor {
	ZSTD_CCtx *enc;
	ZSTD_DCtx *dec;
};

enum err
compressor_new(struct compressor **out, struct error *err)
{
	struct compressor *c = calloc(1, sizeof(*c));

	if (c != NULL) {
		c->enc = ZSTD_createCCtx();
		c->dec = ZSTD_createDCtx();
	}
	if (c == NULL || c->enc == NULL || c->dec == NULL ||
		ZSTD_isError(ZSTD_CCtx_setParameter(c->enc,
			ZSTD_c_contentSizeFlag, 0))) {
		compressor_free(c);
		return err_set(err, ERR_NOMEM, "zstd: out of memory");
	}
	*out = c;
	return ERR_OK;
}

void
compressor_free(struct compressor *c)
{
	if (c == NULL)
		return;
	(void)ZSTD_freeCCtx(c->enc);
	(void)ZSTD_freeDCtx(c->dec);
	free(c);
}

size_t
compress_bound(size_t len)
{
	return ZSTD_compressBound(len);
}

static size_t
squeeze(struct compressor *c, int level, const void *data, size_t len,
	void *out)
{
	size_t n;

	if (ZSTD_isError(ZSTD_CCtx_setParameter(c->enc, ZSTD_c_compressionLevel,
		    level)))
		return 0;
	/* A 33rd is 3 %. */
	n = ZSTD_compress2(c->enc, out, compress_bound(len), data, len);
	return ZSTD_isError(n) || n >= len - len / 33 ? 0 : n;
}

/* As far as samples can tell. */
static bool
looks_random(const uint8_t *data, size_t len)
{
	/* Of a window of an image repeated blocks begin alike. */
	const size_t step = len / PIECES;
	uint64_t starts[PIECES];
	uint32_t all[256] = { 0 };
	uint64_t all_squares = 0;

	for (size_t i = 0; i < PIECES; i++) {
		const uint8_t *piece = data + i * step;
		uint16_t counts[256] = { 0 };
		uint32_t squares = 0;

		/* (c + 1)^2 - c^2 */
		for (size_t k = 0; k < PIECE; k++) {
			squares += 2u * counts[piece[k]]++ + 1;
			all_squares += 2 * all[piece[k]]++ + 1;
		}
		if (squares > PIECE_SQUARES)
			return false;
		memcpy(&starts[i], piece, sizeof(starts[i]));
		for (size_t k = 0; k < i; k++)
			if (starts[k] == starts[i])
				return false;
	}
	return all_squares <= ALL_SQUARES;
}

/* A glance at the middle first, which saves compressible data the probe. */
static bool
hopeless(struct compressor *c, const uint8_t *data, size_t len, void *out)
{
	if (len > (size_t)2 * SAMPLE &&
		squeeze(c, FAST_LEVEL, data + len / 2, SAMPLE, out) > 0)
		return false;
	return squeeze(c, FAST_LEVEL, data, len, out) == 0;
}

size_t
compress_bytes(struct compressor *c, int level, const void *data, size_t len,
	void *out)
{
	if (len >= GLANCE_MIN && looks_random(data, len) &&
		squeeze(c, FAST_LEVEL, (const uint8_t *)data + len / 2, SAMPLE,
			out) == 0)
		return 0;
	if (level >= PROBE_LEVEL && hopeless(c, data, len, out))
		return 0;
	return squeeze(c, level, data, len, out);
}

static bool
is_one_frame(const uint8_t *data, size_t len)
{
	/* Neither the formats before RFC 8878 nor skippable frames. */
	static const uint8_t magic[4] = { 0x28, 0xb5, 0x2f, 0xfd };

	return len >= sizeof(magic) &&
	       memcmp(data, magic, sizeof(magic)) == 0 &&
	       ZSTD_findFrameCompressedSize(data, len) == len;
}

enum err
decompress_bytes(struct compressor *c, const void *data, size_t len, void *out,
	size_t plain_len, struct error *err)
{
	size_t n;

	if (!is_one_frame(data, len))
		return err_set(err, ERR_CORRUPT,
			"%zu compressed bytes are not one zstd frame", len);
	n = ZSTD_decompressDCtx(c->dec, out, plain_len, data, len);
	if (ZSTD_isError(n))
		return err_set(err, ERR_CORRUPT, "damaged zstd frame: %s",
			ZSTD_getErrorName(n));
	if (n != plain_len)
		return err_set(err, ERR_CORRUPT,
			"zstd frame of %zu bytes instead of %zu", n, plain_len);
	return ERR_OK;
}
