/* SPDX-License-Identifier: Apache-2.0 */
/* sign: Ed25519 (RFC 8032), over a context and any number of parts. */
#ifndef CODEC_SIGN_H
#define CODEC_SIGN_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"

enum { SIGN_PUBLIC = 32, SIGN_LEN = 64 };

struct sign_public {
	uint8_t b[SIGN_PUBLIC];
};

struct sign_part {
	const void *data;
	size_t len;
};

/* A fresh seed and its public key. */
enum err sign_keypair(struct sign_public *pub, struct secret *seed,
	struct error *err) MUST_CHECK;
enum err sign_public_of(struct sign_public *pub, const struct secret *seed,
	struct error *err) MUST_CHECK;

/* The signature of context, a zero byte, and the parts one after the other;
 * all together at most SIGN_TEXT_MAX bytes. */
enum { SIGN_TEXT_MAX = 96 << 20 };
enum err sign_make(uint8_t out[SIGN_LEN], const struct secret *seed,
	const char *context, const struct sign_part *parts, size_t n_parts,
	struct error *err) MUST_CHECK;

/* ERR_CORRUPT where it is not. */
enum err sign_check(const uint8_t sig[SIGN_LEN], const struct sign_public *pub,
	const char *context, const struct sign_part *parts, size_t n_parts,
	struct error *err) MUST_CHECK;

#endif /* CODEC_SIGN_H */
