/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte says what the rest is: a name, a mark or hold, an end.  What
 * is accepted comes back the same when it is written. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "repo/mark_object.h"

enum { TEXT_MAX = 400 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
one_name(const uint8_t *data, size_t len)
{
	char text[TEXT_MAX + 1] = "", back[STORE_NAME_MAX + 1];
	struct mark_object o;

	if (len > TEXT_MAX)
		return;
	memcpy(text, data, len);
	if (!mark_object_parse(&o, text))
		return;
	assert(store_name_ok(text));
	mark_object_name(back, &o);
	assert(strcmp(text, back) == 0);
}

static void
one_mark(const uint8_t *data, size_t len)
{
	struct buf again = BUF_INIT(2 * MARK_PLAIN_MAX);
	char text[MARK_REASON_MAX + 1] = "";
	struct error err = ERROR_INIT;
	const uint8_t *reason = NULL;
	struct when time, time2;
	size_t reason_len;

	if (mark_object_decode(data, len, &time, &reason, &reason_len, &err) !=
		ERR_OK)
		return;
	assert(reason_len <= MARK_REASON_MAX && time.nsec < 1000000000);
	if (reason_len > 0)
		memcpy(text, reason, reason_len);
	assert(mark_object_encode(&again, &time, text, &err) == ERR_OK);
	assert(mark_object_decode(again.data, again.len, &time2, &reason,
		       &reason_len, &err) == ERR_OK);
	assert(when_cmp(&time, &time2) == 0 && reason_len == strlen(text) &&
		memcmp(reason, text, reason_len) == 0);
	buf_fini(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;
	enum mark_end end;

	if (len == 0)
		return 0;
	switch (data[0] % 3) {
	case 0:
		one_name(data + 1, len - 1);
		break;
	case 1:
		one_mark(data + 1, len - 1);
		break;
	default:
		if (mark_object_decode_end(data + 1, len - 1, &end, &err) ==
			ERR_OK)
			assert(len == 2 && data[1] == (uint8_t)end);
		break;
	}
	return 0;
}
