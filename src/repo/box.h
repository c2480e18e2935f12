/* SPDX-License-Identifier: Apache-2.0 */
/* box: a small object sealed under the structure key (docs/format.md,
 * section 6).  A box is bound to its kind and to the name given. */
#ifndef REPO_BOX_H
#define REPO_BOX_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"

enum box_kind {
	BOX_INDEX,
	BOX_SESSION,
	BOX_SNAPSHOT,
	BOX_CONDEMNED,
	BOX_FINAL,
	BOX_DONE,
	BOX_FORGOTTEN,
	BOX_FORGOTTEN_END,
	BOX_HOLD,
	BOX_KINDS
};
enum { BOX_HEADER = 48 };

enum err box_seal(struct buf *out, enum box_kind kind, const char *name,
	const struct secret *structure, const void *data, size_t len,
	struct error *err) MUST_CHECK;

/* Append the plain bytes to out.  ERR_CORRUPT, ERR_VERSION. */
enum err box_open(struct buf *out, enum box_kind kind, const char *name,
	const struct secret *structure, const void *data, size_t len,
	struct error *err) MUST_CHECK;

#endif /* REPO_BOX_H */
