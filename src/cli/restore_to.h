/* SPDX-License-Identifier: Apache-2.0 */
/* restore_to: restore --to TARGET, where what comes back is not files below a
 * directory. */
#ifndef CLI_RESTORE_TO_H
#define CLI_RESTORE_TO_H

#include "base/compiler.h"
#include "base/err.h"
#include "cli/cli.h"

/* Its flags, for the table of the command. */
#define RESTORE_TO_FLAGS                                                     \
	{ "to", 0, FLAG_TEXT, "TARGET",                                      \
		"write an image: rbd:POOL/IMAGE, raw:FILE, qcow2:FILE, "     \
		"device:/dev/NAME, -; or a set: moosefs:DIR" },              \
		{ "option", 'o', FLAG_LIST, "NAME=VALUE",                    \
			"an option of the target; see \"coffer help target " \
			"NAME\"" },                                          \
	{                                                                    \
		"mark-every", 0, FLAG_TEXT, "SIZE",                          \
			"what is done twice at most after a kill "           \
			"(default: 1G, or what takes 5 s)"                   \
	}

/* The command has --to. */
enum err restore_to_run(struct cli *c, struct error *err) MUST_CHECK;

#endif /* CLI_RESTORE_TO_H */
