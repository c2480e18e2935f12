/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli: what every command shares: how commands and their flags are declared,
 * what was given on the command line, and how a command ends.
 *
 * A command is a row of a table: its name, its flags, one line of help for
 * each, and a function.  Parsing, `coffer help` and shell completion are all
 * made from these tables.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/compiler.h"
#include "base/err.h"

/* Exit statuses; coffer(1) documents them. */
enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1, /* nothing was committed */
	EXIT_USAGE = 2,
	EXIT_INCOMPLETE = 3, /* done, but for what was reported */
	EXIT_NO_REPOSITORY = 10,
	EXIT_WRONG_PASSWORD = 12,
	EXIT_INTERRUPTED = 130
};

/* OPTIONAL: "--name" or "--name=VALUE". */
enum flag_kind { FLAG_BOOL, FLAG_OPTIONAL, FLAG_TEXT, FLAG_LIST };

struct flag {
	const char *name; /* "--name" */
	char letter; /* "-n"; 0: none */
	enum flag_kind kind;
	const char *value; /* "FILE": how help calls its value */
	const char *help;
};

struct cli;

struct command {
	const char *name; /* "backup", or "key add" */
	const char *operands; /* "PATH..." */
	const char *summary;
	const struct flag *flags; /* ends with a NULL name; may be NULL */
	size_t operands_min, operands_max;
	enum err (*run)(struct cli *c, struct error *err);
};

/* One flag as it was given. */
struct given {
	const struct flag *flag;
	const char *value;
};

struct cli {
	const struct command *command;
	struct given *given;
	size_t n_given;
	char **operands;
	size_t n_operands;

	/* what several commands ask */
	bool json, quiet, is_terminal;
	unsigned verbose;

	/* set by a command that is done, but not entirely */
	bool incomplete;
	/* what a failure means, where EXIT_FAILED does not say enough */
	enum exit_status failed_as;
	/* the exit status of a command that was run, where coffer's own would
	 * be EXIT_DONE */
	int passed_on;
};

extern const struct flag global_flags[];
extern const struct command *const commands[];

/* Asserted to be declared by the command or globally. */
bool flag_on(const struct cli *c, const char *name);
unsigned flag_count(const struct cli *c, const char *name);
/* The last one given, or NULL. */
const char *flag_text(const struct cli *c, const char *name);
/* The next one after *at (begin with 0), or NULL. */
const char *flag_next(const struct cli *c, const char *name, size_t *at);

/* Parse everything into c, which cli_fini ends.  ERR_USAGE. */
enum err cli_parse(struct cli *c, int argc, char **argv,
	struct error *err) MUST_CHECK;
void cli_fini(struct cli *c);

/* Finds a command by the words at argv; *used tells how many it took. */
const struct command *command_find(char *const *words, size_t n, size_t *used);

/* A sentence on standard error (a JSON object with --json). */
void cli_warn(const struct cli *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Standard output, buffered; a failure to write it fails the command. */
enum err cli_flush(struct error *err) MUST_CHECK;

/* Set by SIGINT and SIGTERM. */
extern _Atomic bool cli_stop;

#endif /* CLI_CLI_H */
