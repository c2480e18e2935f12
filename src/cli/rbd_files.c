/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/rbd_files.h"

enum err
rbd_files_open(struct rbd_file **f, const char *path, bool seek,
	struct error *err)
{
	struct rbd_in *in = NULL;
	enum err rc = rbd_in_open_file(&in, path, seek, &cli_stop, err);

	if (rc != ERR_OK)
		return rc;
	rc = rbd_file_open(f, in, err);
	if (rc != ERR_OK && rc != ERR_CANCELLED)
		(void)err_wrap(err, "%s", path);
	return rc;
}

enum err
rbd_files_trailing(const struct cli *c, struct rbd_file *f, const char *path,
	struct error *err)
{
	bool more = false;
	enum err rc = rbd_file_trailing(f, &more, err);

	if (rc == ERR_OK && more)
		cli_warn(c, "%s: what follows the end mark is ignored", path);
	return rc;
}

static enum err
check_file(const struct cli *c, struct rbd_file *f, const char *path,
	struct rbd_chain *chain, struct error *err)
{
	struct rbd_diff *d = NULL;
	enum err rc;

	for (;;) {
		rc = rbd_file_next(f, &d, err);
		if (rc == ERR_OK && d == NULL)
			return rbd_files_trailing(c, f, path, err);
		if (rc != ERR_OK)
			return rc == ERR_CANCELLED ? rc
						   : err_wrap(err, "%s", path);
		/* A wrong order names the files itself. */
		if (chain != NULL)
			rc = rbd_chain_add(chain, rbd_diff_head(d), path, err);
		if (rc != ERR_OK)
			return rc;
	}
}

enum err
rbd_files_check(const struct cli *c, const char *path, bool seek,
	struct rbd_chain *chain, struct error *err)
{
	struct rbd_file *f = NULL;
	enum err rc = rbd_files_open(&f, path, seek, err);

	if (rc == ERR_OK)
		rc = check_file(c, f, path, chain, err);
	rbd_file_close(f);
	return rc;
}
