/* SPDX-License-Identifier: Apache-2.0 */
/* Input: u24 length, then what is taken for a frame, or columns, of so many
 * bytes, and for bytes to be compressed.  Nothing is written too far, not by
 * libzstd either, which no sanitizer watches; what was compressed comes back.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/compress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PLAIN_MAX = 1 << 20, GUARD = 64 };

static struct compressor *comp;

static void
unpack(enum codec codec, const uint8_t *data, size_t len, size_t plain_len)
{
	struct error err = ERROR_INIT;
	uint8_t *out = malloc(plain_len + GUARD);
	enum err rc;

	assert(out != NULL);
	memset(out + plain_len, 0xee, GUARD);
	rc = decompress_bytes(comp, codec, data, len, out, plain_len, &err);
	assert(rc == ERR_OK || rc == ERR_CORRUPT);
	for (size_t i = 0; i < GUARD; i++)
		assert(out[plain_len + i] == 0xee);
	free(out);
}

static void
round_trip(const uint8_t *data, size_t len, int level)
{
	struct error err = ERROR_INIT;
	uint8_t *packed = malloc(compress_bound(len)), *back = malloc(len + 1);
	enum codec codec;
	size_t n;

	assert(packed != NULL && back != NULL);
	n = compress_bytes(comp, level, data, len, packed, &codec);
	assert(n == 0 || n < len);
	if (n > 0) {
		assert(decompress_bytes(comp, codec, packed, n, back, len,
			       &err) == ERR_OK);
		assert(memcmp(back, data, len) == 0);
	}
	free(packed);
	free(back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;
	size_t plain_len;

	if (len < 3)
		return 0;
	if (comp == NULL)
		assert(compressor_new(&comp, &err) == ERR_OK);
	plain_len = data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16;
	unpack(CODEC_ZSTD, data + 3, len - 3, plain_len % PLAIN_MAX);
	unpack(CODEC_COLUMNS, data + 3, len - 3, plain_len % PLAIN_MAX);
	round_trip(data + 3, len - 3, data[0] % 8 + 1);
	return 0;
}
