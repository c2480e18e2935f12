/* SPDX-License-Identifier: Apache-2.0 */
/* hash: BLAKE3 by its reference implementation. */
#include "codec/hash.h"

#include <blake3.h>
#include <string.h>

_Static_assert(ID_LEN == BLAKE3_OUT_LEN, "an id is a hash");
_Static_assert(SECRET_LEN == BLAKE3_KEY_LEN, "a secret is a key");
_Static_assert(sizeof(blake3_hasher) <= sizeof(struct hash_run) &&
		       _Alignof(blake3_hasher) <= _Alignof(struct hash_run),
	"a run has room for a hasher");

void
hash_plain(struct id *out, const void *data, size_t len)
{
	blake3_hasher h;

	blake3_hasher_init(&h);
	blake3_hasher_update(&h, data, len);
	blake3_hasher_finalize(&h, out->b, ID_LEN);
}

void
hash_run_init(struct hash_run *h)
{
	blake3_hasher_init((blake3_hasher *)(void *)h->state);
}

void
hash_run_add(struct hash_run *h, const void *data, size_t len)
{
	blake3_hasher_update((blake3_hasher *)(void *)h->state, data, len);
}

void
hash_run_get(const struct hash_run *h, struct id *out)
{
	blake3_hasher_finalize((const blake3_hasher *)(const void *)h->state,
		out->b, ID_LEN);
}

void
hash_keyed(struct id *out, const struct secret *key, const void *data,
	size_t len)
{
	hash_keyed2(out, key, data, len, NULL, 0);
}

void
hash_keyed2(struct id *out, const struct secret *key, const void *a,
	size_t a_len, const void *b, size_t b_len)
{
	blake3_hasher h;

	blake3_hasher_init_keyed(&h, key->b);
	blake3_hasher_update(&h, a, a_len);
	blake3_hasher_update(&h, b, b_len);
	blake3_hasher_finalize(&h, out->b, ID_LEN);
	explicit_bzero(&h, sizeof(h));
}

void
hash_derive(struct secret *out, const char *context, const void *a,
	size_t a_len, const void *b, size_t b_len)
{
	blake3_hasher h;

	blake3_hasher_init_derive_key(&h, context);
	blake3_hasher_update(&h, a, a_len);
	blake3_hasher_update(&h, b, b_len);
	blake3_hasher_finalize(&h, out->b, SECRET_LEN);
	explicit_bzero(&h, sizeof(h));
}

void
hash_expand(void *out, size_t len, const struct secret *key, const char *label)
{
	blake3_hasher h;

	blake3_hasher_init_keyed(&h, key->b);
	blake3_hasher_update(&h, label, strlen(label));
	blake3_hasher_finalize(&h, out, len);
	explicit_bzero(&h, sizeof(h));
}
