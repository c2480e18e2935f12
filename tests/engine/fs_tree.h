/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_tree: directory trees with everything that a file system can hold, made
 * and compared without any code of the program.
 */
#ifndef TESTS_ENGINE_FS_TREE_H
#define TESTS_ENGINE_FS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/prng.h"

/* One of each: types, attributes, names, links, holes.  What needs root is
 * left out where we are not. */
void fs_tree_nasty(const char *path, uint64_t seed);

/* About n entries; another seed gives another tree with many names and some
 * stamps in common. */
void fs_tree_random(const char *path, uint64_t seed, unsigned n);

/* A chain of depth directories, and a file in the last one. */
void fs_tree_deep(const char *path, unsigned depth);

enum {
	FS_NO_OWNER = 1, /* owners differ, and with them set-user-ID */
	FS_NO_DEVICES = 2, /* b has none */
	FS_NO_TRUSTED = 4, /* b has only user.* attributes and ACLs, no flags */
	FS_NO_DIRS = 8, /* mode, times and attributes of directories */
	FS_PARTLY = 16 /* b lacks some; what directories say differs */
};

/* Whether b is a; why: the first difference. */
bool fs_tree_equal(const char *a, const char *b, int leave_out, char *why,
	size_t why_len);

/* A number that changes when anything in the tree does. */
uint64_t fs_tree_sum(const char *path);

void fs_tree_remove(const char *path);

void fs_write(const char *path, const void *data, size_t len);
/* len bytes of that seed. */
void fs_write_random(const char *path, uint64_t seed, size_t len);

#endif /* TESTS_ENGINE_FS_TREE_H */
