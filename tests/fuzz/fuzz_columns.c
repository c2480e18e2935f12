/* SPDX-License-Identifier: Apache-2.0 */
/* Input: u24 length, then what is taken for columns of so many bytes, and for
 * lines.  Nothing is written too far; what was made columns comes back. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/columns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PLAIN_MAX = 1 << 20 };

static void
decode(const uint8_t *data, size_t len, size_t plain_len)
{
	struct error err = ERROR_INIT;
	uint8_t *out = malloc(plain_len + 1);
	enum err rc;

	assert(out != NULL);
	out[plain_len] = 0xee;
	rc = columns_decode(data, len, out, plain_len, &err);
	assert(rc == ERR_OK || rc == ERR_CORRUPT);
	assert(out[plain_len] == 0xee);
	free(out);
}

static void
round_trip(const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;
	uint8_t *back = malloc(len + 1);
	struct columns c;
	bool fit;

	assert(back != NULL);
	columns_init(&c, len);
	assert(columns_encode(&c, data, len, &fit, &err) == ERR_OK);
	if (fit) {
		assert(c.bytes.len <= len);
		assert(columns_decode(c.bytes.data, c.bytes.len, back, len,
			       &err) == ERR_OK);
		assert(memcmp(back, data, len) == 0);
	}
	columns_fini(&c);
	free(back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t plain_len;

	if (len < 3)
		return 0;
	plain_len = data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16;
	decode(data + 3, len - 3, plain_len % PLAIN_MAX);
	round_trip(data + 3, len - 3);
	return 0;
}
