/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer: one session that adds chunks and ends with a commit.
 *
 *   writer_open -> writer_put_* from many lanes -> writer_commit -> writer_free
 *
 * writer_open creates the session object.  A put does all its work on the
 * calling thread, with the lane's scratch: name, claim in the index,
 * compress, seal into the open pack.  A full pack is stored by a thread of
 * the writer; when PUBLISH_PACKS of them are durable or PUBLISH_SEC passed,
 * an index segment is published, so that an interrupted run is continued by
 * deduplicating against itself.
 *
 * Any number of threads may put at the same time, each with its own lane.  A
 * failure in the background is returned by the next call.  Memory: three packs
 * in all, at most two of a kind, so 3 * (pack target, or pack_max, + largest
 * chunk).
 *
 * A repo has one writer at a time (ERR_USAGE).  What one that failed, or was a
 * dry run, claimed in the index and did not store is not taken for present by
 * the next.
 *
 * Crash argument: pack durable, then segment durable, then the snapshot
 * object created exclusively.  Before the last step nothing refers to what
 * was written.
 */
#ifndef REPO_WRITER_H
#define REPO_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "repo/repo.h"

enum { PUBLISH_PACKS = 64, PUBLISH_SEC = 60 };

struct writer;

struct writer_conf {
	int level; /* zstd; 0: 1, and 2 for parts of large contents */
	unsigned verify_every; /* open and re-hash 1 of so many data records
				  before the pack is stored; 0: 16; nodes
				  always */
	uint32_t pack_max; /* packs end here where the repository's target is
			      larger, for the sake of memory; 0: there */
	const char *host; /* for the session object; may be NULL */
	bool dry_run; /* name and claim only; nothing is written */
	bool inline_upload; /* who fills a pack stores it; no thread is
			       started */
};

enum err writer_open(struct writer **out, struct repo *r,
	const struct writer_conf *conf, struct error *err) MUST_CHECK;

/* Ends the session; without a commit what was written stays as garbage that
 * the next run finds by deduplication. */
void writer_free(struct writer *w);

/* Of the snapshot to be: its session's uid. */
const struct uid *writer_uid(const struct writer *w);

/* Store one chunk unless the repository has it: a part of a large content, or
 * many small ones gathered.  len <= CHUNK_MAX, > 0.  *id is its name either
 * way.  added (may be NULL): stored bytes, 0 where the chunk was there. */
enum err writer_put_data(struct writer *w, struct lane *lane, const void *data,
	size_t len, struct id *id, size_t *added, struct error *err);
enum err writer_put_gathered(struct writer *w, struct lane *lane,
	const void *data, size_t len, struct id *id, size_t *added,
	struct error *err);

struct node_bytes {
	const void *head;
	size_t head_len;
	const void *body;
	size_t body_len;
};
enum err writer_put_node(struct writer *w, struct lane *lane,
	const struct node_bytes *node, struct id *id, size_t *added,
	struct error *err);

/* Store the open packs and publish; all that was put is then durable. */
enum err writer_flush(struct writer *w, struct error *err) MUST_CHECK;

/*
 * writer_flush, then create the snapshot object with the record given, look
 * whether it counts, then remove the session object.  ERR_EXISTS: fenced; start
 * over with a new session.  After any failure nothing is committed, but where
 * the store failed in that very step, or as it was looked at: it may then have
 * taken the snapshot nevertheless.
 */
enum err writer_commit(struct writer *w, const void *record, size_t len,
	struct error *err) MUST_CHECK;

struct writer_figures {
	uint64_t chunks_new, chunks_known;
	uint64_t bytes_added; /* plain bytes of new chunks */
	uint64_t bytes_stored; /* as stored */
};
void writer_figures(const struct writer *w, struct writer_figures *out);

#endif /* REPO_WRITER_H */
