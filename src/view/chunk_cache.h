/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunk_cache: decoded chunks and nodes, shared by the threads that read.
 *
 *   chunk_cache_new
 *     -> chunk_cache_get -> (the bytes are used) -> chunk_cache_unpin ...
 *     -> chunk_cache_free, when nothing is pinned or wanted any more
 *
 * Everything may be called by any number of threads.  Who asks for a chunk
 * that somebody else is fetching waits for that fetch; the lock is held over
 * neither I/O nor decoding.  A fetch that failed is told to those who waited
 * for it and then forgotten: who asks later fetches anew.
 *
 * Memory: max bytes of what is there; what is pinned is never dropped, so
 * that a larger pinned chunk for each reader, and one that is being fetched
 * for each thread, may come on top.  The one that was not used for the
 * longest time goes first.
 *
 * Reading ahead: chunk_cache_want says that somebody will ask for a chunk soon,
 * and chunk_cache_load fetches it.  What was wanted and not asked for yet
 * takes no more than half of max: then nothing more is wanted.
 */
#ifndef VIEW_CHUNK_CACHE_H
#define VIEW_CHUNK_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "tree/io.h"

struct chunk_cache;
struct cached;

enum err chunk_cache_new(struct chunk_cache **out, size_t max,
	struct error *err) MUST_CHECK;
void chunk_cache_free(struct chunk_cache *c);

/* The chunk, pinned; fetched through io, which no other thread uses meanwhile,
 * where it is not there.  Fails as io does. */
enum err chunk_cache_get(struct chunk_cache *c, struct tree_io *io,
	const struct id *id, bool node, struct cached **out,
	struct error *err) MUST_CHECK;
void chunk_cache_unpin(struct chunk_cache *c, struct cached *e);

/* Of a pinned one. */
const uint8_t *cached_data(const struct cached *e, size_t *len);
size_t cached_head_len(const struct cached *e);

/*
 * WANT_NEW: *out is to be given to chunk_cache_load once, by any thread.
 * WANT_HAVE: it is there, or on its way.  WANT_FULL: no room to read ahead,
 * or no memory.
 */
enum want { WANT_NEW, WANT_HAVE, WANT_FULL };
enum want chunk_cache_want(struct chunk_cache *c, const struct id *id,
	struct cached **out) MUST_CHECK;
/* Fetch it, unless somebody who could not wait has done so; a failure is left
 * to who asks for it. */
void chunk_cache_load(struct chunk_cache *c, struct tree_io *io,
	struct cached *e);

/* For tests: what it holds, and what was fetched so far. */
struct chunk_cache_count {
	size_t bytes, ahead;
	uint64_t fetched;
};
struct chunk_cache_count chunk_cache_count(struct chunk_cache *c);

#endif /* VIEW_CHUNK_CACHE_H */
