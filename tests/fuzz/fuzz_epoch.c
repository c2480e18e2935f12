/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: one byte, which list it is; then its plain bytes.  What is taken
 * ascends, and encodes to the same bytes.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "repo/epoch_list.h"
#include "repo/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check_condemned(const struct condemned *c, struct buf *out)
{
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < c->n_packs; i++) {
		assert(i == 0 || id_cmp(&c->packs[i - 1], &c->packs[i]) < 0);
		assert(condemned_has_pack(c, &c->packs[i]));
	}
	for (size_t i = 0; i < c->n_counted; i++)
		assert(condemned_has_counted(c, &c->counted[i]));
	assert(epoch_list_put_condemned(out, c, &err) == ERR_OK);
}

static void
check_final(const struct final *f, struct buf *out)
{
	const struct counting c = { .state = { 1, EPOCH_FINAL, UINT64_MAX },
		.final = *f };
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < f->n_segments; i++)
		assert(counting_segment(&c, &f->segments[i]));
	for (size_t i = 0; i < f->n_snapshots; i++)
		assert(counting_snapshot(&c, &f->snapshots[i], 0));
	assert(epoch_list_put_final(out, f, &err) == ERR_OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf again = BUF_INIT((size_t)1 << 30);
	struct error err = ERROR_INIT;
	struct condemned c;
	struct final f;
	enum err rc;

	if (len == 0)
		return 0;
	if (data[0] % 2 == 0) {
		rc = epoch_list_get_condemned(&c, data + 1, len - 1, &err);
		if (rc == ERR_OK) {
			check_condemned(&c, &again);
			condemned_fini(&c);
		}
	} else {
		rc = epoch_list_get_final(&f, data + 1, len - 1, &err);
		if (rc == ERR_OK) {
			check_final(&f, &again);
			final_fini(&f);
		}
	}
	assert(rc == ERR_OK || rc == ERR_CORRUPT);
	assert(rc != ERR_OK ||
		(again.len == len - 1 &&
			memcmp(again.data, data + 1, again.len) == 0));
	buf_fini(&again);
	return 0;
}
