/* SPDX-License-Identifier: Apache-2.0 */
/* What one run kept the next one has, whatever happens in between. */
#include "tests/lib/repo_tools.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "repo/nodecache.h"

enum { NODES = 64, LEN_MAX = 2000 };

static struct error err;

struct world {
	char dir[64], files[128];
	struct store *st;
	struct repo *repo;
	/* nodes that may be kept */
	struct id id[NODES];
	struct node_bytes node[NODES];
	uint8_t bytes[NODES][LEN_MAX];
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct repo_conf conf = { .pass = TOOL_PASS };
	char hex[UID_HEX + 1];
	struct prng p;

	prng_init(&p, 6);
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/coffer-nodes-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	conf.cache_root = w->dir;
	w->st = tool_repo_store();
	must(repo_open(&w->repo, w->st, &conf, &err), &err);
	hex_encode(repo_config(w->repo)->repo.b, UID_LEN, hex);
	(void)snprintf(w->files, sizeof(w->files), "%s/%s", w->dir, hex);
	for (size_t i = 0; i < NODES; i++) {
		struct node_bytes *n = &w->node[i];

		prng_fill(&p, w->bytes[i], LEN_MAX);
		n->head = w->bytes[i];
		n->head_len = prng_below(&p, LEN_MAX / 2);
		n->body = w->bytes[i] + n->head_len;
		n->body_len = 1 + prng_below(&p, LEN_MAX / 2);
		repo_node_id(w->repo, n->head, n->head_len, n->body,
			n->body_len, &w->id[i]);
	}
	*state = w;
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	(void)nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	repo_close(w->repo);
	store_close(w->st);
	free(w);
	return 0;
}

static struct nodecache *
open_of(struct world *w, const char *lineage, uint64_t size_max)
{
	const struct nodecache_conf conf = { lineage, strlen(lineage),
		size_max };
	struct nodecache *nc;

	must(nodecache_open(&nc, w->repo, &conf, &err), &err);
	return nc;
}

static void
keep(struct world *w, struct nodecache *nc, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		nodecache_keep(nc, &w->id[i], &w->node[i]);
}

/* A run of that lineage that keeps [from, to), whose last one is the root. */
static void
run(struct world *w, const char *lineage, size_t from, size_t to)
{
	struct nodecache *nc = open_of(w, lineage, 0);

	keep(w, nc, from, to);
	must(nodecache_publish(nc, &w->id[to - 1], &err), &err);
	nodecache_close(nc);
}

static bool
has(struct world *w, struct nodecache *nc, size_t i)
{
	const struct node_bytes *n = &w->node[i];
	struct buf b = BUF_INIT((size_t)2 * LEN_MAX);
	size_t head_len = 0;
	enum err rc = nodecache_get(nc, &w->id[i], &b, &head_len, &err);

	if (rc == ERR_OK) {
		assert_int_equal(head_len, n->head_len);
		assert_int_equal(b.len, n->head_len + n->body_len);
		assert_memory_equal(b.data, n->head, b.len);
	} else {
		assert_int_equal(rc, ERR_NOTFOUND);
		assert_int_equal(b.len, 0);
	}
	buf_fini(&b);
	return rc == ERR_OK;
}

/* Exactly [from, to) is there. */
static void
expect(struct world *w, const char *lineage, size_t from, size_t to)
{
	struct nodecache *nc = open_of(w, lineage, 0);

	for (size_t i = 0; i < NODES; i++) {
		assert_int_equal(has(w, nc, i), i >= from && i < to);
		assert_int_equal(nodecache_holds(nc, &w->id[i]),
			from < to && i == to - 1);
	}
	nodecache_close(nc);
}

static unsigned
count_files(const struct world *w, const char *suffix)
{
	DIR *dir = opendir(w->files);
	struct dirent *e;
	unsigned n = 0;

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		size_t len = strlen(e->d_name);

		if (strncmp(e->d_name, "nodes-", 6) == 0 &&
			strcmp(e->d_name + len - strlen(suffix), suffix) == 0)
			n++;
	}
	if (dir != NULL)
		(void)closedir(dir);
	return n;
}

/* The one published file there is. */
static const char *
the_file(const struct world *w)
{
	static char path[512];
	DIR *dir = opendir(w->files);
	struct dirent *e;

	path[0] = '\0';
	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL)
		if (strncmp(e->d_name, "nodes-", 6) == 0 &&
			strchr(e->d_name, '.') == NULL)
			(void)snprintf(path, sizeof(path), "%s/%s", w->files,
				e->d_name);
	(void)closedir(dir);
	assert_true(path[0] != '\0');
	return path;
}

static ino_t
inode(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

/* ---- tests ---- */

static void
test_generations(void **state)
{
	static const size_t runs[][2] = { { 0, 10 }, { 5, 30 }, { 5, 30 },
		{ 0, NODES }, { 29, 30 }, { 30, 31 } };
	struct world *w = *state;

	expect(w, "a", 0, 0);
	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		run(w, "a", runs[i][0], runs[i][1]);
		expect(w, "a", runs[i][0], runs[i][1]);
		expect(w, "b", 0, 0);
		assert_int_equal(count_files(w, ""), 1);
	}
}

static void
test_unchanged_writes_nothing(void **state)
{
	struct world *w = *state;
	ino_t before;

	run(w, "a", 0, 20);
	before = inode(the_file(w));
	run(w, "a", 0, 20);
	assert_int_equal(inode(the_file(w)), before);
	run(w, "a", 0, 21);
	assert_int_not_equal(inode(the_file(w)), before);
}

static void
test_carry(void **state)
{
	struct world *w = *state;
	struct nodecache *nc;

	run(w, "a", 0, 20);
	nc = open_of(w, "a", 0);
	assert_false(nodecache_carry(nc, &w->id[20]));
	for (size_t i = 10; i < 20; i++) {
		assert_false(nodecache_keeps(nc, &w->id[i]));
		assert_true(nodecache_carry(nc, &w->id[i]));
		assert_true(nodecache_keeps(nc, &w->id[i]));
	}
	keep(w, nc, 20, 22);
	must(nodecache_publish(nc, &w->id[21], &err), &err);
	nodecache_close(nc);
	expect(w, "a", 10, 22);
}

/* A run that does not end well leaves what was there. */
static void
test_not_published(void **state)
{
	struct world *w = *state;
	struct error why = ERROR_INIT;
	struct nodecache *nc;

	run(w, "a", 0, 20);
	nc = open_of(w, "a", 0);
	keep(w, nc, 10, NODES);
	assert_int_equal(count_files(w, ".new"), 1);
	nodecache_close(nc);
	assert_int_equal(count_files(w, ".new"), 0);
	expect(w, "a", 0, 20);

	nc = open_of(w, "a", 0);
	keep(w, nc, 10, 40);
	(void)err_set(&why, ERR_IO, "because");
	nodecache_give_up(nc, &why);
	keep(w, nc, 40, NODES);
	must_fail(nodecache_publish(nc, &w->id[NODES - 1], &err), ERR_IO, &err,
		"because");
	nodecache_close(nc);
	expect(w, "a", 0, 20);

	nc = open_of(w, "a", 0);
	keep(w, nc, 10, 40);
	must_fail(nodecache_publish(nc, &w->id[40], &err), ERR_NOTFOUND, &err,
		"root");
	nodecache_close(nc);
	expect(w, "a", 0, 20);
}

/* Killed after some nodes: the old file serves, and what was left behind is
 * written over, or removed by a run of another lineage. */
static void
test_killed(void **state)
{
	struct world *w = *state;
	int status;
	pid_t pid;

	run(w, "a", 0, 20);
	for (size_t n = 21; n < NODES; n += 7) {
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			keep(w, open_of(w, "a", 0), 10, n);
			(void)raise(SIGKILL);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(count_files(w, ".new"), 1);
		expect(w, "a", 0, 20);
		if (n % 2 == 0) {
			run(w, "a", 0, 20);
			run(w, "a", 0, 21);
			expect(w, "a", 0, 21);
			run(w, "a", 0, 20);
		} else {
			run(w, "b", 0, n);
		}
		assert_int_equal(count_files(w, ".new"), 0);
	}
	expect(w, "a", 0, 20);
}

/* The first one to keep something publishes; the other one is told. */
static void
test_two_processes(void **state)
{
	struct world *w = *state;
	struct nodecache *a, *b;

	run(w, "a", 0, 20);
	a = open_of(w, "a", 0);
	b = open_of(w, "a", 0);
	keep(w, a, 10, 25);
	keep(w, b, 15, 40);
	assert_true(has(w, b, 3));
	must(nodecache_publish(a, &w->id[24], &err), &err);
	must_fail(nodecache_publish(b, &w->id[39], &err), ERR_EXISTS, &err,
		"another backup");
	assert_true(has(w, b, 3));
	nodecache_close(a);
	nodecache_close(b);
	expect(w, "a", 10, 25);
}

/* Any number of them at once: there always is a whole file. */
static void
test_many_processes(void **state)
{
	enum { PROCESSES = 4, ROUNDS = 60 };
	struct world *w = *state;
	int status;

	for (unsigned i = 0; i < PROCESSES; i++) {
		struct prng p;

		if (fork() != 0)
			continue;
		prng_init(&p, i);
		for (unsigned round = 0; round < ROUNDS; round++) {
			size_t to = 2 + prng_below(&p, NODES - 2);
			struct nodecache *nc = open_of(w, "a", 0);

			keep(w, nc, to / 2, to);
			(void)nodecache_publish(nc, &w->id[to - 1], &err);
			nodecache_close(nc);
			nc = open_of(w, "a", 0);
			for (size_t k = 2; k <= NODES; k++)
				for (size_t at = k / 2;
					at < k &&
					nodecache_holds(nc, &w->id[k - 1]);
					at++)
					if (!has(w, nc, at))
						_exit(1);
			nodecache_close(nc);
		}
		_exit(0);
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	assert_int_equal(count_files(w, ""), 1);
	assert_int_equal(count_files(w, ".new"), 0);
}

/* A file with any byte changed is none; and can be made anew. */
static void
test_damage(void **state)
{
	struct world *w = *state;
	struct stat st;
	struct prng p;
	uint8_t byte;
	off_t at;
	int fd;

	prng_init(&p, 7);
	for (unsigned i = 0; i < 40; i++) {
		run(w, "a", 0, 20);
		fd = open(the_file(w), O_RDWR);
		assert_int_equal(fstat(fd, &st), 0);
		at = (off_t)prng_below(&p, (uint64_t)st.st_size);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 16;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		(void)close(fd);
		expect(w, "a", 0, 0);
	}
	run(w, "a", 0, 20);
	expect(w, "a", 0, 20);
}

/* Damaged after it was opened: told once, and gone. */
static void
test_damaged_in_use(void **state)
{
	struct world *w = *state;
	struct buf b = BUF_INIT((size_t)2 * LEN_MAX);
	struct nodecache *nc;
	size_t head_len;
	unsigned failed = 0;

	run(w, "a", 0, 20);
	nc = open_of(w, "a", 0);
	keep(w, nc, 0, 25);
	assert_int_equal(truncate(the_file(w), 3000), 0);
	for (size_t i = 0; i < 20; i++) {
		enum err rc = nodecache_get(nc, &w->id[i], &b, &head_len, &err);

		if (rc != ERR_OK && rc != ERR_NOTFOUND)
			failed++;
		buf_clear(&b);
	}
	assert_int_equal(failed, 1);
	must_fail(nodecache_publish(nc, &w->id[24], &err), ERR_CORRUPT, &err,
		"damaged");
	nodecache_close(nc);
	buf_fini(&b);
	assert_int_equal(count_files(w, ""), 0);
	expect(w, "a", 0, 0);
}

/* What was kept by the name of another is not given out by it. */
static void
test_another_name(void **state)
{
	struct world *w = *state;
	struct buf b = BUF_INIT((size_t)2 * LEN_MAX);
	struct nodecache *nc = open_of(w, "a", 0);
	size_t head_len;

	nodecache_keep(nc, &w->id[0], &w->node[1]);
	must(nodecache_publish(nc, &w->id[0], &err), &err);
	nodecache_close(nc);
	nc = open_of(w, "a", 0);
	must_fail(nodecache_get(nc, &w->id[0], &b, &head_len, &err),
		ERR_CORRUPT, &err, "another id");
	assert_int_equal(b.len, 0);
	nodecache_close(nc);
	buf_fini(&b);
}

static void
test_too_large(void **state)
{
	struct world *w = *state;
	struct nodecache *nc;
	struct stat st;

	run(w, "a", 0, 20);
	assert_int_equal(stat(the_file(w), &st), 0);
	for (int more = -1; more <= 0; more++) {
		nc = open_of(w, "b", (uint64_t)(st.st_size + more));
		keep(w, nc, 0, 20);
		if (more < 0)
			must_fail(nodecache_publish(nc, &w->id[19], &err),
				ERR_NOSPACE, &err, "more than");
		else
			must(nodecache_publish(nc, &w->id[19], &err), &err);
		nodecache_close(nc);
		expect(w, "b", 0, more < 0 ? 0 : 20);
	}
	/* There was room for one of them. */
	expect(w, "a", 0, 0);
	/* What is carried counts as well. */
	nc = open_of(w, "b", (uint64_t)st.st_size + 1);
	keep(w, nc, 0, 21);
	must_fail(nodecache_publish(nc, &w->id[20], &err), ERR_NOSPACE, &err,
		"more than");
	nodecache_close(nc);
	expect(w, "b", 0, 20);
}

/* The lineage that was used last stays. */
static void
test_others_give_way(void **state)
{
	struct world *w = *state;
	struct nodecache *nc;
	struct stat st;

	run(w, "a", 0, 20);
	assert_int_equal(stat(the_file(w), &st), 0);
	(void)usleep(20000);
	run(w, "b", 0, 20);
	(void)usleep(20000);
	run(w, "a", 0, 20);
	(void)usleep(20000);
	nc = open_of(w, "c", (uint64_t)st.st_size * 5 / 2);
	keep(w, nc, 0, 20);
	must(nodecache_publish(nc, &w->id[19], &err), &err);
	nodecache_close(nc);
	expect(w, "a", 0, 20);
	expect(w, "b", 0, 0);
	expect(w, "c", 0, 20);
}

static void
test_without_directory(void **state)
{
	struct world *w = *state;
	struct repo *with = w->repo;
	struct nodecache *nc;
	FILE *f;

	w->repo = tool_open(w->st, TOOL_PASS);
	nc = open_of(w, "a", 0);
	keep(w, nc, 0, 20);
	must(nodecache_publish(nc, &w->id[19], &err), &err);
	assert_false(nodecache_holds(nc, &w->id[19]));
	nodecache_close(nc);
	repo_close(w->repo);
	w->repo = with;
	/* A directory that cannot be one. */
	f = fopen(w->files, "we");
	assert_non_null(f);
	(void)fclose(f);
	nc = open_of(w, "a", 0);
	keep(w, nc, 0, 20);
	assert_int_not_equal(nodecache_publish(nc, &w->id[19], &err), ERR_OK);
	nodecache_close(nc);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_generations),
		T(test_unchanged_writes_nothing),
		T(test_carry),
		T(test_not_published),
		T(test_killed),
		T(test_two_processes),
		T(test_many_processes),
		T(test_damage),
		T(test_damaged_in_use),
		T(test_another_name),
		T(test_too_large),
		T(test_others_give_way),
		T(test_without_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
