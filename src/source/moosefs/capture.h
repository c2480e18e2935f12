/* SPDX-License-Identifier: Apache-2.0 */
/* capture: what a journal holds, as entries of a snapshot. */
#ifndef SOURCE_MOOSEFS_CAPTURE_H
#define SOURCE_MOOSEFS_CAPTURE_H

#include "base/compiler.h"
#include "base/err.h"
#include "source/moosefs/journal.h"
#include "source/source.h"

struct capture_of {
	struct journal *journal;
	const struct journal_view *view; /* pinned, with a base */
	const char *generation;
	const char *label; /* of the source */
	bool complete; /* nothing that was there is left out */
	/* The version of the master that has the image, as 3.0.117 is
	 * 0x00030075; 0: not known.  Asked where an image is new.  NULL where
	 * there is no master. */
	uint32_t (*master)(void *arg);
	void *arg;
};

enum err capture_run(const struct capture_of *of, struct sink *sink,
	struct error *err) MUST_CHECK;

#endif /* SOURCE_MOOSEFS_CAPTURE_H */
