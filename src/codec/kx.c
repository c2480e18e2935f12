/* SPDX-License-Identifier: Apache-2.0 */
/* kx: X25519 by libcrypto. */
#include "codec/kx.h"

#include <openssl/evp.h>

_Static_assert(SECRET_LEN == 32 && KX_PUBLIC == 32, "RFC 7748, section 5");

static enum err
no_memory(struct error *err)
{
	return err_set(err, ERR_NOMEM, "X25519: out of memory");
}

enum err
kx_public_of(struct kx_public *pub, const struct secret *sec, struct error *err)
{
	struct kx_public made;
	size_t len = KX_PUBLIC;
	enum err rc = ERR_OK;
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL,
		sec->b, SECRET_LEN);

	if (key == NULL ||
		EVP_PKEY_get_raw_public_key(key, made.b, &len) != 1 ||
		len != KX_PUBLIC)
		rc = no_memory(err);
	else
		*pub = made;
	EVP_PKEY_free(key);
	return rc;
}

enum err
kx_keypair(struct kx_public *pub, struct secret *sec, struct error *err)
{
	struct secret made;
	enum err rc;

	random_bytes(made.b, SECRET_LEN);
	rc = kx_public_of(pub, &made, err);
	if (rc == ERR_OK)
		*sec = made;
	secret_wipe(&made);
	return rc;
}

enum err
kx_shared(struct secret *out, const struct secret *sec,
	const struct kx_public *pub, struct error *err)
{
	struct secret made;
	size_t len = SECRET_LEN;
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY *mine, *peer;
	enum err rc;

	mine = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, sec->b,
		SECRET_LEN);
	peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, pub->b,
		KX_PUBLIC);
	if (mine != NULL)
		ctx = EVP_PKEY_CTX_new(mine, NULL);
	if (peer == NULL || ctx == NULL || EVP_PKEY_derive_init(ctx) != 1 ||
		EVP_PKEY_derive_set_peer(ctx, peer) != 1) {
		rc = no_memory(err);
		goto out;
	}
	/* It fails where the product is zero, and for nothing else. */
	if (EVP_PKEY_derive(ctx, made.b, &len) != 1 || len != SECRET_LEN) {
		rc = err_set(err, ERR_CORRUPT,
			"X25519: the public key is a point of small order");
		goto out;
	}
	*out = made;
	rc = ERR_OK;
out:
	secret_wipe(&made);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(mine);
	return rc;
}
