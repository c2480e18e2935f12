/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aead: AES-256-GCM by libcrypto.
 *
 * Expanding a key costs as much as sealing a few KiB, so each direction keeps
 * its context with the expanded key and gives it only a new nonce while the
 * key stays the same.
 */
#include "codec/aead.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	NONCE = 12,
	PIECE = 1 << 30, /* libcrypto counts in int */
};

/* NIST SP 800-38D, 5.2.1.1: 2^39 - 256 bits. */
static const uint64_t plain_max = (UINT64_C(1) << 36) - 32;

struct side {
	EVP_CIPHER_CTX *ctx;
	struct secret key;
	bool keyed;
};

struct aead {
	struct side seal;
	struct side open;
};

enum err
aead_new(struct aead **out, struct error *err)
{
	struct aead *a = calloc(1, sizeof(*a));
	const EVP_CIPHER *cipher = EVP_aes_256_gcm();

	if (a == NULL)
		goto fail;
	a->seal.ctx = EVP_CIPHER_CTX_new();
	a->open.ctx = EVP_CIPHER_CTX_new();
	if (a->seal.ctx == NULL || a->open.ctx == NULL ||
		EVP_EncryptInit_ex(a->seal.ctx, cipher, NULL, NULL, NULL) !=
			1 ||
		EVP_DecryptInit_ex(a->open.ctx, cipher, NULL, NULL, NULL) != 1)
		goto fail;
	*out = a;
	return ERR_OK;
fail:
	aead_free(a);
	return err_set(err, ERR_NOMEM, "AES-256-GCM: out of memory");
}
