/* SPDX-License-Identifier: Apache-2.0 */
/* mfs_moment: a moment in the history of a MooseFS. */
#ifndef ENGINE_MFS_MOMENT_H
#define ENGINE_MFS_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

/* Behind a change, or at the end of a second. */
struct mfs_moment {
	enum { MFS_MOMENT_NONE, MFS_MOMENT_ID, MFS_MOMENT_TIME } kind;
	uint64_t id;
	int64_t sec; /* UTC */
};

/* Decimal digits are a change's id, all else is a time.  ERR_USAGE. */
enum err mfs_moment_parse(struct mfs_moment *out, const char *text,
	struct error *err) MUST_CHECK;

/* Whether a change is later than that; nothing is later than NONE. */
bool mfs_moment_is_before(const struct mfs_moment *m, uint64_t id,
	uint64_t seconds);

/* RFC 3339 of a line's seconds. */
void mfs_moment_text(uint64_t seconds, char out[40]);

#endif /* ENGINE_MFS_MOMENT_H */
