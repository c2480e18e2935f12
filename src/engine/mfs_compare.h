/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_compare: which names a MooseFS had at one moment and not at another.
 *
 * Where the second snapshot's image is not younger than the first moment, and
 * both are of one history, the lines between the moments tell, and only the
 * inodes that they name are held: what is renamed with its directory is not
 * told.  Else all names of both are held, from the images and the lines behind
 * them, and each path is compared.
 *
 * An inode that has another path is renamed; one whose number was used again,
 * as far as the lines tell, was removed and added.
 *
 * Memory: conf.memory_max (format/mfs_edges.h tells what a name costs), a half
 * of it for each side where all names are held, and as much for the
 * differences.  One thread.
 */
#ifndef ENGINE_MFS_COMPARE_H
#define ENGINE_MFS_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "engine/mfs_moment.h"
#include "engine/mfs_set.h"
#include "format/mfs_log.h"

enum { COMPARE_MEMORY = 1 << 30 };

struct mfs_compare_side {
	struct mfs_set *set;
	struct mfs_moment at; /* NONE: at the end of its log */
};

struct mfs_compare_counts {
	uint64_t added, removed, renamed;
};

struct mfs_difference {
	enum { MFS_ADDED, MFS_REMOVED, MFS_RENAMED } kind;
	uint32_t inode;
	/* As in engine/mfs_history.h; RENAMED: path is the old one. */
	struct mfs_text path, path_to;
};

/* Differences come sorted by directory (of path), then by name; before those of
 * a directory their counts.  What is given is borrowed.  Either may be NULL. */
struct mfs_compare_fn {
	enum err (*directory)(void *arg, struct mfs_text path,
		const struct mfs_compare_counts *counts, struct error *err);
	enum err (*name)(void *arg, const struct mfs_difference *d,
		struct error *err);
	void *arg;
};

struct mfs_compare_result {
	bool by_lines;
	uint64_t last_a, last_b; /* the last changes of the two moments */
	struct mfs_compare_counts counts;
	uint64_t gaps; /* changes that made names which are not known */
};

/* memory_max 0: COMPARE_MEMORY.  ERR_NOTFOUND where a moment is not in its
 * snapshot. */
enum err mfs_compare_run(const struct mfs_compare_side *a,
	const struct mfs_compare_side *b, size_t memory_max,
	const struct mfs_compare_fn *fn, struct mfs_compare_result *result,
	struct error *err) MUST_CHECK;

#endif /* ENGINE_MFS_COMPARE_H */
