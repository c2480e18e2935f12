/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow: a source that follows, with its restore points in a repository and
 * its state where others can see it.
 *
 * The driver takes changes to this machine's disk and says when they are to be
 * sealed, which is a backup_run with the same source.  A repository that fails
 * is tried again after a while; nothing is lost by that, as what was not
 * sealed stays where the driver keeps it.
 *
 * The state is written beside it (struct follow_state, dir) as status.json,
 * and as a file of metrics for the textfile collector of Prometheus's
 * node_exporter, each by rename.  Beside it lies a lock that the process holds
 * as long as it lives, so that others can tell a state from one that was left.
 */
#ifndef ENGINE_FOLLOW_H
#define ENGINE_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/time.h"
#include "engine/backup.h"
#include "model/snapshot.h"
#include "repo/repo.h"
#include "source/source.h"

enum { FOLLOW_HEALTHS = FOLLOW_WENT_BACK + 1 };

/* Figures are of this process; moments also of those before it. */
struct follow_status {
	struct follow_state state;
	struct when written;
	struct when protected_at; /* the last moment at which it was */
	struct when sealed_at; /* the last sealing; sec 0: none yet */
	struct when unsealed_since; /* sec 0: all is sealed */
	uint64_t seals, failures;
	uint64_t entered[FOLLOW_HEALTHS]; /* how often it came to this state */
	uint64_t untold; /* what could not be told (follow_conf) */
	char problem[256]; /* why the last sealing failed; "": it did not */
	char trouble[256]; /* the last thing that was not as it should be, */
	struct when trouble_at; /* and when; sec 0: nothing was */
};

struct follow_conf {
	struct backup_conf backup;
	unsigned seal_sec;
	uint64_t seal_bytes;
	const char *metrics; /* a file; NULL: none */

	/* Told by any thread, one at a time; each may be NULL.  They must not
	 * wait: false where somebody did not hear of it, which is counted and
	 * changes nothing else. */
	void *arg;
	bool (*on_state)(void *arg, const struct follow_status *s);
	bool (*on_seal)(void *arg, const struct snapshot *snap);
	bool (*on_trouble)(void *arg, const char *sentence);
};

/* Until *stop, and then once more what is not sealed.  What ends it before
 * cannot get better by itself. */
enum err follow_run(struct repo *r, struct source *src,
	const struct follow_conf *conf, const _Atomic bool *stop,
	struct error *err) MUST_CHECK;

/* A status file. */
enum err follow_load(const char *path, struct follow_status *out,
	struct error *err) MUST_CHECK;

/* Whether the process that writes the status file in this directory lives. */
bool follow_is_running(const char *dir);

/* "connecting", "no image", "hole", "protected", "other id", "went back" */
const char *follow_health_name(enum follow_health h);

/* For how many seconds changes would be lost with the source, were it lost
 * now: since when it has not been protected. */
double follow_rpo(const struct follow_status *s, const struct when *now);
/* For how many there is something that is not sealed; 0: all is. */
double follow_unsealed(const struct follow_status *s, const struct when *now);

#endif /* ENGINE_FOLLOW_H */
