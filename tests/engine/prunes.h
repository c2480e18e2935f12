/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prunes: a repository in memory with a past: backups of a few files that
 * change, some of them forgotten, and what each of them has to give back.
 *
 * Every job opens the store given anew, with an index of its own, as another
 * process would; so one job may run while another waits in the store.  The
 * clock is the test's.
 */
#ifndef TESTS_ENGINE_PRUNES_H
#define TESTS_ENGINE_PRUNES_H

#include "engine/check.h"
#include "engine/prune.h"
#include "repo/marks.h"
#include "tests/engine/fake.h"

enum { PRUNES_FILES = 10, PRUNES_PAST = 96, PRUNES_DAY = 86400 };

struct past {
	struct snapshot_name name;
	struct snapshot snap;
	uint64_t sizes[PRUNES_FILES]; /* 0: no such file */
	bool forgotten; /* by us, and not undeleted */
	bool swept; /* is not expected any more */
};

struct prunes {
	struct store *st; /* in memory */
	struct prng dice;
	uint64_t sizes[PRUNES_FILES]; /* of the files now */
	uint64_t size_max;
	struct past past[PRUNES_PAST];
	unsigned n;
	int64_t now;
	struct progress progress;
	struct report report;
	unsigned n_problems;
	char told[1024]; /* the last problem or note */
};

void prunes_init(struct prunes *p, uint64_t seed);
void prunes_fini(struct prunes *p);

/* The same past in a copy of the store. */
void prunes_copy(struct prunes *out, const struct prunes *p);

/* st, which took over p->st, goes; p goes on with a copy of what is left. */
void prunes_unwrap(struct prunes *p, struct store *st);

/* Read all that snapshot i has to give back, by st. */
void prunes_read(struct prunes *p, struct store *st, unsigned i);

/* Some files change, come or go. */
void prunes_change(struct prunes *p);
/* Back up the files as they are, by st, which is p->st or leads to it. */
enum err prunes_backup(struct prunes *p, struct store *st, struct error *err);
enum err prunes_forget(struct prunes *p, struct store *st, unsigned i,
	struct error *err);
/* Whether it came in time is seen from the result. */
enum err prunes_undelete(struct prunes *p, struct store *st, unsigned i,
	struct error *err);

/* No delay, a day of grace, nothing unused. */
struct prune_conf prunes_conf(struct prunes *p);
enum err prunes_prune(struct prunes *p, struct store *st,
	const struct prune_conf *conf, struct prune_figures *figures,
	struct error *err);
/* As often as it takes for a run to find nothing to do. */
void prunes_settle(struct prunes *p);

/* A check of everything finds no error; every snapshot that is not forgotten
 * is there, and gives back its files. */
void prunes_verify(struct prunes *p);

struct prunes_size {
	uint64_t bytes, n_packs, n_objects;
};
struct prunes_size prunes_size(struct prunes *p, const char *prefix);
/* Nothing is there that a repository with only these snapshots would not have
 * (after prunes_settle). */
void prunes_verify_clean(struct prunes *p);

#endif /* TESTS_ENGINE_PRUNES_H */
