/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/jsonl.h"
#include "repo/config.h"
#include "source/source.h"

static enum err
run_help(struct cli *c, struct error *err)
{
	const struct source_ops *ops;
	const struct command *cmd;
	size_t used;

	if (c->n_operands == 0) {
		help_print(stdout, NULL);
		return ERR_OK;
	}
	if (strcmp(c->operands[0], "source") == 0 && c->n_operands == 2) {
		ops = source_driver(c->operands[1]);
		if (ops == NULL)
			return err_set(err, ERR_USAGE, "no source \"%s\"",
				c->operands[1]);
		help_source(stdout, ops);
		return ERR_OK;
	}
	if (strcmp(c->operands[0], "source") == 0) {
		for (size_t i = 0; source_drivers[i] != NULL; i++)
			(void)printf("  %-14s %s\n", source_drivers[i]->scheme,
				source_drivers[i]->summary);
		return ERR_OK;
	}
	cmd = command_find(c->operands, c->n_operands, &used);
	if (cmd == NULL)
		return err_set(err, ERR_USAGE, "no command \"%s\"",
			c->operands[0]);
	help_print(stdout, cmd);
	return ERR_OK;
}

const struct command cmd_help = {
	.name = "help",
	.operands = "[COMMAND | source [NAME]]",
	.summary = "Tell how a command is used, or what options a source has",
	.operands_max = 2,
	.run = run_help,
};

static enum err
run_completion(struct cli *c, struct error *err)
{
	if (strcmp(c->operands[0], "bash") == 0)
		help_bash(stdout);
	else if (strcmp(c->operands[0], "zsh") == 0)
		help_zsh(stdout);
	else
		return err_set(err, ERR_USAGE, "completion is for bash or zsh");
	return ERR_OK;
}

const struct command cmd_completion = {
	.name = "completion",
	.operands = "bash|zsh",
	.summary = "Print a completion script for the shell",
	.operands_min = 1,
	.operands_max = 1,
	.run = run_completion,
};

static enum err
run_version(struct cli *c, struct error *err)
{
	struct jsonl *j;

	if (!c->json) {
		(void)printf("coffer %s (repository format %d)\n",
			COFFER_VERSION, FORMAT_VERSION);
		return ERR_OK;
	}
	j = jsonl_new("version");
	jsonl_str(j, "version", COFFER_VERSION);
	jsonl_uint(j, "format", FORMAT_VERSION);
	jsonl_print(j, stdout);
	return ERR_OK;
}

const struct command cmd_version = {
	.name = "version",
	.operands = "",
	.summary = "Print the program's version",
	.run = run_version,
};
