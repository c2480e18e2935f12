/* SPDX-License-Identifier: Apache-2.0 */
/* Input: a config.  What is accepted says the same after a round trip; what
 * is proven under the zero key is accepted. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "repo/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct secret zero;
	struct error err = ERROR_INIT;
	uint8_t again[CONFIG_LEN];
	struct config c = { 0 }, d = { 0 };

	if (config_decode(&c, data, len, &err) != ERR_OK)
		return 0;
	assert(chunker_params_ok(&c.chunker));
	config_encode(again, &c, &zero);
	assert(config_decode(&d, again, CONFIG_LEN, &err) == ERR_OK);
	assert(memcmp(&c, &d, sizeof(c)) == 0);
	assert(config_verify(again, CONFIG_LEN, &zero, &err) == ERR_OK);
	if (config_verify(data, len, &zero, &err) != ERR_OK)
		assert(err.code == ERR_CORRUPT);
	return 0;
}
