/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files with several names, and what waits in order behind something slow:
 * the two places where a backup remembers what it has met.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/links.h"
#include "engine/outbox.h"
#include "tests/engine/fake.h"
#include "tests/lib/scale.h"

enum { KIB = 1 << 10 };

/* ---- the table ---- */

static size_t
key_of(uint64_t n, uint8_t key[64])
{
	return (size_t)snprintf((char *)key, 64, "%0*llu", (int)(n % 30) + 1,
		(unsigned long long)n);
}

static void
test_table(void **state)
{
	const uint64_t n_all = test_scale(100000);
	struct error err = ERROR_INIT;
	struct links *l;
	uint8_t key[64];

	must(links_new(&l, &err), &err);
	assert_null(links_find(l, 1, 1).data);
	for (uint64_t n = 0; n < n_all; n++) {
		struct bytes k = { key, key_of(n, key) }, first;

		must(links_meet(l, n % 7, n / 7 * 5, k, &first, &err), &err);
		assert_null(first.data);
	}
	for (uint64_t n = n_all; n-- > 0;) {
		struct bytes k = { key, key_of(n, key) }, first;

		first = links_find(l, n % 7, n / 7 * 5);
		assert_int_equal(first.len, k.len);
		assert_memory_equal(first.data, k.data, k.len);
		assert_null(links_find(l, n % 7 + 7, n / 7 * 5).data);
		assert_null(links_find(l, n % 7, n / 7 * 5 + 1).data);
	}
	links_free(l);
}

/* ---- files with several names ---- */

static struct fake_file *
name(struct fake *f, const char *path, uint64_t ino, uint64_t nlink,
	uint64_t size)
{
	struct fake_file *file = fake_add(f, path, size);

	f->linked = true;
	file->ino = ino;
	file->nlink = nlink;
	file->seed = ino;
	return file;
}

static void
take(struct fake *f, struct snapshot *snap)
{
	snapshot_init(snap);
	fake_backup_ok(f, snap);
	fake_verify(f, snap);
}

static void
take_and_forget(struct fake *f)
{
	struct snapshot snap;

	take(f, &snap);
	snapshot_fini(&snap);
}

/* Three names each of a small, a large and a tiny file, and of a symlink. */
static void
three_names(struct fake *f)
{
	static const char *const dirs[] = { "a", "b", "c" };
	static const uint64_t sizes[] = { 2000, 200 * KIB, 3, 0 };
	char path[64];

	for (unsigned d = 0; d < 3; d++) {
		for (unsigned i = 0; i < 4; i++) {
			struct fake_file *file;

			(void)snprintf(path, sizeof(path), "%s/f%u", dirs[d],
				i);
			file = name(f, path, 100 + i, 3, sizes[i]);
			if (i == 3)
				file->type = ENTRY_SYMLINK;
		}
		(void)snprintf(path, sizeof(path), "%s/other", dirs[d]);
		(void)fake_add(f, path, 5000);
	}
}

static void
test_unchanged_links(void **state)
{
	struct snapshot first, second;
	struct fake f;

	fake_init(&f, true);
	three_names(&f);
	take(&f, &first);
	assert_int_equal(first.figures.bytes_read,
		2000 + 200 * KIB + 3 + 15000);
	take(&f, &second);
	assert_memory_equal(&first.root, &second.root, sizeof(first.root));
	assert_int_equal(second.figures.bytes_read, 0);
	assert_int_equal(second.figures.entries_unchanged, f.n);
	snapshot_fini(&first);
	snapshot_fini(&second);
	fake_fini(&f);
}

/* Whatever becomes of the first name, the others still lead to the content. */
static void
test_first_name_goes(void **state)
{
	for (unsigned touched = 0; touched < 2; touched++) {
		struct fake f;

		fake_init(&f, true);
		three_names(&f);
		take_and_forget(&f);
		for (unsigned i = 0; i < 4; i++) {
			char path[64];

			(void)snprintf(path, sizeof(path), "a/f%u", i);
			fake_remove(&f, path);
		}
		/* Deleted: count and time change.  Excluded: they do not. */
		for (size_t i = 0; i < f.n && touched; i++) {
			if (f.files[i]->nlink < 3)
				continue;
			f.files[i]->nlink = 2;
			f.files[i]->time.nsec++;
		}
		take_and_forget(&f);
		/* And comes back, before the others. */
		(void)name(&f, "a/f1", 101, touched ? 2 : 3, 200 * KIB);
		take_and_forget(&f);
		fake_remove(&f, "b/f1");
		fake_remove(&f, "c/f1");
		fake_find(&f, "a/f1")->nlink = 1;
		take_and_forget(&f);
		fake_fini(&f);
	}
}

static void
test_first_name_fails(void **state)
{
	static const enum err codes[] = { ERR_IO, ERR_NOTFOUND, ERR_DENIED };

	for (unsigned i = 0; i < ARRAY_LEN(codes); i++) {
		struct fake f;

		fake_init(&f, true);
		three_names(&f);
		for (unsigned k = 0; k < 3; k++)
			f.files[k]->trouble.open_code = codes[i];
		take_and_forget(&f);
		assert_int_equal(f.n_problems, 3);
		for (unsigned k = 0; k < 3; k++)
			f.files[k]->trouble.open_code = ERR_OK;
		take_and_forget(&f);
		assert_int_equal(f.n_problems, 0);
		fake_fini(&f);
	}
}

/* An offer alone is no name: what vanishes before it is handed over must not
 * be what a later name refers to. */
static enum err
offer_and_vanish(struct fake *f, struct sink *sink, struct error *err)
{
	static const char *const names[] = { "a", "b", "c" };
	struct entry e = { .type = ENTRY_SYMLINK,
		.ino = 5,
		.dev = 1,
		.nlink = 3,
		.target = { (const uint8_t *)"to", 2 } };
	bool done = false;
	enum err rc = ERR_OK;

	for (unsigned i = 0; i < 3 && rc == ERR_OK; i++) {
		struct bytes key = { (const uint8_t *)names[i], 1 };

		rc = sink->ops->offer(sink, key, &e, &done, err);
		assert_int_equal(done, i == 2);
		if (rc == ERR_OK && i == 1)
			rc = sink->ops->entry(sink, key, &e, err);
	}
	return rc;
}

static void
test_first_name_vanishes(void **state)
{
	struct snapshot snap;
	struct entry e;
	struct buf val;
	struct fake f;

	fake_init(&f, true);
	f.capture = offer_and_vanish;
	snapshot_init(&snap);
	fake_backup_ok(&f, &snap);
	assert_false(fake_entry(&f, &snap, "a", &e, &val));
	assert_true(fake_entry(&f, &snap, "c", &e, &val));
	assert_int_equal(e.content.kind, CONTENT_LINK);
	assert_int_equal(e.content.bytes.len, 1);
	assert_int_equal(e.content.bytes.data[0], 'b');
	buf_fini(&val);
	snapshot_fini(&snap);
	fake_fini(&f);
}

static void
test_many_links(void **state)
{
	const unsigned n = (unsigned)test_scale(50000);
	struct snapshot snap;
	char path[64];
	struct fake f;

	fake_init(&f, true);
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "a/%06u", i);
		(void)name(&f, path, 1000 + i, 2, i % 30);
	}
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "b/%06u", n - i);
		(void)name(&f, path, 1000 + i, 2, i % 30);
	}
	snapshot_init(&snap);
	fake_backup_ok(&f, &snap);
	assert_int_equal(snap.figures.entries, 2 * n);
	for (unsigned i = 0; i < n; i += 997) {
		struct entry e;
		struct buf val;

		(void)snprintf(path, sizeof(path), "b/%06u", n - i);
		assert_true(fake_entry(&f, &snap, path, &e, &val));
		(void)snprintf(path, sizeof(path), "a/%06u", i);
		path[1] = '\0';
		assert_int_equal(e.content.kind, CONTENT_LINK);
		assert_int_equal(e.content.bytes.len, 8);
		assert_memory_equal(e.content.bytes.data, path, 8);
		buf_fini(&val);
	}
	snapshot_fini(&snap);
	fake_fini(&f);
}

/* ---- the outbox ---- */

/* What the process holds of malloc's, at most, while the source is walked. */
static _Atomic size_t held_max;

static void
on_entry(void *arg, struct bytes key, const struct entry *e, enum change change)
{
	static _Atomic unsigned n;
	struct mallinfo2 info;

	if (n++ % 64 != 0)
		return;
	info = mallinfo2();
	if (info.uordblks > held_max)
		held_max = info.uordblks;
}

/* How much more memory is taken while something slow stands in front. */
static size_t
held_behind_slow_file(struct fake *f)
{
	struct backup_conf conf = { .host = "here", .workers = 2 };
	struct error err = ERROR_INIT;
	struct snapshot snap;
	size_t before = mallinfo2().uordblks;

	snapshot_init(&snap);
	f->report.entry = on_entry;
	held_max = 0;
	must(fake_backup(f, &conf, &snap, &err), &err);
	fake_verify(f, &snap);
	snapshot_fini(&snap);
	return held_max > before ? held_max - before : 0;
}

/* A slow file, and behind it entries that need nothing: not more of them than
 * the outbox may hold are waiting, and they come out in order. */
static void
test_slow_first_file(void **state)
{
	size_t quick, slow;
	char path[64];
	struct fake f;

	fake_init(&f, true);
	for (unsigned i = 0; i < test_scale(100000); i++) {
		(void)snprintf(path, sizeof(path), "b/%06u", i);
		fake_add(&f, path, 0)->type = ENTRY_DIR;
	}
	(void)fake_add(&f, "a", 1000);
	take_and_forget(&f);
	quick = held_behind_slow_file(&f);
	fake_find(&f, "a")->time.sec++;
	fake_find(&f, "a")->trouble.delay_us = 2000000;
	slow = held_behind_slow_file(&f);
	print_message("%zu KiB, %zu KiB with a slow file\n", quick / KIB,
		slow / KIB);
	assert_true(slow < quick + OUTBOX_BYTES + OUTBOX_BYTES / 2);
	fake_fini(&f);
}

/* Entries with large attributes are not held by their number alone. */
static void
test_large_entries_wait(void **state)
{
	size_t held;
	char path[64];
	struct fake f;

	fake_init(&f, true);
	for (unsigned i = 0; i < test_scale(24000); i++) {
		(void)snprintf(path, sizeof(path), "b/%06u", i);
		fake_add(&f, path, 100)->xattrs_len = i % 4 == 0 ? 60000 : 4000;
	}
	fake_add(&f, "a", 1000)->trouble.delay_us = 1000000;
	held = held_behind_slow_file(&f);
	print_message("%zu KiB\n", held / KIB);
	assert_true(held < 40u << 20);
	fake_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_unchanged_links),
		cmocka_unit_test(test_first_name_goes),
		cmocka_unit_test(test_first_name_fails),
		cmocka_unit_test(test_first_name_vanishes),
		cmocka_unit_test(test_many_links),
		cmocka_unit_test(test_slow_first_file),
		cmocka_unit_test(test_large_entries_wait),
	};

	/* mallinfo2 tells of one arena. */
	(void)mallopt(M_ARENA_MAX, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
