/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_edges: which paths inodes have, at any change id.
 *
 *   mfs_edges_new
 *     -> mfs_edges_want, for each inode that will be asked for
 *     -> an image, once (mfs_edges_section and mfs_edges_data are what a
 *        struct mfs_image_fn wants, with this as its arg), mfs_edges_loaded
 *     -> mfs_edges_paths, mfs_edges_join; mfs_edges_apply; ...
 *     -> mfs_edges_free
 *
 * One pass over an image is enough: kept of it are the directories, which its
 * NODE section tells before the names come, and what is wanted.  So a first
 * pass over the lines in question collects their inodes
 * (mfs_edges_mentions), the image is read, and a second pass over the lines
 * tells paths and applies each.  With all, each name is kept.
 *
 * Memory: a name that is kept costs 40 bytes and its length, rounded up to 16,
 * and 16 to 32; a directory or a wanted inode 10 to 20 more; beyond the limit
 * of the birth it is ERR_NOMEM.  An hour that touched 300,000 files in 20,000
 * directories takes about 35 MB, 10 million files with all about 1.1 GB.
 *
 * What lines do not tell, and so is not known behind them until the next
 * image: what SNAPSHOT makes, overwrites and removes, and the inodes of
 * directories that UNDEL makes anew (mfs_edges_gaps counts both).  When the
 * time of a file in the trash is over no line names it: it stays MFS_DELETED
 * here until its number is used again.  What was deleted is told as
 * MFS_DELETED, too, where it has no time in the trash or is no file and its
 * kind is not known.
 *
 * One thread.  Names are bytes; anything may be in an image or a line.
 */
#ifndef FORMAT_MFS_EDGES_H
#define FORMAT_MFS_EDGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "format/mfs_image.h"
#include "format/mfs_log.h"

/* The longest path that is told; a longer one, and one in a circle, ends at a
 * base that is not the root. */
enum { MFS_PATH_MAX = 65535, MFS_MENTIONS_MAX = 3 };

struct mfs_edges;

struct mfs_edges_conf {
	bool all;
	size_t memory_max; /* bytes */
};

enum mfs_path_kind {
	MFS_NAMED = 1,
	MFS_DELETED, /* in the trash, or gone: the path it had */
	MFS_PURGED /* out of the trash: gone, or open somewhere until now */
};

struct mfs_path {
	enum mfs_path_kind kind;
	uint32_t base; /* MFS_ROOT; or the inode of a directory whose own path
			* is not known; or 0: not even that */
	struct mfs_text text; /* "a/b/c", below base; empty for base itself */
};

enum err mfs_edges_new(struct mfs_edges **out,
	const struct mfs_edges_conf *conf, struct error *err) MUST_CHECK;
void mfs_edges_free(struct mfs_edges *e);

/* Before the image.  An inode of 0 is passed over. */
enum err mfs_edges_want(struct mfs_edges *e, uint32_t inode,
	struct error *err) MUST_CHECK;

/*
 * The inodes that a line names, the one that was changed first; their number.
 * 0 for an operation on something else, or one that is not known.
 */
size_t mfs_edges_mentions(const struct mfs_change *c,
	uint32_t out[MFS_MENTIONS_MAX]);

enum err mfs_edges_section(void *e, const struct mfs_section *s,
	struct error *err) MUST_CHECK;
enum err mfs_edges_data(void *e, const struct mfs_section *s, uint64_t at,
	const void *data, size_t len, struct error *err) MUST_CHECK;
/* The image is over.  Not to be called for an MFSM NEW, or for none. */
enum err mfs_edges_loaded(struct mfs_edges *e, struct error *err) MUST_CHECK;

/*
 * The lines are given in the order of their ids, from the version of the image
 * on; those that change no names do nothing.  ERR_CORRUPT for one whose
 * arguments are not what its operation has.
 */
enum err mfs_edges_apply(struct mfs_edges *e, const struct mfs_change *c,
	struct error *err) MUST_CHECK;

/* Changes that made names which are not known. */
uint64_t mfs_edges_gaps(const struct mfs_edges *e);

/* Called with what is borrowed until it returns; any result but ERR_OK ends
 * it. */
typedef enum err mfs_path_fn(void *arg, uint32_t inode,
	const struct mfs_path *path, struct error *err);

/* Each path of an inode, in no order; none where it is not known. */
enum err mfs_edges_paths(struct mfs_edges *e, uint32_t inode, mfs_path_fn *fn,
	void *arg, struct error *err) MUST_CHECK;

/* Each path of all that is known, in no order. */
enum err mfs_edges_each(struct mfs_edges *e, mfs_path_fn *fn, void *arg,
	struct error *err) MUST_CHECK;

/* The path of a name (unescaped) in a directory, whether it exists or not;
 * valid until the next call. */
enum err mfs_edges_join(struct mfs_edges *e, uint32_t parent, const char *name,
	size_t len, struct mfs_path *out, struct error *err) MUST_CHECK;

#endif /* FORMAT_MFS_EDGES_H */
