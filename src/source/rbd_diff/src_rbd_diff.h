/* SPDX-License-Identifier: Apache-2.0 */
/*
 * src_rbd_diff: images out of files of `rbd export-diff` and `rbd export`.
 *
 *   src_rbd_diff_open -> (src_rbd_diff_next -> a backup_run) ... -> close
 *
 * Each difference stream becomes a snapshot of its own: an edit of the image
 * in the snapshot before it, which must be the one at which the stream begins.
 * A stream is read once, while it is captured, so a capture cannot be repeated.
 * Nothing is captured of a stream that does not come to its end mark.
 *
 * As an ordinary source, rbd-diff:FILE is a file of one stream.
 */
#ifndef SOURCE_RBD_DIFF_SRC_RBD_DIFF_H
#define SOURCE_RBD_DIFF_SRC_RBD_DIFF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/time.h"
#include "source/source.h"

extern const struct source_ops rbd_diff_source_ops;

struct src_rbd_diff_conf {
	const char *const
		*files; /* in order; "-" is standard input; borrowed */
	size_t n_files;
	const char *image; /* POOL[/NAMESPACE]/IMAGE, as which it is kept */
	const _Atomic bool *stop; /* see rbd_in_open_file; may be NULL */
};

enum err src_rbd_diff_open(struct source **out,
	const struct src_rbd_diff_conf *conf, struct error *err) MUST_CHECK;

/* The stream that comes next; borrowed until the next call. */
struct src_rbd_diff_item {
	const char *file;
	const char *from, *to; /* snapshots; NULL: nothing, the head */
	uint64_t size; /* of the image */
	struct when time; /* the file's; now for standard input */
	bool of_export; /* of a container, which may hold several */
};

/*
 * Go on to the next stream; item->file is NULL after the last one.  What a
 * container tells of a head that is just its last snapshot is passed over.
 * note (may be NULL) hears of bytes behind the end of a file.
 */
enum err src_rbd_diff_next(struct source *src, struct src_rbd_diff_item *item,
	void (*note)(void *arg, const char *sentence), void *arg,
	struct error *err) MUST_CHECK;

/* The time of what is captured next, instead of item->time. */
void src_rbd_diff_at(struct source *src, const struct when *time);

#endif /* SOURCE_RBD_DIFF_SRC_RBD_DIFF_H */
