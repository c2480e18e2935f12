/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_set: what a snapshot holds of a MooseFS: an image of version V and the
 * log behind it, V..N, in segments (docs/decisions/0010).
 *
 *   mfs_set_open -> mfs_set_image, mfs_set_lines, in any order, as often as
 *     one likes -> mfs_set_close
 *
 * Bytes are walked as they come and nothing is believed: the image to its end
 * marker, its id against the directory's, the lines against the chain.  What
 * is wrong is ERR_CORRUPT with the name of the image or segment.  Lines are
 * told to the caller before those behind them were looked at.
 *
 * Memory: a piece of MFS_SET_PIECE, a line, and what tree/content.h keeps of
 * chunks.  One thread.
 */
#ifndef ENGINE_MFS_SET_H
#define ENGINE_MFS_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "format/mfs_image.h"
#include "model/mfs_record.h"
#include "model/snapshot.h"
#include "repo/repo.h"

enum { MFS_SET_PIECE = 256 << 10, MFS_SET_NAME = 32 };

struct mfs_set;

/* What is known without reading it all. */
struct mfs_set_facts {
	char name[MFS_SET_NAME]; /* of the directory: the id, maybe ".N" */
	uint64_t id; /* of the file system */
	uint64_t version; /* of the image: the first change that it lacks */
	bool is_new; /* the image is that of an empty file system */
	uint64_t image_size;
};

/*
 * The only file system at or below subpath (NULL: in the snapshot).
 * ERR_NOTFOUND where there is none, ERR_USAGE where there are several.
 * Borrows r and snap; stop may be NULL.
 */
enum err mfs_set_open(struct mfs_set **out, struct repo *r,
	const struct snapshot *snap, const char *subpath,
	const _Atomic bool *stop, struct error *err) MUST_CHECK;
void mfs_set_close(struct mfs_set *s);

const struct mfs_set_facts *mfs_set_facts(const struct mfs_set *s);

/* What the snapshot says of the set, if it does: a set that was backed up as
 * files may have no record. */
enum err mfs_set_record(struct mfs_set *s, struct mfs_record *out, bool *found,
	struct error *err) MUST_CHECK;

/* All bytes of the image to put, while they are walked: walk hears of what
 * they mean.  Both may be NULL. */
typedef enum err mfs_set_bytes_fn(void *arg, const void *data, size_t len,
	struct error *err);
enum err mfs_set_image(struct mfs_set *s, const struct mfs_image_fn *walk,
	mfs_set_bytes_fn *put, void *arg, struct error *err) MUST_CHECK;

struct mfs_set_line {
	uint64_t id, seconds;
	const char *p; /* without its LF; borrowed */
	size_t len;
	bool surplus; /* older than the image, and not part of the chain */
};

/* Each line once, those of the chain in ascending order.  *enough ends it: the
 * lines behind are not looked at. */
typedef enum err mfs_set_line_fn(void *arg, const struct mfs_set_line *line,
	bool *enough, struct error *err);
enum err mfs_set_lines(struct mfs_set *s, mfs_set_line_fn *fn, void *arg,
	struct error *err) MUST_CHECK;

#endif /* ENGINE_MFS_SET_H */
