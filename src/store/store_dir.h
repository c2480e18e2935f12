/* SPDX-License-Identifier: Apache-2.0 */
/* store_dir: objects as files below one directory. */
#ifndef STORE_STORE_DIR_H
#define STORE_STORE_DIR_H

#include "store/dir_write.h"
#include "store/store.h"

extern const struct store_ops store_dir_ops;

/* Create files in this way or a later one only, as on a file system that
 * lacks the earlier ones: for tests.  st is a store_dir. */
void store_dir_limit(struct store *st, enum dir_way first);

#endif /* STORE_STORE_DIR_H */
