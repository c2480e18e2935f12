/* SPDX-License-Identifier: Apache-2.0 */
/*
 * draft: one node that is being written.  Private to src/tree.
 *
 *   draft_init -> (draft_put_* ... -> draft_encode -> draft_reset) ...
 *     -> draft_fini
 *
 * After a failure a draft is only ended.  One thread.
 */
#ifndef TREE_DRAFT_H
#define TREE_DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "codec/shorthash.h"
#include "tree/io.h"
#include "tree/node.h"

/* References of a leaf and where to find each by its id, so that none is
 * listed twice.  The ids of a tree that is edited are another's choice, hence
 * the key. */
struct ref_set {
	struct buf nodes, data; /* ids */
	struct shorthash_key key;
	uint32_t *slots; /* 1 + number * 2 + (a node's: 1); 0: free */
	size_t mask, cap; /* in use; allocated */
};

struct draft {
	unsigned level;
	enum tree_kind kind;
	size_t n;
	uint64_t size, last_size; /* by the boundary rule: all; the last item */
	uint64_t count, weight; /* below */
	struct buf last; /* the level, then the last key, also across resets */
	bool has_last;
	struct buf first; /* the first key */
	struct buf items; /* encoded, without references */
	struct buf marks; /* of leaf items: where the references go */
	struct buf numbers; /* u32 each, as in ref_set.slots, minus 1 */
	struct ref_set refs;
};

void draft_init(struct draft *d, enum tree_kind kind, unsigned level);
void draft_fini(struct draft *d);
/* Empty; the last key stays, to be compared with the next. */
void draft_reset(struct draft *d);

/* ERR_CORRUPT unless the key is above the last one; ERR_USAGE beyond the
 * limits of the format. */
enum err draft_put_item(struct draft *d, const struct item *item,
	struct error *err) MUST_CHECK;
enum err draft_put_child(struct draft *d, const struct child *child,
	struct error *err) MUST_CHECK;

/* Let key count as the last one of an empty draft; ERR_CORRUPT as above. */
enum err draft_skip(struct draft *d, struct bytes key,
	struct error *err) MUST_CHECK;

/* Whether the rule ends the node behind its last item. */
bool draft_ended(const struct draft *d, const struct shorthash_key *boundary);

/* The node, in the memory of head and body. */
enum err draft_encode(const struct draft *d, struct buf *head, struct buf *body,
	struct node_bytes *out, struct error *err) MUST_CHECK;

#endif /* TREE_DRAFT_H */
