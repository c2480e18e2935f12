/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_cached: a tree_io that reads nodes from the local node cache only, and
 * keeps there what the next run will read (repo/nodecache.h): each node that
 * is put, and what it refers to as far as the cache has it.
 *
 * Nodes of contents (TREE_EXTENTS) are kept only where the cache is to have
 * them; else they, and the references to them, are passed over.
 */
#ifndef TREE_IO_CACHED_H
#define TREE_IO_CACHED_H

#include <stdbool.h>

#include "base/buf.h"
#include "repo/nodecache.h"
#include "tree/io.h"

struct tree_io_cached {
	struct tree_io io;
	struct tree_io *inner;
	struct nodecache *nodes;
	bool extents, reads_only;
	struct buf todo; /* ids */
	struct buf node;
};

/* inner and nodes are borrowed.  reads_only: keep nothing. */
void tree_io_cached_init(struct tree_io_cached *t, struct tree_io *inner,
	struct nodecache *nodes, bool extents, bool reads_only);
void tree_io_cached_fini(struct tree_io_cached *t);

#endif /* TREE_IO_CACHED_H */
