/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key of role writer cannot read what it wrote.  With the local cache of
 * nodes its backups are those that an admin's key makes, and cost the same;
 * without it they read everything, and store nothing twice.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/engine/fake.h"
#include "tests/lib/scale.h"

#define WRITER_PASS ((struct pass){ "writer", 6 })

enum { FILES = 400, FILE_SIZE = 30000 };

struct world {
	struct fake f;
	char dir[64]; /* of the writer's cache */
};

static void
world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	fake_init(&w->f, true);
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/coffer-writer-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	tool_add_key(w->f.st, w->f.repo, ROLE_WRITER, WRITER_PASS);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void
world_fini(struct world *w)
{
	(void)nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	fake_fini(&w->f);
}

static void
some_files(struct fake *f, struct prng *p, unsigned n, uint64_t size_max)
{
	char name[64];

	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "d%llu/f%05llu",
			(unsigned long long)prng_below(p, 9),
			(unsigned long long)prng_below(p, 100000));
		if (fake_find(f, name) == NULL)
			(void)fake_add(f, name, prng_below(p, size_max));
	}
}

static uint64_t
all_bytes(const struct fake *f)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < f->n; i++)
		sum += f->files[i]->size;
	return sum;
}

/* ---- the two keys ---- */

/* With cache_root NULL: without a cache. */
static enum err
try_as_writer(struct world *w, const struct backup_conf *conf,
	const char *cache_root, struct snapshot *snap, struct error *err)
{
	struct repo_conf rconf = { .pass = WRITER_PASS,
		.cache_root = cache_root };
	struct repo *admin = w->f.repo;
	enum err rc;

	snapshot_init(snap);
	must(repo_open(&w->f.repo, w->f.st, &rconf, err), err);
	assert_int_equal(repo_keys(w->f.repo)->role, ROLE_WRITER);
	rc = fake_backup(&w->f, conf, snap, err);
	repo_close(w->f.repo);
	w->f.repo = admin;
	return rc;
}

static struct snapshot
as_writer(struct world *w)
{
	struct error err = ERROR_INIT;
	struct snapshot snap;

	must(try_as_writer(w, NULL, w->dir, &snap, &err), &err);
	return snap;
}

/* Compared with that snapshot (NULL: with none). */
static struct snapshot
as_admin(struct world *w, const struct snapshot *parent)
{
	char hex[UID_HEX + 1];
	struct backup_conf conf = { .host = "here",
		.workers = 2,
		.force = parent == NULL };
	struct error err = ERROR_INIT;
	struct snapshot snap;

	if (parent != NULL) {
		hex_encode(parent->uid.b, UID_LEN, hex);
		conf.parent = hex;
	}
	snapshot_init(&snap);
	fake_reopen(&w->f, NULL);
	must(fake_backup(&w->f, &conf, &snap, &err), &err);
	return snap;
}

static void
same_root(const struct snapshot *a, const struct snapshot *b)
{
	assert_memory_equal(&a->root, &b->root, sizeof(a->root));
}

/* Every byte of it, as an admin sees it. */
static void
verify(struct world *w, const struct snapshot *snap)
{
	fake_reopen(&w->f, NULL);
	fake_verify(&w->f, snap);
}

/* The writer's next backup reads and stores nothing, and is the same. */
static void
unchanged(struct world *w, const struct snapshot *before)
{
	struct snapshot snap = as_writer(w);

	same_root(&snap, before);
	assert_int_equal(snap.figures.bytes_read, 0);
	assert_int_equal(snap.figures.bytes_added, 0);
	assert_int_equal(snap.figures.entries_unchanged, w->f.n);
	assert_int_equal(w->f.n_notes, 0);
	snapshot_fini(&snap);
}

/* It reads everything, stores nothing, and says why. */
static void
reads_all(struct world *w, const struct snapshot *before)
{
	struct snapshot snap = as_writer(w);

	same_root(&snap, before);
	assert_int_equal(snap.figures.bytes_read, all_bytes(&w->f));
	assert_int_equal(snap.figures.bytes_added, 0);
	assert_int_equal(w->f.n_notes, 1);
	assert_non_null(strstr(w->f.note, "everything is read"));
	assert_false(snap.has_parent);
	snapshot_fini(&snap);
}

/* The file of the cache. */
static const char *
cache_file(struct world *w)
{
	static char path[600], sub[300];
	const char *at = w->dir;

	path[0] = '\0';
	for (unsigned depth = 0; depth < 2; depth++) {
		DIR *dir = opendir(at);
		struct dirent *e;

		assert_non_null(dir);
		while ((e = readdir(dir)) != NULL) {
			if (depth == 0 && e->d_name[0] != '.')
				(void)snprintf(sub, sizeof(sub), "%s/%.200s",
					w->dir, e->d_name);
			if (depth == 1 && strncmp(e->d_name, "nodes-", 6) == 0)
				(void)snprintf(path, sizeof(path), "%s/%s", sub,
					e->d_name);
		}
		(void)closedir(dir);
		at = sub;
	}
	assert_true(path[0] != '\0');
	return path;
}

/* ---- tests ---- */

static void
test_costs(void **state)
{
	struct snapshot first, snap;
	struct world w;
	struct prng p;

	world_init(&w);
	prng_init(&p, 1);
	some_files(&w.f, &p, FILES, FILE_SIZE);
	first = as_writer(&w);
	assert_int_equal(first.figures.bytes_read, all_bytes(&w.f));
	verify(&w, &first);
	unchanged(&w, &first);
	snap = as_admin(&w, NULL);
	same_root(&snap, &first);
	snapshot_fini(&snap);
	snap = as_admin(&w, &first);
	same_root(&snap, &first);
	assert_int_equal(snap.figures.bytes_read, 0);
	snapshot_fini(&snap);

	w.f.files[FILES / 2]->seed++;
	w.f.files[FILES / 2]->time.sec++;
	snap = as_writer(&w);
	assert_int_equal(snap.figures.bytes_read, w.f.files[FILES / 2]->size);
	assert_int_equal(snap.figures.entries_changed, 1);
	verify(&w, &snap);
	unchanged(&w, &snap);
	snapshot_fini(&snap);
	snapshot_fini(&first);
	world_fini(&w);
}

static void
test_without_the_file(void **state)
{
	struct snapshot first, snap;
	struct error err = ERROR_INIT;
	struct world w;
	struct prng p;

	world_init(&w);
	prng_init(&p, 2);
	some_files(&w.f, &p, FILES, FILE_SIZE);
	first = as_writer(&w);
	unchanged(&w, &first);
	assert_int_equal(unlink(cache_file(&w)), 0);
	reads_all(&w, &first);
	unchanged(&w, &first);
	assert_int_equal(truncate(cache_file(&w), 1000), 0);
	reads_all(&w, &first);
	unchanged(&w, &first);
	must(try_as_writer(&w, NULL, NULL, &snap, &err), &err);
	same_root(&snap, &first);
	assert_int_equal(snap.figures.bytes_read, all_bytes(&w.f));
	assert_int_equal(snap.figures.bytes_added, 0);
	snapshot_fini(&snap);
	snapshot_fini(&first);
	world_fini(&w);
}

/* Runs that commit nothing, and one that reads all because it is told to. */
static void
test_other_runs(void **state)
{
	struct backup_conf conf = { .host = "here", .workers = 2 };
	struct snapshot first, snap;
	struct error err = ERROR_INIT;
	struct world w;
	struct prng p;

	world_init(&w);
	prng_init(&p, 3);
	some_files(&w.f, &p, FILES, FILE_SIZE);
	first = as_writer(&w);
	conf.dry_run = true;
	w.f.files[7]->time.sec++;
	must(try_as_writer(&w, &conf, w.dir, &snap, &err), &err);
	assert_int_equal(snap.figures.bytes_read, w.f.files[7]->size);
	snapshot_fini(&snap);
	w.f.stop_at = w.f.n / 2;
	conf.dry_run = false;
	must_fail(try_as_writer(&w, &conf, w.dir, &snap, &err), ERR_CANCELLED,
		&err, "");
	snapshot_fini(&snap);
	w.f.stop_at = 0;
	w.f.files[7]->time.sec--;
	unchanged(&w, &first);
	conf.force = true;
	must(try_as_writer(&w, &conf, w.dir, &snap, &err), &err);
	assert_int_equal(snap.figures.bytes_read, all_bytes(&w.f));
	snapshot_fini(&snap);
	unchanged(&w, &first);
	conf.force = false;
	conf.host = "there";
	must(try_as_writer(&w, &conf, w.dir, &snap, &err), &err);
	assert_int_equal(snap.figures.bytes_read, all_bytes(&w.f));
	assert_int_equal(w.f.n_notes, 0);
	snapshot_fini(&snap);
	unchanged(&w, &first);
	snapshot_fini(&first);
	world_fini(&w);
}

/* A snapshot that others made meanwhile is passed over, for an older one whose
 * tree is at hand. */
static void
test_others_between(void **state)
{
	struct snapshot first, other, snap;
	struct world w;
	struct prng p;

	world_init(&w);
	prng_init(&p, 4);
	some_files(&w.f, &p, FILES, FILE_SIZE);
	first = as_writer(&w);
	w.f.files[9]->time.sec++;
	other = as_admin(&w, NULL);
	snap = as_writer(&w);
	assert_true(snap.has_parent);
	assert_memory_equal(&snap.parent, &first.uid, UID_LEN);
	assert_int_equal(snap.figures.bytes_read, w.f.files[9]->size);
	assert_int_equal(w.f.n_notes, 0);
	unchanged(&w, &snap);
	snapshot_fini(&first);
	snapshot_fini(&other);
	snapshot_fini(&snap);
	world_fini(&w);
}

static void
change_some(struct fake *f, struct prng *p)
{
	for (size_t i = f->n; i > 0; i--) {
		struct fake_file *file = f->files[i - 1];
		uint64_t what = prng_below(p, 60);

		if (what == 0) {
			fake_remove(f, file->name);
		} else if (what < 3) {
			file->seed++;
			file->time.sec++;
		} else if (what == 3) {
			file->size = prng_below(p, 3 << 20);
		}
	}
}

/* Whatever changes, and however much of it: both keys make the same tree of it
 * and read the same. */
static void
test_as_an_admin_does(void **state)
{
	for (uint64_t seed = 1; seed <= test_scale(4); seed++) {
		struct snapshot before, a, b;
		struct world w;
		struct prng p;

		print_message("seed %llu\n", (unsigned long long)seed);
		prng_init(&p, seed);
		world_init(&w);
		some_files(&w.f, &p, 1500, 2000);
		some_files(&w.f, &p, 10, 4 << 20);
		before = as_writer(&w);
		for (size_t round = 0; round < 4; round++) {
			if (round % 2 == 0)
				change_some(&w.f, &p);
			else
				w.f.files[round * 100]->time.sec++;
			some_files(&w.f, &p, (unsigned)round * 10, 3000);
			b = as_writer(&w);
			a = as_admin(&w, &before);
			same_root(&a, &b);
			assert_int_equal(a.figures.bytes_read,
				b.figures.bytes_read);
			assert_int_equal(a.figures.entries_unchanged,
				b.figures.entries_unchanged);
			snapshot_fini(&a);
			snapshot_fini(&before);
			before = b;
		}
		verify(&w, &before);
		unchanged(&w, &before);
		snapshot_fini(&before);
		world_fini(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_costs),
		cmocka_unit_test(test_without_the_file),
		cmocka_unit_test(test_other_runs),
		cmocka_unit_test(test_others_between),
		cmocka_unit_test(test_as_an_admin_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
