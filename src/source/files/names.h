/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names: users and groups by number, each looked up once.
 *
 * What is returned lives as long as the table; length 0: there is no name.
 * The number of names kept is bounded; beyond it they count as not known.
 * Any thread may ask.
 */
#ifndef SOURCE_FILES_NAMES_H
#define SOURCE_FILES_NAMES_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "model/entry.h"

struct names;

enum err names_new(struct names **out, struct error *err) MUST_CHECK;
void names_free(struct names *n);

struct bytes names_user(struct names *n, uint32_t uid);
struct bytes names_group(struct names *n, uint32_t gid);

#endif /* SOURCE_FILES_NAMES_H */
