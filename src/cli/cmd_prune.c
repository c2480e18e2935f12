/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/access.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/prune_flags.h"

static const struct flag prune_flags[] = {
	PRUNE_FLAGS,
	{ "dry-run", 'n', FLAG_BOOL, NULL,
		"tell what would be done; nothing is written" },
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

static enum err
run_prune(struct cli *c, struct error *err)
{
	struct access access = { NULL, NULL };
	struct prune_conf conf;
	enum err rc = prune_flags_fill(&conf, c, err);

	if (rc == ERR_OK)
		rc = conf.dry_run
			     ? access_open(&access, c, err)
			     : access_open_for(&access, c, RIGHT_MAINTAIN, err);
	if (rc == ERR_OK)
		rc = prune_flags_run(c, access.repo, &conf, err);
	access_close(&access);
	return rc;
}

const struct command cmd_prune = {
	.name = "prune",
	.operands = "",
	.summary = "Delete what no snapshot needs",
	.flags = prune_flags,
	.run = run_prune,
};
