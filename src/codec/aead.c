/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aead: AES-256-GCM by libcrypto.
 *
 * Expanding a key costs as much as sealing a few hundred bytes, so each
 * direction keeps a context with the expanded key and, while the key stays
 * the same, gives it only the next nonce.
 */
#include "codec/aead.h"

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

static bool
side_init(struct side *s, int encrypt)
{
	s->ctx = EVP_CIPHER_CTX_new();
	return s->ctx != NULL && EVP_CipherInit_ex(s->ctx, EVP_aes_256_gcm(),
					 NULL, NULL, NULL, encrypt) == 1;
}

static void
side_fini(struct side *s)
{
	EVP_CIPHER_CTX_free(s->ctx);
	secret_wipe(&s->key);
}

enum err
aead_new(struct aead **out, struct error *err)
{
	struct aead *a = calloc(1, sizeof(*a));

	if (a == NULL || !side_init(&a->seal, 1) || !side_init(&a->open, 0)) {
		aead_free(a);
		return err_set(err, ERR_NOMEM, "AES-256-GCM: out of memory");
	}
	*out = a;
	return ERR_OK;
}

void
aead_free(struct aead *a)
{
	if (a == NULL)
		return;
	side_fini(&a->seal);
	side_fini(&a->open);
	free(a);
}

static bool
side_start(struct side *s, const struct secret *key, uint64_t number)
{
	const uint8_t *fresh = NULL;
	uint8_t nonce[NONCE] = { 0 };

	for (size_t i = NONCE; number != 0; number >>= 8)
		nonce[--i] = (uint8_t)number;
	if (!s->keyed || !secret_eq(&s->key, key)) {
		s->keyed = false;
		fresh = key->b;
	}
	if (EVP_CipherInit_ex(s->ctx, NULL, NULL, fresh, nonce, -1) != 1)
		return false;
	if (fresh != NULL) {
		s->key = *key;
		s->keyed = true;
	}
	return true;
}

/* out is NULL for additional data. */
static bool
side_update(struct side *s, const uint8_t *data, size_t len, uint8_t *out)
{
	while (len > 0) {
		int part = len < PIECE ? (int)len : PIECE;
		int done;

		if (EVP_CipherUpdate(s->ctx, out, &done, data, part) != 1 ||
			done != part)
			return false;
		data += part;
		len -= (size_t)part;
		if (out != NULL)
			out += part;
	}
	return true;
}

static enum err
side_run(struct side *s, const struct aead_args *args, const void *data,
	size_t len, void *out, struct error *err)
{
	if (len > plain_max)
		return err_set(err, ERR_USAGE,
			"AES-256-GCM: %zu bytes are more than one nonce "
			"may cover",
			len);
	if (!side_start(s, args->key, args->number) ||
		!side_update(s, args->aad, args->aad_len, NULL) ||
		!side_update(s, data, len, out))
		return err_set(err, ERR_IO, "AES-256-GCM: libcrypto failed");
	return ERR_OK;
}

enum err
aead_seal(struct aead *a, const struct aead_args *args, const void *data,
	size_t len, void *out, struct error *err)
{
	uint8_t *tag = (uint8_t *)out + len;
	int done;
	enum err rc = side_run(&a->seal, args, data, len, out, err);

	if (rc != ERR_OK)
		return rc;
	if (EVP_CipherFinal_ex(a->seal.ctx, tag, &done) != 1 ||
		EVP_CIPHER_CTX_ctrl(a->seal.ctx, EVP_CTRL_AEAD_GET_TAG,
			AEAD_TAG, tag) != 1)
		return err_set(err, ERR_IO, "AES-256-GCM: libcrypto failed");
	return ERR_OK;
}

enum err
aead_open(struct aead *a, const struct aead_args *args, const void *data,
	size_t len, void *out, struct error *err)
{
	uint8_t tag[AEAD_TAG], none[AEAD_TAG];
	int done;
	enum err rc;

	if (len < AEAD_TAG)
		return err_set(err, ERR_CORRUPT,
			"%zu sealed bytes are too few to hold a tag", len);
	len -= AEAD_TAG;
	memcpy(tag, (const uint8_t *)data + len, AEAD_TAG);
	rc = side_run(&a->open, args, data, len, out, err);
	if (rc != ERR_OK)
		goto out;
	if (EVP_CIPHER_CTX_ctrl(a->open.ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG,
		    tag) != 1 ||
		EVP_CipherFinal_ex(a->open.ctx, none, &done) != 1)
		rc = err_set(err, ERR_CORRUPT,
			"sealed bytes do not fit their tag");
out:
	if (rc != ERR_OK && len > 0)
		memset(out, 0, len);
	return rc;
}
