/* SPDX-License-Identifier: Apache-2.0 */
/* tags: the --tag flags of commands that make snapshots. */
#ifndef CLI_TAGS_H
#define CLI_TAGS_H

#include "base/compiler.h"
#include "base/err.h"
#include "cli/cli.h"
#include "model/snapshot.h"

/* Added to tags; "--tag a,b" is two. */
enum err tags_fill(struct strings *tags, const struct cli *c,
	struct error *err) MUST_CHECK;

#endif /* CLI_TAGS_H */
