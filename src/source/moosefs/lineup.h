/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lineup: the generations of a master in the order in which they are sealed.
 *
 *   lineup_init -> lineup_load -> lineup_use ...         (who receives)
 *   lineup_first, lineup_next ...                        (who seals)
 *   -> lineup_fini
 *
 * One thread receives, into the last generation (the target); another seals,
 * from the first one on, and lets it go when there is a next.  What an earlier
 * process left unsealed comes first; it is opened only when it is its turn.
 * The same generation may come twice, where a master came back to it: then
 * both share a journal.
 *
 * A journal that lineup_use or lineup_first has told stays open until that
 * thread's next call.
 */
#ifndef SOURCE_MOOSEFS_LINEUP_H
#define SOURCE_MOOSEFS_LINEUP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"
#include "source/moosefs/home.h"
#include "source/moosefs/journal.h"

struct lineup_entry {
	struct journal *journal; /* NULL: not opened yet */
	char name[HOME_GEN_MAX];
	bool opening; /* by the thread that seals */
};

struct lineup {
	const struct home *home;
	void (*note)(void *arg, const char *sentence);
	void *arg;
	pthread_mutex_t lock; /* of all below */
	struct lineup_entry *v;
	size_t n, cap;
	bool receives; /* the last one is the target */
};

/* The home is borrowed.  note is told what journals say when they open. */
void lineup_init(struct lineup *l, const struct home *home,
	void (*note)(void *arg, const char *sentence), void *arg);
void lineup_fini(struct lineup *l);

/*
 * What earlier processes left: generations that are not sealed, by the time of
 * their last change, then the current one, which becomes the target.  Before
 * any thread.  What cannot be read is noted and left out.
 */
enum err lineup_load(struct lineup *l, struct error *err) MUST_CHECK;

/* ---- who receives ---- */

/* NULL: there is none yet. */
struct journal *lineup_target(struct lineup *l);
/* It is this one from now on.  ERR_AGAIN while the other thread opens it. */
enum err lineup_use(struct lineup *l, const char *gen,
	struct error *err) MUST_CHECK;

/* ---- who seals ---- */

/* *out NULL: there is none yet. */
enum err lineup_first(struct lineup *l, char gen[HOME_GEN_MAX],
	struct journal **out, struct error *err) MUST_CHECK;
/* Whether there is one after it, or it can be let go. */
bool lineup_has_next(struct lineup *l);
void lineup_next(struct lineup *l);

/* ---- any thread ---- */

/* Of the target; false: there is none. */
bool lineup_figures(struct lineup *l, char gen[HOME_GEN_MAX],
	struct journal_figures *out);

#endif /* SOURCE_MOOSEFS_LINEUP_H */
