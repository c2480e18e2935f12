/* SPDX-License-Identifier: Apache-2.0 */
/* restore_xattrs: extended attributes as the snapshot has them. */
#ifndef ENGINE_RESTORE_XATTRS_H
#define ENGINE_RESTORE_XATTRS_H

#include "engine/restore_attrs.h"

/* Set those of the block. */
enum err restore_xattrs_set(struct restoring *r, const struct spot *at,
	struct bytes block, struct error *err) MUST_CHECK;

/*
 * Take away those that the block has not: user, trusted, POSIX ACLs and file
 * capabilities.  Others (labels of security modules) belong to the target's
 * system.
 */
enum err restore_xattrs_drop(const struct spot *at, struct bytes block,
	struct error *err) MUST_CHECK;

/* Whether what is made in this directory gets an ACL from it. */
bool restore_xattrs_hands_on(int fd);
/* Take that away from a directory that was just made. */
void restore_xattrs_forget_acl(int fd);

#endif /* ENGINE_RESTORE_XATTRS_H */
