/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crash argument of the directory store, as the order of its system calls.
 *
 * The functions that make things durable or visible are replaced by ones that
 * note the call, or fail as told, and else do it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store_dir.h"

enum { LEN = 3000000, EVENTS_MAX = 100 };

/* 's' a file is synced, 'd' a directory, 'n' a file gets its name; '!' with a
 * failure that was ordered.  Of which inode; how long it was. */
static struct event {
	char what;
	ino_t ino;
	off_t size;
} events[EVENTS_MAX];
static unsigned n_events, fail_at; /* the event that fails, from 1 */
static int fail_errno;

static char place[64];
static struct error err;
static uint8_t data[LEN];

static bool
note(char what, const struct stat *sb)
{
	struct event *e = &events[n_events++];

	assert_true(n_events < EVENTS_MAX);
	*e = (struct event){ what, sb->st_ino, sb->st_size };
	if (n_events != fail_at)
		return true;
	e->what = '!';
	errno = fail_errno;
	return false;
}

/* Its temporary is gone by the time that the directory is synced, or the loss
 * of power would bring it back. */
static void
no_temporary(int dirfd)
{
	const struct dirent *e;
	DIR *dir = fdopendir(
		openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL)
		assert_int_not_equal(strncmp(e->d_name, ".tmp-", 5), 0);
	(void)closedir(dir);
}

static int
note_sync(int fd, long call)
{
	struct stat sb;

	assert_int_equal(fstat(fd, &sb), 0);
	if (S_ISDIR(sb.st_mode) && n_events > 0 &&
		events[n_events - 1].what == 'n')
		no_temporary(fd);
	if (!note(S_ISDIR(sb.st_mode) ? 'd' : 's', &sb))
		return -1;
	return (int)syscall(call, fd);
}

int
fsync(int fd)
{
	return note_sync(fd, SYS_fsync);
}

int
fdatasync(int fd)
{
	return note_sync(fd, SYS_fdatasync);
}

int
linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	struct stat sb;

	assert_int_equal(fstatat(from_fd, from, &sb,
				 flags & AT_SYMLINK_FOLLOW
					 ? 0
					 : AT_SYMLINK_NOFOLLOW),
		0);
	if (!note('n', &sb))
		return -1;
	return (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
}

int
renameat2(int from_fd, const char *from, int to_fd, const char *to,
	unsigned flags)
{
	struct stat sb;

	assert_int_equal(fstatat(from_fd, from, &sb, AT_SYMLINK_NOFOLLOW), 0);
	if (!note('n', &sb))
		return -1;
	return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

static void
reset(void)
{
	n_events = 0;
	fail_at = 0;
	err = ERROR_INIT;
}

static int
setup(void **state)
{
	reset();
	(void)snprintf(place, sizeof(place), "/tmp/test-write-XXXXXX");
	assert_non_null(mkdtemp(place));
	return 0;
}

static int
rm_one(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
	return remove(path);
}

static int
teardown(void **state)
{
	return nftw(place, rm_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct store *
open_way(int way)
{
	struct store *st = NULL;

	assert_int_equal(store_open(&st, place, true, &err), ERR_OK);
	store_dir_limit(st, (enum dir_way)way);
	reset();
	return st;
}

static ino_t
inode(const char *leaf)
{
	struct stat sb;
	char path[100];

	(void)snprintf(path, sizeof(path), "%s/%s", place, leaf);
	assert_int_equal(stat(path, &sb), 0);
	return sb.st_ino;
}

/* That these calls were made, of these files, one letter a call. */
static void
happened(const char *what, const char *const *which)
{
	assert_int_equal(n_events, strlen(what));
	for (unsigned i = 0; i < n_events; i++) {
		assert_int_equal(events[i].what, what[i]);
		if (which[i] != NULL)
			assert_int_equal(events[i].ino, inode(which[i]));
	}
	reset();
}

#define HAPPENED(what, ...) happened(what, (const char *const[]){ __VA_ARGS__ })

static void
test_order(void **state)
{
	for (int way = 0; way < DIR_WAY_END; way++) {
		struct store *st = open_way(way);

		/* The directories first; all the bytes; the name; its
		 * directory. */
		assert_int_equal(store_put(st, "a/b/c", data, LEN, &err),
			ERR_OK);
		assert_int_equal(events[2].size, LEN);
		HAPPENED("ddsnd", ".", "a", "a/b/c", "a/b/c", "a/b");
		assert_int_equal(store_put(st, "a/b/d", data, 5, &err), ERR_OK);
		HAPPENED("snd", "a/b/d", "a/b/d", "a/b");
		/* What exists is made durable before it is said to exist. */
		assert_int_equal(store_put(st, "a/b/d", data, 9, &err),
			ERR_EXISTS);
		HAPPENED("snsd", NULL, NULL, "a/b/d", "a/b");
		assert_int_equal(store_del(st, "a/b/d", &err), ERR_OK);
		HAPPENED("d", "a/b");
		store_close(st);

		/* A later run does not trust directories that it finds. */
		st = open_way(way);
		assert_int_equal(store_put(st, "a/b/d", data, 5, &err), ERR_OK);
		HAPPENED("ddsnd", ".", "a", "a/b/d", "a/b/d", "a/b");
		store_close(st);
		assert_int_equal(teardown(NULL), 0);
		assert_int_equal(mkdir(place, 0700), 0);
	}
}

/* The root, and what had to be made above it, are durable when it is open. */
static void
test_root(void **state)
{
	struct store *st = NULL;
	char path[100];

	reset();
	(void)snprintf(path, sizeof(path), "%s/x/y", place);
	assert_int_equal(store_open(&st, path, true, &err), ERR_OK);
	assert_true(n_events >= 2);
	assert_int_equal(events[0].what, 'd');
	assert_int_equal(events[0].ino, inode("x"));
	assert_int_equal(events[1].what, 'd');
	assert_int_equal(events[1].ino, inode("."));
	store_close(st);
}

static enum err
no_stranger(void *arg, const char *name, uint64_t size, struct error *e)
{
	assert_string_equal(name, "a/b/c");
	assert_int_equal(size, LEN);
	++*(unsigned *)arg;
	return ERR_OK;
}

/* Put with the n-th call failing.  Returns whether there were so many. */
static bool
put_with_failure(int way, unsigned n, int errnum, enum err want)
{
	struct store *st = open_way(way);
	unsigned found = 0;
	bool failed;
	enum err rc;

	fail_at = n;
	fail_errno = errnum;
	rc = store_put(st, "a/b/c", data, LEN, &err);
	failed = n_events >= n;
	assert_int_equal(rc, failed ? want : ERR_OK);
	/* Nobody is told of an object that is not durable: no name before the
	 * failure, or nothing after it. */
	fail_at = 0;
	assert_int_equal(store_list(st, "", no_stranger, &found, &err), ERR_OK);
	if (found == 0)
		assert_int_equal(rc, want);
	rc = store_put(st, "a/b/c", data, LEN, &err);
	assert_int_equal(rc, found == 0 ? ERR_OK : ERR_EXISTS);
	assert_int_equal(events[n_events - 1].what, 'd');
	store_close(st);
	assert_int_equal(teardown(NULL), 0);
	assert_int_equal(mkdir(place, 0700), 0);
	return failed;
}

/* For all n: the n-th call fails, and put says so, and can be repeated. */
static void
test_every_failure(void **state)
{
	for (int way = 0; way < DIR_WAY_END; way++) {
		unsigned n = 1;

		while (put_with_failure(way, n, EIO, ERR_IO))
			n++;
		assert_int_equal(n, 6);
		n = 1;
		while (put_with_failure(way, n, ENOSPC, ERR_NOSPACE))
			n++;
		assert_int_equal(n, 6);
	}
}

/* A file system that cannot link takes the next way, and the same file. */
static void
test_fallback(void **state)
{
	static const int errnums[] = { EPERM, EOPNOTSUPP, ENOSYS, EINVAL };
	struct store *st;

	for (size_t i = 0; i < ARRAY_LEN(errnums); i++) {
		st = open_way(DIR_WAY_LINK);
		assert_int_equal(store_put(st, "x", data, 1, &err), ERR_OK);
		n_events = 0;
		fail_at = 2;
		fail_errno = errnums[i];
		assert_int_equal(store_put(st, "y", data, LEN, &err), ERR_OK);
		assert_int_equal(err.code, ERR_OK);
		HAPPENED("s!snd", NULL, NULL, "y", "y", ".");
		assert_int_equal(store_put(st, "z", data, LEN, &err), ERR_OK);
		HAPPENED("snd", "z", "z", ".");
		store_close(st);
		assert_int_equal(teardown(NULL), 0);
		assert_int_equal(mkdir(place, 0700), 0);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_order),
		T(test_root),
		T(test_every_failure),
		T(test_fallback),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
