/* SPDX-License-Identifier: Apache-2.0 */
/* unsealed: whether a generation's directory holds what is in no repository
 * yet, by the names of its files, without reading them. */
#ifndef SOURCE_MOOSEFS_UNSEALED_H
#define SOURCE_MOOSEFS_UNSEALED_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"

/* False for one that has no image: nothing can be made of it. */
enum err unsealed_look(const char *dir, bool *out,
	struct error *err) MUST_CHECK;

#endif /* SOURCE_MOOSEFS_UNSEALED_H */
