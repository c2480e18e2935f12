/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunks: the data chunks that were fetched last, for those who read pieces
 * of them.  Private to src/tree.
 *
 * Who reads front to back is done with a chunk when its last byte was read:
 * such chunks go first, when all together pass CHUNKS_SPENT bytes, so that
 * only content in many small pieces, which comes back to each chunk over and
 * over, takes as much memory as it was allowed.  Else the one that was not
 * used for the longest time goes.
 *
 * A chunk that is being fetched comes on top of max.  One thread.
 */
#ifndef TREE_CHUNKS_H
#define TREE_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "tree/io.h"

enum { CHUNKS_MANY = 128, CHUNKS_SPENT = 4 << 20 };

struct chunk_kept {
	struct id id;
	struct buf data;
	uint64_t used; /* clock of the last use */
	bool spent;
};

struct chunks {
	struct tree_io *io;
	size_t max, sum;
	uint64_t clock;
	size_t n;
	struct chunk_kept v[CHUNKS_MANY];
};

void chunks_init(struct chunks *c, struct tree_io *io, size_t max);
void chunks_fini(struct chunks *c);

/* len bytes at off of the chunk; ERR_CORRUPT where it is shorter. */
enum err chunks_read(struct chunks *c, const struct id *id, uint32_t off,
	void *out, size_t len, struct error *err) MUST_CHECK;

#endif /* TREE_CHUNKS_H */
