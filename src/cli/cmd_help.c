/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/jsonl.h"
#include "cli/to_moosefs.h"
#include "repo/config.h"
#include "source/source.h"
#include "target/target.h"

static void
list_sources(void)
{
	for (size_t i = 0; source_drivers[i] != NULL; i++)
		(void)printf("  %-14s %s\n", source_drivers[i]->scheme,
			source_drivers[i]->summary);
}

static void
list_targets(void)
{
	for (size_t i = 0; target_drivers[i] != NULL; i++)
		(void)printf("  %-14s %s\n", target_drivers[i]->scheme,
			target_drivers[i]->summary);
	to_moosefs_summary(stdout);
}

static enum err
help_driver(const char *kind, const char *name, struct error *err)
{
	const struct source_ops *ops = source_driver(name);
	size_t i = 0;

	if (strcmp(kind, "source") == 0) {
		if (ops == NULL)
			return err_set(err, ERR_USAGE, "no source \"%s\"",
				name);
		help_options(stdout, ops->scheme, ops->summary, ops->options);
		return ERR_OK;
	}
	if (strcmp(name, "moosefs") == 0) {
		to_moosefs_help(stdout);
		return ERR_OK;
	}
	while (target_drivers[i] != NULL &&
		strcmp(target_drivers[i]->scheme, name) != 0)
		i++;
	if (target_drivers[i] == NULL)
		return err_set(err, ERR_USAGE, "no target \"%s\"", name);
	help_options(stdout, name, target_drivers[i]->summary,
		target_drivers[i]->options);
	return ERR_OK;
}

static enum err
run_help(struct cli *c, struct error *err)
{
	const struct command *cmd;
	const char *first;
	size_t used;
	bool is_source, is_target;

	if (c->n_operands == 0) {
		help_print(stdout, NULL);
		return ERR_OK;
	}
	first = c->operands[0];
	is_source = strcmp(first, "source") == 0;
	is_target = strcmp(first, "target") == 0;
	if ((is_source || is_target) && c->n_operands == 2)
		return help_driver(first, c->operands[1], err);
	if (is_source || is_target) {
		if (is_source)
			list_sources();
		else
			list_targets();
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
	.operands = "[COMMAND | source [NAME] | target [NAME]]",
	.summary = "Tell how a command is used, what options a source or "
		   "target has",
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
