/* SPDX-License-Identifier: Apache-2.0 */
/* help: what the tables of commands and flags say, for people and shells. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stdio.h>

#include "cli/cli.h"
#include "model/options.h"

/* One command; or, for NULL, the program. */
void help_print(FILE *out, const struct command *cmd);

/* A driver's options; NULL: none. */
void help_options(FILE *out, const char *scheme, const char *summary,
	const struct option_spec *options);

/* Scripts for the completion of bash and zsh. */
void help_bash(FILE *out);
void help_zsh(FILE *out);

#endif /* CLI_HELP_H */
