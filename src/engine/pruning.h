/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pruning: what the steps of a prune share (engine/prune.h).
 *
 *   prune.c           which step is next; the epoch's state is read anew
 *                     before each
 *   prune_begin.c     the first half: from the roots to the condemned list
 *   prune_mark.c      the chunks that roots need
 *   prune_plan.c      which packs hold them
 *   prune_choose.c    which packs may go
 *   prune_move.c      what lives in sparse packs, to new ones
 *   prune_sessions.c  who is at work
 *   prune_roots.c     the snapshots
 *   prune_strays.c    marks of snapshots that are not there
 *   prune_segments.c  the index segments
 *   prune_judge.c     the second half: what is needed after all
 *   prune_rebase.c    index segments without what goes
 *   prune_final.c     what counts from now on
 *   prune_sweep.c     the deletions
 */
#ifndef ENGINE_PRUNING_H
#define ENGINE_PRUNING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/live.h"
#include "engine/prune.h"
#include "repo/epoch.h"
#include "repo/marks.h"
#include "repo/presence.h"

struct pruning {
	struct repo *repo;
	struct store *store; /* of repo */
	const struct keyset *keys; /* likewise */
	struct index *index; /* likewise; refreshed by each half */
	const struct prune_conf *conf;
	const struct report *report;
	struct prune_figures *figures;
	unsigned workers; /* 1: only the calling thread */
};

/* ---- prune.c ---- */

struct when pruning_now(const struct pruning *p);
/* The time since then, in seconds; 0 where then is not over. */
uint64_t pruning_age(const struct pruning *p, const struct when *then);
/* ERR_CANCELLED where the caller was asked to stop. */
enum err pruning_going(const struct pruning *p, struct error *err) MUST_CHECK;
/* What is being done, for people. */
void pruning_phase(const struct pruning *p, const char *what);
void pruning_note(const struct pruning *p, const char *fmt, ...)
	PRINTF_LIKE(2, 3);

/* ---- prune_mark.c ---- */

/*
 * Add every chunk that is reachable from the roots to live, the roots and all
 * nodes too.  ERR_NOTFOUND and ERR_CORRUPT name the node that cannot be
 * followed: nobody knows then what else is needed.
 */
enum err prune_mark(struct pruning *p, const struct id *roots, size_t n_roots,
	struct live *live, struct error *err) MUST_CHECK;

/* ---- prune_plan.c ---- */

enum plan_flag {
	PLAN_LISTED = 1, /* the store has it */
	PLAN_NAMED = 2, /* an index segment that counts names it */
	PLAN_BUSY = 4, /* of a session that is not over: stays */
	PLAN_YOUNG = 8, /* an orphan that such a session may have made */
	PLAN_MOVE = 16, /* its live records are moved */
	PLAN_GONE = 32, /* to be condemned */
	PLAN_BATCH = 64 /* prune_move.c */
};

struct plan_pack {
	struct id id;
	uint32_t size; /* of the object; as listed, else as named */
	uint32_t live, dead; /* bytes of its records, as stored */
	uint32_t weight; /* live, with all copies */
	uint32_t n_live;
	uint32_t flags;
};

struct plan {
	struct pruning *p; /* borrowed */
	struct plan_pack *v; /* ascending by id */
	size_t n, cap;
	uint32_t *first; /* by the first 16 bits of an id */
	size_t *moves; /* packs with PLAN_MOVE, the most worthwhile first */
	size_t n_moves;
	uint64_t kept, unused; /* bytes: of what stays; dead records in it */
	bool has_copies; /* some chunk is live and in several places */
	struct live_missed missed; /* needed, and in no pack */
};

/* The packs that the store lists; before the index is refreshed, so that what
 * it names by then is no orphan. */
enum err prune_plan_list(struct plan *plan, struct pruning *p,
	struct error *err) MUST_CHECK;
/* The packs that the index names. */
enum err prune_plan_name(struct plan *plan, struct error *err) MUST_CHECK;
void prune_plan_fini(struct plan *plan);

/* NULL where there is none. */
struct plan_pack *prune_plan_find(const struct plan *plan, const struct id *id);

/* live and dead of every pack. */
enum err prune_plan_weigh(struct plan *plan, struct live *live,
	struct error *err) MUST_CHECK;
struct plan_place {
	struct location loc;
	size_t pack; /* in v */
};

/* Whether the live chunk, which is in these n places, has to be kept in the
 * i-th: all but where the same bytes are kept in another. */
enum err prune_plan_lives(const struct plan *plan,
	const struct plan_place *places, size_t n, size_t i, bool *lives,
	struct error *err) MUST_CHECK;

/* Every chunk with all its places, ascending. */
typedef enum err plan_chunk_fn(void *arg, const struct plan_place *places,
	size_t n, struct error *err);
enum err prune_plan_each_chunk(const struct plan *plan, plan_chunk_fn *fn,
	void *arg, struct error *err) MUST_CHECK;

/* ---- prune_choose.c ---- */

/* Which packs may go: as they are, PLAN_GONE, or after their records were
 * moved, PLAN_MOVE. */
enum err prune_choose(struct plan *plan, struct error *err) MUST_CHECK;

/* ---- prune_move.c ---- */

/* Move what lives in packs with PLAN_MOVE; these get PLAN_GONE, but for those
 * that could not be read, which were reported.  The packs that were made,
 * ascending, go to *made; the caller frees. */
enum err prune_move(struct plan *plan, struct live *live, struct id **made,
	size_t *n_made, struct error *err) MUST_CHECK;

/* ---- prune_sessions.c ---- */

struct session_seen {
	struct uid sid;
	bool opened; /* else nothing below is known but started */
	struct uid ns;
	uint64_t view;
	bool of_prune; /* it moves records and never commits */
	struct when started, sign; /* the last sign of life; the store's time */
	char host[PRESENCE_HOST_MAX + 1];
};

struct sessions {
	struct session_seen *v;
	size_t n;
};

/* Those whose objects are there now. */
enum err prune_sessions_read(struct sessions *s, struct pruning *p,
	struct error *err) MUST_CHECK;
/* Each pack that a segment of one of them names. */
typedef void sessions_pack_fn(void *arg, const struct id *pack);
enum err prune_sessions_packs(struct sessions *s, struct pruning *p,
	sessions_pack_fn *fn, void *arg, struct error *err) MUST_CHECK;
/* Whether it would not be waited for. */
bool prune_sessions_is_stale(const struct pruning *p,
	const struct session_seen *s);
void prune_sessions_fini(struct sessions *s);

/*
 * Whether every session with a view below epoch has ended, has committed, or
 * is fenced; those whose grace is over are fenced.  Those in the way are
 * noted.  ERR_CORRUPT where the object of one cannot be opened.
 */
enum err prune_sessions_resolve(struct pruning *p, uint64_t epoch,
	bool *resolved, struct error *err) MUST_CHECK;

/* ---- prune_segments.c ---- */

struct index_segment {
	struct segment_ref ref;
	uint64_t size;
	bool counts;
};

/* The index segments in the store, ascending; and what counts now, read after
 * they were listed. */
struct index_segments {
	struct index_segment *v;
	size_t n, cap;
	struct counting counting;
};
enum err prune_segments_read(struct index_segments *s, struct pruning *p,
	struct error *err) MUST_CHECK;
void prune_segments_fini(struct index_segments *s);
/* NULL where there is none. */
const struct index_segment *prune_segments_find(const struct index_segments *s,
	const struct segment_ref *ref);

/* ---- prune_roots.c ---- */

/* All snapshots there are, by what becomes of them; each ascending. */
struct roots {
	struct id *v; /* of trees that are needed, and were not known before */
	size_t n, cap;
	struct snapshot_name *counting; /* that go on to count */
	size_t n_counting, cap_counting;
	struct doomed *doomed;
	size_t n_doomed, cap_doomed;
	uint64_t n_void, n_fences; /* that a sweep would remove */
	bool unreadable; /* what one of them needs is not known */
};

/* The first half: every snapshot but the forgotten ones, which are doomed. */
enum err prune_roots_read(struct roots *r, struct pruning *p,
	struct error *err) MUST_CHECK;
/* The second, of epoch: sweep what c dooms; in v what c did not know. */
enum err prune_roots_read_again(struct roots *r, struct pruning *p,
	uint64_t epoch, const struct condemned *c,
	struct error *err) MUST_CHECK;
void prune_roots_fini(struct roots *r);

/* ---- prune_strays.c ---- */

/* Each snapshot, once, that has marks and is not there. */
typedef enum err prune_stray_fn(void *arg, const struct snapshot_name *name,
	struct error *err);
enum err prune_strays(struct pruning *p, prune_stray_fn *fn, void *arg,
	struct error *err) MUST_CHECK;

/* ---- the halves ---- */

/* Create the condemned list of epoch, and *begun; or nothing, where there is
 * nothing to delete, or in a dry run.  ERR_EXISTS: another prune was first. */
enum err prune_begin(struct pruning *p, uint64_t epoch, bool *begun,
	struct error *err) MUST_CHECK;

/* Which condemned packs stay, ascending; the caller frees. */
enum err prune_judge(struct pruning *p, const struct condemned *c,
	const struct roots *roots, struct id **spared, size_t *n_spared,
	struct error *err) MUST_CHECK;

/* The segments that count from now on, ascending, of those there are: without
 * the packs of c that are not spared. */
enum err prune_rebase(struct pruning *p, uint64_t epoch,
	const struct condemned *c, struct final *f,
	struct error *err) MUST_CHECK;

/* Judge, and create the final list.  ERR_EXISTS likewise. */
enum err prune_final(struct pruning *p, uint64_t epoch,
	const struct condemned *c, struct error *err) MUST_CHECK;

/* Delete, and create done. */
enum err prune_sweep(struct pruning *p, uint64_t epoch,
	struct error *err) MUST_CHECK;

#endif /* ENGINE_PRUNING_H */
