/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io: where a tree's nodes and chunks come from and go to.
 *
 * Trees are algorithms on named bytes; this seam lets them run over a
 * repository (io_repo), over memory in tests (io_mem), or over whatever the
 * engine puts between (a pool of workers).
 *
 * One struct tree_io is used by one thread at a time; a put may be finished
 * by another thread, which is what tickets are for.
 */
#ifndef TREE_IO_H
#define TREE_IO_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "base/pool.h"
#include "codec/shorthash.h"
#include "repo/repo.h"
#include "repo/writer.h"

/* A data chunk that is being stored.  Valid after ticket_wait. */
struct ticket {
	struct gate done;
	struct id id;
	struct error err;
};

struct tree_io;

struct tree_io_ops {
	/* Append head and body; *head_len tells where the body begins. */
	enum err (*get_node)(struct tree_io *io, const struct id *id,
		struct buf *out, size_t *head_len, struct error *err);
	enum err (*get_data)(struct tree_io *io, const struct id *id,
		struct buf *out, struct error *err);
	enum err (*put_node)(struct tree_io *io, const struct node_bytes *node,
		struct id *id, struct error *err);
	/* Takes a copy of data; opens t->done when the chunk is stored. */
	enum err (*put_data)(struct tree_io *io, const void *data, size_t len,
		struct ticket *t, struct error *err);
};

struct tree_io {
	const struct tree_io_ops *ops;
	const struct shorthash_key *boundary;
};

/* The result of a ticket; waits. */
enum err ticket_wait(struct ticket *t, struct error *err) MUST_CHECK;

/* Over a repository: reads through lane; puts through w (NULL: reads only),
 * at once, on the calling thread.  Both are borrowed. */
struct tree_io_repo {
	struct tree_io io;
	struct lane *lane;
	struct writer *w;
};
void tree_io_repo_init(struct tree_io_repo *t, struct repo *r,
	struct lane *lane, struct writer *w);

/* Over memory, with counters: for tests. */
struct tree_io_mem;
enum err tree_io_mem_new(struct tree_io_mem **out,
	struct error *err) MUST_CHECK;
void tree_io_mem_free(struct tree_io_mem *m);
struct tree_io *tree_io_mem_io(struct tree_io_mem *m);
/* Nodes fetched and stored, chunks fetched and stored, so far. */
struct tree_io_count {
	uint64_t node_get, node_put, data_get, data_put, data_bytes;
};
struct tree_io_count tree_io_mem_count(const struct tree_io_mem *m);

#endif /* TREE_IO_H */
