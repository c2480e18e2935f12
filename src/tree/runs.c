/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/runs.h"

#include <string.h>

/* The first byte is zero and each one equals the next. */
bool
runs_zero(const uint8_t *bytes, size_t len)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}
