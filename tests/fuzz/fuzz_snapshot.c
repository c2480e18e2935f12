/* SPDX-License-Identifier: Apache-2.0 */
/* What is accepted encodes, and that decodes and encodes to the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "model/snapshot.h"

enum { OUT_MAX = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;
	struct buf one = BUF_INIT(OUT_MAX), two = BUF_INIT(OUT_MAX);
	struct snapshot s;

	snapshot_init(&s);
	if (snapshot_decode(&s, data, len, &err) == ERR_OK) {
		assert(snapshot_encode(&s, &one, &err) == ERR_OK);
		assert(snapshot_decode(&s, one.data, one.len, &err) == ERR_OK);
		assert(snapshot_encode(&s, &two, &err) == ERR_OK);
		assert(one.len == two.len &&
			memcmp(one.data, two.data, one.len) == 0);
	}
	snapshot_fini(&s);
	buf_fini(&one);
	buf_fini(&two);
	return 0;
}
