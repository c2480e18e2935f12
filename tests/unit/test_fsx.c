/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fsx.h"
#include "tests/lib/prng.h"

enum { FILE_MAX = 1 << 16 };

static char dir[64];

static int
set_up(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_fsx-XXXXXX");
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
	char command[80];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static int
new_file(void)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[100];

	if (fd < 0) {
		(void)snprintf(path, sizeof(path), "%s/file", dir);
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	}
	assert_true(fd >= 0);
	return fd;
}

/* Random writes and reads at offsets, against an array. */
static void
a_file_is_like_an_array(void **state)
{
	static uint8_t model[FILE_MAX], data[FILE_MAX];
	struct error err = ERROR_INIT;
	size_t end = 0;
	int fd = new_file();
	struct prng p;

	(void)state;
	prng_init(&p, 1);
	for (int i = 0; i < 2000; i++) {
		size_t off = prng_below(&p, FILE_MAX);
		size_t len = prng_below(&p, FILE_MAX - off) >> (i % 16);
		size_t got, want;

		if (prng_below(&p, 2) == 0) {
			prng_fill(&p, data, len);
			memcpy(model + off, data, len);
			if (len > 0 && off + len > end)
				end = off + len;
			assert_int_equal(fsx_pwrite(fd, data, len, off, "f",
						 &err),
				ERR_OK);
			continue;
		}
		want = off >= end ? 0 : (end - off < len ? end - off : len);
		assert_int_equal(fsx_pread(fd, data, len, off, &got, "f", &err),
			ERR_OK);
		assert_int_equal(got, want);
		assert_memory_equal(data, model + off, got);
	}
	fsx_close(&fd);
	assert_int_equal(fd, -1);
	fsx_close(&fd);
}

static void
read_all_is_bounded_by_the_buffer(void **state)
{
	struct error err = ERROR_INIT;
	struct prng p;

	(void)state;
	prng_init(&p, 2);
	for (int i = 0; i < 300; i++) {
		size_t len = prng_below(&p, 200000), head = prng_below(&p, 9);
		size_t max = head + (i % 3 == 0 ? len : prng_below(&p, 200000));
		struct buf b = BUF_INIT(max);
		uint8_t *data = malloc(len + 1);
		int fd = new_file();
		enum err rc;

		assert_non_null(data);
		prng_fill(&p, data, len);
		assert_int_equal(fsx_write(fd, data, len, "f", &err), ERR_OK);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		assert_int_equal(buf_put_zero(&b, head, &err), ERR_OK);
		rc = fsx_read_all(fd, &b, "f", &err);
		if (len <= max - head) {
			assert_int_equal(rc, ERR_OK);
			assert_int_equal(b.len, head + len);
			assert_true(len == 0 ||
				    memcmp(b.data + head, data, len) == 0);
		} else {
			assert_int_equal(rc, ERR_NOMEM);
			assert_int_equal(b.len, head);
		}
		free(data);
		buf_fini(&b);
		fsx_close(&fd);
	}
}

static void
ignore(int sig)
{
	(void)sig;
}

/* A thread that writes to a pipe in small, slow pieces, with signals. */
struct dripper {
	int fd;
	const uint8_t *data;
	size_t len;
	pthread_t reader;
};

static void *
drip(void *arg)
{
	struct dripper *d = arg;

	for (size_t at = 0; at < d->len;) {
		size_t n = d->len - at < 1000 ? d->len - at : 1000;
		ssize_t done = write(d->fd, d->data + at, n);

		if (done > 0)
			at += (size_t)done;
		(void)pthread_kill(d->reader, SIGUSR1);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
	}
	(void)close(d->fd);
	return NULL;
}

/* read returns early at every signal and with every piece; fsx_read not. */
static void
reading_goes_on_after_signals(void **state)
{
	static uint8_t data[100000], have[sizeof(data) + 1];
	struct sigaction act = { .sa_handler = ignore };
	struct dripper d = { .data = data, .len = sizeof(data) };
	struct error err = ERROR_INIT;
	pthread_t thread;
	struct prng p;
	int fds[2];
	size_t got;

	(void)state;
	prng_init(&p, 3);
	prng_fill(&p, data, sizeof(data));
	assert_int_equal(sigaction(SIGUSR1, &act, NULL), 0);
	assert_int_equal(pipe(fds), 0);
	d.fd = fds[1];
	d.reader = pthread_self();
	assert_int_equal(pthread_create(&thread, NULL, drip, &d), 0);
	assert_int_equal(fsx_read(fds[0], have, sizeof(have), &got, "pipe",
				 &err),
		ERR_OK);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(got, sizeof(data));
	assert_memory_equal(have, data, sizeof(data));
	fsx_close(&fds[0]);
}

/* A thread that empties a pipe in small, slow pieces, with signals. */
struct sipper {
	int fd;
	uint8_t *data;
	size_t len;
	pthread_t writer;
};

static void *
sip(void *arg)
{
	struct sipper *s = arg;
	size_t at = 0;

	while (at < s->len) {
		ssize_t n;

		/* The first ends a write that did a part; the second meets one
		 * that could do nothing, as the pipe is full. */
		for (int i = 0; i < 2; i++) {
			(void)pthread_kill(s->writer, SIGUSR1);
			(void)nanosleep(&(struct timespec){ .tv_nsec = 200000 },
				NULL);
		}
		n = read(s->fd, s->data + at, 4096);
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	s->len = at;
	return NULL;
}

static void
writing_goes_on_after_signals(void **state)
{
	static uint8_t data[400000], have[sizeof(data) + 4096];
	struct sigaction act = { .sa_handler = ignore };
	struct sipper s = { .data = have, .len = sizeof(data) };
	struct error err = ERROR_INIT;
	pthread_t thread;
	struct prng p;
	int fds[2];

	(void)state;
	prng_init(&p, 4);
	prng_fill(&p, data, sizeof(data));
	assert_int_equal(sigaction(SIGUSR1, &act, NULL), 0);
	assert_int_equal(pipe(fds), 0);
	s.fd = fds[0];
	s.writer = pthread_self();
	assert_int_equal(pthread_create(&thread, NULL, sip, &s), 0);
	assert_int_equal(fsx_write(fds[1], data, sizeof(data), "pipe", &err),
		ERR_OK);
	fsx_close(&fds[1]);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(s.len, sizeof(data));
	assert_memory_equal(have, data, sizeof(data));
	fsx_close(&fds[0]);
}

static void
errors_name_the_thing(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct error err = ERROR_INIT;
	uint8_t byte = 0;
	size_t got;

	(void)state;
	assert_true(full >= 0);
	assert_int_equal(fsx_write(full, &byte, 1, "pack 3f", &err),
		ERR_NOSPACE);
	assert_string_equal(err.msg, "write pack 3f: No space left on device");
	assert_int_equal(fsx_read(full, &byte, 1, &got, "pack 3f", &err),
		ERR_IO);
	assert_int_equal(err.sys_errno, EBADF);
	assert_int_equal(fsx_pwrite(full, &byte, 1, UINT64_MAX, "f", &err),
		ERR_IO);
	assert_int_equal(fsx_pread(full, &byte, 2, INT64_MAX - 1, &got, "f",
				 &err),
		ERR_IO);
	assert_int_equal(err.sys_errno, 0);
	assert_int_equal(fsx_sync_dir(-1, "d", &err), ERR_IO);
	fsx_close(&full);
}

static void
mkdirs_makes_what_is_missing(void **state)
{
	static const char *const tails[] = { "", "/", "/a", "/a/b", "/a//b/c/",
		"/d/./e", "/d/../f/g", "/a/b" };
	struct error err = ERROR_INIT;
	struct stat st;
	char path[200];
	int fd;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", dir, tails[i]);
		assert_int_equal(fsx_mkdirs(path, 0700, &err), ERR_OK);
		assert_int_equal(stat(path, &st), 0);
		assert_true(S_ISDIR(st.st_mode));
	}
	assert_int_equal(fsx_mkdirs("/", 0700, &err), ERR_OK);
	(void)snprintf(path, sizeof(path), "%s/plain", dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	fsx_close(&fd);
	assert_int_equal(fsx_mkdirs(path, 0700, &err), ERR_EXISTS);
	(void)snprintf(path, sizeof(path), "%s/plain/below", dir);
	assert_int_equal(fsx_mkdirs(path, 0700, &err), ERR_EXISTS);
	assert_int_equal(fsx_mkdirs("", 0700, &err), ERR_OK);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fsx_sync_dir(fd, dir, &err), ERR_OK);
	fsx_close(&fd);
}

static void
nofile_is_raised_to_the_hard_limit(void **state)
{
	struct rlimit lim;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	lim.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
	assert_int_equal(fsx_raise_nofile(), lim.rlim_max);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	assert_int_equal(lim.rlim_cur, lim.rlim_max);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_like_an_array),
		cmocka_unit_test(read_all_is_bounded_by_the_buffer),
		cmocka_unit_test(reading_goes_on_after_signals),
		cmocka_unit_test(writing_goes_on_after_signals),
		cmocka_unit_test(errors_name_the_thing),
		cmocka_unit_test(mkdirs_makes_what_is_missing),
		cmocka_unit_test(nofile_is_raised_to_the_hard_limit),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
