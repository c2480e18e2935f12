/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dir_write: a file that comes into being whole, durable and only once.
 *
 * Any number of threads and processes may create in one directory at once.
 */
#ifndef STORE_DIR_WRITE_H
#define STORE_DIR_WRITE_H

#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"

/* Best first.  A file system that lacks one is served by the next. */
enum dir_way {
	DIR_WAY_TMPFILE, /* nameless until linked: a crash leaves nothing */
	DIR_WAY_LINK, /* a temporary name, linked to the real one */
	DIR_WAY_RENAME, /* a temporary name, renamed without replacing */
	DIR_WAY_END
};

struct dir_file {
	int dirfd;
	const char *leaf; /* the name within dirfd */
	const void *data;
	size_t len;
	const char *what; /* names the file in messages */
};

/*
 * Create f->leaf.  *way says which way to begin with, and is moved on to the
 * one that served.  ERR_EXISTS where a file has the name: that one was made
 * durable before.  ERR_USAGE where something else has it.  ERR_AGAIN where
 * somebody deleted the file, or its temporary, at the same moment.
 */
enum err dir_write(const struct dir_file *f, _Atomic int *way,
	struct error *err) MUST_CHECK;

/* Remove the temporaries in dirfd whose writers are dead.  What cannot be
 * removed stays. */
void dir_write_sweep(int dirfd);

#endif /* STORE_DIR_WRITE_H */
