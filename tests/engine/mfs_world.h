/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_world: the history of a MooseFS that never was, as lines and as the
 * names that it has behind each of them; and snapshots of it, whole and
 * spoilt.
 */
#ifndef TESTS_ENGINE_MFS_WORLD_H
#define TESTS_ENGINE_MFS_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/engine/rig.h"
#include "tests/lib/prng.h"

enum { MFS_WORLD_LINES = 400, MFS_WORLD_NAMES = 60, MFS_WORLD_LINE = 160 };

struct mfs_world_name {
	uint32_t inode, parent; /* inode 0: free */
	bool is_dir;
	char name[24];
};

struct mfs_world {
	uint64_t id;
	struct prng dice;
	size_t n; /* lines: ids 1..n */
	char lines[MFS_WORLD_LINES + 1][MFS_WORLD_LINE]; /* with their LF */
	uint64_t seconds[MFS_WORLD_LINES + 1];
	/* names[i]: behind change i */
	struct mfs_world_name names[MFS_WORLD_LINES + 1][MFS_WORLD_NAMES];
	uint32_t next_inode;
};

/* Seconds rise, but for steps back where there are to be some. */
void mfs_world_make(struct mfs_world *w, uint64_t seed, size_t n, bool steps);

/* "/a/b" of slot k behind change i. */
void mfs_world_path(const struct mfs_world *w, size_t i, size_t k,
	char out[1024]);

/* How a snapshot of it is laid out. */
struct mfs_world_layout {
	uint64_t version; /* of an image without sections; 1: MFSM NEW */
	uint64_t image_id; /* 0: that of the world */
	uint64_t first; /* line: up to version */
	uint64_t overlap; /* lines at most that a segment has of the last one */
	uint64_t drop; /* the line that lacks, or 0 */
	uint64_t torn; /* the segment with this line lacks its last LF, or 0 */
};

/* Below dir, which is made; then a snapshot of dir. */
void mfs_world_snapshot(struct mfs_world *w, struct rig *rig, const char *dir,
	const struct mfs_world_layout *layout, struct snapshot *snap);

#endif /* TESTS_ENGINE_MFS_WORLD_H */
