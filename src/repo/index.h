/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index: which chunks the repository has, and where.
 *
 * The truth is the index segments in the store.  The index keeps a local copy
 * of them as sorted runs, files of pages that are each authenticated, with a
 * filter in front (repo/catalog.h, repo/run.h): a lookup costs a filter probe
 * where the chunk is new and one page where it is not.
 * The local copy belongs to one machine; it is rebuilt when it is missing,
 * damaged or too new, and may be deleted at any time.  Several processes may
 * share it: a run, once named, never changes.
 *
 * What a session adds is visible at once to its own lookups (index_add) and
 * goes to a run when the segment is published.
 *
 * Any number of threads may look up and add at the same time.  Memory: the
 * records added since the last publication, and the filters and tables of
 * packs that lookups touched, about 2 bytes for each chunk there is, which
 * the kernel may take back.
 */
#ifndef REPO_INDEX_H
#define REPO_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "repo/keys.h"
#include "repo/record.h"
#include "repo/segment.h"
#include "repo/view.h"
#include "store/store.h"

struct index;

struct index_conf {
	struct store *store; /* borrowed; outlives the index */
	const struct keyset *keys; /* borrowed likewise */
	const char *cache_dir; /* of this repository; NULL: a temporary one */
	struct view *view; /* of the session that begins with it; or NULL */
	/* Told of each segment that cannot be read, or that should be in the
	 * store and is not: the chunks that only it names are then absent.
	 * The result goes on or ends.  NULL: the first one ends it. */
	enum err (*bad)(void *arg, const char *name, const struct error *why,
		struct error *err);
	void *bad_arg;
};

/* Open and bring up to date with the segments in the store. */
enum err index_open(struct index **out, const struct index_conf *conf,
	struct error *err) MUST_CHECK;
void index_close(struct index *idx);

/* List the store again, take up new segments, and leave out what does not
 * count any more. */
enum err index_refresh(struct index *idx, struct error *err) MUST_CHECK;

/*
 * A session with this view begins: from now on claims are made by it and
 * segments named by it; the index is refreshed.  Keeps a reference.  While
 * nobody claims or adds, and nothing is unpublished (ERR_USAGE).
 */
enum err index_begin(struct index *idx, struct view *view,
	struct error *err) MUST_CHECK;

/*
 * Something is not where the index says, or not in it: refresh, unless that
 * was in vain many times since a prune last got on; *looked tells.
 */
enum err index_look_again(struct index *idx, bool *looked,
	struct error *err) MUST_CHECK;

/* Where id lies, if possible in a pack that is not condemned; *found false
 * where the repository does not have it. */
enum err index_find(struct index *idx, const struct id *id,
	struct location *out, bool *found, struct error *err) MUST_CHECK;
/* The same, but none of the n locations that were tried. */
enum err index_find_other(struct index *idx, const struct id *id,
	const struct location *tried, size_t n, struct location *out,
	bool *found, struct error *err) MUST_CHECK;

/*
 * The claim of a writer on a chunk that it is about to store.
 * CLAIM_HAVE: it is in the repository, where the session's view allows to rely
 * on it, or in a pack of this session, or some other thread of this process is
 * storing it now.  CLAIM_MINE: nobody has it;
 * the caller stores it and later calls index_add for its pack.  A claim is
 * not given back before the session ends: one in which storing a chunk failed,
 * fails.
 */
enum claim { CLAIM_HAVE, CLAIM_MINE };
enum err index_claim(struct index *idx, const struct id *id, enum claim *claim,
	struct error *err) MUST_CHECK;

/* What a session claimed and did not store, or stored and no segment names, is
 * not in the repository: the next one begins without.  While nobody claims or
 * adds. */
void index_forget(struct index *idx);

/* A pack of this session is durable; its chunks can now be found.  Publishes
 * where many chunks came together since the last time. */
enum err index_add(struct index *idx, const struct pack_info *pack,
	const struct record *recs, struct error *err) MUST_CHECK;

/* Publish a segment of all packs added since the last one (none: do nothing)
 * and move them to the local runs.  Durable on return. */
enum err index_publish(struct index *idx, struct error *err) MUST_CHECK;

/* Packs added and not yet published. */
uint32_t index_unpublished(const struct index *idx);

/* Every published chunk in ascending order of ids; of an id that is in several
 * packs, each location.  Not while others add. */
typedef enum err index_each_fn(void *arg, const struct location *loc,
	struct error *err);
enum err index_each(struct index *idx, index_each_fn *fn, void *arg,
	struct error *err) MUST_CHECK;

/* Every pack that a segment names, once, in ascending order of ids. */
typedef enum err index_pack_fn(void *arg, const struct pack_info *pack,
	struct error *err);
enum err index_each_pack(struct index *idx, index_pack_fn *fn, void *arg,
	struct error *err) MUST_CHECK;

#endif /* REPO_INDEX_H */
