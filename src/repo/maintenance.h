/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maintenance: signed boxes, what only an admin or a maintainer can make and
 * every role can read (docs/format.md, section 11).
 */
#ifndef REPO_MAINTENANCE_H
#define REPO_MAINTENANCE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "repo/box.h"
#include "repo/keys.h"
#include "store/store.h"

enum { MAINTENANCE_MAX = 64 << 20 }; /* of an object */

/* Sign, seal and create name.  ERR_DENIED where ks cannot sign; ERR_EXISTS
 * also where the very same object is there already. */
enum err maintenance_put(struct store *st, const struct keyset *ks,
	enum box_kind kind, const char *name, const void *data, size_t len,
	struct error *err) MUST_CHECK;

/* Fetch, open and verify name; the bytes behind the signature are appended
 * to out.  ERR_NOTFOUND; ERR_CORRUPT also for a wrong signature. */
enum err maintenance_get(struct store *st, const struct keyset *ks,
	enum box_kind kind, const char *name, struct buf *out,
	struct error *err) MUST_CHECK;

#endif /* REPO_MAINTENANCE_H */
