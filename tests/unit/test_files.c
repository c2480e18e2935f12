/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk of the files source against trees made here: what find(1) and the
 * rules say must be what a sink gets, whatever the number of threads.
 */
#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "model/pattern.h"
#include "tests/lib/files_job.h"
#include "tests/lib/prng.h"
#include "tests/lib/scale.h"

/* The text of all paths that were offered below top, relative to it, each
 * ending with a NUL; top itself is ".". */
static void
offered(struct recorder *rec, struct buf *out)
{
	size_t len = strlen(top);

	for (size_t i = 0; i < rec->n; i++) {
		const char *p = recorder_path(rec, &rec->v[i]);

		if (strncmp(p, top, len) != 0)
			continue;
		p = p[len] == '/' ? p + len + 1 : ".";
		assert_int_equal(buf_put(out, p, strlen(p) + 1, &err), ERR_OK);
	}
}

static void
assert_offered(struct job *j, const char *want, size_t want_len)
{
	struct buf got = BUF_INIT(SIZE_MAX / 4);
	struct recorder rec;

	recorder_init(&rec);
	assert_int_equal(job_run(j, &rec), ERR_OK);
	offered(&rec, &got);
	assert_int_equal(got.len, want_len);
	assert_memory_equal(got.data, want, want_len);
	buf_fini(&got);
	job_end(j, &rec);
}
/* want is a literal with a NUL behind each path. */
#define ASSERT_OFFERED(job, want) assert_offered(job, want, sizeof(want) - 1)

/* ---- trees ---- */

/* Names that try the order, and how names are handled. */
static void
random_name(struct prng *rng, char *out)
{
	static const char letters[] = "ab-.~ \n\x01\xff\xc3 0/";
	size_t len = 1 + prng_below(rng, prng_below(rng, 10) == 0 ? 200 : 4);

	/* The last two letters cannot be in a name. */
	for (size_t i = 0; i < len; i++)
		out[i] = letters[prng_below(rng, sizeof(letters) - 3)];
	/* Some differ only far behind their beginning. */
	if (prng_below(rng, 3) == 0 && len < 100) {
		memmove(out + 12, out, len);
		memset(out, 'a', 12);
		len += 12;
	}
	out[len] = '\0';
}

/* Some n directories and files below the working directory. */
static void
random_tree(struct prng *rng, size_t n)
{
	char(*dirs)[1024] = calloc(n + 1, sizeof(*dirs));
	size_t n_dirs = 1;

	assert_non_null(dirs);
	(void)strcpy(dirs[0], ".");
	while (n > 0) {
		char path[2048], name[256];
		const char *dir = dirs[prng_below(rng, n_dirs)];

		random_name(rng, name);
		(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (strlen(path) < sizeof(*dirs) && prng_below(rng, 3) == 0) {
			if (mkdir(path, 0755) == 0)
				(void)strcpy(dirs[n_dirs++], path);
		} else if (prng_below(rng, 8) == 0) {
			(void)symlink(name, path);
		} else {
			(void)mknod(path, S_IFREG | 0644, 0);
		}
		n--;
	}
	free(dirs);
}

struct found {
	struct buf text; /* type, path, NUL */
	size_t *at;
	size_t n;
};

static int
by_key(const void *a, const void *b, void *arg)
{
	const char *text = arg;
	const char *x = text + *(const size_t *)a + 1;
	const char *y = text + *(const size_t *)b + 1;

	/* The slash is the smallest byte of a key. */
	while (*x == *y && *x != '\0') {
		x++;
		y++;
	}
	if (*x == *y)
		return 0;
	if (*x == '\0' || *y == '\0')
		return *x == '\0' ? -1 : 1;
	if (*x == '/' || *y == '/')
		return *x == '/' ? -1 : 1;
	return (unsigned char)*x < (unsigned char)*y ? -1 : 1;
}

/* All below top and itself, as find tells, in key order. */
static void
find_all(struct found *f)
{
	char command[128];
	FILE *p;
	int c;

	*f = (struct found){ .text = BUF_INIT(SIZE_MAX / 4) };
	(void)snprintf(command, sizeof(command), "find %s -printf '%%y%%p\\0'",
		top);
	p = popen(command, "r");
	assert_non_null(p);
	while ((c = getc(p)) != EOF) {
		assert_int_equal(buf_put_u8(&f->text, (uint8_t)c, &err),
			ERR_OK);
		f->n += c == 0;
	}
	assert_int_equal(pclose(p), 0);
	f->at = calloc(f->n + 1, sizeof(*f->at));
	assert_non_null(f->at);
	for (size_t i = 0, at = 0; i < f->n; i++) {
		f->at[i] = at;
		at += strlen((const char *)f->text.data + at) + 1;
	}
	qsort_r(f->at, f->n, sizeof(*f->at), by_key, f->text.data);
}

static void
found_fini(struct found *f)
{
	free(f->at);
	buf_fini(&f->text);
}

static char
letter(enum entry_type t)
{
	static const char letters[] = " fdlcbps";

	assert_true(t >= ENTRY_FILE && t <= ENTRY_SOCKET);
	return letters[t];
}

/* The records from first on are those that find told. */
static void
assert_found(struct recorder *rec, const struct found *f, uint64_t seed)
{
	size_t first = 0;

	while (first < rec->n &&
		strcmp(recorder_path(rec, &rec->v[first]), top) != 0)
		first++;
	if (rec->n - first != f->n)
		fail_msg("seed %llu: %zu entries, not %zu",
			(unsigned long long)seed, rec->n - first, f->n);
	for (size_t i = 0; i < f->n; i++) {
		const char *want = (const char *)f->text.data + f->at[i];
		struct record *r = &rec->v[first + i];

		if (strcmp(recorder_path(rec, r), want + 1) != 0 ||
			letter(r->e.type) != *want)
			fail_msg("seed %llu: %c%s, not %s",
				(unsigned long long)seed, letter(r->e.type),
				recorder_path(rec, r), want);
	}
}

static void
walk_agrees_with_find(void **state)
{
	static const char *const threads[] = { "0", "1", "2", "5" };
	uint64_t seeds = test_scale(24);

	for (uint64_t seed = 1; seed <= seeds; seed++) {
		struct found f;
		struct prng rng;
		char dir[32];

		(void)snprintf(dir, sizeof(dir), "%d", (int)seed);
		assert_int_equal(mkdir(dir, 0755), 0);
		assert_int_equal(chdir(dir), 0);
		prng_init(&rng, seed);
		random_tree(&rng, prng_below(&rng, 1200));
		assert_int_equal(chdir(".."), 0);
		find_all(&f);
		for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
			struct job j = { .n_paths = 0 };
			struct recorder rec;

			recorder_init(&rec);
			rec.all_done = i % 2 == 1;
			job_set(&j, "list-threads", threads[i]);
			assert_int_equal(job_run(&j, &rec), ERR_OK);
			assert_int_equal(rec.n_problems, 0);
			assert_found(&rec, &f, seed);
			job_end(&j, &rec);
		}
		found_fini(&f);
	}
}

static void
large_directory_in_order(void **state)
{
	size_t n = test_scale(100000);
	struct job j = { .n_paths = 0 };
	struct recorder rec;
	struct prng rng;
	struct found f;

	prng_init(&rng, 7);
	for (size_t i = 0; i < n; i++) {
		char name[64];

		/* Numbers of any length, so not in the order of names; a
		 * subdirectory now and then, in each batch of stamps. */
		(void)snprintf(name, sizeof(name), "some_file_%llu",
			(unsigned long long)prng_next(&rng) >>
				prng_below(&rng, 60));
		if (i % 400 == 0)
			(void)mkdir(name, 0755);
		else
			(void)mknod(name, S_IFREG | 0600, 0);
	}
	find_all(&f);
	recorder_init(&rec);
	rec.all_done = true;
	assert_int_equal(job_run(&j, &rec), ERR_OK);
	assert_found(&rec, &f, 7);
	job_end(&j, &rec);
	found_fini(&f);
}

/* ---- what is left out ---- */

static void
rules_leave_out_what_they_say(void **state)
{
	uint64_t seeds = test_scale(40);
	struct prng rng;
	struct found f;

	prng_init(&rng, 11);
	random_tree(&rng, 800);
	find_all(&f);
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		static const char *const pieces[] = { "a", "b*", "*-", "?",
			"[ab]?", "**", "*.*", "~*" };
		struct job j = { .n_paths = 0 };
		struct patterns *ps;
		struct recorder rec;
		char rules[6][256];
		size_t n = 0, got = 0;

		prng_init(&rng, seed);
		assert_int_equal(patterns_new(&ps, &err), ERR_OK);
		for (size_t i = 0; i < 1 + seed % 6; i++) {
			(void)snprintf(rules[i], sizeof(rules[i]), "%s%s%s%s%s",
				prng_below(&rng, 4) == 0 ? "!" : "",
				prng_below(&rng, 4) == 0 ? top : "",
				prng_below(&rng, 2) == 0 ? "/" : "",
				pieces[prng_below(&rng, ARRAY_LEN(pieces))],
				prng_below(&rng, 3) == 0 ? "/" : "");
			assert_int_equal(patterns_add(ps, rules[i], &err),
				ERR_OK);
			job_set(&j, "exclude", rules[i]);
		}
		/* Whatever the rules say of what lies above. */
		assert_int_equal(patterns_add(ps, "!/tmp", &err), ERR_OK);
		assert_int_equal(patterns_add(ps, "!/tmp/test_files.*", &err),
			ERR_OK);
		job_set(&j, "exclude", "!/tmp/test_files.*");
		recorder_init(&rec);
		assert_int_equal(job_run(&j, &rec), ERR_OK);
		while (got < rec.n &&
			strcmp(recorder_path(&rec, &rec.v[got]), top) != 0)
			got++;
		for (size_t i = 0; i < f.n; i++) {
			const char *path =
				(const char *)f.text.data + f.at[i] + 1;
			struct buf key = BUF_INIT(KEY_MAX);

			assert_int_equal(key_from_path(&key, path, &err),
				ERR_OK);
			if (!patterns_match_path(ps, key.data, key.len,
				    path[-1] == 'd')) {
				assert_true(got < rec.n);
				assert_string_equal(recorder_path(&rec,
							    &rec.v[got++]),
					path);
				n++;
			}
			buf_fini(&key);
		}
		assert_int_equal(got, rec.n);
		patterns_free(ps);
		job_end(&j, &rec);
	}
	found_fini(&f);
}

static void
tagged_directories_stay_empty(void **state)
{
	static const char tag[] =
		"Signature: 8a477f597d28d172789f06886806bc55\n# more";
	struct job caches = { .n_paths = 0 }, none = caches, named = caches,
		   headed = caches, both = caches;

	shell("mkdir -p c/sub d/sub e f");
	put_file("c/CACHEDIR.TAG", tag);
	put_file("c/a", "");
	put_file("c/sub/x", "");
	put_file("d/CACHEDIR.TAG", "Signature: something else");
	put_file("d/sub/x", "");
	shell("ln -s ../c/CACHEDIR.TAG e/CACHEDIR.TAG; touch e/x");
	put_file("f/.nobackup", "because");
	put_file("f/x", "");
#define FILES_C     "c\0c/CACHEDIR.TAG\0"
#define FILES_C_ALL FILES_C "c/a\0c/sub\0c/sub/x\0"
#define FILES_D     "d\0d/CACHEDIR.TAG\0d/sub\0d/sub/x\0"
#define FILES_E     "e\0e/CACHEDIR.TAG\0e/x\0"
#define FILES_F     "f\0f/.nobackup\0"
	ASSERT_OFFERED(&none,
		".\0" FILES_C_ALL FILES_D FILES_E FILES_F "f/x\0");
	job_set(&caches, "exclude-caches", "yes");
	ASSERT_OFFERED(&caches, ".\0" FILES_C FILES_D FILES_E FILES_F "f/x\0");
	job_set(&named, "exclude-if-present", ".nobackup");
	ASSERT_OFFERED(&named, ".\0" FILES_C_ALL FILES_D FILES_E FILES_F);
	job_set(&headed, "exclude-if-present", ".nobackup:becausf");
	ASSERT_OFFERED(&headed,
		".\0" FILES_C_ALL FILES_D FILES_E FILES_F "f/x\0");
	/* A tag that is excluded itself still holds. */
	job_set(&both, "exclude-if-present", ".nobackup:beca");
	job_set(&both, "exclude-caches", "yes");
	job_set(&both, "exclude", ".nobackup");
	job_set(&both, "exclude", "CACHEDIR.TAG");
	ASSERT_OFFERED(&both, ".\0c\0d\0d/sub\0d/sub/x\0e\0e/x\0f\0");
}

static void
large_files_are_left_out(void **state)
{
	struct job j = { .n_paths = 0 };

	shell("truncate -s 1024 a; truncate -s 1025 b; mkdir c; "
	      "truncate -s 1025 c/d; truncate -s 0 c/e");
	job_set(&j, "exclude-larger-than", "1K");
	ASSERT_OFFERED(&j, ".\0a\0c\0c/e\0");
}

static void
mount_points_are_not_entered(void **state)
{
	struct job j = { .n_paths = 0 }, all = j;

	shell("mkdir -p a m/x z");
	if (geteuid() != 0 || mount("none", "m", "tmpfs", 0, "size=64k") != 0) {
		print_message("skipped: cannot mount: %s\n",
			strerror(geteuid() != 0 ? EPERM : errno));
		skip();
	}
	put_file("m/y", "");
	job_set(&j, "one-file-system", "yes");
	ASSERT_OFFERED(&j, ".\0a\0m\0z\0");
	ASSERT_OFFERED(&all, ".\0a\0m\0m/y\0z\0");
	assert_int_equal(umount("m"), 0);
}

/* ---- paths that were named ---- */

static void
named_paths_and_those_above(void **state)
{
	struct job j = { .paths = { "a/../b", "b/c//", "./nope", "f", "l",
				 "b" },
		.n_paths = 6 };
	struct buf got = BUF_INIT(1 << 16);
	struct recorder rec;

	shell("mkdir -p a b/c b-d; echo x >f; echo x >b/c/g; ln -s b l");
	recorder_init(&rec);
	assert_int_equal(job_run(&j, &rec), ERR_OK);
	assert_string_equal(recorder_path(&rec, &rec.v[0]), "/");
	assert_string_equal(recorder_path(&rec, &rec.v[1]), "/tmp");
	assert_int_equal(rec.v[0].way, WAY_ENTRY);
	offered(&rec, &got);
	assert_int_equal(got.len, sizeof(".\0b\0b/c\0b/c/g\0f\0l"));
	assert_memory_equal(got.data, ".\0b\0b/c\0b/c/g\0f\0l", got.len);
	assert_int_equal(rec.n_problems, 1);
	assert_non_null(strstr((const char *)rec.problems.data, "/nope: "));
	buf_fini(&got);
	job_end(&j, &rec);
}

static void
nothing_there_is_an_error(void **state)
{
	struct job j = { .paths = { "nope", "nope/x" }, .n_paths = 2 };
	struct job empty = { .paths = { "" }, .n_paths = 1 };
	struct job list = { .n_paths = 0 };
	struct recorder rec;

	recorder_init(&rec);
	assert_int_equal(job_run(&j, &rec), ERR_NOTFOUND);
	assert_int_equal(rec.n, 0);
	assert_int_equal(rec.n_problems, 2);
	job_end(&j, &rec);
	assert_int_equal(job_open(&empty), ERR_USAGE);
	assert_int_equal(job_open(&list), ERR_USAGE);
	job_set(&list, "files-from", "nope");
	assert_int_equal(job_open(&list), ERR_NOTFOUND);
}

/* The way to a path may lead through links; the path itself is one. */
static void
links_on_the_way_are_followed(void **state)
{
	struct job j = { .paths = { "way/x" }, .n_paths = 1 };

	shell("mkdir -p real/x/y; ln -s real way");
	ASSERT_OFFERED(&j, ".\0way\0way/x\0way/x/y\0");
}

/* What lies below a path that is named too comes with it, or it is told. */
static void
paths_in_paths(void **state)
{
	struct job j = { .paths = { "a/link/x", "a/b", "a", "a/nope",
				 "a/file/x", "a/b" },
		.n_paths = 6 };
	struct recorder rec;

	shell("mkdir -p a/b real; touch real/x a/file; ln -s ../real a/link");
	recorder_init(&rec);
	assert_int_equal(job_run(&j, &rec), ERR_OK);
	assert_int_equal(rec.n, 3 + 4);
	assert_int_equal(rec.n_problems, 3);
	assert_non_null(strstr((const char *)rec.problems.data, "/nope: "));
	assert_non_null(strstr((const char *)rec.problems.data, "/link/x: "));
	assert_non_null(strstr((const char *)rec.problems.data, "/file/x: "));
	job_end(&j, &rec);
}

static enum err
collect(void *arg, const char *name, struct error *e)
{
	return buf_put(arg, name, strlen(name) + 1, e);
}

static void
paths_from_lists(void **state)
{
	struct job j = { .paths = { "d" }, .n_paths = 1 };
	struct buf got = BUF_INIT(1 << 16);
	char want[256];
	int len, fd;

	shell("mkdir d; touch d/x a b 'n\nl'");
	shell("printf 'a\\n\\nd/x\\nnope\\nb' >list; "
	      "printf 'n\\nl\\0b\\0\\0' >list0");
	fd = open("list0", O_RDONLY | O_CLOEXEC);
	assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	job_set(&j, "files-from", "list");
	job_set(&j, "files-from0", "-");
	/* "nope" is a problem, "d/x" none. */
	ASSERT_OFFERED(&j, ".\0a\0b\0d\0d/x\0n\nl\0");
	(void)close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	(void)close(fd);

	/* The snapshot lists what was asked for, not what it came to. */
	assert_int_equal(job_open(&j), ERR_OK);
	assert_int_equal(j.src->ops->describe(j.src, collect, &got, &err),
		ERR_OK);
	len = snprintf(want, sizeof(want),
		"files:%s/d%cfiles:@-%cfiles:@%s/list", top, 0, 0, top);
	assert_int_equal(got.len, len + 1);
	assert_memory_equal(got.data, want, got.len);
	j.src->ops->close(j.src);
	buf_fini(&got);
}

/* ---- what goes wrong ---- */

static void
unreadable_things_are_told(void **state)
{
	struct job j = { .n_paths = 0 };
	bool root = geteuid() == 0;
	struct recorder rec;
	struct record *r;
	struct entry e;

	shell("mkdir -p a shut/x z; chmod 755 .; echo x >z/f; echo x >file");
	assert_int_equal(chmod("file", 0), 0);
	assert_int_equal(chmod("shut", 0), 0);
	if (root)
		assert_int_equal(seteuid(65534), 0);
	recorder_init(&rec);
	assert_int_equal(job_run(&j, &rec), ERR_OK);
	assert_int_equal(rec.n_problems, 1);
	assert_non_null(strstr((const char *)rec.problems.data, "/shut: "));
	assert_int_equal(find_in_top(&rec, "shut")->way, WAY_ENTRY);
	assert_int_equal(find_in_top(&rec, "z/f")->way, WAY_FILE);
	r = find_in_top(&rec, "file");
	e = r->e;
	assert_int_equal(r->reader->ops->open(r->reader, &e, &err), ERR_DENIED);
	assert_int_equal(rec.n, 8);
	job_end(&j, &rec);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod("shut", 0700), 0);
}

/* Whatever the sink refuses, its error comes back and nothing is lost (ASan
 * tells); threads are busy with other directories at that time. */
static void
every_call_of_the_sink_may_fail(void **state)
{
	size_t calls = 0;

	shell("mkdir -p a/b/c d/e f; touch a/1 a/b/2 a/b/c/3 d/4 d/e/5 f/6; "
	      "mkfifo f/7");
	for (size_t fail_at = 1; calls == 0; fail_at++) {
		struct job j = { .n_paths = 0 };
		struct recorder rec;
		enum err rc;

		recorder_init(&rec);
		rec.fail_at = fail_at;
		rc = job_run(&j, &rec);
		if (rec.n_calls < fail_at) {
			assert_int_equal(rc, ERR_OK);
			calls = rec.n_calls;
		} else {
			assert_int_equal(rc, ERR_NOSPACE);
		}
		job_end(&j, &rec);
	}
	/* An offer and one more for each */
	assert_int_equal(calls, 2 * (3 + 6 + 7));
}

/* Pulls the tree to pieces while it is walked. */
static void
disturb(struct recorder *rec, const struct record *r)
{
	struct prng *rng = rec->arg;
	char command[512];

	if (prng_below(rng, 20) != 0)
		return;
	(void)snprintf(command, sizeof(command),
		"d=$(find %s/tree -type d 2>/dev/null | shuf -n 1); "
		"rm -rf \"$d\"; ln -s %s/outside \"$d\" 2>/dev/null; "
		"rm -f $(find %s/tree -type f 2>/dev/null | shuf -n 5) "
		"2>/dev/null",
		top, top, top);
	(void)!system(command);
	(void)r;
}

static void
vanishing_trees_are_survived(void **state)
{
	struct prng rng;

	prng_init(&rng, 5);
	for (uint64_t round = 0; round < test_scale(16); round++) {
		char path[128];
		struct job j = { .paths = { path }, .n_paths = 1 };
		struct recorder rec;

		(void)snprintf(path, sizeof(path), "%s/tree", top);
		shell("mkdir -p outside/secret tree; touch outside/secret/x; "
		      "for i in 1 2 3 4 5 6 7 8 9; do "
		      "mkdir -p tree/$i/a/b/c tree/$i/d; "
		      "touch tree/$i/x tree/$i/a/y tree/$i/a/b/z "
		      "tree/$i/d/w; done");
		recorder_init(&rec);
		rec.on_offer = disturb;
		rec.arg = &rng;
		assert_int_equal(job_run(&j, &rec), ERR_OK);
		for (size_t i = 0; i < rec.n; i++) {
			struct record *r = &rec.v[i];
			struct entry e = r->e;

			assert_null(strstr(recorder_path(&rec, r), "secret"));
			/* It may be gone; it must not be another one. */
			if (r->reader != NULL && r->reader->ops->open(r->reader,
							 &e, &err) == ERR_OK)
				assert_int_equal(e.ino, r->e.ino);
		}
		job_end(&j, &rec);
		shell("rm -rf tree");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_MEMORY(walk_agrees_with_find),
		IN_MEMORY(large_directory_in_order),
		IN_TOP(rules_leave_out_what_they_say),
		IN_TOP(tagged_directories_stay_empty),
		IN_TOP(large_files_are_left_out),
		IN_TOP(mount_points_are_not_entered),
		IN_TOP(named_paths_and_those_above),
		IN_TOP(nothing_there_is_an_error),
		IN_TOP(links_on_the_way_are_followed),
		IN_TOP(paths_in_paths),
		IN_TOP(paths_from_lists),
		IN_TOP(unreadable_things_are_told),
		IN_TOP(every_call_of_the_sink_may_fail),
		IN_MEMORY(vanishing_trees_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
