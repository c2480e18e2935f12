/* SPDX-License-Identifier: Apache-2.0 */
/*
 * synctimes: preloaded into a program, notes when its syncs were done.
 *
 * $SYNCTIMES gets a line for each fsync and fdatasync that worked: ns of
 * CLOCK_MONOTONIC when it returned, the size that the file had before it was
 * called, and its name.  One write each, so threads do not mix.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int out = -1;

static void
open_out(void)
{
	const char *name = getenv("SYNCTIMES");

	if (name != NULL)
		out = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			0600);
}

static void
note(int fd, off_t size)
{
	char link[64], path[PATH_MAX], line[PATH_MAX + 64];
	struct timespec t;
	ssize_t len;
	int n;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	path[len < 0 ? 0 : len] = '\0';
	n = snprintf(line, sizeof(line), "%ld%09ld %lld %s\n", (long)t.tv_sec,
		t.tv_nsec, (long long)size, path);
	if (n > 0 && write(out, line, (size_t)n) != n)
		out = -1;
}

static int
sync_and_note(int fd, const char *which)
{
	int (*real)(int);
	struct stat st = { .st_size = 0 };
	int rc;

	(void)pthread_once(&once, open_out);
	*(void **)&real = dlsym(RTLD_NEXT, which);
	(void)fstat(fd, &st);
	rc = real(fd);
	if (rc == 0 && out >= 0)
		note(fd, st.st_size);
	return rc;
}

int
fsync(int fd)
{
	return sync_and_note(fd, "fsync");
}

int
fdatasync(int fd)
{
	return sync_and_note(fd, "fdatasync");
}
