/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/fs_tree.h"

#include <assert.h>
#include <dirent.h>
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

enum { PATH_ROOM = 4096, BLOCK = 1 << 16 };

struct pair {
	ino_t a, b;
};

struct compare {
	int leave_out;
	char *why;
	size_t why_len;
	struct pair *links;
	size_t n_links;
	char path[PATH_ROOM]; /* for messages; cut where too long */
};

static bool
differ(struct compare *c, const char *name, const char *what)
{
	(void)snprintf(c->why, c->why_len, "%s/%s: %s", c->path, name, what);
	return false;
}

struct list {
	char **v;
	size_t n;
};

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct list
list_dir(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(copy);
	struct list l = { NULL, 0 };
	struct dirent *e;

	assert(d != NULL);
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		l.v = realloc(l.v, (l.n + 1) * sizeof(*l.v));
		assert(l.v != NULL);
		l.v[l.n++] = strdup(e->d_name);
	}
	(void)closedir(d);
	if (l.n > 0)
		qsort(l.v, l.n, sizeof(*l.v), by_text);
	return l;
}

static void
list_free(struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

static bool
xattr_counts(const struct compare *c, const char *name)
{
	if ((c->leave_out & FS_NO_TRUSTED) == 0)
		return true;
	return strncmp(name, "user.", 5) == 0 ||
	       strncmp(name, "system.", 7) == 0;
}

/* Those of x are those of y too. */
static bool
xattrs_within(struct compare *c, const char *x, const char *y)
{
	char names[4096], value[8192], other[8192];
	ssize_t len = llistxattr(x, names, sizeof(names));

	for (const char *p = names; len > 0 && p < names + len;
		p += strlen(p) + 1) {
		ssize_t n = lgetxattr(x, p, value, sizeof(value));
		ssize_t m;

		if (!xattr_counts(c, p))
			continue;
		m = lgetxattr(y, p, other, sizeof(other));
		if (n < 0 || n != m || memcmp(value, other, (size_t)n) != 0)
			return false;
	}
	return true;
}

static bool
same_xattrs(struct compare *c, int a, int b, const char *name)
{
	char x[PATH_ROOM], y[PATH_ROOM];

	(void)snprintf(x, sizeof(x), "/proc/self/fd/%d/%s", a, name);
	(void)snprintf(y, sizeof(y), "/proc/self/fd/%d/%s", b, name);
	return xattrs_within(c, x, y) && xattrs_within(c, y, x);
}

static unsigned
flags_of(int at, const char *name)
{
	const unsigned kept =
		FS_NODUMP_FL | FS_NOATIME_FL | FS_IMMUTABLE_FL | FS_APPEND_FL;
	unsigned flags = 0;
	int fd = openat(at, name,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		(void)ioctl(fd, FS_IOC_GETFLAGS, &flags);
	if (fd >= 0)
		(void)close(fd);
	return flags & kept;
}

static bool
same_bytes(int a, int b, off_t size)
{
	static char x[BLOCK], y[BLOCK];

	for (off_t off = 0; off < size; off += BLOCK) {
		ssize_t n = pread(a, x, BLOCK, off);

		if (n <= 0 || pread(b, y, BLOCK, off) != n ||
			memcmp(x, y, (size_t)n) != 0)
			return false;
	}
	return true;
}

/* b has holes where a has them. */
static bool
same_holes(int a, int b, off_t size)
{
	for (off_t off = 0; off < size;) {
		off_t data = lseek(a, off, SEEK_DATA);

		if (data < 0)
			data = size;
		if (data > off && lseek(b, off, SEEK_DATA) < data &&
			lseek(b, off, SEEK_DATA) >= 0)
			return false;
		off = data < size ? lseek(a, data, SEEK_HOLE) : size;
	}
	return true;
}

static bool
same_content(struct compare *c, int a, int b, const char *name, off_t size)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC;
	int x = openat(a, name, flags), y = openat(b, name, flags);
	bool same = true;

	if (x < 0 || y < 0)
		same = differ(c, name, "cannot be opened");
	else if (!same_bytes(x, y, size))
		same = differ(c, name, "other content");
	else if (!same_holes(x, y, size))
		same = differ(c, name, "a hole is not one");
	if (x >= 0)
		(void)close(x);
	if (y >= 0)
		(void)close(y);
	return same;
}

static bool
same_link(struct compare *c, int a, int b, const char *name)
{
	char x[PATH_ROOM], y[PATH_ROOM];
	ssize_t n = readlinkat(a, name, x, sizeof(x));
	ssize_t m = readlinkat(b, name, y, sizeof(y));

	if (n < 0 || n != m || memcmp(x, y, (size_t)n) != 0)
		return differ(c, name, "other link target");
	return true;
}

/* Names are of one file in a exactly where they are in b. */
static bool
same_identity(struct compare *c, const char *name, const struct stat *a,
	const struct stat *b)
{
	for (size_t i = 0; i < c->n_links; i++) {
		bool in_a = c->links[i].a == a->st_ino;
		bool in_b = c->links[i].b == b->st_ino;

		if (in_a != in_b)
			return differ(c, name, "other hard links");
		if (in_a)
			return true;
	}
	c->links = realloc(c->links, (c->n_links + 1) * sizeof(*c->links));
	assert(c->links != NULL);
	c->links[c->n_links++] = (struct pair){ a->st_ino, b->st_ino };
	return true;
}

static bool
same_stat(struct compare *c, const char *name, const struct stat *a,
	const struct stat *b)
{
	bool dir = S_ISDIR(a->st_mode);
	unsigned bits = 07777;

	if ((a->st_mode & S_IFMT) != (b->st_mode & S_IFMT))
		return differ(c, name, "other type");
	if ((c->leave_out & FS_NO_OWNER) != 0 && !dir)
		bits = 01777;
	if ((c->leave_out & FS_NO_OWNER) != 0 && dir)
		bits = 05777; /* set-group-ID of a group that is not ours */
	if (dir && (c->leave_out & (FS_NO_DIRS | FS_PARTLY)) != 0)
		bits = 0;
	if (((a->st_mode ^ b->st_mode) & bits) != 0)
		return differ(c, name, "other mode");
	if (dir && (c->leave_out & (FS_NO_DIRS | FS_PARTLY)) != 0)
		return true;
	if ((c->leave_out & FS_NO_OWNER) == 0 &&
		(a->st_uid != b->st_uid || a->st_gid != b->st_gid))
		return differ(c, name, "other owner");
	if ((a->st_mtim.tv_sec != b->st_mtim.tv_sec ||
		    a->st_mtim.tv_nsec != b->st_mtim.tv_nsec))
		return differ(c, name, "other mtime");
	if (!dir && a->st_size != b->st_size)
		return differ(c, name, "other size");
	if (!dir && a->st_nlink != b->st_nlink &&
		(c->leave_out & (FS_NO_DEVICES | FS_PARTLY)) == 0)
		return differ(c, name, "other number of links");
	if (S_ISREG(a->st_mode) && b->st_blocks > a->st_blocks + 16)
		return differ(c, name, "takes more room");
	if ((S_ISCHR(a->st_mode) || S_ISBLK(a->st_mode)) &&
		a->st_rdev != b->st_rdev)
		return differ(c, name, "other device");
	return true;
}

static bool compare_dirs(struct compare *c, int a, int b, const char *name);

static bool
compare_one(struct compare *c, int a, int b, const char *name)
{
	struct stat x, y;

	if (fstatat(a, name, &x, AT_SYMLINK_NOFOLLOW) != 0 ||
		fstatat(b, name, &y, AT_SYMLINK_NOFOLLOW) != 0)
		return differ(c, name, "is missing");
	if (!same_stat(c, name, &x, &y))
		return false;
	if ((!S_ISDIR(x.st_mode) ||
		    (c->leave_out & (FS_NO_DIRS | FS_PARTLY)) == 0) &&
		!same_xattrs(c, a, b, name))
		return differ(c, name, "other extended attributes");
	if ((S_ISREG(x.st_mode) || S_ISDIR(x.st_mode)) &&
		(c->leave_out & FS_NO_TRUSTED) == 0 &&
		flags_of(a, name) != flags_of(b, name))
		return differ(c, name, "other flags");
	if (!S_ISDIR(x.st_mode) && x.st_nlink > 1 &&
		!same_identity(c, name, &x, &y))
		return false;
	if (S_ISREG(x.st_mode) && geteuid() != 0 && (x.st_mode & 0400) == 0)
		return true;
	if (S_ISREG(x.st_mode))
		return same_content(c, a, b, name, x.st_size);
	if (S_ISLNK(x.st_mode))
		return same_link(c, a, b, name);
	return !S_ISDIR(x.st_mode) || compare_dirs(c, a, b, name);
}

static bool
is_left_out(const struct compare *c, int at, const char *name)
{
	struct stat st;

	return (c->leave_out & FS_NO_DEVICES) != 0 &&
	       fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode));
}

static bool
compare_names(struct compare *c, int a, int b)
{
	struct list x = list_dir(a), y = list_dir(b);
	size_t i = 0, j = 0;
	bool same = true;

	while (same && (i < x.n || j < y.n)) {
		int order = i == x.n   ? 1
			    : j == y.n ? -1
				       : strcmp(x.v[i], y.v[j]);

		if (order < 0 && ((c->leave_out & FS_PARTLY) != 0 ||
					 is_left_out(c, a, x.v[i]))) {
			i++;
			continue;
		}
		if (order < 0)
			same = differ(c, x.v[i], "is missing");
		else if (order > 0)
			same = differ(c, y.v[j], "should not be there");
		else
			same = compare_one(c, a, b, x.v[i]);
		i++;
		j++;
	}
	list_free(&x);
	list_free(&y);
	return same;
}

static bool
compare_dirs(struct compare *c, int a, int b, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int x = openat(a, name, flags), y = openat(b, name, flags);
	size_t len = strlen(c->path);
	bool same = false;

	(void)snprintf(c->path + len, sizeof(c->path) - len, "/%s", name);
	if (x >= 0 && y >= 0)
		same = compare_names(c, x, y);
	else
		(void)differ(c, "", "cannot be opened");
	c->path[len] = '\0';
	if (x >= 0)
		(void)close(x);
	if (y >= 0)
		(void)close(y);
	return same;
}

bool
fs_tree_equal(const char *a, const char *b, int leave_out, char *why,
	size_t why_len)
{
	struct compare c = { .leave_out = leave_out,
		.why = why,
		.why_len = why_len };
	int x = open(a, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int y = open(b, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool same = false;

	why[0] = '\0';
	if (x >= 0 && y >= 0)
		same = compare_one(&c, x, y, ".");
	else
		(void)differ(&c, "", "there is no such tree");
	if (x >= 0)
		(void)close(x);
	if (y >= 0)
		(void)close(y);
	free(c.links);
	return same;
}

/* ---- sum and end ---- */

static void
mix(uint64_t *sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		*sum = (*sum ^ p[i]) * UINT64_C(1099511628211);
}

static void
sum_one(int at, const char *name, uint64_t *sum)
{
	static char block[BLOCK];
	struct stat st;
	ssize_t n;
	int fd;

	assert(fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
	mix(sum, name, strlen(name));
	mix(sum, &st.st_mode, sizeof(st.st_mode));
	mix(sum, &st.st_uid, sizeof(st.st_uid));
	mix(sum, &st.st_ino, sizeof(st.st_ino));
	mix(sum, &st.st_mtim.tv_nsec, sizeof(st.st_mtim.tv_nsec));
	mix(sum, &st.st_ctim, sizeof(st.st_ctim));
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return;
	fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	assert(fd >= 0);
	if (S_ISREG(st.st_mode)) {
		while ((n = read(fd, block, BLOCK)) > 0)
			mix(sum, block, (size_t)n);
	} else {
		struct list l = list_dir(fd);

		for (size_t i = 0; i < l.n; i++)
			sum_one(fd, l.v[i], sum);
		list_free(&l);
	}
	(void)close(fd);
}

uint64_t
fs_tree_sum(const char *path)
{
	uint64_t sum = UINT64_C(14695981039346656037);

	sum_one(AT_FDCWD, path, &sum);
	return sum;
}

static void
unlock(int fd)
{
	unsigned flags = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0)
		return;
	flags &= ~(unsigned)(FS_IMMUTABLE_FL | FS_APPEND_FL);
	(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static void
remove_one(int at, const char *name)
{
	int fd = openat(at, name,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == EACCES &&
		fchmodat(at, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
		fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISCHR(st.st_mode))
		unlock(fd);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		struct list l;

		(void)fchmod(fd, 0700);
		l = list_dir(fd);
		for (size_t i = 0; i < l.n; i++)
			remove_one(fd, l.v[i]);
		list_free(&l);
		(void)unlinkat(at, name, AT_REMOVEDIR);
	} else {
		(void)unlinkat(at, name, 0);
	}
	if (fd >= 0)
		(void)close(fd);
}

void
fs_tree_remove(const char *path)
{
	remove_one(AT_FDCWD, path);
}
