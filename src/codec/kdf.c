/* SPDX-License-Identifier: Apache-2.0 */
/* kdf: Argon2id by libsodium. */
#include "codec/kdf.h"

#include <errno.h>
#include <sodium/core.h>
#include <sodium/crypto_pwhash_argon2id.h>

enum { PASSES_MAX = 64, MEM_KIB_MIN = 8, MEM_KIB_MAX = 4 << 20 };

_Static_assert(KDF_SALT == crypto_pwhash_argon2id_SALTBYTES,
	"length of a salt");

static enum err
cost_check(const struct kdf_cost *cost, struct error *err)
{
	if (cost->passes < 1 || cost->passes > PASSES_MAX)
		return err_set(err, ERR_CORRUPT,
			"Argon2id: %u passes are not within 1 to %d",
			cost->passes, PASSES_MAX);
	if (cost->mem_kib < MEM_KIB_MIN || cost->mem_kib > MEM_KIB_MAX)
		return err_set(err, ERR_CORRUPT,
			"Argon2id: memory of %u KiB is not within %d to %d",
			cost->mem_kib, MEM_KIB_MIN, MEM_KIB_MAX);
	return ERR_OK;
}

enum err
kdf_argon2id(struct secret *out, const void *pass, size_t pass_len,
	const uint8_t salt[KDF_SALT], const struct kdf_cost *cost,
	struct error *err)
{
	struct secret key;
	enum err rc = cost_check(cost, err);

	if (rc != ERR_OK)
		return rc;
	if (pass_len > crypto_pwhash_argon2id_PASSWD_MAX)
		return err_set(err, ERR_USAGE,
			"the passphrase is longer than 4 GiB");

	/* Chooses among the implementations; may be called again. */
	if (sodium_init() < 0)
		return err_set(err, ERR_IO, "libsodium does not start");
	if (crypto_pwhash_argon2id(key.b, SECRET_LEN, pass, pass_len, salt,
		    cost->passes, (size_t)cost->mem_kib << 10,
		    crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
		return err_sys(err, ENOMEM, "Argon2id with %u KiB",
			cost->mem_kib);
	*out = key;
	secret_wipe(&key);
	return ERR_OK;
}
