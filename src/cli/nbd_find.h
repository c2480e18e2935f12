/* SPDX-License-Identifier: Apache-2.0 */
/* nbd_find: whether nbdkit is there, and where our plugin of it is. */
#ifndef CLI_NBD_FIND_H
#define CLI_NBD_FIND_H

#include "base/compiler.h"
#include "base/err.h"

enum { NBD_FIND_MAX = 4096 };

/* The plugin's file: beside the program where that was not installed.
 * ERR_NOTFOUND, also where nbdkit is not in PATH, with a sentence that tells
 * what to install. */
enum err nbd_find(char plugin[NBD_FIND_MAX], struct error *err) MUST_CHECK;

#endif /* CLI_NBD_FIND_H */
