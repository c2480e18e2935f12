/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_xattrs: what has no descriptor (links, devices) is reached through
 * /proc/self/fd/DIRECTORY/NAME, as there is no lsetxattrat before Linux 6.13.
 */
#include "engine/restore_xattrs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "model/path.h"

enum { PROC_PATH = COMPONENT_MAX + 40, NAME_ROOM = 256 };

static const char acl_default[] = "system.posix_acl_default";
static const char acl_access[] = "system.posix_acl_access";

static void
proc_path(char path[PROC_PATH], const struct spot *at)
{
	(void)snprintf(path, PROC_PATH, "/proc/self/fd/%d/%s", at->dirfd,
		at->name);
}

static int
set_one(const struct spot *at, const char *name, struct bytes value)
{
	char path[PROC_PATH];

	if (at->fd >= 0)
		return fsetxattr(at->fd, name, value.data, value.len, 0);
	proc_path(path, at);
	return lsetxattr(path, name, value.data, value.len, 0);
}

static int
remove_one(const struct spot *at, const char *name)
{
	char path[PROC_PATH];

	if (at->fd >= 0)
		return fremovexattr(at->fd, name);
	proc_path(path, at);
	return lremovexattr(path, name);
}

static ssize_t
list(const struct spot *at, char *names, size_t len)
{
	char path[PROC_PATH];

	if (at->fd >= 0)
		return flistxattr(at->fd, names, len);
	proc_path(path, at);
	return llistxattr(path, names, len);
}

/* Refused by our rights or by the file system, which may know none or no
 * large ones: told once for all. */
static bool
is_refusal(int errnum)
{
	return errnum == EPERM || errnum == EACCES || errnum == ENOTSUP ||
	       errnum == EINVAL || errnum == ENOSYS;
}

enum err
restore_xattrs_set(struct restoring *r, const struct spot *at,
	struct bytes block, struct error *err)
{
	struct bytes name, value;
	char text[NAME_ROOM];
	struct xattr_iter it;
	int refused = 0;
	enum err rc;

	rc = xattrs_open(&it, block, err);
	if (rc != ERR_OK)
		return rc;
	while (xattrs_next(&it, &name, &value)) {
		memcpy(text, name.data, name.len);
		text[name.len] = '\0';
		if (set_one(at, text, value) == 0)
			continue;
		if (is_refusal(errno)) {
			refused = errno;
			continue;
		}
		(void)err_sys(err, errno, "set extended attribute %s", text);
		/* No room for an attribute is not a full disk. */
		err->code = ERR_IO;
		return ERR_IO;
	}
	if (refused != 0)
		restoring_refused(r, REFUSED_XATTR, refused);
	return ERR_OK;
}

static bool
is_ours(const char *name)
{
	return strncmp(name, "user.", 5) == 0 ||
	       strncmp(name, "trusted.", 8) == 0 ||
	       strcmp(name, "security.capability") == 0 ||
	       strcmp(name, acl_access) == 0 || strcmp(name, acl_default) == 0;
}

static bool
block_has(struct bytes block, const char *name)
{
	struct error err = ERROR_INIT;
	struct bytes have, value;
	struct xattr_iter it;

	if (block.len == 0 || xattrs_open(&it, block, &err) != ERR_OK)
		return false;
	while (xattrs_next(&it, &have, &value))
		if (have.len == strlen(name) &&
			memcmp(have.data, name, have.len) == 0)
			return true;
	return false;
}

enum err
restore_xattrs_drop(const struct spot *at, struct bytes block,
	struct error *err)
{
	char few[NAME_ROOM], *names = few;
	ssize_t len = list(at, few, sizeof(few));

	if (len < 0 && errno == ERANGE) {
		names = malloc(XATTR_LIST_MAX);
		if (names == NULL)
			return err_set(err, ERR_NOMEM, "out of memory");
		len = list(at, names, XATTR_LIST_MAX);
	}
	for (const char *p = names; len > 0 && p < names + len;
		p += strlen(p) + 1)
		if (is_ours(p) && !block_has(block, p))
			(void)remove_one(at, p);
	if (names != few)
		free(names);
	return ERR_OK;
}

bool
restore_xattrs_hands_on(int fd)
{
	return fgetxattr(fd, acl_default, NULL, 0) > 0;
}

void
restore_xattrs_forget_acl(int fd)
{
	(void)fremovexattr(fd, acl_default);
	(void)fremovexattr(fd, acl_access);
}
