/* SPDX-License-Identifier: Apache-2.0 */
/* mfs_sessions: clients' sessions, as the log of a master tells of them. */
#ifndef ENGINE_MFS_SESSIONS_H
#define ENGINE_MFS_SESSIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "format/mfs_log.h"

struct mfs_session {
	uint32_t id;
	uint32_t client; /* IPv4 */
	char *mount; /* any bytes, unescaped; owned */
	size_t mount_len;
};

struct mfs_sessions {
	struct mfs_session *v; /* ascending by id */
	size_t n, cap, max;
};

void mfs_sessions_init(struct mfs_sessions *s, size_t max);
void mfs_sessions_fini(struct mfs_sessions *s);

/* A session that begins is kept, as long as there are no more than max; other
 * changes do nothing. */
enum err mfs_sessions_take(struct mfs_sessions *s, const struct mfs_change *c,
	struct error *err) MUST_CHECK;

/* The session that a change names, or 0. */
uint32_t mfs_sessions_of(const struct mfs_change *c);

/* NULL: not known.  Valid until the next change is taken. */
const struct mfs_session *mfs_sessions_find(const struct mfs_sessions *s,
	uint32_t id);

#endif /* ENGINE_MFS_SESSIONS_H */
