/* SPDX-License-Identifier: Apache-2.0 */
/* rbd_files: files of difference streams that were named on the command
 * line. */
#ifndef CLI_RBD_FILES_H
#define CLI_RBD_FILES_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"
#include "cli/cli.h"
#include "format/rbd_file.h"

/* path "-" is standard input.  seek: see rbd_in_open_file.  Errors name the
 * file. */
enum err rbd_files_open(struct rbd_file **f, const char *path, bool seek,
	struct error *err) MUST_CHECK;

/* At the end of a file: warn of what rbd ignores. */
enum err rbd_files_trailing(const struct cli *c, struct rbd_file *f,
	const char *path, struct error *err) MUST_CHECK;

/* Read a file to its end.  chain: what it has to go on with; or NULL. */
enum err rbd_files_check(const struct cli *c, const char *path, bool seek,
	struct rbd_chain *chain, struct error *err) MUST_CHECK;

#endif /* CLI_RBD_FILES_H */
