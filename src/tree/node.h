/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node: one node of a Merkle B-tree, decoded and encoded (docs/format.md,
 * section 8).  node_decode checks everything; what it hands out afterwards
 * cannot fail.
 */
#ifndef TREE_NODE_H
#define TREE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "model/entry.h"

enum tree_kind { TREE_ENTRIES = 1, TREE_EXTENTS = 2 };

enum {
	TREE_LEVELS_MAX = 32,
	NODE_MAX = 8 << 20,
	NODE_CUT_MIN = 8 << 10,
	NODE_CUT_TARGET = 32 << 10,
	NODE_CUT_MAX = 128 << 10
};

/* One item of a leaf.  Borrowed bytes; valid as its source says. */
struct item {
	struct bytes key;
	struct bytes val;
	const struct ref *refs;
	size_t n_refs;
	uint64_t weight;
};

/* One item of an inner node. */
struct child {
	struct bytes key; /* the first key below */
	struct id id;
	uint64_t count; /* items in the leaves below */
	uint64_t weight; /* their sum */
};

struct node; /* decoded: items in arrays, keys whole */

enum err node_decode(struct node **out, const uint8_t *data, size_t len,
	size_t head_len, struct error *err) MUST_CHECK;
void node_free(struct node *n);

unsigned node_level(const struct node *n);
enum tree_kind node_kind(const struct node *n);
size_t node_count(const struct node *n);
void node_item(const struct node *n, size_t i, struct item *out);
void node_child(const struct node *n, size_t i, struct child *out);
/* Sums over the whole node: items in leaves below, their weight. */
uint64_t node_items_below(const struct node *n);
uint64_t node_weight_below(const struct node *n);

/* First i whose key is >= key; node_count where there is none. */
size_t node_lower_bound(const struct node *n, struct bytes key);

/* What the start of a body says it is of, before it is decoded. */
struct node_sort {
	unsigned level;
	unsigned kind; /* enum tree_kind, or nonsense */
};
struct node_sort node_sort(const uint8_t *body, size_t len);

/*
 * The head alone: what prune, check and copy follow.  Calls back for each
 * reference; needs no decoded body.
 */
typedef enum err node_ref_fn(void *arg, const struct ref *ref,
	struct error *err);
enum err node_each_ref(const uint8_t *head, size_t head_len, node_ref_fn *fn,
	void *arg, struct error *err) MUST_CHECK;

#endif /* TREE_NODE_H */
