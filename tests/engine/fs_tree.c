/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/fs_tree.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

/* ---- making ---- */

static int
make_file(int at, const char *name, const void *data, size_t len)
{
	int fd = openat(at, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert(fd >= 0);
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, (const char *)data + done, len - done);

		assert(n > 0);
		done += (size_t)n;
	}
	return fd;
}

void
fs_write(const char *path, const void *data, size_t len)
{
	(void)close(make_file(AT_FDCWD, path, data, len));
}

static int
make_random(int at, const char *name, uint64_t seed, size_t len)
{
	uint8_t *data = malloc(len + 1);
	struct prng p;
	int fd;

	assert(data != NULL);
	prng_init(&p, seed);
	prng_fill(&p, data, len);
	/* Half of them compress. */
	for (size_t i = 0; seed % 2 == 0 && i < len; i++)
		data[i] &= 3;
	fd = make_file(at, name, data, len);
	free(data);
	return fd;
}

void
fs_write_random(const char *path, uint64_t seed, size_t len)
{
	(void)close(make_random(AT_FDCWD, path, seed, len));
}

static void
set_time(int at, const char *name, uint64_t t)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ (time_t)(t % 2000000000),
			(long)(t % 1000000007 % 1000000000) } };

	assert(utimensat(at, name, times, AT_SYMLINK_NOFOLLOW) == 0);
}

static void
make_sparse(int at, const char *name, uint64_t seed)
{
	int fd = openat(at, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char text[4096];

	assert(fd >= 0);
	memset(text, 'x', sizeof(text));
	assert(pwrite(fd, text, sizeof(text), 1 << 20) == sizeof(text));
	assert(pwrite(fd, text, 100, 3 << 20) == 100);
	assert(ftruncate(fd, (off_t)(5 << 20) + (off_t)seed % 4096) == 0);
	(void)close(fd);
}

static void
make_socket(int at, const char *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert(fd >= 0 && here >= 0 && strlen(name) < sizeof(un.sun_path));
	memcpy(un.sun_path, name, strlen(name));
	assert(fchdir(at) == 0);
	assert(bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0);
	assert(fchdir(here) == 0);
	(void)close(here);
	(void)close(fd);
}

/* A POSIX ACL: user::rw-, user:1234:r--, group::r--, mask::r--, other::---. */
static void
set_acl(int fd, const char *which)
{
	static const uint8_t acl[] = { 2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255,
		255, 2, 0, 4, 0, 0xd2, 4, 0, 0, 4, 0, 5, 0, 255, 255, 255, 255,
		16, 0, 5, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255,
		255 };

	assert(fsetxattr(fd, which, acl, sizeof(acl), 0) == 0);
}

static void
make_attributes(int at)
{
	static const uint8_t capability[] = { 1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0 };
	bool root = geteuid() == 0;
	char large[3000];
	int fd = make_file(at, "attributes", "a", 1);

	memset(large, 7, sizeof(large));
	assert(fsetxattr(fd, "user.one", "1", 1, 0) == 0);
	assert(fsetxattr(fd, "user.none", "", 0, 0) == 0);
	assert(fsetxattr(fd, "user.large", large, sizeof(large), 0) == 0);
	if (root)
		assert(fsetxattr(fd, "trusted.t", "t", 1, 0) == 0);
	set_acl(fd, "system.posix_acl_access");
	(void)close(fd);
	fd = make_file(at, "readonly-attributes", "a", 1);
	assert(fsetxattr(fd, "user.one", "1", 1, 0) == 0);
	assert(fchmod(fd, 0400) == 0);
	(void)close(fd);
	fd = make_file(at, "capable", "c", 1);
	if (root) {
		assert(fchown(fd, 1001, 1002) == 0);
		assert(fsetxattr(fd, "security.capability", capability,
			       sizeof(capability), 0) == 0);
	}
	assert(fchmod(fd, 0755) == 0);
	(void)close(fd);
}

static void
make_flags(int at)
{
	unsigned flags = 0;
	int fd = make_file(at, "flags", "f", 1);

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
		flags |= FS_NODUMP_FL | FS_NOATIME_FL;
		if (geteuid() == 0)
			flags |= FS_IMMUTABLE_FL;
		assert(ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0);
	}
	(void)close(fd);
}

static void
make_names(int at)
{
	static const char *const names[] = { "new\nline", "tab\t", "\xff\xfe",
		" ", "...", "-rf", "\x01", "a\\b", "\xe2\x80\xae" };
	char longest[256];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)close(make_random(at, names[i], i, i * 100));
	memset(longest, 'l', 255);
	longest[255] = '\0';
	(void)close(make_random(at, longest, 1, 20));
}

static void
make_sizes(int at, uint64_t seed)
{
	static const size_t sizes[] = { 0, 1, 63, 64, 65, 4095, 4096, 4097,
		65536, 131071, 131072, 131073, 700000, 3000000 };
	char name[32];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		(void)snprintf(name, sizeof(name), "size-%zu", sizes[i]);
		(void)close(make_random(at, name, seed + i, sizes[i]));
		set_time(at, name, seed * 1000003 + i * 7919);
	}
}

static void
make_modes(int at, uint64_t seed)
{
	static const unsigned modes[] = { 0, 0400, 0644, 0777, 04755, 02755,
		06711, 01777 };
	char name[32];

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		(void)snprintf(name, sizeof(name), "mode-%o", modes[i]);
		(void)close(make_random(at, name, seed + i, 50));
		if (geteuid() == 0)
			assert(fchownat(at, name, 1000 + (uid_t)i,
				       2000 + (gid_t)i, 0) == 0);
		assert(fchmodat(at, name,
			       modes[i] | (geteuid() != 0 ? 0400u : 0u),
			       0) == 0);
	}
}

static void
make_links(int at)
{
	(void)close(make_random(at, "links-a", 5, 100000));
	assert(linkat(at, "links-a", at, "links-b", 0) == 0);
	assert(mkdirat(at, "links", 0755) == 0);
	assert(linkat(at, "links-a", at, "links/c", 0) == 0);
	(void)close(make_random(at, "links/z", 6, 10));
	assert(linkat(at, "links/z", at, "zz-last", 0) == 0);
	assert(symlinkat("links-a", at, "symlink") == 0);
	assert(symlinkat("/nowhere/at/all", at, "dangling") == 0);
	set_time(at, "dangling", 12345678901);
	set_time(at, "links", 987654321);
}

static void
make_nodes(int at)
{
	assert(mkfifoat(at, "fifo", 0620) == 0);
	make_socket(at, "socket");
	if (geteuid() != 0)
		return;
	assert(mknodat(at, "chr", S_IFCHR | 0660, makedev(1, 3)) == 0);
	assert(mknodat(at, "blk", S_IFBLK | 0660, makedev(7, 300)) == 0);
	assert(fchownat(at, "blk", 7, 8, AT_SYMLINK_NOFOLLOW) == 0);
	assert(fchownat(at, "symlink", 9, 10, AT_SYMLINK_NOFOLLOW) == 0);
}

static void
make_dirs(int at)
{
	int fd;

	assert(mkdirat(at, "empty", 0755) == 0);
	assert(mkdirat(at, "closed", 0755) == 0);
	fd = openat(at, "closed", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(fd >= 0);
	(void)close(make_random(fd, "in", 8, 5000));
	assert(fsetxattr(fd, "user.dir", "d", 1, 0) == 0);
	set_acl(fd, "system.posix_acl_default");
	assert(fchmod(fd, 0500) == 0);
	(void)close(fd);
	assert(mkdirat(at, "setgid", 0755) == 0);
	if (geteuid() == 0)
		assert(fchownat(at, "setgid", 3, 4, 0) == 0);
	assert(fchmodat(at, "setgid", 03775, 0) == 0);
	set_time(at, "empty", 1);
	set_time(at, "closed", 1600000000123);
}

void
fs_tree_nasty(const char *path, uint64_t seed)
{
	int at;

	assert(mkdir(path, 0755) == 0);
	at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(at >= 0);
	make_sizes(at, seed);
	make_modes(at, seed);
	make_sparse(at, "sparse", seed);
	make_names(at);
	make_links(at);
	make_nodes(at);
	make_attributes(at);
	make_dirs(at);
	make_flags(at);
	set_time(at, ".", 1234567890123);
	(void)close(at);
}

/* One of few names, so that trees of several seeds meet. */
static void
random_entry(int at, const char *name, struct prng *p)
{
	uint64_t content = prng_below(p, 6);
	char target[32];

	switch (prng_below(p, 8)) {
	case 0:
		(void)snprintf(target, sizeof(target), "t%u",
			(unsigned)prng_below(p, 3));
		(void)symlinkat(target, at, name);
		break;
	case 1:
		(void)mkfifoat(at, name, 0600);
		break;
	case 2:
		(void)close(make_random(at, name, content,
			50000 + (size_t)content * 70000));
		break;
	case 3:
		make_sparse(at, name, content);
		break;
	default:
		(void)close(
			make_random(at, name, content, (size_t)content * 777));
	}
	if (faccessat(at, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		set_time(at, name, 1000000 + prng_below(p, 3));
}

static void
random_dir(int at, struct prng *p, unsigned n, unsigned depth)
{
	char name[32];
	int fd;

	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "n%u",
			(unsigned)prng_below(p, 2 * n));
		if (faccessat(at, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		if (depth == 0 || prng_below(p, 3) != 0) {
			random_entry(at, name, p);
			continue;
		}
		assert(mkdirat(at, name, 0755) == 0);
		fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert(fd >= 0);
		random_dir(fd, p, n, depth - 1);
		assert(fchmod(fd, (mode_t)(0700 + prng_below(p, 64))) == 0);
		(void)close(fd);
		set_time(at, name, 2000000 + prng_below(p, 3));
	}
	(void)snprintf(name, sizeof(name), "link%u",
		(unsigned)prng_below(p, 3));
	if (linkat(at, "n1", at, name, 0) != 0)
		(void)symlinkat("n1", at, name);
}

void
fs_tree_random(const char *path, uint64_t seed, unsigned n)
{
	struct prng p;
	int at;

	prng_init(&p, seed);
	assert(mkdir(path, 0755) == 0);
	at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(at >= 0);
	random_dir(at, &p, n, 2);
	(void)close(at);
}

void
fs_tree_deep(const char *path, unsigned depth)
{
	char name[64];
	int at, next;

	assert(mkdir(path, 0755) == 0);
	at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; i < depth; i++) {
		(void)snprintf(name, sizeof(name), "%u-%s", i,
			"a-name-that-makes-paths-long");
		assert(mkdirat(at, name, 0755) == 0);
		next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert(next >= 0);
		if (i % 100 == 0)
			(void)close(make_random(at, "zz", i, 50));
		(void)close(at);
		at = next;
	}
	(void)close(make_random(at, "bottom", 1, 1000));
	assert(linkat(at, "bottom", at, "bottom-link", 0) == 0);
	(void)close(at);
}
