/* SPDX-License-Identifier: Apache-2.0 */
/*
 * beside: a file that is written under a temporary name beside its own and
 * gets that when it is finished.  Private to src/target.
 *
 *   beside_open -> beside_take or beside_make -> write to fd
 *     -> beside_finish or beside_drop -> beside_close
 *
 * The temporary name is PATH.coffer-restore, so that a restore that was killed
 * is found again.  While it is written it is locked by flock: a second restore
 * to the same path is ERR_EXISTS.
 */
#ifndef TARGET_BESIDE_H
#define TARGET_BESIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

struct beside {
	char *path, *base, *temp; /* base and temp are names in dirfd */
	int dirfd, fd;
	bool is_there; /* path */
};

/* Whether path is there, which must then be a regular file. */
enum err beside_open(struct beside *b, const char *path,
	struct error *err) MUST_CHECK;
void beside_close(struct beside *b); /* leaves the temporary file */

/* Open the temporary file, locked; made if it is not there.  After a failure
 * of this and the next fd is -1, and there is nothing to drop. */
enum err beside_make(struct beside *b, struct error *err) MUST_CHECK;

/* Path itself becomes the temporary file, locked. */
enum err beside_take(struct beside *b, struct error *err) MUST_CHECK;

/* What stands under the temporary name, or else under the own: fd to read
 * only, -1 where neither is there. */
enum err beside_look(struct beside *b, struct error *err) MUST_CHECK;

/* Durable, then under its own name; what has this name meanwhile is replaced
 * or else is ERR_EXISTS. */
enum err beside_finish(struct beside *b, bool replace,
	struct error *err) MUST_CHECK;

/* Remove the temporary file. */
void beside_drop(struct beside *b);

#endif /* TARGET_BESIDE_H */
