/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kx: X25519 (RFC 7748), so that who holds only the public half can seal a
 * pack and not open one.
 */
#ifndef CODEC_KX_H
#define CODEC_KX_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"

enum { KX_PUBLIC = 32 };

struct kx_public {
	uint8_t b[KX_PUBLIC];
};

enum err kx_keypair(struct kx_public *pub, struct secret *sec,
	struct error *err) MUST_CHECK;

/* The public half of sec. */
enum err kx_public_of(struct kx_public *pub, const struct secret *sec,
	struct error *err) MUST_CHECK;

/* ERR_CORRUPT where pub is a point of small order (RFC 7748, section 6.1). */
enum err kx_shared(struct secret *out, const struct secret *sec,
	const struct kx_public *pub, struct error *err) MUST_CHECK;

#endif /* CODEC_KX_H */
