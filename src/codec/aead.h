/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aead: AES-256-GCM (NIST SP 800-38D), 12-byte nonce, 16-byte tag.
 *
 * The nonce is a counter, big-endian in the last eight of its bytes; a key
 * never sees the same number twice, which is the caller's duty and is argued
 * for each key in docs/format.md.  A struct aead holds a context of one
 * thread and remembers the key it was last used with.
 */
#ifndef CODEC_AEAD_H
#define CODEC_AEAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"

enum { AEAD_TAG = 16 };

struct aead;

enum err aead_new(struct aead **out, struct error *err) MUST_CHECK;
void aead_free(struct aead *a);

/* What is sealed or opened, and under what. */
struct aead_args {
	const struct secret *key;
	uint64_t number; /* of the nonce */
	const void *aad;
	size_t aad_len;
};

/* out gets len + AEAD_TAG bytes and may be data itself. */
enum err aead_seal(struct aead *a, const struct aead_args *args,
	const void *data, size_t len, void *out, struct error *err) MUST_CHECK;

/*
 * len counts the tag; out gets len - AEAD_TAG bytes and may be data itself.
 * ERR_CORRUPT where the tag does not fit; out is then wiped.
 */
enum err aead_open(struct aead *a, const struct aead_args *args,
	const void *data, size_t len, void *out, struct error *err) MUST_CHECK;

#endif /* CODEC_AEAD_H */
