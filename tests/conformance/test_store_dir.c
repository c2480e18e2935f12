/* SPDX-License-Identifier: Apache-2.0 */
/* What only a directory can go through: kills, full disks, strangers' files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store_dir.h"
#include "tests/conformance/store_kinds.h"
#include "tests/lib/scale.h"

enum { LEN_MAX = 300000, EXIT_SKIP = 77 };

static char place[64];
static struct error err;

static int
setup(void **state)
{
	err = ERROR_INIT;
	(void)snprintf(place, sizeof(place), "/tmp/test-dir-XXXXXX");
	assert_non_null(mkdtemp(place));
	return 0;
}

/* In memory, where there is such a place: a thousand times as many puts a
 * second, so that a kill meets all of their steps. */
static int
setup_fast(void **state)
{
	err = ERROR_INIT;
	(void)snprintf(place, sizeof(place), "/dev/shm/test-dir-XXXXXX");
	return mkdtemp(place) != NULL ? 0 : setup(state);
}

static int
teardown(void **state)
{
	store_kinds_rm(place);
	return 0;
}

#define must_be(want, call) check_code(#call, want, call, __FILE__, __LINE__)
#define must(call)          must_be(ERR_OK, call)

static void
check_code(const char *call, enum err want, enum err have, const char *file,
	int line)
{
	if (have == want)
		return;
	print_error("%s: %s, not %s: %s\n", call, err_name(have),
		err_name(want), err.msg);
	_fail(file, line);
}

static const char *
in_place(const char *leaf)
{
	static char path[300];

	(void)snprintf(path, sizeof(path), "%s/%s", place, leaf);
	return path;
}

static struct store *
open_way(const char *path, enum dir_way way)
{
	struct store *st = NULL;

	must(store_open(&st, path, true, &err));
	store_dir_limit(st, way);
	return st;
}

/* The n-th object of a run: its name and its bytes follow from n. */
static void
nth_name(unsigned n, char name[40])
{
	(void)snprintf(name, 40, "packs/%02x/%u", n % 5, n);
}

static size_t
nth_bytes(unsigned n, uint8_t *data)
{
	struct prng p;
	size_t len;

	prng_init(&p, n);
	len = prng_below(&p, n % 4 == 0 ? LEN_MAX : 2000);
	for (size_t i = 0; i < len; i += 64)
		data[i] = (uint8_t)prng_next(&p);
	return len;
}

/* n objects lie in st, each whole: found by list, read back. */
struct census {
	struct store *st;
	unsigned n, n_max;
	bool *there;
	uint8_t *want;
};

static enum err
census_one(void *arg, const char *name, uint64_t size, struct error *e)
{
	struct census *c = arg;
	struct buf out = BUF_INIT(LEN_MAX);
	unsigned dir, n;
	enum err rc;

	if (sscanf(name, "packs/%x/%u", &dir, &n) != 2 || n >= c->n_max)
		return err_set(e, ERR_IO, "%s: a stranger", name);
	memset(c->want, 0, LEN_MAX);
	if (size != nth_bytes(n, c->want))
		return err_set(e, ERR_IO, "%s: of wrong size", name);
	rc = store_get_all(c->st, name, LEN_MAX, &out, e);
	if (rc == ERR_OK && size > 0 && memcmp(out.data, c->want, size) != 0)
		rc = err_set(e, ERR_IO, "%s: of wrong content", name);
	buf_fini(&out);
	c->there[n] = true;
	c->n++;
	return rc;
}

/* How many of the objects 0 .. n_sure are there, and all of those are. */
static enum err
census(struct store *st, unsigned n_sure, unsigned n_max, unsigned *n_found)
{
	struct census c = { .st = st, .n_max = n_max };
	enum err rc;

	c.there = calloc(n_max, sizeof(*c.there));
	c.want = malloc(LEN_MAX);
	rc = store_list(st, "", census_one, &c, &err);
	for (unsigned n = 0; n < n_sure && rc == ERR_OK; n++)
		if (!c.there[n])
			rc = err_set(&err, ERR_IO, "object %u is lost", n);
	*n_found = c.n;
	free(c.there);
	free(c.want);
	return rc;
}

/* Puts the objects from *done on, as fast as it can. */
static void
put_until_killed(enum dir_way way, volatile unsigned *done)
{
	uint8_t *data = calloc(1, LEN_MAX);
	struct store *st;
	char name[40];

	if (data == NULL || store_open(&st, place, true, &err) != ERR_OK)
		_exit(1);
	store_dir_limit(st, way);
	for (;; ++*done) {
		enum err rc;

		memset(data, 0, LEN_MAX);
		nth_name(*done, name);
		rc = store_put(st, name, data, nth_bytes(*done, data), &err);
		if (rc != ERR_OK && rc != ERR_EXISTS)
			_exit(1);
	}
}

static unsigned
count_temps(const char *dir)
{
	const struct dirent *e;
	unsigned n = 0;
	DIR *d = opendir(dir);

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL)
		n += strncmp(e->d_name, ".tmp-", 5) == 0;
	(void)closedir(d);
	return n;
}

static unsigned
count_all_temps(void)
{
	unsigned n = 0;
	char leaf[20];

	for (unsigned i = 0; i < 5; i++) {
		(void)snprintf(leaf, sizeof(leaf), "packs/%02x", i);
		n += count_temps(in_place(leaf));
	}
	return n;
}

/* One put into each directory, in a new run. */
static void
put_everywhere(enum dir_way way, unsigned from)
{
	struct store *st = open_way(place, way);
	uint8_t *data = malloc(LEN_MAX);
	char name[40];

	for (unsigned n = from; n < from + 5; n++) {
		enum err rc;

		memset(data, 0, LEN_MAX);
		nth_name(n, name);
		rc = store_put(st, name, data, nth_bytes(n, data), &err);
		assert_true(rc == ERR_OK || rc == ERR_EXISTS);
	}
	free(data);
	store_close(st);
}

static void
kill_once(enum dir_way way, struct prng *p, volatile unsigned *done)
{
	struct store *st = NULL;
	unsigned n_found;
	int status;
	pid_t pid;

	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		put_until_killed(way, done);
	(void)usleep((useconds_t)(1500 + prng_below(p, 5000)));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));

	must(store_open(&st, place, true, &err));
	must(census(st, *done, *done + 1, &n_found));
	assert_in_range(n_found, *done, *done + 1);
	store_close(st);
}

/* Whenever a writer dies, what it was told is durable is there, what is listed
 * is whole, and no later run is disturbed. */
static void
test_sigkill(void **state)
{
	volatile unsigned *done = mmap(NULL, sizeof(*done),
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned n_temps = 0;
	struct prng p;

	assert_true(done != MAP_FAILED);
	prng_init(&p, 5);
	for (int way = 0; way < DIR_WAY_END; way++) {
		*done = 0;
		for (unsigned n = 0; n < test_scale(40); n++)
			kill_once((enum dir_way)way, &p, done);
		if (way == DIR_WAY_TMPFILE)
			assert_int_equal(count_all_temps(), 0);
		n_temps += count_all_temps();
		put_everywhere((enum dir_way)way, *done);
		assert_int_equal(count_all_temps(), 0);
		print_message("way %d: %u objects\n", way, *done);
		store_kinds_rm(place);
		assert_int_equal(mkdir(place, 0700), 0);
	}
	print_message("%u temporaries swept\n", n_temps);
	(void)munmap((void *)(uintptr_t)done, sizeof(*done));
}

/* A temporary goes when its writer is dead, stays when it is not. */
static void
test_sweep(void **state)
{
	struct store *st;
	int fd;

	for (int way = DIR_WAY_LINK; way < DIR_WAY_END; way++) {
		assert_int_equal(mkdir(in_place("d"), 0700), 0);
		fd = creat(in_place("d/.tmp-dead"), 0600);
		assert_int_equal(close(fd), 0);
		fd = creat(in_place("d/.tmp-late"), 0400);
		assert_int_equal(close(fd), 0);
		fd = creat(in_place("d/.tmp-alive"), 0600);
		assert_int_equal(flock(fd, LOCK_EX), 0);
		st = open_way(place, (enum dir_way)way);
		must(store_put(st, "d/x", "x", 1, &err));
		assert_int_equal(access(in_place("d/.tmp-dead"), F_OK), -1);
		assert_int_equal(access(in_place("d/.tmp-late"), F_OK), -1);
		assert_int_equal(access(in_place("d/.tmp-alive"), F_OK), 0);
		assert_int_equal(close(fd), 0);
		must(store_put(st, "d/y", "y", 1, &err));
		assert_int_equal(count_temps(in_place("d")), 1);
		store_close(st);
		store_kinds_rm(place);
		assert_int_equal(mkdir(place, 0700), 0);
	}
}

struct opener {
	enum dir_way way;
	_Atomic unsigned next;
	_Atomic unsigned failed;
};

static void *
opener(void *arg)
{
	struct opener *o = arg;
	struct error e = ERROR_INIT;
	struct store *st = NULL;
	char name[40];

	for (unsigned n = 0; n < test_scale(100); n++) {
		(void)snprintf(name, sizeof(name), "d/%u", o->next++);
		if (store_open(&st, place, true, &e) != ERR_OK) {
			o->failed++;
			continue;
		}
		store_dir_limit(st, o->way);
		if (store_put(st, name, name, strlen(name), &e) != ERR_OK)
			o->failed++;
		store_close(st);
	}
	return NULL;
}

/* Each new run sweeps where the others are writing. */
static void
test_sweep_spares_writers(void **state)
{
	pthread_t t[4];

	for (int way = 0; way < DIR_WAY_END; way++) {
		struct opener o = { .way = (enum dir_way)way };

		for (unsigned i = 0; i < ARRAY_LEN(t); i++)
			assert_int_equal(pthread_create(&t[i], NULL, opener,
						 &o),
				0);
		for (unsigned i = 0; i < ARRAY_LEN(t); i++)
			assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_int_equal(o.failed, 0);
		assert_int_equal(count_temps(in_place("d")), 0);
		store_kinds_rm(place);
		assert_int_equal(mkdir(place, 0700), 0);
	}
}

/* Run fn in a child; its exit status. */
static int
in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define REQUIRE(cond)                                                        \
	do {                                                                 \
		if (!(cond)) {                                               \
			(void)fprintf(stderr, "line %d: %s: %s\n", __LINE__, \
				#cond, err.msg);                             \
			return 1;                                            \
		}                                                            \
	} while (0)

/* Put on until the disk is full: nothing of the last one stays, the earlier
 * ones are whole, and after a deletion there is room again. */
static int
fill_disk(enum dir_way way)
{
	uint8_t *data = malloc(LEN_MAX);
	struct store *st = NULL;
	unsigned n, n_found, temps;
	char name[40];
	enum err rc = ERR_OK;

	REQUIRE(data != NULL && store_open(&st, place, true, &err) == ERR_OK);
	store_dir_limit(st, way);
	for (n = 0; n < 10000; n++) {
		memset(data, 0, LEN_MAX);
		nth_name(n, name);
		rc = store_put(st, name, data, nth_bytes(n, data), &err);
		if (rc != ERR_OK)
			break;
	}
	REQUIRE(rc == ERR_NOSPACE && n > 5);
	temps = count_all_temps();
	REQUIRE(temps == 0);
	REQUIRE(census(st, n, n, &n_found) == ERR_OK && n_found == n);
	nth_name(0, name);
	REQUIRE(store_del(st, name, &err) == ERR_OK);
	nth_name(4, name);
	REQUIRE(store_del(st, name, &err) == ERR_OK);
	memset(data, 0, LEN_MAX);
	REQUIRE(store_put(st, name, data, nth_bytes(4, data), &err) == ERR_OK);
	store_close(st);
	free(data);
	return 0;
}

static int
disk_full_child(void)
{
	int rc = 0;

	if (unshare(CLONE_NEWNS) != 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return EXIT_SKIP;
	for (int way = 0; way < DIR_WAY_END && rc == 0; way++) {
		if (mount("none", place, "tmpfs", 0, "size=2m") != 0)
			return EXIT_SKIP;
		rc = fill_disk((enum dir_way)way);
		if (umount2(place, MNT_DETACH) != 0)
			return 1;
	}
	return rc;
}

static void
test_disk_full(void **state)
{
	int rc = in_child(disk_full_child);

	if (rc == EXIT_SKIP) {
		print_message(
			"skipped: a small tmpfs cannot be mounted here\n");
		skip();
	}
	assert_int_equal(rc, 0);
}

static int
read_only_child(void)
{
	struct store *st = NULL;
	uint64_t size;

	if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 ||
				      setuid(65534) != 0))
		return EXIT_SKIP;
	REQUIRE(store_open(&st, place, true, &err) == ERR_OK);
	for (int way = 0; way < DIR_WAY_END; way++) {
		store_dir_limit(st, (enum dir_way)way);
		REQUIRE(store_put(st, "d/y", "y", 1, &err) == ERR_DENIED);
		REQUIRE(strstr(err.msg, place) != NULL);
		REQUIRE(strstr(err.msg, "d/y") != NULL);
		REQUIRE(store_put(st, "e/y", "y", 1, &err) == ERR_DENIED);
		REQUIRE(store_put(st, "top", "y", 1, &err) == ERR_DENIED);
	}
	REQUIRE(store_del(st, "d/x", &err) == ERR_DENIED);
	REQUIRE(store_size(st, "d/y", &size, &err) == ERR_NOTFOUND);
	store_close(st);
	return 0;
}

static void
test_read_only(void **state)
{
	struct store *st = open_way(place, DIR_WAY_TMPFILE);
	int rc;

	must(store_put(st, "d/x", "x", 1, &err));
	store_close(st);
	assert_int_equal(chmod(in_place("d"), 0555), 0);
	assert_int_equal(chmod(place, 0555), 0);
	rc = in_child(read_only_child);
	assert_int_equal(chmod(place, 0700), 0);
	assert_int_equal(chmod(in_place("d"), 0700), 0);
	if (rc == EXIT_SKIP) {
		print_message("skipped: cannot become an ordinary user\n");
		skip();
	}
	assert_int_equal(rc, 0);
}

static void
test_open(void **state)
{
	struct store *st = NULL;
	struct stat sb;
	char url[320];
	int fd;

	must_be(ERR_NOTFOUND, store_open(&st, in_place("no"), false, &err));
	assert_non_null(strstr(err.msg, in_place("no")));
	assert_int_equal(access(in_place("no"), F_OK), -1);
	must_be(ERR_USAGE, store_open(&st, "", true, &err));
	must_be(ERR_USAGE, store_open(&st, "file://host/x", true, &err));
	must_be(ERR_USAGE, store_open(&st, "file://", true, &err));
	must_be(ERR_USAGE, store_open(&st, "foo://x/y", true, &err));
	assert_non_null(strstr(err.msg, "foo"));
	assert_non_null(strstr(err.msg, "file://"));
	assert_null(st);
	fd = creat(in_place("file"), 0600);
	assert_int_equal(close(fd), 0);
	assert_true(store_open(&st, in_place("file"), false, &err) != ERR_OK);
	assert_true(store_open(&st, in_place("file/x"), true, &err) != ERR_OK);

	(void)snprintf(url, sizeof(url), "file://%s", in_place("a/b/c"));
	must_be(ERR_NOTFOUND, store_open(&st, url, false, &err));
	must(store_open(&st, url, true, &err));
	must(store_put(st, "x/y", "1", 1, &err));
	store_close(st);
	assert_int_equal(stat(in_place("a/b/c/x"), &sb), 0);
	assert_int_equal(sb.st_mode, S_IFDIR | 0700);
	assert_int_equal(stat(in_place("a/b/c/x/y"), &sb), 0);
	assert_int_equal(sb.st_mode, S_IFREG | 0400);

	/* By a relative path, and through the operator's own link. */
	assert_int_equal(symlink("a/b", in_place("link")), 0);
	assert_int_equal(chdir(place), 0);
	must(store_open(&st, "link/c", false, &err));
	must(store_size(st, "x/y", &(uint64_t){ 0 }, &err));
	store_close(st);
	assert_int_equal(chdir("/"), 0);
	store_close(NULL);
}

static enum err
count_one(void *arg, const char *name, uint64_t size, struct error *e)
{
	++*(unsigned *)arg;
	return ERR_OK;
}

/* Whoever can write into the directory cannot lead us out of it, nor make us
 * wait, nor have files listed that are no objects. */
static void
test_strangers(void **state)
{
	static const char *const files[] = { "s/d/.tmp-1", "s/d/.hidden",
		"s/d/UPPER", "s/d/a~", "s/lost+found", "s/1/2/3/4/5/6/7/8/9" };
	struct buf out = BUF_INIT(10);
	struct store *st = NULL;
	unsigned n = 0;
	uint64_t size;
	int fd;

	must(store_open(&st, in_place("s/1/2/3/4/5/6/7/8"), true, &err));
	store_close(st);
	must(store_open(&st, in_place("s"), true, &err));
	must(store_put(st, "d/x", "x", 1, &err));
	assert_int_equal(mkdir(in_place("away"), 0700), 0);
	fd = creat(in_place("away/secret"), 0600);
	assert_int_equal(close(fd), 0);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		fd = creat(in_place(files[i]), 0600);
		assert_int_equal(close(fd), 0);
	}
	assert_int_equal(symlink("../away", in_place("s/out")), 0);
	assert_int_equal(symlink("x", in_place("s/d/leaf")), 0);
	assert_int_equal(mkfifo(in_place("s/d/fifo"), 0600), 0);

	must_be(ERR_IO, store_put(st, "out/x", "x", 1, &err));
	must_be(ERR_IO, store_get(st, "out/secret", 0, 0, &out, &err));
	must_be(ERR_IO, store_del(st, "out/secret", &err));
	must_be(ERR_IO, store_list(st, "out", count_one, &n, &err));
	must_be(ERR_IO, store_get(st, "d/leaf", 0, 1, &out, &err));
	must_be(ERR_USAGE, store_put(st, "d/leaf", "y", 1, &err));
	must_be(ERR_NOTFOUND, store_size(st, "d/fifo", &size, &err));
	must_be(ERR_USAGE, store_put(st, "d/fifo", "y", 1, &err));
	assert_int_equal(access(in_place("away/secret"), F_OK), 0);
	assert_int_equal(access(in_place("away/x"), F_OK), -1);
	must(store_list(st, "", count_one, &n, &err));
	assert_int_equal(n, 1);
	store_close(st);
}

/* What one process deletes or cuts, another notices, though it has the file
 * open. */
static void
test_two_handles(void **state)
{
	struct store *a = open_way(place, DIR_WAY_TMPFILE);
	struct store *b = open_way(place, DIR_WAY_TMPFILE);
	struct buf out = BUF_INIT(10);
	unsigned fds = store_kinds_fds();

	must(store_put(a, "d/x", "12345", 5, &err));
	must(store_get(b, "d/x", 0, 5, &out, &err));
	must(store_size(a, "d/x", &(uint64_t){ 0 }, &err));
	must(store_del(a, "d/x", &err));
	/* Its space is free only when nobody has it open. */
	assert_int_equal(store_kinds_fds(), fds + 1);
	must_be(ERR_NOTFOUND, store_get(b, "d/x", 0, 5, &out, &err));
	assert_int_equal(store_kinds_fds(), fds);
	must(store_put(a, "d/x", "6789", 4, &err));
	must(store_get(b, "d/x", 0, 4, &out, &err));
	assert_memory_equal(out.data, "123456789", 9);
	assert_int_equal(chmod(in_place("d/x"), 0600), 0);
	assert_int_equal(truncate(in_place("d/x"), 3), 0);
	buf_clear(&out);
	must_be(ERR_CORRUPT, store_get(b, "d/x", 0, 4, &out, &err));
	assert_non_null(strstr(err.msg, "ends after 3 bytes"));
	buf_fini(&out);
	store_close(a);
	store_close(b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_open),
		cmocka_unit_test_setup_teardown(test_sigkill, setup_fast,
			teardown),
		T(test_sweep),
		T(test_sweep_spares_writers),
		T(test_disk_full),
		T(test_read_only),
		T(test_strangers),
		T(test_two_handles),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
