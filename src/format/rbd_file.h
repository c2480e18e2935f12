/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbd_file: a file of difference streams, whatever it is: the one stream that
 * `rbd export-diff` wrote, or the container of `rbd export --export-format 2`
 * with one for each snapshot.
 *
 *   rbd_file_open -> rbd_file_next until *diff is NULL -> rbd_file_close
 */
#ifndef FORMAT_RBD_FILE_H
#define FORMAT_RBD_FILE_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"
#include "format/rbd_diff.h"
#include "format/rbd_export.h"
#include "format/rbd_in.h"

struct rbd_file;

/* Takes in over, also where it fails. */
enum err rbd_file_open(struct rbd_file **out, struct rbd_in *in,
	struct error *err) MUST_CHECK;
void rbd_file_close(struct rbd_file *f);

/* NULL where it is no container. */
const struct rbd_export_head *rbd_file_image(const struct rbd_file *f);

/*
 * The next stream, or NULL after the last one.  It belongs to the file and is
 * valid until the next call; what it was not read of is passed over, and
 * checked on the way.  Streams of a container that do not follow each other
 * are ERR_CORRUPT.
 */
enum err rbd_file_next(struct rbd_file *f, struct rbd_diff **diff,
	struct error *err) MUST_CHECK;

/* After the last one: whether more bytes follow.  rbd ignores them. */
enum err rbd_file_trailing(struct rbd_file *f, bool *more,
	struct error *err) MUST_CHECK;

#endif /* FORMAT_RBD_FILE_H */
