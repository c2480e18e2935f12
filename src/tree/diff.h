/* SPDX-License-Identifier: Apache-2.0 */
/* diff: what differs between two trees; equal subtrees are never read. */
#ifndef TREE_DIFF_H
#define TREE_DIFF_H

#include "base/compiler.h"
#include "base/err.h"
#include "tree/io.h"
#include "tree/node.h"

/* In ascending order of keys: a only: removed; b only: added; both: the same
 * key with other bytes.  Any result but ERR_OK ends the diff with it. */
typedef enum err tree_diff_fn(void *arg, const struct item *a,
	const struct item *b, struct error *err);

struct tree_side {
	struct tree_io *io; /* the two sides may share one */
	struct id root;
};

enum err tree_diff(const struct tree_side *a, const struct tree_side *b,
	enum tree_kind kind, tree_diff_fn *fn, void *arg,
	struct error *err) MUST_CHECK;

#endif /* TREE_DIFF_H */
