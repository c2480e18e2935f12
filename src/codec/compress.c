/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress: zstd with contexts that live as long as their thread.
 *
 * A frame carries neither its length nor a checksum: both are kept, and
 * authenticated, by who stores it.
 *
 * At fast levels libzstd gets through incompressible bytes at several GB/s;
 * from PROBE_LEVEL on it searches them as thoroughly as any others, so there
 * the fast level is asked first.
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
