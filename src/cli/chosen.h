/* SPDX-License-Identifier: Apache-2.0 */
/* chosen: the -o NAME=VALUE flags of a command, as settings of a driver. */
#ifndef CLI_CHOSEN_H
#define CLI_CHOSEN_H

#include "base/compiler.h"
#include "base/err.h"
#include "cli/cli.h"
#include "model/options.h"

/* All zero is empty.  chosen_fini also after a failure. */
struct chosen {
	struct setting *v;
	size_t n;
	char **texts; /* copies of NAME=VALUE, cut */
	size_t n_texts;
};

/* There is room for one more setting than c has flags. */
enum err chosen_take(struct chosen *g, const struct cli *c,
	struct error *err) MUST_CHECK;
void chosen_fini(struct chosen *g);

/* One that comes from another flag; borrowed. */
void chosen_add(struct chosen *g, const char *name, const char *value);

/* Valid until the next change. */
struct settings chosen_settings(const struct chosen *g);

#endif /* CLI_CHOSEN_H */
