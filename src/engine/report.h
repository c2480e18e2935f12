/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report: how the engine tells its caller what happens while it runs.  The
 * functions may be called from any thread, one at a time.
 */
#ifndef ENGINE_REPORT_H
#define ENGINE_REPORT_H

#include "base/err.h"
#include "base/progress.h"
#include "model/entry.h"

enum change { CHANGE_NEW, CHANGE_MODIFIED, CHANGE_SAME, CHANGE_REMOVED };

struct report {
	void *arg;
	struct progress *progress; /* never NULL */
	/* key could not be read, or not be written as it should be (NULL: it
	 * is no entry); the run goes on */
	void (*problem)(void *arg, struct bytes key, const struct error *why);
	/* a sentence worth knowing, about the whole run */
	void (*note)(void *arg, const char *sentence);
	/* NULL unless somebody wants each entry: backup -v, restore --dry-run
	 */
	void (*entry)(void *arg, struct bytes key, const struct entry *e,
		enum change change);
	/* Set from outside to end the run early: ERR_CANCELLED */
	const _Atomic bool *stop;
};

#endif /* ENGINE_REPORT_H */
