/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is backed up can be read again, whatever its size and shape, and is
 * stored no more often than it must be.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/ingest.h"
#include "tests/engine/fake.h"
#include "tests/lib/scale.h"

enum { INLINE = 64, KIB = 1 << 10, MIB = 1 << 20 };

static void
take(struct fake *f, struct snapshot *snap)
{
	snapshot_init(snap);
	fake_backup_ok(f, snap);
	fake_verify(f, snap);
}

/* Nothing is read and nothing changes. */
static void
again(struct fake *f, const struct snapshot *first)
{
	struct snapshot snap;

	take(f, &snap);
	assert_memory_equal(&snap.root, &first->root, sizeof(snap.root));
	assert_int_equal(snap.figures.entries_unchanged, f->n);
	assert_int_equal(snap.figures.bytes_read, 0);
	assert_int_equal(snap.figures.bytes_added, 0);
	snapshot_fini(&snap);
}

/* ---- sizes ---- */

static void
test_sizes_at_thresholds(void **state)
{
	static const uint64_t at[] = { 0, 1, INLINE, GATHER_FILE_MAX, 512 << 10,
		1 << 20, GATHER_ROOM, 8 << 20, 9 << 20 };
	struct snapshot snap;
	struct fake f;
	char name[64];

	fake_init(&f, false);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		for (uint64_t size = at[i] > 0 ? at[i] - 1 : 0;
			size <= at[i] + 1; size++) {
			(void)snprintf(name, sizeof(name), "d/%02zu-%llu", i,
				(unsigned long long)size);
			if (fake_find(&f, name) == NULL)
				(void)fake_add(&f, name, size);
		}
	}
	take(&f, &snap);
	assert_int_equal(snap.figures.entries, f.n);
	again(&f, &snap);
	snapshot_fini(&snap);
	fake_fini(&f);
}

static enum content_kind
kind_of(struct fake *f, const struct snapshot *snap, const char *name)
{
	struct entry e;
	struct buf val;
	enum content_kind kind;

	assert_true(fake_entry(f, snap, name, &e, &val));
	kind = e.content.kind;
	entry_fini(&e);
	buf_fini(&val);
	return kind;
}

static void
test_how_contents_are_kept(void **state)
{
	struct snapshot snap;
	struct fake f;

	fake_init(&f, true);
	(void)fake_add(&f, "empty", 0);
	(void)fake_add(&f, "inline", INLINE);
	(void)fake_add(&f, "slice", INLINE + 1);
	(void)fake_add(&f, "slices", 200 << 10);
	(void)fake_add(&f, "extents", 3 << 20);
	take(&f, &snap);
	assert_int_equal(kind_of(&f, &snap, "empty"), CONTENT_NONE);
	assert_int_equal(kind_of(&f, &snap, "inline"), CONTENT_INLINE);
	assert_int_equal(kind_of(&f, &snap, "slice"), CONTENT_SLICES);
	assert_int_equal(kind_of(&f, &snap, "slices"), CONTENT_SLICES);
	assert_int_equal(kind_of(&f, &snap, "extents"), CONTENT_EXTENTS);
	again(&f, &snap);
	snapshot_fini(&snap);
	fake_fini(&f);
}

/* ---- holes ---- */

static void
test_holes(void **state)
{
	static const struct {
		uint64_t data, hole;
	} runs[] = { { 4096, 4096 }, { 1, 1000000 }, { 700000, 4096 },
		{ 0, UINT64_MAX / 4 }, { 100, 100 }, { 3 << 20, 1 << 20 } };
	static const uint64_t sizes[] = { 1, 4096, 100000, 500000, 5000000 };
	struct snapshot snap;
	struct fake f;
	char name[64];

	fake_init(&f, false);
	for (size_t i = 0; i < ARRAY_LEN(runs) * ARRAY_LEN(sizes) * 2; i++) {
		size_t run = i / 2 / ARRAY_LEN(sizes);
		uint64_t size = sizes[i / 2 % ARRAY_LEN(sizes)];
		struct fake_file *file;

		if (runs[run].data == 100 && size > 100000)
			continue;
		(void)snprintf(name, sizeof(name), "%zu-%llu-%zu", run,
			(unsigned long long)size, i % 2);
		file = fake_add(&f, name, size);
		file->data_run = runs[run].data;
		file->hole_run = runs[run].hole;
		file->hole_first = i % 2 == 0;
	}
	take(&f, &snap);
	again(&f, &snap);
	snapshot_fini(&snap);
	fake_fini(&f);
}

static void
test_huge_hole(void **state)
{
	struct fake_file *file;
	struct snapshot snap;
	struct entry e;
	struct buf val;
	struct fake f;

	fake_init(&f, false);
	file = fake_add(&f, "hole", UINT64_C(1) << 50);
	file->data_run = 0;
	file->hole_run = UINT64_MAX / 4;
	file->hole_first = true;
	snapshot_init(&snap);
	fake_backup_ok(&f, &snap);
	assert_int_equal(snap.figures.bytes_read, 0);
	assert_true(fake_entry(&f, &snap, "hole", &e, &val));
	assert_int_equal(e.size, UINT64_C(1) << 50);
	assert_int_equal(e.content.kind, CONTENT_SLICES);
	assert_int_equal(e.content.slices.n, 1);
	entry_fini(&e);
	buf_fini(&val);
	snapshot_fini(&snap);
	fake_fini(&f);
}

/* ---- mixes ---- */

static uint64_t
some_size(struct prng *p, uint64_t most)
{
	uint64_t limit = most >> prng_below(p, 20);

	return prng_below(p, limit + 2);
}

static void
some_shape(struct prng *p, struct fake_file *file)
{
	if (prng_below(p, 4) == 0) {
		file->data_run = prng_below(p, 300000) + 1;
		file->hole_run = prng_below(p, 300000) + 1;
		file->hole_first = prng_below(p, 2) == 0;
	}
	if (prng_below(p, 8) == 0)
		file->xattrs_len = prng_below(p, 200) + 1;
	file->trouble.short_reads = prng_below(p, 4) == 0;
}

static void
some_files(struct fake *f, struct prng *p, unsigned n, uint64_t most)
{
	char name[64];

	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "d%llu/f%05llu",
			(unsigned long long)prng_below(p, 5),
			(unsigned long long)prng_below(p, 100000));
		if (fake_find(f, name) == NULL)
			some_shape(p, fake_add(f, name, some_size(p, most)));
	}
}

static void
change_some(struct fake *f, struct prng *p)
{
	for (size_t i = f->n; i > 0; i--) {
		struct fake_file *file = f->files[i - 1];

		switch (prng_below(p, 12)) {
		case 0:
			fake_remove(f, file->name);
			break;
		case 1:
			file->seed++;
			file->time.sec++;
			break;
		case 2:
			file->size += 1000;
			break;
		default:
			break;
		}
	}
}

static void
test_mixes(void **state)
{
	for (uint64_t seed = 1; seed <= test_scale(6); seed++) {
		bool small = seed % 2 == 0;
		struct snapshot snap;
		struct prng p;
		struct fake f;

		print_message("seed %llu\n", (unsigned long long)seed);
		prng_init(&p, seed);
		fake_init(&f, small);
		some_files(&f, &p, 150, small ? 2 * MIB : 12 * MIB);
		for (unsigned round = 0; round < 4; round++) {
			take(&f, &snap);
			again(&f, &snap);
			snapshot_fini(&snap);
			change_some(&f, &p);
			some_files(&f, &p, 20, MIB);
		}
		fake_fini(&f);
	}
}

/* ---- deduplication ---- */

static void
small_files(struct fake *f, const char *dir, unsigned n)
{
	struct prng p;
	char name[64];

	prng_init(&p, 5);
	for (unsigned i = 0; i < n; i++) {
		struct fake_file *file;

		(void)snprintf(name, sizeof(name), "%s/f%05u", dir, i);
		file = fake_add(f, name, prng_below(&p, 20 * KIB) + INLINE + 1);
		file->seed = i + 1;
	}
}

static void
test_same_directory_elsewhere(void **state)
{
	struct snapshot snap;
	uint64_t first;
	struct fake f;

	fake_init(&f, false);
	small_files(&f, "here", 3000);
	take(&f, &snap);
	first = snap.figures.bytes_added;
	snapshot_fini(&snap);
	for (size_t i = 0; i < f.n; i++)
		memcpy(f.files[i]->name, "tree", 4);
	take(&f, &snap);
	/* No data, only nodes. */
	assert_true(snap.figures.bytes_added < first / 40);
	snapshot_fini(&snap);
	/* Behind other files the ends have to be found again first; all is
	 * read, as by a host that has never seen it. */
	small_files(&f, "a", 7);
	f.label = "fake:other";
	take(&f, &snap);
	assert_true(snap.figures.bytes_added < first / 4);
	snapshot_fini(&snap);
	fake_fini(&f);
}

static void
test_one_file_more_changes_little(void **state)
{
	struct snapshot snap;
	struct fake f;

	fake_init(&f, false);
	small_files(&f, "here", 3000);
	take(&f, &snap);
	snapshot_fini(&snap);
	(void)fake_add(&f, "here/f01500-more", 5000);
	take(&f, &snap);
	assert_int_equal(snap.figures.bytes_read, 5000);
	assert_int_equal(snap.figures.entries_new, 1);
	assert_true(snap.figures.bytes_added < 5000 + 300 * KIB);
	snapshot_fini(&snap);
	/* Also where all of it is read. */
	f.label = "fake:other";
	(void)fake_add(&f, "here/f00100-more", 5000);
	take(&f, &snap);
	assert_true(snap.figures.bytes_read > 20 * MIB);
	assert_true(snap.figures.bytes_added < 8 * MIB);
	snapshot_fini(&snap);
	fake_fini(&f);
}

static void
test_cut_by_content(void **state)
{
	struct fake_file *file;
	struct snapshot snap;
	struct fake f;

	fake_init(&f, false);
	(void)fake_add(&f, "a", 40 * MIB);
	take(&f, &snap);
	snapshot_fini(&snap);
	file = fake_add(&f, "b", 40 * MIB);
	file->seed = fake_find(&f, "a")->seed;
	take(&f, &snap);
	assert_true(snap.figures.bytes_added < 10 * KIB);
	assert_int_equal(snap.figures.bytes_read, 40 * MIB);
	snapshot_fini(&snap);
	fake_fini(&f);
}

/* ---- extended attributes ---- */

static void
test_large_xattrs(void **state)
{
	static const size_t lens[] = { 1, XATTR_INLINE_MAX - 20,
		XATTR_INLINE_MAX - 30, XATTR_INLINE_MAX - 25, XATTR_INLINE_MAX,
		3 << 20 };
	struct snapshot snap;
	struct fake f;
	char name[64];

	fake_init(&f, true);
	for (size_t i = 0; i < 3 * ARRAY_LEN(lens); i++) {
		static const uint64_t sizes[] = { 0, 3000, 1 << 20 };

		(void)snprintf(name, sizeof(name), "f%02zu", i);
		fake_add(&f, name, sizes[i % 3])->xattrs_len = lens[i / 3];
	}
	take(&f, &snap);
	again(&f, &snap);
	snapshot_fini(&snap);
	fake_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_at_thresholds),
		cmocka_unit_test(test_how_contents_are_kept),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_huge_hole),
		cmocka_unit_test(test_mixes),
		cmocka_unit_test(test_same_directory_elsewhere),
		cmocka_unit_test(test_one_file_more_changes_little),
		cmocka_unit_test(test_cut_by_content),
		cmocka_unit_test(test_large_xattrs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
