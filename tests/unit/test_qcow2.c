/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written to a qcow2 image, in any order and by several threads, is
 * what it reads as, and what QEMU makes of it; QEMU finds nothing wrong in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsx.h"
#include "format/qcow2.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"

enum { KIB = 1 << 10, MIB = 1 << 20, THREADS = 3 };

/* A window of a large image that the model holds; all else is zeroes. */
struct world {
	char dir[64], path[96], raw[96];
	int fd, raw_fd;
	uint64_t size;
	struct qcow2 *q;
	struct prng dice;
};

static void
begin(struct world *w, uint64_t seed, uint64_t size)
{
	struct error err = ERROR_INIT;

	*w = (struct world){ .size = size };
	prng_init(&w->dice, seed * 0x9e3779b97f4a7c15u);
	(void)snprintf(w->dir, sizeof(w->dir), "%s/coffer-qcow2-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->path, sizeof(w->path), "%s/it.qcow2", w->dir);
	(void)snprintf(w->raw, sizeof(w->raw), "%s/it.raw", w->dir);
	w->fd = open(w->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	w->raw_fd = open(w->raw, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(w->fd >= 0 && w->raw_fd >= 0);
	assert_int_equal(ftruncate(w->raw_fd, (off_t)size), 0);
	must(qcow2_new(&w->q, w->fd, size, "it", &err), &err);
}

static void
end(struct world *w)
{
	qcow2_free(w->q);
	fsx_close(&w->fd);
	fsx_close(&w->raw_fd);
	assert_int_equal(unlink(w->path), 0);
	assert_int_equal(unlink(w->raw), 0);
	assert_int_equal(rmdir(w->dir), 0);
}

/* The status of a program; its output goes nowhere. */
static int
run(const char *const argv[])
{
	pid_t pid = fork();
	int status, null;

	if (pid == 0) {
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void
qemu_agrees(struct world *w)
{
	const char *const check[] = { "qemu-img", "check", "-f", "qcow2",
		w->path, NULL };
	const char *const compare[] = { "qemu-img", "compare", "-f", "qcow2",
		"-F", "raw", w->path, w->raw, NULL };
	int rc = run(check);

	if (rc == 127) {
		print_message("qemu-img is not installed\n");
		skip();
	}
	assert_int_equal(rc, 0);
	assert_int_equal(run(compare), 0);
}

static void
write_both(struct world *w, uint64_t off, const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;

	must(qcow2_write(w->q, off, data, len, &err), &err);
	must(fsx_pwrite(w->raw_fd, data, len, off, "raw", &err), &err);
}

static void
zero_both(struct world *w, uint64_t off, size_t len)
{
	static const uint8_t zeroes[MIB];
	struct error err = ERROR_INIT;

	must(qcow2_zero(w->q, off, len, &err), &err);
	must(fsx_pwrite(w->raw_fd, zeroes, len, off, "raw", &err), &err);
}

static void
reads_equal(struct world *w, uint64_t off, size_t len)
{
	uint8_t *a = malloc(len), *b = calloc(1, len);
	struct error err = ERROR_INIT;
	size_t got;

	assert_true(a != NULL && b != NULL);
	must(qcow2_read(w->q, off, a, len, &err), &err);
	must(fsx_pread(w->raw_fd, b, len, off, &got, "raw", &err), &err);
	assert_memory_equal(a, b, len);
	free(a);
	free(b);
}

/* Somewhere, more often where tables begin and end. */
static uint64_t
some_offset(struct world *w)
{
	const uint64_t table = UINT64_C(512) * MIB;
	uint64_t off = prng_below(&w->dice, w->size);

	if (prng_below(&w->dice, 3) == 0 && w->size > table)
		off = table * (1 + prng_below(&w->dice, w->size / table)) -
		      prng_below(&w->dice, 200 * KIB);
	return off < w->size ? off : w->size - 1;
}

static enum err
covers(void *arg, uint64_t off, uint64_t len, struct error *err)
{
	uint64_t *last = arg;

	assert_true(len > 0 && off >= *last);
	*last = off + len;
	return ERR_OK;
}

static void
test_any_order(void **state)
{
	static const uint64_t sizes[] = { 1, 511, 512, 65536, 65537, 3 * MIB,
		UINT64_C(513) * MIB, UINT64_C(5000) * MIB + 777 };
	uint8_t *data = malloc(MIB);

	assert_non_null(data);
	for (uint64_t seed = 0; seed < 3 * ARRAY_LEN(sizes); seed++) {
		struct error err = ERROR_INIT;
		uint64_t last = 0;
		struct stat st;
		struct world w;

		begin(&w, seed, sizes[seed % ARRAY_LEN(sizes)]);
		for (unsigned i = 0; i < 40; i++) {
			uint64_t off = some_offset(&w);
			size_t len = 1 + (size_t)prng_below(&w.dice,
						 i % 4 == 0 ? MIB : 9000);

			if (len > w.size - off)
				len = (size_t)(w.size - off);
			prng_fill(&w.dice, data, len);
			if (i % 5 == 4)
				zero_both(&w, off, len);
			else
				write_both(&w, off, data, len);
			reads_equal(&w, off > KIB ? off - KIB : 0, len + KIB);
		}
		must(qcow2_each_data(w.q, covers, &last, &err), &err);
		must(qcow2_finish(w.q, &err), &err);
		reads_equal(&w, some_offset(&w), 100 * KIB);
		assert_int_equal(fstat(w.fd, &st), 0);
		assert_true(st.st_size < 40 * MIB);
		qemu_agrees(&w);
		end(&w);
	}
	free(data);
}

struct writer {
	struct world *w;
	pthread_t thread;
	unsigned number;
};

/* Each third block of 4 KiB: neighbours in one cluster are of all threads. */
static void *
write_some(void *arg)
{
	struct writer *me = arg;
	uint8_t data[4 * KIB];
	struct prng dice;

	prng_init(&dice, me->number);
	for (uint64_t off = me->number * sizeof(data); off < me->w->size;
		off += THREADS * sizeof(data)) {
		size_t len = sizeof(data);

		if (len > me->w->size - off)
			len = (size_t)(me->w->size - off);
		prng_fill(&dice, data, sizeof(data));
		if (off / MIB % 2 == 0)
			write_both(me->w, off, data, len);
	}
	return NULL;
}

static void
test_threads(void **state)
{
	struct writer writers[THREADS];
	struct error err = ERROR_INIT;
	struct world w;

	begin(&w, 1, 7 * MIB + 100);
	for (unsigned i = 0; i < THREADS; i++) {
		writers[i] = (struct writer){ .w = &w, .number = i };
		assert_int_equal(pthread_create(&writers[i].thread, NULL,
					 write_some, &writers[i]),
			0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
	reads_equal(&w, 0, 7 * MIB + 100);
	must(qcow2_finish(w.q, &err), &err);
	qemu_agrees(&w);
	end(&w);
}

/* More clusters than one refcount block covers. */
static void
test_many_clusters(void **state)
{
	struct error err = ERROR_INIT;
	struct world w;

	begin(&w, 2, UINT64_C(2400) * MIB);
	for (uint64_t off = 0; off < w.size; off += QCOW2_CLUSTER)
		write_both(&w, off, (const uint8_t *)"x", 1);
	must(qcow2_finish(w.q, &err), &err);
	qemu_agrees(&w);
	end(&w);
}

static void
test_empty_and_unfinished(void **state)
{
	struct error err = ERROR_INIT;
	struct qcow2 *q;
	struct world w;
	char magic[4] = "";
	size_t got;

	begin(&w, 3, 0);
	must(qcow2_finish(w.q, &err), &err);
	qemu_agrees(&w);
	end(&w);
	begin(&w, 4, UINT64_C(10) << 40);
	write_both(&w, (UINT64_C(10) << 40) - 512, (const uint8_t *)"x", 1);
	must(fsx_pread(w.fd, magic, 4, 0, &got, "it", &err), &err);
	assert_true(got == 0 || memcmp(magic, "\0\0\0\0", 4) == 0);
	must(qcow2_finish(w.q, &err), &err);
	qemu_agrees(&w);
	assert_int_equal(qcow2_new(&q, w.fd, UINT64_MAX, "it", &err),
		ERR_USAGE);
	end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_many_clusters),
		cmocka_unit_test(test_empty_and_unfinished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
