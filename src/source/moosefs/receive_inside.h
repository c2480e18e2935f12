/* SPDX-License-Identifier: Apache-2.0 */
/* receive_inside: what the thread that receives shares with itself: the
 * generations and the state (receive.c), a connection (session.c). */
#ifndef SOURCE_MOOSEFS_RECEIVE_INSIDE_H
#define SOURCE_MOOSEFS_RECEIVE_INSIDE_H

#include <pthread.h>

#include "source/moosefs/receive.h"

enum { STATES_MAX = 8 };

struct receive {
	struct receive_conf conf;
	struct home home;
	char *image_tmp;
	pthread_t thread;
	bool running;
	_Atomic bool stop;

	/* the receiving thread's own */
	bool branch; /* the next connection begins a new generation */
	unsigned behind; /* connections that ended before our last change */
	bool connected; /* in this session */
	bool was_protected; /* likewise */

	struct lineup line; /* the generations */

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t wake; /* stop */
	uint64_t connections; /* that were made */
	struct receive_state states[STATES_MAX]; /* the last one is now */
	size_t n_states;
	unsigned changes;
};

/* ---- receive.c ---- */

void receive_set(struct receive *r, enum follow_health health, const char *why);
/* A connection was made. */
void receive_connected(struct receive *r);
/* So many seconds ago. */
void receive_heard(struct receive *r, double ago);
/* From now on this one does: the newest of this file system, or with branch
 * one after it; the one with this name. */
enum err receive_use(struct receive *r, uint64_t id,
	struct error *err) MUST_CHECK;
enum err receive_use_current(struct receive *r, struct error *err) MUST_CHECK;

/* ---- session.c ---- */

/* A connection, up to its end, or with once to the end of the logs.  Why it
 * ended: ERR_AGAIN for what another one can make good. */
enum err session_run(struct receive *r, bool once,
	struct error *err) MUST_CHECK;

#endif /* SOURCE_MOOSEFS_RECEIVE_INSIDE_H */
