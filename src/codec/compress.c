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
 * Columns are one frame, too, in which each part has blocks, and so tables, of
 * its own.  Mostly they are so much smaller that the lines themselves need not
 * be compressed for comparison.
 *
 * Decompression in one pass needs no window of its own, whatever the frame
 * claims: memory is what the caller gives.
 */
#include "codec/compress.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/rd.h"
#include "codec/columns.h"

enum {
	PROBE_LEVEL = 5,
	FAST_LEVEL = 1,
	SAMPLE = 16 << 10,
	COLUMNS_HEAD = 4, /* u32: how many bytes the columns are */
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

/* One frame with a flush behind each part, of at most room bytes, or 0. */
static size_t
squeeze_parts(struct compressor *c, int level, const struct columns *columns,
	void *out, size_t room)
{
	ZSTD_outBuffer to = { .dst = out, .size = room };
	ZSTD_inBuffer from = { .src = columns->bytes.data };

	(void)ZSTD_CCtx_reset(c->enc, ZSTD_reset_session_only);
	if (ZSTD_isError(ZSTD_CCtx_setParameter(c->enc, ZSTD_c_compressionLevel,
		    level)) ||
		ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(c->enc,
			columns->bytes.len)))
		return 0;
	for (size_t i = 0; i < columns->n; i++) {
		bool is_last = i + 1 == columns->n;
		size_t left;

		from.size = columns->ends[i];
		left = ZSTD_compressStream2(c->enc, &to, &from,
			is_last ? ZSTD_e_end : ZSTD_e_flush);
		/* Something is left only where there is no room for it. */
		if (left > 0)
			return 0;
	}
	return to.pos;
}

/* Lines as columns, as they are stored; 0 where they are no such lines. */
static size_t
squeeze_columns(struct compressor *c, int level, const void *data, size_t len,
	uint8_t *out)
{
	struct error err = ERROR_INIT;
	struct columns columns;
	bool fit = false;
	size_t n = 0;

	columns_init(&columns, len);
	if (columns_encode(&columns, data, len, &fit, &err) == ERR_OK && fit) {
		for (unsigned i = 0; i < COLUMNS_HEAD; i++)
			out[i] = (uint8_t)(columns.bytes.len >> 8 * i);
		n = squeeze_parts(c, level, &columns, out + COLUMNS_HEAD,
			compress_bound(len) - COLUMNS_HEAD);
	}
	columns_fini(&columns);
	return n > 0 ? n + COLUMNS_HEAD : 0;
}

/* Whichever is smaller.  Where columns take less than 3/4 of what level 1 makes
 * of the lines, it is supposed that no level makes less of those. */
static size_t
squeeze_lines(struct compressor *c, int level, const void *data, size_t len,
	void *out, enum codec *codec)
{
	size_t columns = squeeze_columns(c, level, data, len, out), n;
	void *plain;

	*codec = columns > 0 ? CODEC_COLUMNS : CODEC_ZSTD;
	if (columns == 0)
		return squeeze(c, level, data, len, out);
	plain = malloc(compress_bound(len));
	if (plain == NULL)
		return columns;
	n = squeeze(c, FAST_LEVEL, data, len, plain);
	if (columns >= n / 4 * 3)
		n = squeeze(c, level, data, len, plain);
	if (n > 0 && n <= columns) {
		memcpy(out, plain, n);
		*codec = CODEC_ZSTD;
		columns = n;
	}
	free(plain);
	return columns;
}

size_t
compress_bytes(struct compressor *c, int level, const void *data, size_t len,
	void *out, enum codec *codec)
{
	size_t n;

	*codec = CODEC_RAW;
	if (len >= GLANCE_MIN && looks_random(data, len) &&
		squeeze(c, FAST_LEVEL, (const uint8_t *)data + len / 2, SAMPLE,
			out) == 0)
		return 0;
	if (level >= PROBE_LEVEL && hopeless(c, data, len, out))
		return 0;
	if (level >= PROBE_LEVEL && columns_likely(data, len))
		return squeeze_lines(c, level, data, len, out, codec);
	n = squeeze(c, level, data, len, out);
	if (n > 0)
		*codec = CODEC_ZSTD;
	return n;
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

static enum err
unpack_frame(struct compressor *c, const void *data, size_t len, void *out,
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

static enum err
unpack_columns(struct compressor *c, const uint8_t *data, size_t len, void *out,
	size_t plain_len, struct error *err)
{
	struct rd head;
	uint8_t *columns;
	size_t n;
	enum err rc;

	rd_init(&head, data, len);
	n = rd_u32(&head);
	if (!rd_ok(&head) || n > plain_len)
		return err_set(err, ERR_CORRUPT,
			"%zu bytes are not columns of %zu", len, plain_len);
	columns = malloc(n + 1);
	if (columns == NULL)
		return err_set(err, ERR_NOMEM, "no memory for %zu bytes", n);
	rc = unpack_frame(c, data + COLUMNS_HEAD, len - COLUMNS_HEAD, columns,
		n, err);
	if (rc == ERR_OK)
		rc = columns_decode(columns, n, out, plain_len, err);
	free(columns);
	return rc;
}

enum err
decompress_bytes(struct compressor *c, enum codec codec, const void *data,
	size_t len, void *out, size_t plain_len, struct error *err)
{
	if (codec == CODEC_COLUMNS)
		return unpack_columns(c, data, len, out, plain_len, err);
	return unpack_frame(c, data, len, out, plain_len, err);
}
