/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress: what a run has done so far, written by many threads, read by one.
 *
 * Counters only grow.  Totals are 0 while they are unknown and may grow when
 * more becomes known.  Whoever shows it (cli, daemon) reads at its own pace.
 */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	_Atomic uint64_t items_done, items_total; /* files, or objects */
	_Atomic uint64_t bytes_done, bytes_total; /* of content */
	_Atomic uint64_t errors;
	pthread_mutex_t lock; /* of current */
	char current[256]; /* what is worked on; its end where too long */
};

void progress_init(struct progress *p);
void progress_fini(struct progress *p);
void progress_current(struct progress *p, const char *name, size_t len);
void progress_get_current(struct progress *p, char out[256]);

#endif /* BASE_PROGRESS_H */
