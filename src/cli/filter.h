/* SPDX-License-Identifier: Apache-2.0 */
/* filter: which snapshots the flags of a command leave. */
#ifndef CLI_FILTER_H
#define CLI_FILTER_H

#include "base/compiler.h"
#include "base/err.h"
#include "cli/cli.h"
#include "engine/select.h"

#define FILTER_FLAGS                                                       \
	{ "host", 'H', FLAG_TEXT, "NAME", "snapshots of this host" },      \
		{ "tag", 0, FLAG_LIST, "TAG", "snapshots with this tag" }, \
	{                                                                  \
		"path", 0, FLAG_LIST, "SOURCE",                            \
			"snapshots of this path or source"                 \
	}

enum err filter_fill(struct snapshot_filter *f, const struct cli *c,
	struct error *err) MUST_CHECK;
void filter_fini(struct snapshot_filter *f);

#endif /* CLI_FILTER_H */
