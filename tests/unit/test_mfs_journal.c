/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of a MooseFS's changes: what it calls durable is there again,
 * and nothing that is half, whatever ends the process or the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsx.h"
#include "source/moosefs/journal.h"
#include "tests/lib/prng.h"

enum { SEEDS = 150 };

static char top[64];

static void
remove_all(void)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", top);
	assert_int_equal(system(command), 0);
}

static int
set_up(void **state)
{
	(void)snprintf(top, sizeof(top), "/tmp/coffer-journal-XXXXXX");
	return mkdtemp(top) == NULL;
}

static int
tear_down(void **state)
{
	remove_all();
	return 0;
}

static void
on_note(void *arg, const char *sentence)
{
	(*(unsigned *)arg)++;
	(void)sentence;
}

static struct journal *
open_at(const char *dir, unsigned *notes)
{
	struct journal_conf conf = { dir, on_note, notes };
	struct error err = ERROR_INIT;
	struct journal *j = NULL;

	if (journal_open(&j, &conf, &err) != ERR_OK)
		print_message("%s\n", err.msg);
	assert_non_null(j);
	return j;
}

/* The text of change id in the history h; of any length. */
static void
text_of(char out[512], uint64_t id, unsigned h)
{
	(void)snprintf(out, 512,
		"%" PRIu64 "|CREATE(1,h%u%.*s,1,420,0,0,0,0):%" PRIu64,
		1700000000 + id, h, (int)(id * 7 % 300),
		"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
		"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
		"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
		"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
		"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
		id);
}

static enum mfs_link
add(struct journal *j, uint64_t id, unsigned h)
{
	struct error err = ERROR_INIT;
	enum mfs_link link;
	char text[512];

	text_of(text, id, h);
	assert_int_equal(journal_add(j, id, text, strlen(text), &link, &err),
		ERR_OK);
	return link;
}

static uint64_t
next_of(struct journal *j)
{
	struct journal_figures f;

	journal_figures(j, &f);
	return f.next;
}

static void
begin_new(struct journal *j)
{
	struct error err = ERROR_INIT;

	if (journal_has_begun(j))
		return;
	assert_int_equal(journal_begin(j, 1, &err), ERR_OK);
	assert_int_equal(journal_adopt_new(j, &err), ERR_OK);
}

/* All that a view shows, against the model; the id after the last line. */
static uint64_t
check_view(struct journal *j, const struct journal_view *v)
{
	struct error err = ERROR_INIT;
	struct buf data = BUF_INIT(64 << 20), want = BUF_INIT(64 << 20);
	uint64_t id = v->n > 0 ? v->v[0].first : v->first;
	char text[512];
	int fd;

	for (size_t i = 0; i < v->n; i++) {
		assert_int_equal(v->v[i].first, id);
		buf_clear(&data);
		buf_clear(&want);
		assert_int_equal(journal_open_segment(j, &v->v[i], &fd, &err),
			ERR_OK);
		assert_int_equal(fsx_read_all(fd, &data, "segment", &err),
			ERR_OK);
		(void)close(fd);
		for (; id <= v->v[i].last; id++) {
			text_of(text, id, 0);
			assert_int_equal(mfs_change_put(&want, id, text,
						 strlen(text), &err),
				ERR_OK);
		}
		assert_int_equal(data.len, v->v[i].size);
		assert_int_equal(data.len, want.len);
		assert_memory_equal(data.data, want.data, want.len);
	}
	assert_int_equal(v->last + 1, id);
	buf_fini(&data);
	buf_fini(&want);
	return id;
}

static uint64_t
check_all(struct journal *j)
{
	struct error err = ERROR_INIT;
	struct journal_view v;
	uint64_t next;

	assert_int_equal(journal_pin(j, &v, &err), ERR_OK);
	assert_true(v.has_base);
	next = check_view(j, &v);
	assert_int_equal(next, next_of(j));
	assert_int_equal(journal_unpin(j, &v, false, &err), ERR_OK);
	return next;
}

/* ---- killed at any moment ---- */

struct report {
	uint64_t durable, sealed;
};

static void
tell(int fd, struct journal *j)
{
	struct journal_figures f;
	struct report r;

	journal_figures(j, &f);
	r = (struct report){ f.durable, f.sealed };
	assert_int_equal(write(fd, &r, sizeof(r)), sizeof(r));
}

/* Random operations, and no end in order. */
static void
live_and_die(const char *dir, struct prng *p, int fd)
{
	struct error err = ERROR_INIT;
	struct journal_view v;
	unsigned notes = 0;
	struct journal *j = open_at(dir, &notes);
	uint64_t n = 1 + prng_below(p, 60);

	begin_new(j);
	tell(fd, j);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t lines = prng_below(p, 200), op = prng_below(p, 4);

		while (lines-- > 0)
			(void)add(j, next_of(j), 0);
		if (op == 0)
			assert_int_equal(journal_sync(j, &err), ERR_OK);
		if (op == 1) {
			assert_int_equal(journal_pin(j, &v, &err), ERR_OK);
			tell(fd, j);
			(void)check_view(j, &v);
			assert_int_equal(journal_unpin(j, &v,
						 prng_below(p, 2) == 0, &err),
				ERR_OK);
		}
		tell(fd, j);
	}
	_exit(0);
}

/* The file with the highest first id. */
static bool
newest_segment(const char *dir, char out[256])
{
	char command[256];
	bool found;
	FILE *f;

	(void)snprintf(command, sizeof(command),
		"ls %s/changelog.*.mfs 2>/dev/null | sort -t . -k 2n | tail -1",
		dir);
	f = popen(command, "r");
	assert_non_null(f);
	found = fgets(out, 256, f) != NULL;
	(void)pclose(f);
	out[strcspn(out, "\n")] = '\0';
	return found;
}

/* What a machine that loses power may do to what was not synced: it was all
 * written here, and so only more can be behind it. */
static void
spoil_tail(const char *dir, struct prng *p)
{
	static const char half[] = "99999999: 1700000000|CREA";
	char path[256];
	uint8_t zeroes[300] = { 0 };
	int fd;

	if (!newest_segment(dir, path) || prng_below(p, 3) == 0)
		return;
	fd = open(path, O_WRONLY | O_APPEND);
	assert_true(fd >= 0);
	if (prng_below(p, 2) == 0)
		assert_true(write(fd, half, sizeof(half) - 1) > 0);
	else
		assert_true(write(fd, zeroes, 1 + prng_below(p, 299)) > 0);
	(void)close(fd);
}

static void
test_killed(void **state)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct report r = { 0 }, got;
		unsigned notes = 0;
		struct journal *j;
		struct prng p;
		char dir[96];

		prng_init(&p, seed);
		(void)snprintf(dir, sizeof(dir), "%s/k%" PRIu64, top, seed);
		for (unsigned life = 0; life < 3; life++) {
			int ends[2], status;
			pid_t pid;

			assert_int_equal(pipe(ends), 0);
			(void)prng_next(&p);
			pid = fork();
			assert_true(pid >= 0);
			if (pid == 0)
				live_and_die(dir, &p, ends[1]);
			(void)close(ends[1]);
			if (prng_below(&p, 2) == 0) {
				(void)usleep((unsigned)prng_below(&p, 4000));
				(void)kill(pid, SIGKILL);
			}
			while (read(ends[0], &got, sizeof(got)) == sizeof(got))
				r = got;
			(void)close(ends[0]);
			assert_int_equal(waitpid(pid, &status, 0), pid);
			assert_true(WIFSIGNALED(status)
					    ? WTERMSIG(status) == SIGKILL
					    : WEXITSTATUS(status) == 0);
			spoil_tail(dir, &p);
		}
		j = open_at(dir, &notes);
		begin_new(j);
		if (check_all(j) < r.durable)
			fail_msg("seed %" PRIu64 ": durable was %" PRIu64, seed,
				r.durable);
		journal_close(j);
	}
}

/* ---- a disk that is full ---- */

static void
limit_files(rlim_t size)
{
	struct rlimit r;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
	r.rlim_cur = size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* Lines end anywhere in a file that can grow no further. */
static void
test_full(void **state)
{
	(void)signal(SIGXFSZ, SIG_IGN);
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct error err = ERROR_INIT;
		unsigned notes = 0, failures = 0;
		enum mfs_link link;
		struct journal_figures f;
		struct journal *j;
		struct prng p;
		char dir[96];

		prng_init(&p, seed);
		(void)snprintf(dir, sizeof(dir), "%s/f%" PRIu64, top, seed);
		j = open_at(dir, &notes);
		begin_new(j);
		for (unsigned i = 0; i < 20; i++) {
			limit_files(
				i % 2 == 0 ? RLIM_INFINITY
					   : 1 + (rlim_t)prng_below(&p, 60000));
			for (uint64_t n = prng_below(&p, 100); n > 0; n--)
				assert_int_equal(add(j, next_of(j), 0),
					MFS_LINK_NEXT);
			journal_figures(j, &f);
			if (journal_sync(j, &err) == ERR_OK)
				continue;
			failures++;
			assert_int_not_equal(journal_add(j, f.next, "1|A()", 5,
						     &link, &err),
				ERR_OK);
			assert_int_not_equal(journal_sync(j, &err), ERR_OK);
			assert_int_equal(journal_recover(j, &err), ERR_OK);
			assert_int_equal(next_of(j), f.durable);
		}
		limit_files(RLIM_INFINITY);
		assert_int_equal(journal_sync(j, &err), ERR_OK);
		(void)check_all(j);
		journal_close(j);
		if (seed == 0)
			assert_true(failures > 0);
	}
}

/* ---- chains and bases ---- */

static void
write_image(const char *path, uint64_t version)
{
	uint8_t head[40] = "MFSM 2.0";
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	for (unsigned i = 0; i < 8; i++)
		head[8 + i] = (uint8_t)(version >> (56 - 8 * i));
	head[23] = 7;
	memcpy(head + 24, "[MFS EOF MARKER]", 16);
	assert_int_equal(write(fd, head, sizeof(head)), sizeof(head));
	(void)close(fd);
}

static void
adopt(struct journal *j, uint64_t version)
{
	const struct mfs_header h = { .version = version, .id = 7 };
	struct error err = ERROR_INIT;
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/image", top);
	write_image(path, version);
	assert_int_equal(journal_adopt(j, path, &h, &err), ERR_OK);
}

static void
seal(struct journal *j, uint64_t first, size_t segments)
{
	struct error err = ERROR_INIT;
	struct journal_view v;

	assert_int_equal(journal_pin(j, &v, &err), ERR_OK);
	assert_int_equal(v.base.first, first);
	assert_int_equal(v.n, segments);
	(void)check_view(j, &v);
	assert_int_equal(journal_unpin(j, &v, true, &err), ERR_OK);
}

static unsigned
count(const char *dir, const char *what)
{
	char command[256], text[32] = "";
	FILE *f;

	(void)snprintf(command, sizeof(command), "ls %s/%s.*.mfs | wc -l", dir,
		what);
	f = popen(command, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	(void)pclose(f);
	return (unsigned)atoi(text);
}

/* Segments are what came between two pins; those that a sealed base does not
 * need go, and no others. */
static void
test_bases(void **state)
{
	unsigned notes = 0;
	struct journal_figures f;
	struct journal *j;
	char dir[96];

	(void)snprintf(dir, sizeof(dir), "%s/bases", top);
	j = open_at(dir, &notes);
	begin_new(j);
	for (uint64_t id = 1; id <= 10; id++)
		assert_int_equal(add(j, id, 0), MFS_LINK_NEXT);
	assert_int_equal(add(j, 10, 0), MFS_LINK_SAME);
	assert_int_equal(add(j, 9, 1), MFS_LINK_OTHER);
	assert_int_equal(add(j, 12, 0), MFS_LINK_HOLE);
	seal(j, 1, 1);
	for (uint64_t id = 11; id <= 20; id++)
		(void)add(j, id, 0);
	seal(j, 1, 2);
	seal(j, 1, 2); /* nothing new: no empty segment */
	(void)add(j, 21, 0);
	adopt(j, 15);
	assert_int_equal(count(dir, "changelog"), 2);
	seal(j, 15, 2);
	assert_int_equal(count(dir, "changelog"), 2);
	assert_int_equal(count(dir, "metadata"), 1);
	journal_figures(j, &f);
	assert_int_equal(f.bytes_waiting, 0);
	assert_int_equal(f.sealed, 22);
	journal_close(j);

	j = open_at(dir, &notes);
	assert_int_equal(next_of(j), 22);
	journal_figures(j, &f);
	assert_true(f.base == 15 && f.sealed == 22 && f.base_sealed);
	assert_int_equal(f.bytes_waiting, 0);
	assert_int_equal(notes, 0);
	journal_close(j);
}

/* Where it cannot be written down what is sealed, what goes then goes all the
 * same, and it is not sealed again and again. */
static void
test_sealed_on_a_full_disk(void **state)
{
	struct error err = ERROR_INIT;
	unsigned notes = 0;
	struct journal_figures f;
	struct journal_view v;
	struct journal *j;
	char dir[96];

	(void)signal(SIGXFSZ, SIG_IGN);
	(void)snprintf(dir, sizeof(dir), "%s/full", top);
	j = open_at(dir, &notes);
	begin_new(j);
	for (uint64_t id = 1; id <= 10; id++)
		(void)add(j, id, 0);
	seal(j, 1, 1);
	for (uint64_t id = 11; id <= 20; id++)
		(void)add(j, id, 0);
	seal(j, 1, 2);
	(void)add(j, 21, 0);
	adopt(j, 15);
	assert_int_equal(journal_pin(j, &v, &err), ERR_OK);
	limit_files(1);
	assert_int_not_equal(journal_unpin(j, &v, true, &err), ERR_OK);
	assert_int_equal(count(dir, "changelog"), 2);
	assert_int_equal(count(dir, "metadata"), 1);
	assert_int_equal(journal_recover(j, &err), ERR_OK);
	limit_files(RLIM_INFINITY);
	journal_figures(j, &f);
	assert_true(f.base == 15 && f.sealed == 22 && f.base_sealed);
	journal_close(j);

	j = open_at(dir, &notes);
	assert_int_equal(next_of(j), 22);
	seal(j, 15, 2);
	assert_int_equal(notes, 0);
	journal_close(j);
}

/* A repository that was away while an hour ended: what is before the new image
 * is sealed with the old one first. */
static void
test_late_seal(void **state)
{
	unsigned notes = 0;
	struct journal *j;
	char dir[96];

	(void)snprintf(dir, sizeof(dir), "%s/late", top);
	j = open_at(dir, &notes);
	begin_new(j);
	for (uint64_t id = 1; id <= 10; id++)
		(void)add(j, id, 0);
	adopt(j, 6);
	for (uint64_t id = 11; id <= 20; id++)
		(void)add(j, id, 0);
	adopt(j, 15);
	seal(j, 1, 1);
	assert_int_equal(count(dir, "metadata"), 3);
	seal(j, 15, 1);
	assert_int_equal(count(dir, "metadata"), 1);
	for (uint64_t id = 21; id <= 30; id++)
		(void)add(j, id, 0);
	seal(j, 15, 2);
	adopt(j, 25);
	for (uint64_t id = 31; id <= 40; id++)
		(void)add(j, id, 0);
	adopt(j, 35);
	seal(j, 25, 2);
	/* What the last snapshot has, and what comes next. */
	assert_int_equal(count(dir, "metadata"), 2);
	assert_int_equal(count(dir, "changelog"), 2);
	seal(j, 35, 1);
	assert_int_equal(count(dir, "metadata"), 1);
	assert_int_equal(count(dir, "changelog"), 1);
	journal_close(j);
}

/* What does not continue is put aside, and what is no image passed over. */
static void
test_damaged(void **state)
{
	unsigned notes = 0;
	struct error err = ERROR_INIT;
	struct journal_view v;
	struct journal *j;
	char dir[96], path[160];

	(void)snprintf(dir, sizeof(dir), "%s/damaged", top);
	j = open_at(dir, &notes);
	begin_new(j);
	for (uint64_t id = 1; id <= 30; id++) {
		(void)add(j, id, 0);
		if (id % 10 != 0)
			continue;
		assert_int_equal(journal_pin(j, &v, &err), ERR_OK);
		assert_int_equal(journal_unpin(j, &v, false, &err), ERR_OK);
	}
	journal_close(j);
	(void)snprintf(path, sizeof(path), "%s/changelog.11.mfs", dir);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/metadata.99.mfs", dir);
	write_image(path, 98);
	j = open_at(dir, &notes);
	assert_int_equal(notes, 2);
	assert_int_equal(check_all(j), 11);
	for (uint64_t id = 11; id <= 40; id++)
		assert_int_equal(add(j, id, 0), MFS_LINK_NEXT);
	assert_int_equal(check_all(j), 41);
	journal_close(j);
	(void)snprintf(path, sizeof(path), "%s/hole.21.mfs", dir);
	assert_int_equal(access(path, F_OK), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_bases),
		cmocka_unit_test(test_sealed_on_a_full_disk),
		cmocka_unit_test(test_late_seal),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
