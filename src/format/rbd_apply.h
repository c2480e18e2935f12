/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbd_apply: a difference put onto a raw image in a file.
 *
 * What is zero is not written: it is a hole in the file, where the file system
 * has holes.  The file gets the size that the stream tells.
 */
#ifndef FORMAT_RBD_APPLY_H
#define FORMAT_RBD_APPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "format/rbd_diff.h"

struct rbd_apply_figures {
	uint64_t bytes_written, bytes_zeroed;
};

/*
 * d, of which nothing was read yet, onto the regular file fd, which is as the
 * snapshot that d begins at; blank: it is empty.  Figures are added up.  After
 * a failure the file is something between the two snapshots; applying the same
 * streams again, from the first one on, makes it what it should be.
 */
enum err rbd_apply(struct rbd_diff *d, int fd, const char *name, bool blank,
	struct rbd_apply_figures *figures, struct error *err) MUST_CHECK;

#endif /* FORMAT_RBD_APPLY_H */
