/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builder: items in, in ascending order of keys; a tree out.
 *
 * The same items give the same tree, whoever gives them, and whether they
 * come one by one or as whole subtrees of another tree.  Memory: one open
 * node per level.
 */
#ifndef TREE_BUILDER_H
#define TREE_BUILDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "tree/io.h"
#include "tree/node.h"

struct builder;

/* io is borrowed and outlives the builder. */
enum err builder_new(struct builder **out, struct tree_io *io,
	enum tree_kind kind, struct error *err) MUST_CHECK;
void builder_free(struct builder *b);

/* The next item; a key not above the last one's is ERR_CORRUPT. */
enum err builder_add(struct builder *b, const struct item *item,
	struct error *err) MUST_CHECK;

/*
 * Whether a whole node of that level could be taken now: every level below
 * and including it is at a boundary.  builder_take then appends the subtree
 * without reading it.
 */
bool builder_at_boundary(const struct builder *b, unsigned level);
enum err builder_take(struct builder *b, unsigned level,
	const struct child *child, struct error *err) MUST_CHECK;

struct tree_root {
	struct id id;
	uint64_t count, weight;
};

/* The root; the builder is then only freed. */
enum err builder_finish(struct builder *b, struct tree_root *root,
	struct error *err) MUST_CHECK;

#endif /* TREE_BUILDER_H */
