/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle: what must hold, whatever goes wrong.  It sees the store itself.
 *
 * - A snapshot whose commit was acknowledged, and which was not forgotten,
 *   counts and can be restored bit for bit, by who comes new to the
 *   repository.  A forgotten one can be restored until a prune has decided
 *   to sweep it.
 * - Any other snapshot that counts can be restored too.
 * - At the end nothing is left that no snapshot needs.
 *
 * Whether a snapshot is forgotten follows from the marks whose creation the
 * oracle saw, not from what anybody was told.
 */
#ifndef TESTS_SIM_ORACLE_H
#define TESTS_SIM_ORACLE_H

#include "tests/sim/model.h"
#include "tests/sim/sim.h"

enum { SNAPSHOTS_MAX = 20000, NAME_ROOM = 128 };

/* A session that got as far as to commit. */
struct sim_snapshot {
	struct uid ns, uid;
	struct model m;
	struct id root;
	bool acked;
	bool held; /* acknowledged, and no release was ever begun */
	bool released;
	uint64_t forgotten, undeleted, swept; /* a bit for each K */
	bool seen; /* restored, and nothing was taken away since */
};

struct oracle *oracle_new(struct sim *s);
void oracle_free(struct oracle *o);

/* Before the commit: what it will be. */
struct sim_snapshot *oracle_intend(struct oracle *o, const struct uid *ns,
	const struct uid *uid, const struct model *m, const struct id *root);
void oracle_ack(struct oracle *o, struct sim_snapshot *snap);

/* NULL where there is none. */
struct sim_snapshot *oracle_find(struct oracle *o, const struct uid *uid);
/* A snapshot that somebody may want to do something with, or NULL. */
struct sim_snapshot *oracle_draw(struct oracle *o, struct prng *dice,
	bool (*wanted)(const struct sim_snapshot *));

bool snapshot_is_alive(const struct sim_snapshot *snap); /* must count */
bool snapshot_is_whole(const struct sim_snapshot *snap); /* must be there */

/* An object was created on behalf of a. */
void oracle_saw_put(struct oracle *o, const struct actor *a, const char *name);

/* Something was deleted, or came late: everything is looked at again. */
void oracle_saw_loss(struct oracle *o);

/* Look at everything now. */
void oracle_check(struct oracle *o);

/* The i-th of them all; NULL behind the last. */
const struct sim_snapshot *oracle_at(const struct oracle *o, size_t i);
/* Whether its object is in the store. */
bool oracle_is_there(const struct oracle *o, const struct sim_snapshot *snap);

#endif /* TESTS_SIM_ORACLE_H */
