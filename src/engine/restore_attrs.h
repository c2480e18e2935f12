/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_attrs: what an entry has beside its content, brought to where it
 * belongs: owner, then extended attributes (a change of owner takes away file
 * capabilities), then mode (a change of owner takes away set-user-ID), then
 * times, and last the flags, after which nothing may be changed any more.
 *
 * Users and groups are found by name first and by number where the name is
 * not known here, as tar and rsync do.  What our rights or the target's file
 * system refuse is counted once a kind (restoring_refused) and is no error.
 */
#ifndef ENGINE_RESTORE_ATTRS_H
#define ENGINE_RESTORE_ATTRS_H

#include <sys/stat.h>
#include <sys/types.h>

#include "engine/restoring.h"

struct attrs {
	enum entry_type type;
	uint32_t mode;
	uid_t uid;
	gid_t gid;
	struct timespec mtime;
	bool has_flags;
	uint32_t flags; /* those that can be set */
	size_t xattrs_len;
	const uint8_t *xattrs; /* as xattrs_encode wrote them */
};

/* An open file, or where fd is negative the name in dirfd. */
struct spot {
	int fd;
	int dirfd;
	const char *name;
};

/* What is known of what stands at the spot. */
struct have {
	uid_t uid;
	gid_t gid;
	uint32_t mode; /* HAVE_MODE_UNKNOWN */
	bool clean; /* we made it: it has no extended attributes */
};

#define HAVE_MODE_UNKNOWN UINT32_MAX

/* All but the extended attributes, which stay where e has them. */
void restore_attrs_of(struct restoring *r, const struct entry *e,
	struct attrs *a);

struct have restore_attrs_have(const struct stat *st);

/* All but the flags.  A failure that is none of the refusals. */
enum err restore_attrs_set(struct restoring *r, const struct attrs *a,
	const struct spot *at, const struct have *have,
	struct error *err) MUST_CHECK;
/* The flags, after which it cannot even be renamed. */
enum err restore_attrs_flags(struct restoring *r, const struct attrs *a,
	const struct spot *at, const struct have *have,
	struct error *err) MUST_CHECK;

/* Flags that must be there before the first byte (no copy on write,
 * compression); what is refused is told by restore_attrs_set. */
void restore_attrs_early(const struct attrs *a, int fd);

/* Take away what forbids changes (immutable, append only) and tell what flags
 * there were, 0 where it has none.  fd may be a directory. */
uint32_t restore_attrs_unlock(int fd);
void restore_attrs_lock(int fd, uint32_t flags);
/* The same for a name that is about to be replaced. */
void restore_attrs_unlock_name(int dirfd, const char *name);

/* Sentences for what was refused, to the report. */
void restore_attrs_tell(struct restoring *r);

#endif /* ENGINE_RESTORE_ATTRS_H */
