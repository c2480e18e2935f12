/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: one byte, the kind; a box under the zero key.  What opens was sealed;
 * and the input, sealed, opens again as it was, under no other name.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "repo/box.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { OUT_MAX = 1 << 20 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct secret zero;
	struct error err = ERROR_INIT;
	struct buf plain = BUF_INIT(OUT_MAX), box = BUF_INIT(OUT_MAX);
	enum box_kind kind = BOX_INDEX;

	if (len > 0)
		kind = (enum box_kind)(data[0] % BOX_KINDS);
	if (len > 0 && box_open(&plain, kind, "", &zero, data + 1, len - 1,
			       &err) != ERR_OK)
		assert(plain.len == 0);
	buf_clear(&plain);
	assert(box_seal(&box, kind, "a/b", &zero, data, len, &err) == ERR_OK);
	assert(box_open(&plain, kind, "a/c", &zero, box.data, box.len, &err) ==
		ERR_CORRUPT);
	assert(box_open(&plain, kind, "a/b", &zero, box.data, box.len, &err) ==
		ERR_OK);
	assert(plain.len == len &&
		(len == 0 || memcmp(plain.data, data, len) == 0));
	buf_fini(&box);
	buf_fini(&plain);
	return 0;
}
