/* SPDX-License-Identifier: Apache-2.0 */
/* restore_moosefs_owner: whose a master's files are to be. */
#ifndef ENGINE_RESTORE_MOOSEFS_OWNER_H
#define ENGINE_RESTORE_MOOSEFS_OWNER_H

#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"

enum { RESTORE_MOOSEFS_WHO = 80 };

/*
 * USER[:GROUP], names or numbers; without a group that of the user.  NULL: the
 * user mfs, where we are root and there is one, else who we are.  ERR_USAGE
 * where there is no such user or group.
 */
enum err restore_moosefs_owner(const char *text, uid_t *uid, gid_t *gid,
	struct error *err) MUST_CHECK;

/* As WORKING_USER and WORKING_GROUP take them: a name, or "#NUMBER". */
void restore_moosefs_owner_names(uid_t uid, gid_t gid,
	char user[RESTORE_MOOSEFS_WHO], char group[RESTORE_MOOSEFS_WHO]);

#endif /* ENGINE_RESTORE_MOOSEFS_OWNER_H */
