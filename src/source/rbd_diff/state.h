/* SPDX-License-Identifier: Apache-2.0 */
/* state: what the two files of this driver share. */
#ifndef SOURCE_RBD_DIFF_STATE_H
#define SOURCE_RBD_DIFF_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/time.h"
#include "format/rbd_file.h"
#include "source/source.h"

struct rbd_files {
	struct source base;
	const char *const *paths; /* borrowed */
	size_t n_paths, next_path;
	bool single; /* an ordinary source */
	const _Atomic bool *stop;

	char *label; /* "rbd-diff:POOL/IMAGE" */
	char *pool; /* one allocation with the next two */
	const char *ns, *image;

	struct rbd_file *file; /* NULL: none is open */
	const char *path;
	struct rbd_diff *diff; /* the file's */
	struct rbd_diff_range range; /* the first one, read already */
	bool ready; /* diff waits to be captured */
	struct when time;
	uint64_t last_size; /* of the image after the stream before */
};

/* The stream that is open, as the image of a snapshot and its record. */
enum err state_capture(struct rbd_files *s, struct sink *sink,
	struct error *err) MUST_CHECK;

#endif /* SOURCE_RBD_DIFF_STATE_H */
