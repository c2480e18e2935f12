/* SPDX-License-Identifier: Apache-2.0 */
/* checking: what the two halves of a check share (engine/check.h). */
#ifndef ENGINE_CHECKING_H
#define ENGINE_CHECKING_H

#include <pthread.h>

#include "engine/check.h"
#include "engine/crew.h"

struct checking {
	struct repo *repo;
	const struct check_conf *conf;
	const struct report *report;
	struct check_result *result;
	struct crew crew;
	pthread_mutex_t lock; /* of result and of report->problem */
	bool reads_content; /* the key does */
};

/* Count and report; name says what is wrong ("pack 3f9c...").  Any thread. */
void checking_found(struct checking *c, const struct error *what);

/* All packs that the index names, and those that it does not. */
enum err check_packs(struct checking *c, struct error *err) MUST_CHECK;

/* All snapshots and every tree below them. */
enum err check_trees(struct checking *c, struct error *err) MUST_CHECK;

/* What a prune is about, and what it has left. */
enum err check_leftovers(struct checking *c, struct error *err) MUST_CHECK;

#endif /* ENGINE_CHECKING_H */
