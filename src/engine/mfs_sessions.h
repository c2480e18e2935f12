/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_sessions: clients' sessions, as an image and the log of a master tell of
 * them.
 *
 *   mfs_sessions_init -> mfs_sessions_section, mfs_sessions_data, where there
 *     is an image -> mfs_sessions_take, mfs_sessions_find ...
 *     -> mfs_sessions_fini
 *
 * Who they are is told beside what they did, so nothing that is wrong here is
 * an error: what is not understood is passed over.
 */
#ifndef ENGINE_MFS_SESSIONS_H
#define ENGINE_MFS_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "format/mfs_image.h"
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

	/* ---- of the section SESS ---- */
	struct buf part; /* of a record */
	size_t want; /* bytes of part until it tells more; 0: over */
	size_t fixed; /* bytes of a record before the mount point; 0: the
		       * section's own head comes */
};

void mfs_sessions_init(struct mfs_sessions *s, size_t max);
void mfs_sessions_fini(struct mfs_sessions *s);

/* What a struct mfs_image_fn wants, with the sessions as its arg.  Of sections
 * other than SESS 1.5 nothing is taken. */
enum err mfs_sessions_section(void *s, const struct mfs_section *section,
	struct error *err) MUST_CHECK;
enum err mfs_sessions_data(void *s, const struct mfs_section *section,
	uint64_t at, const void *data, size_t len,
	struct error *err) MUST_CHECK;

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
