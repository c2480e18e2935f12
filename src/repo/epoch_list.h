/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoch_list: the bytes of what a prune condemns, and of its final
 * (docs/format.md, section 12).
 *
 * Encoding takes lists that are ascending, each item once, and decoding gives
 * no others.  ERR_CORRUPT leaves nothing to free.
 */
#ifndef REPO_EPOCH_LIST_H
#define REPO_EPOCH_LIST_H

#include <stddef.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "repo/epoch.h"

enum err epoch_list_put_condemned(struct buf *out, const struct condemned *c,
	struct error *err) MUST_CHECK;
enum err epoch_list_get_condemned(struct condemned *out, const void *data,
	size_t len, struct error *err) MUST_CHECK;

enum err epoch_list_put_final(struct buf *out, const struct final *f,
	struct error *err) MUST_CHECK;
enum err epoch_list_get_final(struct final *out, const void *data, size_t len,
	struct error *err) MUST_CHECK;

enum err epoch_list_put_time(struct buf *out, const struct when *t,
	struct error *err) MUST_CHECK;

#endif /* REPO_EPOCH_LIST_H */
