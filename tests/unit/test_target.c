/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets that need no other system: names, files that appear when they are
 * whole and are gone on with after a kill, standard output, and what devices
 * refuse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsx.h"
#include "target/blocks.h"
#include "target/target.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"

enum { KIB = 1 << 10, MIB = 1 << 20, SIZE = 3 * MIB + 100 };

static char dir[64], path[96], temp[128];

static int
setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/coffer-target-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/it", dir);
	(void)snprintf(temp, sizeof(temp), "%s.coffer-restore", path);
	return 0;
}

static int
teardown(void **state)
{
	(void)unlink(path);
	(void)unlink(temp);
	return rmdir(dir);
}

static bool
exists(const char *name)
{
	return access(name, F_OK) == 0;
}

static enum err
open_target(struct target **t, const char *scheme, bool overwrite,
	const char *key, struct error *err)
{
	struct target_image image = { .size = SIZE, .key = key };
	struct target_conf conf = { .overwrite = overwrite };
	const struct target_ops *ops;
	char text[160];

	(void)snprintf(text, sizeof(text), "%s:%s", scheme, path);
	must(target_parse(text, &ops, &conf.rest, err), err);
	return ops->open(t, &conf, &image, err);
}

static void
write_at(struct target *t, uint64_t off, uint64_t seed, size_t len)
{
	struct error err = ERROR_INIT;
	uint8_t *data = malloc(len);
	struct prng dice;

	assert_non_null(data);
	prng_init(&dice, seed);
	prng_fill(&dice, data, len);
	must(t->ops->write(t, off, data, len, &err), &err);
	free(data);
}

static void
must_read(int fd, uint64_t off, uint64_t seed, size_t len)
{
	struct error err = ERROR_INIT;
	uint8_t *have = malloc(len), *want = calloc(1, len);
	struct prng dice;

	assert_true(have != NULL && want != NULL);
	prng_init(&dice, seed);
	if (seed != 0)
		prng_fill(&dice, want, len);
	must(blocks_read(fd, off, have, len, "it", &err), &err);
	assert_memory_equal(have, want, len);
	free(have);
	free(want);
}

static uint64_t
size_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(name, &st), 0);
	return (uint64_t)st.st_size;
}

/* ---- names ---- */

static void
test_parse(void **state)
{
	static const char *const bad[] = { "", "nothing", "nothing:x", ":x",
		"/a/b", "raww:x", "ra:x" };
	const struct target_ops *ops;
	struct error err = ERROR_INIT;
	const char *rest;

	for (size_t i = 0; target_drivers[i] != NULL; i++) {
		char text[64];

		(void)snprintf(text, sizeof(text), "%s:a:b/c",
			target_drivers[i]->scheme);
		must(target_parse(text, &ops, &rest, &err), &err);
		assert_ptr_equal(ops, target_drivers[i]);
		assert_string_equal(rest, "a:b/c");
		assert_non_null(ops->options);
		assert_true(ops->open != NULL && ops->close != NULL &&
			    ops->write != NULL && ops->zero != NULL &&
			    ops->finish != NULL);
	}
	must(target_parse("-", &ops, &rest, &err), &err);
	assert_string_equal(ops->scheme, "stdout");
	assert_string_equal(rest, "");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(target_parse(bad[i], &ops, &rest, &err),
			ERR_USAGE);
}

/* ---- files ---- */

static void
test_file_appears_whole(void **state)
{
	static const char *const schemes[] = { "raw", "qcow2" };

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		struct error err = ERROR_INIT;
		struct target *t, *other;

		must(open_target(&t, schemes[i], false, "k", &err), &err);
		assert_true(t->blank && !t->ordered && t->resume == 0);
		write_at(t, MIB, 1, 5000);
		assert_false(exists(path));
		assert_true(exists(temp));
		assert_int_equal(open_target(&other, schemes[i], false, "k",
					 &err),
			ERR_EXISTS);
		assert_true(exists(temp));
		must(t->ops->finish(t, &err), &err);
		assert_true(exists(path));
		assert_false(exists(temp));
		t->ops->close(t);
		assert_int_equal(open_target(&other, schemes[i], false, "k",
					 &err),
			ERR_EXISTS);
		assert_int_equal(unlink(path), 0);
		/* Not finished, and nothing to go on from: nothing is left. */
		must(open_target(&t, schemes[i], false, "k", &err), &err);
		write_at(t, MIB, 1, 5000);
		t->ops->close(t);
		assert_false(exists(path));
		assert_false(exists(temp));
	}
}

static void
test_no_replacing(void **state)
{
	struct error err = ERROR_INIT;
	struct target *t;
	int fd;

	must(open_target(&t, "raw", false, "k", &err), &err);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(t->ops->finish(t, &err), ERR_EXISTS);
	fsx_close(&fd);
	t->ops->close(t);
	assert_int_equal(size_of(path), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(open_target(&t, "raw", true, "k", &err), ERR_USAGE);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(open_target(&t, "raw", true, "k", &err), ERR_USAGE);
	assert_int_equal(rmdir(path), 0);
}

/* Killed behind its marks. */
static void
write_and_die(bool overwrite, unsigned n_marks)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct error err = ERROR_INIT;
		struct target *t;

		if (open_target(&t, "raw", overwrite, "k", &err) != ERR_OK)
			_exit(1);
		for (unsigned i = 1; i <= n_marks; i++) {
			write_at(t, (uint64_t)i * 1000, i, 1000);
			if (t->ops->mark(t, i * 1000, &err) != ERR_OK)
				_exit(2);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
test_resume(void **state)
{
	for (unsigned n = 0; n < 4; n++) {
		struct error err = ERROR_INIT;
		struct target *t;
		int fd;

		write_and_die(false, n);
		assert_false(exists(path));
		must(open_target(&t, "raw", false, "k", &err), &err);
		assert_true(t->blank);
		assert_int_equal(t->resume, n * 1000);
		write_at(t, SIZE - 10, 9, 10);
		must(t->ops->finish(t, &err), &err);
		t->ops->close(t);
		assert_int_equal(size_of(path), SIZE);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		for (unsigned i = 1; i <= n; i++)
			must_read(fd, (uint64_t)i * 1000, i, 1000);
		must_read(fd, n * 1000 + 1000, 0, SIZE - 2000 - n * 1000);
		must_read(fd, SIZE - 10, 9, 10);
		fsx_close(&fd);
		assert_int_equal(unlink(path), 0);
	}
}

/* What another restore has left is not gone on with. */
static void
test_resume_another(void **state)
{
	struct error err = ERROR_INIT;
	struct target *t;
	int fd;

	write_and_die(false, 3);
	must(open_target(&t, "raw", false, "other", &err), &err);
	assert_true(t->blank);
	assert_int_equal(t->resume, 0);
	must(t->ops->finish(t, &err), &err);
	t->ops->close(t);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must_read(fd, 0, 0, SIZE);
	fsx_close(&fd);
	assert_int_equal(unlink(path), 0);
}

/* The newest mark was torn, byte by byte: the one before it counts. */
static void
test_resume_torn(void **state)
{
	const uint64_t sectors = (SIZE + 4095) / 4096 * 4096;

	for (unsigned at = 0; at < 400; at += 7) {
		struct error err = ERROR_INIT;
		uint8_t byte;
		struct target *t;
		uint64_t off;
		size_t got;
		int fd;

		/* The first mark is made by open, so the fourth is the newest
		 * and of even number. */
		write_and_die(false, 3);
		fd = open(temp, O_RDWR | O_CLOEXEC);
		off = sectors + at;
		must(fsx_pread(fd, &byte, 1, off, &got, temp, &err), &err);
		byte ^= 0x40;
		must(fsx_pwrite(fd, &byte, 1, off, temp, &err), &err);
		fsx_close(&fd);
		must(open_target(&t, "raw", false, "k", &err), &err);
		assert_int_equal(t->resume, 2000);
		t->ops->close(t);
		assert_int_equal(unlink(temp), 0);
	}
}

static void
test_over(void **state)
{
	struct error err = ERROR_INIT;
	struct target *t;
	struct stat before, after;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	uint8_t old[100];

	memset(old, 'o', sizeof(old));
	must(fsx_pwrite(fd, old, 100, 4 * MIB, path, &err), &err);
	must(fsx_pwrite(fd, old, 100, 50, path, &err), &err);
	assert_int_equal(fstat(fd, &before), 0);
	fsx_close(&fd);
	assert_int_equal(open_target(&t, "raw", false, "k", &err), ERR_EXISTS);
	/* Half written, it is under neither name what it was or will be. */
	write_and_die(true, 2);
	assert_false(exists(path));
	must(open_target(&t, "raw", true, "k", &err), &err);
	assert_false(t->blank);
	assert_int_equal(t->resume, 2000);
	must(t->ops->zero(t, 50, 60, &err), &err);
	must(t->ops->finish(t, &err), &err);
	t->ops->close(t);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_int_equal(after.st_size, SIZE);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must_read(fd, 1000, 1, 1000);
	must_read(fd, 0, 0, 110);
	fsx_close(&fd);
	assert_int_equal(unlink(path), 0);
}

/* ---- zeroes and holes ---- */

static enum err
note(void *arg, uint64_t off, uint64_t len, struct error *err)
{
	uint64_t *sum = arg;

	*sum += len;
	return ERR_OK;
}

static void
test_zero(void **state)
{
	struct error err = ERROR_INIT;
	struct target *t;
	struct prng dice;
	uint8_t *model = calloc(1, SIZE), *have = malloc(SIZE);
	uint64_t sum = 0;

	assert_true(model != NULL && have != NULL);
	prng_init(&dice, 3);
	must(open_target(&t, "raw", false, "k", &err), &err);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t off = prng_below(&dice, SIZE);
		size_t len = (size_t)prng_below(&dice, SIZE - off) / 8 + 1;

		if (i % 2 == 0) {
			prng_fill(&dice, model + off, len);
			must(t->ops->write(t, off, model + off, len, &err),
				&err);
		} else {
			memset(model + off, 0, len);
			must(t->ops->zero(t, off, len, &err), &err);
		}
	}
	must(t->ops->read(t, 0, have, SIZE, &err), &err);
	assert_memory_equal(have, model, SIZE);
	must(t->ops->each_data(t, note, &sum, &err), &err);
	assert_true(sum <= SIZE);
	t->ops->close(t);
	free(model);
	free(have);
}

/* ---- standard output ---- */

static void
test_output(void **state)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct target_image image = { .size = SIZE, .key = "k" };
		struct target_conf conf = { 0 };
		const struct target_ops *ops;
		struct error err = ERROR_INIT;
		struct target *t;

		(void)dup2(fd, STDOUT_FILENO);
		must(target_parse("-", &ops, &conf.rest, &err), &err);
		must(ops->open(&t, &conf, &image, &err), &err);
		assert_true(t->blank && t->ordered);
		write_at(t, 300 * KIB, 1, 1000);
		must(ops->zero(t, 300 * KIB + 1000, 10, &err), &err);
		write_at(t, MIB, 2, 1000);
		must(ops->finish(t, &err), &err);
		ops->close(t);
		conf.rest = "x";
		_exit(ops->open(&t, &conf, &image, &err) == ERR_USAGE ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(size_of(path), SIZE);
	must_read(fd, 0, 0, 300 * KIB);
	must_read(fd, 300 * KIB, 1, 1000);
	must_read(fd, 300 * KIB + 1000, 0, MIB - 301 * KIB);
	must_read(fd, MIB, 2, 1000);
	must_read(fd, MIB + 1000, 0, SIZE - MIB - 1000);
	fsx_close(&fd);
	assert_int_equal(unlink(path), 0);
}

/* ---- devices ---- */

static void
test_device_refuses(void **state)
{
	struct error err = ERROR_INIT;
	struct target *t;
	int fd;

	assert_int_equal(open_target(&t, "device", true, "k", &err),
		ERR_NOTFOUND);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	fsx_close(&fd);
	assert_int_equal(open_target(&t, "device", true, "k", &err), ERR_USAGE);
	assert_non_null(strstr(err.msg, "not a block device"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(open_target(&t, "device", true, "k", &err), ERR_USAGE);
	assert_int_equal(unlink(path), 0);
}

/* ---- RBD images: what is refused before there is a cluster ---- */

static void
rbd_refuses(const char *rest, const char *record, enum err code,
	const char *text)
{
	struct target_image image = { .size = SIZE,
		.key = "k",
		.record = (const uint8_t *)record,
		.record_len = strlen(record) };
	struct target_conf conf = { .rest = "" };
	struct error err = ERROR_INIT;
	const struct target_ops *ops;
	struct target *t;

	must(target_parse(rest, &ops, &conf.rest, &err), &err);
	must_fail(ops->open(&t, &conf, &image, &err), code, &err, text);
}

static void
test_rbd_refuses(void **state)
{
	static const char nothing[] = "{\"size\": 1048576}";
	static const char no_image[] = "{\"size\": 1, \"pool\": \"p\"}";
	static const char orphan[] =
		"{\"size\": 1, \"pool\": \"p\", \"image\": \"i\","
		" \"parent_data\": false, \"parent\": {\"pool\": \"p\","
		" \"image\": \"i\"}}";

	rbd_refuses("rbd:x", "", ERR_USAGE, "is not rbd:POOL");
	rbd_refuses("rbd:p/", "", ERR_USAGE, "nothing is recorded of how");
	rbd_refuses("rbd:", nothing, ERR_USAGE, "nothing is recorded of how");
	rbd_refuses("rbd:p/", nothing, ERR_USAGE, "nothing is recorded of how");
	rbd_refuses("rbd:", no_image, ERR_USAGE, "nothing is recorded of how");
	rbd_refuses("rbd:p/i", orphan, ERR_CORRUPT, "its parent");
	rbd_refuses("rbd:p/i", "{", ERR_CORRUPT, "an image's record");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_file_appears_whole),
		cmocka_unit_test(test_no_replacing),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_resume_another),
		cmocka_unit_test(test_resume_torn),
		cmocka_unit_test(test_over),
		cmocka_unit_test(test_zero),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_device_refuses),
		cmocka_unit_test(test_rbd_refuses),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
