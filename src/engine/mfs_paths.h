/* SPDX-License-Identifier: Apache-2.0 */
/* mfs_paths: paths of inodes before and after something, and what differs.
 * Private to mfs_compare and mfs_history. */
#ifndef ENGINE_MFS_PATHS_H
#define ENGINE_MFS_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "engine/mfs_compare.h"
#include "format/mfs_edges.h"

struct mfs_place {
	uint32_t inode;
	uint32_t len;
	size_t off; /* in text */
};

struct mfs_paths {
	struct mfs_place *v[2]; /* before, after */
	size_t n[2], cap[2];
	struct buf text;
};

void mfs_paths_init(struct mfs_paths *p, size_t memory_max);
void mfs_paths_fini(struct mfs_paths *p);

/* Append "/a/b", "[123]/a/b" or "[?]/b". */
enum err mfs_paths_put_text(struct buf *out, const struct mfs_path *path,
	struct error *err) MUST_CHECK;

/* A path that inode has before (0) or after (1); names only. */
enum err mfs_paths_add(struct mfs_paths *p, unsigned side, uint32_t inode,
	const struct mfs_path *path, struct error *err) MUST_CHECK;

/* Whether the inode stands for another file before and after. */
typedef bool mfs_paths_new_fn(const void *arg, uint32_t inode);

/* Tell what differs; what was added is used up. */
enum err mfs_paths_tell(struct mfs_paths *p, mfs_paths_new_fn *is_new,
	const void *new_arg, const struct mfs_compare_fn *fn,
	struct mfs_compare_counts *counts, struct error *err) MUST_CHECK;

#endif /* ENGINE_MFS_PATHS_H */
