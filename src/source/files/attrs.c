/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attrs: what cannot be opened without effects (devices, FIFOs) or at all
 * (links, sockets) is reached through the path /proc/self/fd/DIRECTORY/NAME,
 * as there is no lgetxattrat before Linux 6.13.
 */
#include "source/files/attrs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fsx.h"
#include "model/path.h"

enum {
	LIST_FIRST = 1024,
	VALUE_FIRST = 256,
	PROC_PATH_MAX = COMPONENT_MAX + 32
};

/* An open file, or where fd is negative the file at path, not followed. */
struct place {
	int fd;
	const char *path;
};

static ssize_t
list(const struct place *at, char *names, size_t len)
{
	return at->fd >= 0 ? flistxattr(at->fd, names, len)
			   : llistxattr(at->path, names, len);
}

static ssize_t
get(const struct place *at, const char *name, void *value, size_t len)
{
	return at->fd >= 0 ? fgetxattr(at->fd, name, value, len)
			   : lgetxattr(at->path, name, value, len);
}

struct attr {
	struct bytes name, value;
	size_t off; /* of the value in values */
};

struct attr_set {
	struct buf list; /* names, each with a NUL */
	struct buf values;
	struct attr *v;
	size_t n;
};

static void
attr_set_fini(struct attr_set *set)
{
	buf_fini(&set->list);
	buf_fini(&set->values);
	free(set->v);
}

/* All names; none where the file system knows no attributes. */
static enum err
read_list(struct buf *out, const struct place *at, struct error *err)
{
	size_t room = LIST_FIRST;

	for (;;) {
		enum err rc = buf_reserve(out, room, err);
		ssize_t got;

		if (rc != ERR_OK)
			return rc;
		got = list(at, (char *)out->data, room);
		if (got >= 0) {
			out->len = (size_t)got;
			return ERR_OK;
		}
		if (errno == ENOTSUP || errno == ENOSYS)
			return ERR_OK;
		if (errno != ERANGE || room > XATTR_LIST_MAX)
			return err_sys(err, errno, "list extended attributes");
		room *= 4;
	}
}

/* Append the value of a; *gone where it is no longer there. */
static enum err
read_value(struct buf *out, const struct place *at, struct attr *a, bool *gone,
	struct error *err)
{
	size_t room = VALUE_FIRST;

	*gone = false;
	a->off = out->len;
	for (;;) {
		enum err rc = buf_reserve(out, room, err);
		ssize_t got;

		if (rc != ERR_OK)
			return rc;
		got = get(at, (const char *)a->name.data, out->data + out->len,
			room);
		if (got >= 0) {
			a->value.len = (size_t)got;
			out->len += (size_t)got;
			return ERR_OK;
		}
		if (errno == ENODATA || errno == ENOTSUP) {
			*gone = true;
			return ERR_OK;
		}
		if (errno != ERANGE || room > XATTR_SIZE_MAX)
			return err_sys(err, errno, "read extended attribute %s",
				(const char *)a->name.data);
		room *= 4;
	}
}

static int
by_name(const void *a, const void *b)
{
	const struct attr *x = a, *y = b;

	return key_cmp(x->name.data, x->name.len, y->name.data, y->name.len);
}

/* The names in ascending order, from a list whose last byte is a NUL. */
static enum err
split_list(struct attr_set *set, struct error *err)
{
	const uint8_t *p = set->list.data, *end = p + set->list.len;
	size_t n = 0;

	for (const uint8_t *q = p; q < end; q++)
		n += *q == 0;
	set->v = calloc(n + 1, sizeof(*set->v));
	if (set->v == NULL)
		return err_set(err, ERR_NOMEM,
			"no memory for %zu extended attributes", n);
	while (set->n < n) {
		size_t len = strlen((const char *)p);

		set->v[set->n++].name = (struct bytes){ p, len };
		p += len + 1;
	}
	qsort(set->v, n, sizeof(*set->v), by_name);
	return ERR_OK;
}

static enum err
encode(struct buf *block, const struct attr_set *set, struct error *err)
{
	struct bytes *names = calloc(2 * set->n + 1, sizeof(*names));
	struct bytes *values;
	enum err rc;

	if (names == NULL)
		return err_set(err, ERR_NOMEM,
			"no memory for %zu extended attributes", set->n);
	values = names + set->n;
	for (size_t i = 0; i < set->n; i++) {
		names[i] = set->v[i].name;
		values[i].data = set->values.data + set->v[i].off;
		values[i].len = set->v[i].value.len;
	}
	rc = xattrs_encode(block, names, values, set->n, err);
	free(names);
	return rc;
}

static enum err
read_set(struct buf *block, struct attr_set *set, const struct place *at,
	struct error *err)
{
	size_t n = 0;
	enum err rc;

	rc = split_list(set, err);
	for (size_t i = 0; i < set->n && rc == ERR_OK; i++) {
		bool gone;

		set->v[n] = set->v[i];
		rc = read_value(&set->values, at, &set->v[n], &gone, err);
		n += gone ? 0 : 1;
	}
	if (rc != ERR_OK)
		return rc;
	set->n = n;
	return n > 0 ? encode(block, set, err) : ERR_OK;
}

static enum err
read_xattrs(struct entry *e, struct buf *block, const struct place *at,
	struct error *err)
{
	struct attr_set set = {
		.list = BUF_INIT((size_t)8 * XATTR_LIST_MAX),
		.values = BUF_INIT(ATTRS_MAX),
	};
	char none[1];
	enum err rc;

	buf_clear(block);
	e->xattrs = (struct bytes){ 0 };
	/* Most files have none. */
	if (list(at, none, 0) == 0)
		return ERR_OK;
	rc = read_list(&set.list, at, err);
	if (rc == ERR_OK && set.list.len > 0)
		rc = read_set(block, &set, at, err);
	if (rc == ERR_OK)
		e->xattrs = (struct bytes){ block->data, block->len };
	attr_set_fini(&set);
	return rc;
}

static void
read_flags(struct entry *e, int fd)
{
	/* The kernel writes an int, some FUSE servers a long. */
	long flags = 0;

	e->has_flags = ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;
	e->flags = e->has_flags ? (uint32_t)flags : 0;
}

enum err
attrs_of_fd(struct entry *e, struct buf *block, int fd, struct error *err)
{
	const struct place at = { .fd = fd };

	read_flags(e, fd);
	return read_xattrs(e, block, &at, err);
}

static int
open_dir(int at, const char *name)
{
	int flags =
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = openat(at, name, flags | O_NOATIME);

	if (fd < 0 && errno == EPERM)
		fd = openat(at, name, flags);
	return fd;
}

enum err
attrs_of_name(struct entry *e, struct buf *block, int at, const char *name,
	struct error *err)
{
	char path[PROC_PATH_MAX];
	const struct place place = { .fd = -1, .path = path };
	struct stat st;
	enum err rc;
	int fd;

	if (e->type == ENTRY_DIR) {
		fd = open_dir(at, name);
		if (fd >= 0) {
			rc = attrs_of_fd(e, block, fd, err);
			fsx_close(&fd);
			return rc;
		}
		/* Without permission there is the other way; the flags are
		 * not to be lost for want of a descriptor. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			return err_sys(err, errno, "open the directory");
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", at, name);
	rc = read_xattrs(e, block, &place, err);
	if (rc != ERR_NOTFOUND)
		return rc;
	/* It is gone, or /proc is. */
	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return ERR_OK;
	return err_set(err, ERR_IO,
		"extended attributes are not read without /proc");
}

enum err
attrs_target(struct buf *out, int at, const char *name, struct error *err)
{
	size_t room = 256;

	buf_clear(out);
	for (;;) {
		enum err rc = buf_reserve(out, room, err);
		ssize_t got;

		if (rc != ERR_OK)
			return rc;
		got = readlinkat(at, name, (char *)out->data, room);
		if (got < 0)
			return err_sys(err, errno, "read the symbolic link");
		if ((size_t)got < room) {
			out->data[got] = 0;
			out->len = (size_t)got;
			return ERR_OK;
		}
		if (room > TARGET_MAX / 4)
			return err_set(err, ERR_IO,
				"the symbolic link is too long");
		room *= 4;
	}
}
