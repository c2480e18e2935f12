/* SPDX-License-Identifier: Apache-2.0 */
/* follow_files: what others see of a source that is followed; follow_load and
 * follow_is_running (engine/follow.h) look at it.  Files are replaced by
 * rename. */
#ifndef ENGINE_FOLLOW_FILES_H
#define ENGINE_FOLLOW_FILES_H

#include "base/compiler.h"
#include "base/err.h"
#include "engine/follow.h"

/* status.json in the directory of the state; where it has none, nothing. */
enum err follow_files_status(const struct follow_status *s,
	struct error *err) MUST_CHECK;

/* The lock beside it, once: *fd is -1 before, and held until it is closed. */
enum err follow_files_lock(int *fd, const char *dir,
	struct error *err) MUST_CHECK;

/* For Prometheus's textfile collector. */
enum err follow_files_metrics(const struct follow_status *s, const char *path,
	struct error *err) MUST_CHECK;

#endif /* ENGINE_FOLLOW_FILES_H */
