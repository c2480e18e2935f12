/* SPDX-License-Identifier: Apache-2.0 */
/* restore_delta: a piece compared with what the file holds; where they differ
 * it is written (HOW_PATCH) or the goal is not what it should be
 * (HOW_VERIFY). */
#ifndef ENGINE_RESTORE_DELTA_H
#define ENGINE_RESTORE_DELTA_H

#include "engine/restore_work.h"

/* Of a chunk that differs, only blocks of this size that differ are written. */
enum { RESTORE_DELTA_BLOCK = 4096 };

enum err restore_delta_piece(struct restore_work *w, const struct planned *p,
	int fd, struct error *err) MUST_CHECK;

#endif /* ENGINE_RESTORE_DELTA_H */
