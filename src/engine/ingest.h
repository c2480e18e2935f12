/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest: what the parts of one backup run share, and the way of a chunk from
 * the walking thread to a worker.
 *
 *   walker --chunk buffers--> workers (name, compress, seal) --tickets-->
 * walker
 *
 * The walker is the thread of the source; everything here is called by it
 * except ingest_problem.
 */
#ifndef ENGINE_INGEST_H
#define ENGINE_INGEST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "codec/chunker.h"
#include "engine/crew.h"
#include "engine/outbox.h"
#include "engine/report.h"
#include "model/snapshot.h"
#include "repo/writer.h"
#include "tree/io.h"
#include "tree/io_cached.h"

enum {
	INGEST_READ = 256 << 10, /* at a time; chunks have room for their
				    longest and for so much beyond it */
	GATHER_ROOM = 2 << 20, /* the longest shared chunk */
	READ_ATTEMPTS = 3, /* of a file that keeps changing */
	XATTRS_IN_TREE = 4 << 10 /* larger ones are stored as content */
};

/* A buffer on its way to a worker and back. */
struct chunk {
	struct job job;
	struct chunk *next;
	struct ingest *in;
	struct ticket *ticket;
	size_t len;
	uint8_t *data; /* room for in->chunk_room bytes */
};

struct ingest {
	struct repo *repo;
	struct writer *writer;
	const struct report *report;
	struct crew crew;
	struct lane *lane; /* the walker's own */
	uint8_t **scratch; /* by worker: GATHER_ROOM bytes */
	struct tree_io_repo direct; /* through that lane */
	/* NULL: nodes are read from the repository.  Else this key cannot,
	 * and they are read from there and kept there (tree/io_cached.h). */
	struct nodecache *nodes;
	bool nodes_of_images, nodes_read_only;
	struct tree_io_cached cached;
	struct tree_io *below; /* direct, or cached */
	struct tree_io io; /* as below, but data put go to the crew */
	struct snapshot_figures figures; /* the walker's */
	_Atomic uint64_t bytes_read, errors; /* anybody's */
	pthread_mutex_t report_lock;

	pthread_mutex_t free_lock; /* of the free chunks */
	pthread_cond_t free_cond;
	struct chunk *free_chunks;
	struct chunk *all_chunks; /* an array of n_chunks */
	unsigned n_chunks;
	struct chunker_params chunker; /* of files and streams */
	size_t chunk_room;
};

/* in is filled in up to and including report, and nodes; workers and unit_max
 * as in backup.h. */
enum err ingest_init(struct ingest *in, unsigned workers, uint32_t unit_max,
	struct error *err) MUST_CHECK;
void ingest_fini(struct ingest *in);

/* An empty chunk; waits until a worker gives one back. */
struct chunk *ingest_take(struct ingest *in);
/* Give back a chunk that is not needed. */
void ingest_give(struct ingest *in, struct chunk *c);
/* Have c->data[0 .. len) stored; opens ticket->done.  c is gone. */
void ingest_send(struct ingest *in, struct chunk *c, struct ticket *ticket);

/*
 * Get e ready to be encoded: extended attributes that would make a tree's
 * nodes large are stored as content, through lane.  Any thread.
 */
enum err ingest_spill_xattrs(struct ingest *in, struct lane *lane,
	struct entry *e, struct error *err) MUST_CHECK;

/* MARK_FRESH where the times of e are so close to now that it may yet change
 * without a trace, else 0.  Asked before the content is read. */
unsigned ingest_fresh(const struct entry *e);

/* Let e, which outlives the call that brought it, borrow from a copy in *out,
 * to be freed. */
enum err ingest_keep_strings(struct entry *e, uint8_t **out,
	struct error *err) MUST_CHECK;

/* Encode e into s.  A value that is too large is ERR_NOMEM. */
enum err slot_encode(struct slot *s, const struct entry *e,
	struct error *err) MUST_CHECK;

/* Count a problem and report it.  Any thread. */
void ingest_problem(struct ingest *in, struct bytes key,
	const struct error *why);

/* ERR_CANCELLED once the caller wants the run to end. */
enum err ingest_stopped(const struct ingest *in, struct error *err);

#endif /* ENGINE_INGEST_H */
