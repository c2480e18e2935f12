/* SPDX-License-Identifier: Apache-2.0 */
/* to_moosefs: restore --to moosefs:DIR. */
#ifndef CLI_TO_MOOSEFS_H
#define CLI_TO_MOOSEFS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/compiler.h"
#include "base/err.h"
#include "cli/cli.h"

/* Whether --to names one; then the directory. */
const char *to_moosefs_dir(const char *to);

enum err to_moosefs_restore(struct cli *c, const char *dir,
	struct error *err) MUST_CHECK;

/* For "coffer help target": one line; the options. */
void to_moosefs_summary(FILE *out);
void to_moosefs_help(FILE *out);

#endif /* CLI_TO_MOOSEFS_H */
