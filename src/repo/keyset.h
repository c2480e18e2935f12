/* SPDX-License-Identifier: Apache-2.0 */
/* keyset: the bytes that a key object wraps (docs/format.md, section 4). */
#ifndef REPO_KEYSET_H
#define REPO_KEYSET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "repo/keys.h"

enum { KEYSET_MAX = 64 << 10 };

bool role_ok(unsigned role) MUST_CHECK;
/* Whether it holds data keys, and their secret halves. */
bool role_seals(enum role role) MUST_CHECK;
bool role_opens(enum role role) MUST_CHECK;

/* Another identity, without a certificate. */
enum err keyset_fresh_identity(struct keyset *ks, struct error *err) MUST_CHECK;

/* What role may hold of ks, with its identity, appended to out; ERR_DENIED
 * where ks lacks something that role needs. */
enum err keyset_encode(struct buf *out, const struct keyset *ks, enum role role,
	struct error *err) MUST_CHECK;

/* A data key whose number ks does not have yet; ERR_CORRUPT where it has
 * EPOCHS_MAX already. */
enum err keyset_put_epoch(struct keyset *ks, const struct epoch *e,
	struct error *err) MUST_CHECK;

/* NS of an identity. */
void keyset_name(const struct sign_public *pub, struct uid *ns,
	char ns_hex[UID_HEX + 1]);

/* *ks is whole on success (keyset_wipe ends it; certificate, label, host and
 * user are left empty), untouched on failure. */
enum err keyset_decode(struct keyset *ks, enum role role, const void *data,
	size_t len, struct error *err) MUST_CHECK;

#endif /* REPO_KEYSET_H */
