/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash: BLAKE3 in its three modes (the BLAKE3 paper, sections 2.3 to 2.6).
 * Pure functions; nothing fails.
 */
#ifndef CODEC_HASH_H
#define CODEC_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/secret.h"

enum { HASH_RUN_WORDS = 240 };

/* Anybody can compute this one: names of packs and index segments. */
void hash_plain(struct id *out, const void *data, size_t len);

/* The same of what comes piece by piece; to be copied and dropped at will. */
struct hash_run {
	uint64_t state[HASH_RUN_WORDS];
};
void hash_run_init(struct hash_run *h);
void hash_run_add(struct hash_run *h, const void *data, size_t len);
/* Of all that was added so far. */
void hash_run_get(const struct hash_run *h, struct id *out);

/* Keyed: names of chunks and nodes.  The two parts are hashed as one. */
void hash_keyed(struct id *out, const struct secret *key, const void *data,
	size_t len);
void hash_keyed2(struct id *out, const struct secret *key, const void *a,
	size_t a_len, const void *b, size_t b_len);

/*
 * derive_key mode: a new secret from material for the purpose that context
 * names (one of the "coffer 1 ..." strings of docs/format.md).
 */
void hash_derive(struct secret *out, const char *context, const void *a,
	size_t a_len, const void *b, size_t b_len);

/* The keyed mode's extended output: len bytes for out. */
void hash_expand(void *out, size_t len, const struct secret *key,
	const char *label);

#endif /* CODEC_HASH_H */
