/* SPDX-License-Identifier: Apache-2.0 */
/* dir_walk: the objects among the files below one directory. */
#ifndef STORE_DIR_WALK_H
#define STORE_DIR_WALK_H

#include "base/compiler.h"
#include "base/err.h"
#include "store/store.h"

/*
 * Call fn for each object below the directory fd, which is taken over; its
 * path within the store is prefix, "" for the root.  What is no object (a
 * temporary, a stranger's file, a link, a device) is passed over.  A directory
 * that cannot be read is an error.
 */
enum err dir_walk(int fd, const char *prefix, store_list_fn *fn, void *arg,
	struct error *err) MUST_CHECK;

#endif /* STORE_DIR_WALK_H */
