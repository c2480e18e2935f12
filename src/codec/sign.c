/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sign: Ed25519 by libcrypto.
 *
 * Pure Ed25519 needs the whole message at once, for it is hashed twice; so
 * the parts are put together here.
 */
#include "codec/sign.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/buf.h"

_Static_assert(SECRET_LEN == 32, "RFC 8032, section 5.1.5");

static enum err
no_memory(struct error *err)
{
	return err_set(err, ERR_NOMEM, "Ed25519: out of memory");
}

enum err
sign_public_of(struct sign_public *pub, const struct secret *seed,
	struct error *err)
{
	struct sign_public made;
	size_t len = SIGN_PUBLIC;
	enum err rc = ERR_OK;
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
		seed->b, SECRET_LEN);

	if (key == NULL ||
		EVP_PKEY_get_raw_public_key(key, made.b, &len) != 1 ||
		len != SIGN_PUBLIC)
		rc = no_memory(err);
	else
		*pub = made;
	EVP_PKEY_free(key);
	return rc;
}

enum err
sign_keypair(struct sign_public *pub, struct secret *seed, struct error *err)
{
	struct secret made;
	enum err rc;

	random_bytes(made.b, SECRET_LEN);
	rc = sign_public_of(pub, &made, err);
	if (rc == ERR_OK)
		*seed = made;
	secret_wipe(&made);
	return rc;
}

/* context, its zero byte, and the parts. */
static enum err
put_text(struct buf *text, const char *context, const struct sign_part *parts,
	size_t n_parts, struct error *err)
{
	size_t len = strlen(context) + 1;
	enum err rc;

	for (size_t i = 0; i < n_parts; i++)
		if (__builtin_add_overflow(len, parts[i].len, &len) ||
			len > SIGN_TEXT_MAX)
			return err_set(err, ERR_USAGE,
				"more than %d bytes to sign", SIGN_TEXT_MAX);
	rc = buf_reserve(text, len, err);
	if (rc == ERR_OK)
		rc = buf_put(text, context, strlen(context) + 1, err);
	for (size_t i = 0; i < n_parts && rc == ERR_OK; i++)
		rc = buf_put(text, parts[i].data, parts[i].len, err);
	return rc;
}

enum err
sign_make(uint8_t out[SIGN_LEN], const struct secret *seed, const char *context,
	const struct sign_part *parts, size_t n_parts, struct error *err)
{
	struct buf text = BUF_INIT(SIGN_TEXT_MAX);
	uint8_t made[SIGN_LEN];
	size_t len = SIGN_LEN;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
		seed->b, SECRET_LEN);
	enum err rc = put_text(&text, context, parts, n_parts, err);

	if (rc != ERR_OK)
		goto out;
	if (ctx == NULL || key == NULL ||
		EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
		EVP_DigestSign(ctx, made, &len, text.data, text.len) != 1 ||
		len != SIGN_LEN)
		rc = no_memory(err);
	else
		memcpy(out, made, SIGN_LEN);
out:
	EVP_PKEY_free(key);
	EVP_MD_CTX_free(ctx);
	buf_fini(&text);
	return rc;
}

enum err
sign_check(const uint8_t sig[SIGN_LEN], const struct sign_public *pub,
	const char *context, const struct sign_part *parts, size_t n_parts,
	struct error *err)
{
	struct buf text = BUF_INIT(SIGN_TEXT_MAX);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
		pub->b, SIGN_PUBLIC);
	enum err rc = put_text(&text, context, parts, n_parts, err);

	if (rc != ERR_OK)
		goto out;
	if (ctx == NULL || key == NULL ||
		EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) != 1)
		rc = no_memory(err);
	else if (EVP_DigestVerify(ctx, sig, SIGN_LEN, text.data, text.len) != 1)
		rc = err_set(err, ERR_CORRUPT, "its signature does not fit it");
out:
	EVP_PKEY_free(key);
	EVP_MD_CTX_free(ctx);
	buf_fini(&text);
	return rc;
}
