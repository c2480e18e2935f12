/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keycache: the keys of the packs read last.
 *
 * Deriving the keys of a pack costs a read of its header and a point
 * multiplication, so they are kept: of KEYCACHE_SLOTS envelopes at most, a
 * few hundred kilobytes.  Any number of threads may use one cache.
 */
#ifndef REPO_KEYCACHE_H
#define REPO_KEYCACHE_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "repo/keys.h"
#include "repo/pack.h"
#include "store/store.h"

enum { KEYCACHE_SLOTS = 1024 };

struct keycache;

/* Borrows st and ks, which outlive it. */
enum err keycache_new(struct keycache **out, struct store *st,
	const struct keyset *ks, struct error *err) MUST_CHECK;
void keycache_free(struct keycache *c);

/* The keys of the records of a pack that name this envelope; the caller wipes
 * them.  ERR_NOTFOUND where there is no such pack, ERR_CORRUPT. */
enum err keycache_get(struct keycache *c, const struct id *pack,
	uint32_t envelope, struct pack_keys *out, struct error *err) MUST_CHECK;

/* What these keys follow from. */
enum err keycache_envelope(struct keycache *c, const struct id *pack,
	uint32_t envelope, struct envelope *out, struct error *err) MUST_CHECK;

#endif /* REPO_KEYCACHE_H */
