/* SPDX-License-Identifier: Apache-2.0 */
/* Logs of a master and of metaloggers in one directory, in any order, with
 * whatever they have twice, against a model: which changes are in any file. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsx.h"
#include "base/time.h"
#include "source/moosefs/datadir.h"
#include "tests/lib/mfs_made.h"
#include "tests/lib/prng.h"

enum {
	IDS_MAX = 6000, /* the window of a chain is 1,024 */
	FILES_MAX = 12,
	SEEDS = 60,
	TEXT_MAX = 600,
	HOURS = 50,
	PER_HOUR = 4000
};

static const uint64_t fs_id = 0x6b013a55125e3122;

struct world {
	char dir[64], data[80], journal[80];
	struct prng prng;
	FILE *files[FILES_MAX];
	size_t n_files;
	unsigned copies[IDS_MAX + 2]; /* of each change, in all files */
	uint64_t last;
	unsigned damaged; /* files with something that is no line */
	char notes[8192];
	struct journal *j;
	struct journal_view view;
};

/* ---- a directory ---- */

static void
begin(struct world *w, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	prng_init(&w->prng, seed);
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/coffer-datadir-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->data, sizeof(w->data), "%s/data", w->dir);
	(void)snprintf(w->journal, sizeof(w->journal), "%s/journal", w->dir);
	assert_int_equal(mkdir(w->data, 0700), 0);
}

static void
forget(struct world *w)
{
	struct error err = ERROR_INIT;
	char command[96];

	if (w->view.v != NULL)
		must(journal_unpin(w->j, &w->view, false, &err), &err);
	journal_close(w->j);
	w->j = NULL;
	w->notes[0] = '\0';
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", w->journal);
	assert_int_equal(system(command), 0);
}

static void
end(struct world *w)
{
	char command[96];

	forget(w);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", w->dir);
	assert_int_equal(system(command), 0);
}

static FILE *
create(struct world *w, const char *name)
{
	char path[160];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", w->data, name);
	f = fopen(path, "we");
	assert_non_null(f);
	return f;
}

static void
put_image(struct world *w, uint64_t version)
{
	struct made m;
	FILE *f = create(w, "metadata.mfs.back");

	made_begin(&m, version, fs_id);
	made_end(&m);
	assert_int_equal(fwrite(m.b.data, 1, m.b.len, f), m.b.len);
	assert_int_equal(fclose(f), 0);
	buf_fini(&m.b);
}

static void
open_logs(struct world *w, size_t n)
{
	static const char *const kinds[] = { "", "_ml", "_ml_back" };
	char name[48];

	w->n_files = n;
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "changelog%s.%zu.mfs",
			kinds[prng_below(&w->prng, 3)], i);
		w->files[i] = create(w, name);
	}
}

static void
close_logs(struct world *w)
{
	for (size_t i = 0; i < w->n_files; i++)
		assert_int_equal(fclose(w->files[i]), 0);
	w->n_files = 0;
}

/* The line of a change in one of two histories. */
static int
line_of(char out[TEXT_MAX], uint64_t id, unsigned history)
{
	return snprintf(out, TEXT_MAX,
		"%" PRIu64 ": %" PRIu64 "|CREATE(1,%s%0*d,1,420,0,0,0,0):%u",
		id, 1700000000 + id, history == 0 ? "a" : "b",
		(int)(1 + id * 7 % 300), 0, history);
}

static void
put_lines(struct world *w, FILE *f, uint64_t from, uint64_t to)
{
	char line[TEXT_MAX];

	for (uint64_t id = from; id <= to; id++) {
		(void)line_of(line, id, 0);
		assert_true(fprintf(f, "%s\n", line) > 0);
		w->copies[id]++;
	}
}

/* What a metalogger leaves that was killed: a piece of a line. */
static void
put_torn(struct world *w, FILE *f, bool ends)
{
	char line[TEXT_MAX];
	int len = line_of(line, 1 + prng_below(&w->prng, w->last), 0);
	int n = (int)(1 + prng_below(&w->prng, (uint64_t)len - 1));

	if (!ends && n < 30) /* "5" and "17: ..." would be change 517 */
		n = 30;
	assert_int_equal(fwrite(line, 1, (size_t)n, f), n);
	w->damaged++;
}

/* Every change in slices, each in some file, most with what is around it, too;
 * the one from..to in none. */
static void
put_logs(struct world *w, uint64_t from, uint64_t to)
{
	uint64_t at = 1, slice, back, over;

	open_logs(w, 1 + prng_below(&w->prng, FILES_MAX));
	while (at <= w->last) {
		FILE *f = w->files[prng_below(&w->prng, w->n_files)];

		slice = 1 + prng_below(&w->prng, w->last / 3 + 1);
		if (at < from && at + slice > from)
			slice = from - at;
		if (at >= from && at <= to) {
			at = to + 1;
			continue;
		}
		back = prng_below(&w->prng, 2 + at / 2);
		over = prng_below(&w->prng, 2) * slice;
		if (at > to && at - (back < at ? back : 0) <= to)
			back = at - to - 1;
		if (at < from && at + slice - 1 + over >= from)
			over = 0;
		if (at + slice - 1 + over > w->last)
			over = 0;
		if (at + slice - 1 > w->last)
			slice = w->last - at + 1;
		put_lines(w, f, back < at ? at - back : at,
			at + slice - 1 + over);
		if (prng_below(&w->prng, 8) == 0) {
			put_torn(w, f, false);
			assert_true(fputc('\n', f) == '\n');
		}
		at += slice;
	}
	if (prng_below(&w->prng, 3) == 0)
		put_torn(w, w->files[prng_below(&w->prng, w->n_files)], true);
	close_logs(w);
}

/* ---- what becomes of it ---- */

static void
on_note(void *arg, const char *sentence)
{
	struct world *w = arg;
	size_t len = strlen(w->notes);

	(void)snprintf(w->notes + len, sizeof(w->notes) - len, "%s\n",
		sentence);
}

static enum err
load(struct world *w, bool partial, bool *complete, struct error *err)
{
	const struct datadir_conf conf = { w->data, partial, on_note, w };
	const struct journal_conf jconf = { .dir = w->journal };
	uint64_t id = 0;
	enum err rc;

	forget(w);
	must(journal_open(&w->j, &jconf, err), err);
	rc = datadir_load(&conf, w->j, &id, complete, err);
	if (rc == ERR_OK) {
		assert_int_equal(id, fs_id);
		must(journal_pin(w->j, &w->view, err), err);
	}
	return rc;
}

/* The journal has from..to, and not a byte else. */
static void
check_lines(struct world *w, uint64_t from, uint64_t to)
{
	struct buf got = BUF_INIT(64u << 20), want = BUF_INIT(64u << 20);
	struct error err = ERROR_INIT;
	char line[TEXT_MAX];
	int fd;

	for (size_t i = 0; i < w->view.n; i++) {
		must(journal_open_segment(w->j, &w->view.v[i], &fd, &err),
			&err);
		must(fsx_read_all(fd, &got, "segment", &err), &err);
		(void)close(fd);
	}
	for (uint64_t id = from; id <= to; id++) {
		int n = line_of(line, id, 0);

		must(buf_put(&want, line, (size_t)n, &err), &err);
		must(buf_put_u8(&want, '\n', &err), &err);
	}
	assert_int_equal(got.len, want.len);
	if (want.len > 0)
		assert_memory_equal(got.data, want.data, want.len);
	buf_fini(&got);
	buf_fini(&want);
}

/* ---- tests ---- */

/* Slices with overlaps of any length, out of order, in files of any name. */
static void
any_overlap(void **state)
{
	struct world w;
	bool complete = false;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct error err = ERROR_INIT;
		uint64_t version;

		print_message("# seed %" PRIu64 "\n", seed);
		begin(&w, seed);
		w.last = 1 + prng_below(&w.prng, IDS_MAX);
		version = 1 + prng_below(&w.prng, w.last + 1);
		put_image(&w, version);
		put_logs(&w, w.last + 1, w.last + 1);
		must(load(&w, false, &complete, &err), &err);
		assert_true(complete);
		check_lines(&w, version, w.last);
		assert_true((w.notes[0] != '\0') == (w.damaged > 0));
		end(&w);
	}
}

/* Changes that no file has: refused by their numbers, or all before them. */
static void
holes(void **state)
{
	struct world w;
	bool complete = true;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS / 3; seed++) {
		struct error err = ERROR_INIT;
		uint64_t version, from, to;
		char want[80];

		print_message("# seed %" PRIu64 "\n", seed);
		begin(&w, seed);
		w.last = 10 + prng_below(&w.prng, IDS_MAX - 10);
		version = 1 + prng_below(&w.prng, w.last - 1);
		from = version + prng_below(&w.prng, w.last - version);
		to = from + prng_below(&w.prng, w.last - from);
		put_image(&w, version);
		put_logs(&w, from, to);
		(void)snprintf(want, sizeof(want),
			"changes %" PRIu64 " to %" PRIu64 " are missing", from,
			to);
		must_fail(load(&w, false, &complete, &err), ERR_CORRUPT, &err,
			want);
		err = ERROR_INIT;
		must(load(&w, true, &complete, &err), &err);
		assert_false(complete);
		assert_non_null(strstr(w.notes, want));
		check_lines(&w, version, from - 1);
		end(&w);
	}
}

/* A master that runs gives the name to its next image, before what was checked
 * is read. */
static void
image_renamed_over(void **state)
{
	struct error err = ERROR_INIT;
	struct buf got = BUF_INIT(1 << 20);
	struct made want;
	bool complete;
	struct world w;
	int fd;

	(void)state;
	begin(&w, 1);
	put_image(&w, 7);
	must(load(&w, false, &complete, &err), &err);
	(void)snprintf(w.notes, sizeof(w.notes), "%s/metadata.mfs.back",
		w.data);
	assert_int_equal(unlink(w.notes), 0);
	put_image(&w, 9);
	made_begin(&want, 7, fs_id);
	made_end(&want);
	assert_int_equal(w.view.base.size, want.b.len);
	must(journal_open_image(w.j, &w.view.base, &fd, &err), &err);
	must(fsx_read_all(fd, &got, "image", &err), &err);
	(void)close(fd);
	assert_int_equal(got.len, want.b.len);
	assert_memory_equal(got.data, want.b.data, got.len);
	buf_fini(&got);
	buf_fini(&want.b);
	end(&w);
}

/* One change of those that two files have is another one in one of them: far
 * more than the window of a chain before the end of either. */
static void
two_histories(void **state)
{
	static const uint64_t at[] = { 1, 2, 700, 3000, 4975, 4976, 5999,
		6000 };
	struct world w;
	bool complete;
	char line[TEXT_MAX], want[80];

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(at); i++) {
		uint64_t id = at[i / 2];
		struct error err = ERROR_INIT;
		FILE *f;

		begin(&w, i);
		w.last = IDS_MAX;
		put_image(&w, 1);
		f = create(&w, "changelog_ml_back.0.mfs");
		put_lines(&w, f, 1, id - 1);
		(void)line_of(line, id, 1);
		assert_true(fprintf(f, "%s\n", line) > 0);
		put_lines(&w, f, id + 1, w.last);
		assert_int_equal(fclose(f), 0);
		f = create(&w, "changelog_ml.0.mfs");
		put_lines(&w, f, 1 + i % 2 * (id / 2), w.last);
		assert_int_equal(fclose(f), 0);
		(void)snprintf(want, sizeof(want),
			"change %" PRIu64 " has another text than in ", id);
		must_fail(load(&w, false, &complete, &err), ERR_CORRUPT, &err,
			want);
		assert_non_null(strstr(err.msg, "changelog_ml.0.mfs"));
		assert_non_null(strstr(err.msg, "changelog_ml_back.0.mfs"));
		assert_non_null(strstr(err.msg, "two histories"));
		end(&w);
	}
}

/* The image has them already: what lies before it is not looked at. */
static void
before_the_image(void **state)
{
	struct error err = ERROR_INIT;
	struct world w;
	char line[TEXT_MAX];
	bool complete = false;
	FILE *f;

	(void)state;
	begin(&w, 1);
	put_image(&w, 3000);
	f = create(&w, "changelog.1.mfs");
	put_lines(&w, f, 1, 3500);
	assert_int_equal(fclose(f), 0);
	f = create(&w, "changelog.0.mfs");
	(void)line_of(line, 2999, 1);
	assert_true(fprintf(f, "%s\n", line) > 0);
	put_lines(&w, f, 3000, 4000);
	assert_int_equal(fclose(f), 0);
	must(load(&w, false, &complete, &err), &err);
	check_lines(&w, 3000, 4000);
	end(&w);
}

static size_t
open_files(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* As MooseFS leaves them: 50 hours of the master and of a metalogger, whose
 * live log has a hole for each of its restarts, and its two copies. */
static void
fifty_hours(void **state)
{
	struct error err = ERROR_INIT;
	struct world w;
	size_t before = open_files();
	bool complete = false;
	uint64_t first, version = (HOURS - 3) * PER_HOUR + 17;
	static unsigned copies[HOURS * PER_HOUR + 1];
	char line[TEXT_MAX], name[48];
	struct rusage used;
	long kib;
	double start;

	(void)state;
	begin(&w, 1);
	put_image(&w, version);
	for (unsigned h = 0; h < 2 * HOURS + 2; h++) {
		unsigned hour = h < 2 * HOURS ? h % HOURS : h - 2 * HOURS;
		FILE *f;

		(void)snprintf(name, sizeof(name), "changelog%s.%u.mfs",
			h < HOURS       ? ""
			: h < 2 * HOURS ? "_ml"
					: "_ml_back",
			hour);
		f = create(&w, name);
		first = (uint64_t)(HOURS - 1 - hour) * PER_HOUR + 1;
		for (uint64_t id = first; id < first + PER_HOUR; id++) {
			if (h >= HOURS && h < 2 * HOURS && id % 1500 < 30)
				continue;
			(void)line_of(line, id, 0);
			assert_true(fprintf(f, "%s\n", line) > 0);
			copies[id]++;
		}
		assert_int_equal(fclose(f), 0);
	}
	for (uint64_t id = version; id <= HOURS * PER_HOUR; id++)
		assert_true(copies[id] > 0);
	(void)getrusage(RUSAGE_SELF, &used);
	kib = used.ru_maxrss;
	start = mono_sec();
	must(load(&w, false, &complete, &err), &err);
	(void)getrusage(RUSAGE_SELF, &used);
	print_message("# %u lines: %.2f s, %ld KiB more\n", HOURS * PER_HOUR,
		mono_sec() - start, used.ru_maxrss - kib);
	assert_true(complete);
	assert_int_equal(w.notes[0], '\0');
	check_lines(&w, version, HOURS * PER_HOUR);
	end(&w);
	assert_int_equal(open_files(), before);
}

/* More of the same than there is memory for; what is no log at all. */
static void
too_many(void **state)
{
	static const char words[] = "no log: ";
	struct error err = ERROR_INIT;
	struct world w;
	bool complete = true;
	char name[48];
	FILE *f;

	(void)state;
	begin(&w, 1);
	put_image(&w, 1);
	f = create(&w, "changelog.0.mfs");
	put_lines(&w, f, 1, 100);
	assert_int_equal(fclose(f), 0);
	/* A line that does not end, and one that ends much later. */
	f = create(&w, "changelog.1.mfs");
	for (int i = 0; i < 300000; i++)
		assert_true(fwrite(words, 1, 8, f) == 8);
	assert_true(fputc('\n', f) == '\n');
	put_lines(&w, f, 101, 200);
	for (int i = 0; i < 100000; i++)
		assert_true(fwrite(words, 1, 8, f) == 8);
	assert_int_equal(fclose(f), 0);
	must(load(&w, false, &complete, &err), &err);
	check_lines(&w, 1, 200);
	assert_non_null(strstr(w.notes, "changelog.1.mfs"));
	for (int i = 2; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "changelog.%d.mfs", i);
		f = create(&w, name);
		put_lines(&w, f, 1, 10);
		assert_int_equal(fclose(f), 0);
	}
	must_fail(load(&w, false, &complete, &err), ERR_CORRUPT, &err,
		"logs have change 1");
	end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_overlap),
		cmocka_unit_test(holes),
		cmocka_unit_test(image_renamed_over),
		cmocka_unit_test(two_histories),
		cmocka_unit_test(before_the_image),
		cmocka_unit_test(fifty_hours),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
