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

/* What role may hold of ks, appended to out; ERR_DENIED where ks lacks
 * something that role needs. */
enum err keyset_encode(struct buf *out, const struct keyset *ks, enum role role,
	const char *label, struct error *err) MUST_CHECK;

/* *ks is whole on success (keyset_wipe ends it), untouched on failure. */
enum err keyset_decode(struct keyset *ks, enum role role, const void *data,
	size_t len, struct error *err) MUST_CHECK;

#endif /* REPO_KEYSET_H */
