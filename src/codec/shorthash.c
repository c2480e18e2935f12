/* SPDX-License-Identifier: Apache-2.0 */
/* shorthash: SipHash-2-4 by libsodium. */
#include "codec/shorthash.h"

#include <sodium/crypto_shorthash_siphash24.h>

_Static_assert(sizeof(struct shorthash_key) ==
		       crypto_shorthash_siphash24_KEYBYTES,
	"length of a key");

uint64_t
shorthash(const struct shorthash_key *key, const void *data, size_t len)
{
	uint8_t out[crypto_shorthash_siphash24_BYTES];
	uint64_t v = 0;

	(void)crypto_shorthash_siphash24(out, data, len, key->b);
	for (size_t i = sizeof(out); i-- > 0;)
		v = v << 8 | out[i];
	return v;
}
