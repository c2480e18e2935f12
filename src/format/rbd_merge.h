/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbd_merge: several differences, each beginning where the one before it ends,
 * as one: what `rbd merge-diff` does of two, of any number at once.
 *
 * The result is a function of the streams alone.  A later stream covers an
 * earlier one; what an image lost by shrinking reads as zeroes when it grows
 * again.  All streams are read once and side by side; memory does not depend
 * on what is in them.
 */
#ifndef FORMAT_RBD_MERGE_H
#define FORMAT_RBD_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "format/rbd_diff.h"
#include "format/rbd_out.h"

struct rbd_merge_part {
	struct rbd_diff *diff; /* nothing of its data was read yet */
	const char *name; /* for messages */
};

struct rbd_merge_figures {
	uint64_t bytes_data, bytes_zero;
};

/*
 * Writes the merge of n > 0 parts, in order, to out, and flushes it.  Every
 * part is read to its end mark.  ERR_USAGE where a part does not begin at the
 * snapshot that the one before it ends at.
 */
enum err rbd_merge(const struct rbd_merge_part *parts, size_t n,
	struct rbd_out *out, struct rbd_merge_figures *figures,
	struct error *err) MUST_CHECK;

#endif /* FORMAT_RBD_MERGE_H */
