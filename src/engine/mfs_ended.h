/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_ended: clients' sessions that had ended when an image was saved.
 *
 *   mfs_ended_init -> mfs_ended_section, mfs_ended_data (the image)
 *     -> mfs_ended_line, for each line behind it -> mfs_ended_fini
 *
 * mfsmaster leaves a session that its client has closed out of the image that
 * it saves, and deletes it two minutes later, with a line in the log.  So an
 * image of a full hour, before which somebody unmounted, and the log behind it
 * do not go together: mfsmaster -a refuses its own files ("Bad session id"),
 * and with -i drops all that comes behind that line.  What such a line does is
 * done already; IDLE() in its place does nothing and has its id.
 *
 * Source: mfsmaster 3.0.117, whose images have SESS 1.5; of others nothing is
 * known, and all lines stay as they are.
 */
#ifndef ENGINE_MFS_ENDED_H
#define ENGINE_MFS_ENDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "engine/mfs_sessions.h"
#include "format/mfs_image.h"

struct mfs_ended {
	struct mfs_sessions sessions;
	bool in_sessions; /* the section at hand is that of the sessions */
	bool known; /* all of the image are in sessions */
	uint64_t n; /* lines that were replaced */
};

/* is_new: the image is that of an empty file system. */
void mfs_ended_init(struct mfs_ended *e, bool is_new);
void mfs_ended_fini(struct mfs_ended *e);

/* What a struct mfs_image_fn wants, with the mfs_ended as its arg. */
enum err mfs_ended_section(void *e, const struct mfs_section *section,
	struct error *err) MUST_CHECK;
enum err mfs_ended_data(void *e, const struct mfs_section *section, uint64_t at,
	const void *data, size_t len, struct error *err) MUST_CHECK;

/* Append a line as it is to be, with its LF. */
enum err mfs_ended_line(struct mfs_ended *e, const char *line, size_t len,
	struct buf *out, struct error *err) MUST_CHECK;

#endif /* ENGINE_MFS_ENDED_H */
