/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outfile: a file that a command makes, or standard output.
 *
 *   outfile_open -> its fd is written to -> outfile_commit -> outfile_close
 *
 * The file has a temporary name beside its own until it is committed; nothing
 * is ever overwritten.  outfile_close without a commit leaves nothing behind.
 */
#ifndef CLI_OUTFILE_H
#define CLI_OUTFILE_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"

struct outfile {
	int fd;
	const char *name; /* for messages */
	bool is_stdout;
	char *path, *tmp; /* NULL: standard output */
};

/* path "-" is standard output.  ERR_EXISTS. */
enum err outfile_open(struct outfile *o, const char *path,
	struct error *err) MUST_CHECK;

/* Durable, and under its name.  ERR_EXISTS where somebody was faster. */
enum err outfile_commit(struct outfile *o, struct error *err) MUST_CHECK;

/* A zeroed one is allowed. */
void outfile_close(struct outfile *o);

/* For struct rbd_out: arg is a struct outfile. */
enum err outfile_write(void *arg, const void *data, size_t len,
	struct error *err) MUST_CHECK;

#endif /* CLI_OUTFILE_H */
