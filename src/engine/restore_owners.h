/* SPDX-License-Identifier: Apache-2.0 */
/* restore_owners: users and groups by name, each looked up about once.  One
 * thread. */
#ifndef ENGINE_RESTORE_OWNERS_H
#define ENGINE_RESTORE_OWNERS_H

#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"
#include "model/entry.h"

struct restore_owners;

enum err restore_owners_new(struct restore_owners **out,
	struct error *err) MUST_CHECK;
void restore_owners_free(struct restore_owners *o);

/* The number of the name here; id where there is no such name. */
uid_t restore_owners_user(struct restore_owners *o, struct bytes name,
	uint32_t id);
gid_t restore_owners_group(struct restore_owners *o, struct bytes name,
	uint32_t id);

#endif /* ENGINE_RESTORE_OWNERS_H */
