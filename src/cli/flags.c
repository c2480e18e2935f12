/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flags: the command line against the tables.
 *
 * Flags of the program may stand before the command or among its own.  What
 * follows "--" is operands.
 */
#include <assert.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

/* getopt_long returns FLAG_BASE + the place in the table. */
enum { FLAG_BASE = 1000, FLAGS_MAX = 96 };

const struct flag global_flags[] = {
	{ "repository", 'r', FLAG_TEXT, "URL",
		"where the repository is: a path or file:///PATH" },
	{ "password-file", 'p', FLAG_TEXT, "FILE",
		"read the passphrase from the first line of FILE" },
	{ "password-command", 0, FLAG_TEXT, "COMMAND",
		"read the passphrase from the output of COMMAND" },
	{ "key-file", 'k', FLAG_TEXT, "FILE",
		"FILE is the passphrase, all of it (see key generate)" },
	{ "key-hint", 0, FLAG_TEXT, "KEY", "try this key first" },
	{ "cache-dir", 0, FLAG_TEXT, "DIR",
		"keep the local index here (default: ~/.cache/coffer)" },
	{ "no-cache", 0, FLAG_BOOL, NULL, "use a temporary local index" },
	{ "json", 0, FLAG_BOOL, NULL, "print JSON, one object per line" },
	{ "quiet", 'q', FLAG_BOOL, NULL, "print results and problems only" },
	{ "verbose", 'v', FLAG_BOOL, NULL, "print more; may be repeated" },
	{ "no-progress", 0, FLAG_BOOL, NULL, "show no progress" },
	{ "help", 'h', FLAG_BOOL, NULL, "print help and exit" },
	{ "version", 'V', FLAG_BOOL, NULL, "print the version and exit" },
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

struct table {
	const struct flag *flags[FLAGS_MAX];
	struct option longs[FLAGS_MAX + 1];
	char shorts[2 * FLAGS_MAX + 2];
	size_t n;
};

static const int has_arg[] = { no_argument, optional_argument,
	required_argument, required_argument };

static void
table_add(struct table *t, const struct flag *flags)
{
	char *s = t->shorts + strlen(t->shorts);

	for (; flags != NULL && flags->name != NULL; flags++) {
		assert(t->n < FLAGS_MAX);
		t->flags[t->n] = flags;
		t->longs[t->n] = (struct option){ flags->name,
			has_arg[flags->kind], NULL, FLAG_BASE + (int)t->n };
		t->n++;
		if (flags->letter == 0)
			continue;
		*s++ = flags->letter;
		if (has_arg[flags->kind] == required_argument)
			*s++ = ':';
		*s = '\0';
	}
}

static const struct flag *
table_find(const struct table *t, int code)
{
	if (code >= FLAG_BASE)
		return t->flags[code - FLAG_BASE];
	for (size_t i = 0; i < t->n; i++)
		if (t->flags[i]->letter == code)
			return t->flags[i];
	return NULL;
}

static enum err
give(struct cli *c, const struct flag *flag, const char *value,
	struct error *err)
{
	struct given *v;

	if (flag == NULL)
		return err_set(err, ERR_USAGE, "bad flag");
	v = realloc(c->given, (c->n_given + 1) * sizeof(*v));
	if (v == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	c->given = v;
	v[c->n_given++] = (struct given){ flag, value };
	return ERR_OK;
}

static enum err
bad_flag(const struct table *t, int code, char *const *argv, struct error *err)
{
	const struct flag *flag;

	if (code == ':') {
		flag = table_find(t, optopt);
		return err_set(err, ERR_USAGE, "--%s needs a value",
			flag != NULL ? flag->name : "?");
	}
	if (optopt > 0 && optopt < FLAG_BASE)
		return err_set(err, ERR_USAGE, "unknown flag -%c", optopt);
	return err_set(err, ERR_USAGE, "unknown or misused flag %s",
		argv[optind - 1]);
}

/* Parse argv[1..) by the table; *rest is the first word that is no flag. */
static enum err
parse_with(struct cli *c, struct table *t, int argc, char **argv, int *rest,
	struct error *err)
{
	enum err rc = ERR_OK;
	int code;

	optind = 0;
	opterr = 0;
	while (rc == ERR_OK) {
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs yet */
		code = getopt_long(argc, argv, t->shorts, t->longs, NULL);
		if (code == -1)
			break;
		if (code == '?' || code == ':')
			rc = bad_flag(t, code, argv, err);
		else
			rc = give(c, table_find(t, code), optarg, err);
	}
	*rest = optind;
	return rc;
}

static enum err
check_operands(const struct cli *c, struct error *err)
{
	const struct command *cmd = c->command;

	if (c->n_operands < cmd->operands_min)
		return err_set(err, ERR_USAGE,
			"%s needs %s; see \"coffer help %s\"", cmd->name,
			cmd->operands, cmd->name);
	if (c->n_operands > cmd->operands_max)
		return err_set(err, ERR_USAGE,
			"%s does not take \"%s\"; see \"coffer help %s\"",
			cmd->name, c->operands[cmd->operands_max], cmd->name);
	return ERR_OK;
}

static void
set_common(struct cli *c)
{
	c->json = flag_on(c, "json");
	c->quiet = flag_on(c, "quiet");
	c->verbose = flag_count(c, "verbose");
	c->is_terminal = isatty(STDOUT_FILENO) == 1;
}

enum err
cli_parse(struct cli *c, int argc, char **argv, struct error *err)
{
	struct table globals = { .shorts = "+:" };
	struct table all = { .shorts = ":" };
	size_t words;
	int rest;
	enum err rc;

	*c = (struct cli){ 0 };
	table_add(&globals, global_flags);
	rc = parse_with(c, &globals, argc, argv, &rest, err);
	if (rc != ERR_OK)
		return rc;
	set_common(c);
	if (rest >= argc)
		return ERR_OK;
	c->command = command_find(argv + rest, (size_t)(argc - rest), &words);
	if (c->command == NULL)
		return err_set(err, ERR_USAGE,
			"unknown command \"%s\"; see \"coffer help\"",
			argv[rest]);

	argc -= rest + (int)words - 1;
	argv += rest + (int)words - 1;
	table_add(&all, global_flags);
	table_add(&all, c->command->flags);
	rc = parse_with(c, &all, argc, argv, &rest, err);
	if (rc != ERR_OK)
		return rc;
	c->operands = argv + rest;
	c->n_operands = (size_t)(argc - rest);
	set_common(c);
	if (flag_on(c, "help") || flag_on(c, "version"))
		return ERR_OK;
	return check_operands(c, err);
}

void
cli_fini(struct cli *c)
{
	free(c->given);
	*c = (struct cli){ 0 };
}

static bool
is_declared(const struct flag *flags, const char *name)
{
	for (; flags != NULL && flags->name != NULL; flags++)
		if (strcmp(flags->name, name) == 0)
			return true;
	return false;
}

const char *
flag_next(const struct cli *c, const char *name, size_t *at)
{
	assert(is_declared(global_flags, name) ||
		(c->command != NULL && is_declared(c->command->flags, name)));
	while (*at < c->n_given) {
		const struct given *g = &c->given[(*at)++];

		if (strcmp(g->flag->name, name) == 0)
			return g->value != NULL ? g->value : "";
	}
	return NULL;
}

unsigned
flag_count(const struct cli *c, const char *name)
{
	unsigned n = 0;
	size_t at = 0;

	while (flag_next(c, name, &at) != NULL)
		n++;
	return n;
}

bool
flag_on(const struct cli *c, const char *name)
{
	return flag_count(c, name) > 0;
}

const char *
flag_text(const struct cli *c, const char *name)
{
	const char *value, *last = NULL;
	size_t at = 0;

	while ((value = flag_next(c, name, &at)) != NULL)
		last = value;
	return last;
}
