/* SPDX-License-Identifier: Apache-2.0 */
/* prune_flags: pruning as several commands offer it: its flags, a run, and
 * what is told of it. */
#ifndef CLI_PRUNE_FLAGS_H
#define CLI_PRUNE_FLAGS_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"
#include "cli/cli.h"
#include "engine/prune.h"
#include "repo/repo.h"

/* The command declares --dry-run itself. */
#define PRUNE_FLAGS                                                           \
	{ "max-unused", 0, FLAG_TEXT, "LIMIT",                                \
		"move what is used out of packs until no more than this is "  \
		"unused: 5%, a size, or unlimited (default: 5%)" },           \
		{ "max-repack", 0, FLAG_TEXT, "SIZE",                         \
			"move at most so much (default: all)" },              \
		{ "delay", 0, FLAG_TEXT, "TIME",                              \
			"from the choice to the deletion, as 7d (default: "   \
			"0)" },                                               \
		{ "grace", 0, FLAG_TEXT, "TIME",                              \
			"a backup without a sign of life for so long is "     \
			"ended (default: 24h)" },                             \
		{ "wait", 0, FLAG_TEXT, "TIME",                               \
			"for running backups to end (default: 0)" },          \
	{                                                                     \
		"workers", 0, FLAG_TEXT, "N", "threads (default: processors)" \
	}

/* ERR_USAGE. */
enum err prune_flags_fill(struct prune_conf *conf, const struct cli *c,
	struct error *err) MUST_CHECK;

/* Prune, with progress, and print what came of it. */
enum err prune_flags_run(struct cli *c, struct repo *r,
	const struct prune_conf *conf, struct error *err) MUST_CHECK;

#endif /* CLI_PRUNE_FLAGS_H */
