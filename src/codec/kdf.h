/* SPDX-License-Identifier: Apache-2.0 */
/* kdf: a key from a passphrase: Argon2id version 1.3 (RFC 9106), one lane. */
#ifndef CODEC_KDF_H
#define CODEC_KDF_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"

enum { KDF_SALT = 16 };

struct kdf_cost {
	uint32_t passes; /* 1 .. 64 */
	uint32_t mem_kib; /* 8 .. 4 GiB */
};

/* About a tenth of a second and 64 MiB. */
#define KDF_COST_DEFAULT ((struct kdf_cost){ 3, 64 << 10 })

/* ERR_CORRUPT for a cost outside its limits, ERR_NOMEM. */
enum err kdf_argon2id(struct secret *out, const void *pass, size_t pass_len,
	const uint8_t salt[KDF_SALT], const struct kdf_cost *cost,
	struct error *err) MUST_CHECK;

#endif /* CODEC_KDF_H */
