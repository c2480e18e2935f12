/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that will not hold still, stores that fail and users who lose
 * patience: what can be read is kept as it was, what cannot is told once, and
 * every run comes to its end.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/ingest.h"
#include "store/store_fault.h"
#include "tests/engine/fake.h"
#include "tests/lib/scale.h"

enum { KIB = 1 << 10, MIB = 1 << 20 };

/* ---- troubles ---- */

static const struct fake_trouble troubles[] = {
	{ .changes = 1 },
	{ .changes = 2 },
	{ .changes = 99 },
	{ .changes = 99, .resized = true, .sizes = { 10, 3 * MIB, 7 * MIB } },
	{ .changes = 99, .resized = true, .sizes = { 7 * MIB, 3 * MIB, 10 } },
	{ .changes = 99, .resized = true, .sizes = { 9 * KIB, 40, 0 } },
	{ .changes = 1, .resized = true, .sizes = { 0, 5 * MIB, 0 } },
	{ .changes = 2, .resized = true, .sizes = { 5 * MIB, 5 * MIB, 9 } },
	{ .ends = true, .end = 0 },
	{ .ends = true, .end = 1 },
	{ .ends = true, .end = 500 },
	{ .ends = true, .end = 200 * KIB },
	{ .open_code = ERR_NOTFOUND },
	{ .open_code = ERR_IO },
	{ .open_code = ERR_DENIED, .open_from = 2, .changes = 99 },
	{ .open_code = ERR_NOTFOUND, .open_from = 1, .changes = 99 },
	{ .read_code = ERR_IO },
	{ .read_code = ERR_IO, .read_from = 300 },
	{ .read_code = ERR_IO, .read_from = 100 * KIB },
	{ .read_code = ERR_IO,
		.read_from = 6 * MIB,
		.changes = 3,
		.resized = true,
		.sizes = { 3 * MIB, 5 * MIB, 7 * MIB } },
	{ .settle_code = ERR_IO },
	{ .short_reads = true },
	{ .short_reads = true, .changes = 2 },
};

static const uint64_t sizes[] = { 0, 1, 60, 700, 4 * KIB, 4 * KIB + 1,
	150 * KIB, 600 * KIB, 3 * MIB };

static void
take(struct fake *f, struct snapshot *snap)
{
	snapshot_init(snap);
	fake_backup_ok(f, snap);
	fake_verify(f, snap);
}

static struct fake_file *
numbered(struct fake *f, unsigned i, uint64_t size)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "f%05u", i);
	return fake_add(f, name, size);
}

/* Nothing happens to the files any more.  Those that were caught between two
 * changes are what they were then. */
static void
calm_down(struct fake *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct fake_file *file = f->files[i];
		struct fake_outcome o = fake_outcome(file);

		file->trouble = (struct fake_trouble){ 0 };
		if (o.unreadable || o.dropped)
			continue;
		file->size = o.size;
		file->seed = o.seed;
	}
}

/* One troubled file of each size between steady ones: as the first, a middle
 * and the last one of a batch, and all of them at once. */
static void
test_each_trouble(void **state)
{
	for (unsigned t = 0; t < ARRAY_LEN(troubles); t++) {
		struct snapshot snap;
		struct fake f;

		print_message("trouble %u\n", t);
		fake_init(&f, t % 2 == 0);
		for (unsigned i = 0; i < 3 * ARRAY_LEN(sizes); i++) {
			uint64_t size = sizes[i / 3];

			numbered(&f, 5 * i, size)->trouble = troubles[t];
			(void)numbered(&f, 5 * i + 1, size / 2);
			(void)numbered(&f, 5 * i + 2, size + 3);
			numbered(&f, 5 * i + 3, 300 + i)->trouble = troubles[t];
		}
		numbered(&f, 9999, 30)->trouble = troubles[t];
		take(&f, &snap);
		snapshot_fini(&snap);
		calm_down(&f);
		take(&f, &snap);
		assert_int_equal(snap.flags, 0);
		snapshot_fini(&snap);
		fake_fini(&f);
	}
}

static void
some_trouble(struct prng *p, struct fake_file *file)
{
	if (prng_below(p, 3) == 0)
		file->trouble = troubles[prng_below(p, ARRAY_LEN(troubles))];
	if (prng_below(p, 4) == 0) {
		file->data_run = prng_below(p, 30000) + 1;
		file->hole_run = prng_below(p, 30000) + 1;
		file->hole_first = prng_below(p, 2) == 0;
	}
}

static void
test_troubles_mixed(void **state)
{
	for (uint64_t seed = 1; seed <= test_scale(8); seed++) {
		struct snapshot snap;
		struct prng p;
		struct fake f;

		print_message("seed %llu\n", (unsigned long long)seed);
		prng_init(&p, seed);
		fake_init(&f, seed % 2 == 0);
		for (unsigned i = 0; i < 200; i++) {
			uint64_t most = sizes[prng_below(&p, ARRAY_LEN(sizes))];

			some_trouble(&p,
				numbered(&f, i, prng_below(&p, most + 1)));
		}
		take(&f, &snap);
		snapshot_fini(&snap);
		calm_down(&f);
		take(&f, &snap);
		assert_int_equal(snap.flags, 0);
		snapshot_fini(&snap);
		fake_fini(&f);
	}
}

/* A file that is cut off again and again must not keep buffers. */
static void
test_many_cut_off(void **state)
{
	struct snapshot snap;
	struct fake f;

	fake_init(&f, true);
	for (unsigned i = 0; i < 300; i++) {
		struct fake_file *file = numbered(&f, i, 40000);

		file->data_run = 10000;
		file->hole_run = 5000;
		file->trouble =
			(struct fake_trouble){ .ends = true, .end = 15000 };
	}
	take(&f, &snap);
	snapshot_fini(&snap);
	fake_fini(&f);
}

/* What is read in vain is not stored: but for chunks that were complete. */
static void
test_vain_reads_store_little(void **state)
{
	struct snapshot snap;
	struct fake f;

	fake_init(&f, false);
	for (unsigned i = 0; i < 4; i++)
		numbered(&f, i, 500000 + 100000 * i)->trouble =
			(struct fake_trouble){ .read_code = ERR_IO,
				.read_from = 450000 };
	take(&f, &snap);
	assert_true(snap.figures.bytes_added < 4 * KIB);
	snapshot_fini(&snap);
	/* Of small ones only what was read last, and what filled a chunk. */
	for (unsigned i = 0; i < 4; i++) {
		f.files[i]->size = 100000;
		f.files[i]->trouble = (struct fake_trouble){ .changes = 99 };
	}
	f.files[3]->trouble.resized = true;
	f.files[3]->trouble.sizes[0] = 3 * MIB;
	f.files[3]->trouble.sizes[1] = f.files[3]->trouble.sizes[2] = 100000;
	take(&f, &snap);
	assert_true(snap.figures.bytes_added < 400000 + 2 * MIB + 8 * KIB);
	snapshot_fini(&snap);
	fake_fini(&f);
}

/* ---- times too close to now ---- */

static unsigned
marks_of(struct fake *f, const struct snapshot *snap, const char *name)
{
	struct entry e;
	struct buf val;
	unsigned marks;

	assert_true(fake_entry(f, snap, name, &e, &val));
	marks = e.marks;
	entry_fini(&e);
	buf_fini(&val);
	return marks;
}

static const char *const fresh_names[] = { "dir", "large", "small",
	"touched-large", "touched-small" };

/* A backup of what has just changed; whether it was so quick that all of that
 * has to be fresh. */
static bool
backup_fresh(struct fake *f, struct snapshot *snap)
{
	struct when began;

	fake_init(f, true);
	fake_add(f, "dir", 0)->type = ENTRY_DIR;
	(void)fake_add(f, "large", 100 * KIB);
	(void)fake_add(f, "small", 100);
	fake_add(f, "touched-large", 100 * KIB)->trouble.touched = true;
	fake_add(f, "touched-small", 100)->trouble.touched = true;
	(void)fake_add(f, "old", 100);
	fake_add(f, "future", 100)->time.sec = when_now().sec + 1000000;
	began = when_now();
	for (unsigned i = 0; i < 3; i++)
		fake_find(f, fresh_names[i])->time = when_now();
	snapshot_init(snap);
	fake_backup_ok(f, snap);
	return when_now().sec <= began.sec + 1;
}

static void
test_fresh(void **state)
{
	const char *const *names = fresh_names;
	struct snapshot snap;
	unsigned tries = 0;
	struct fake f;

	while (!backup_fresh(&f, &snap)) {
		assert_true(++tries < 100);
		snapshot_fini(&snap);
		fake_fini(&f);
	}
	for (unsigned i = 0; i < ARRAY_LEN(fresh_names); i++)
		assert_int_equal(marks_of(&f, &snap, names[i]), MARK_FRESH);
	assert_int_equal(marks_of(&f, &snap, "old"), 0);
	assert_int_equal(marks_of(&f, &snap, "future"), 0);
	snapshot_fini(&snap);

	/* The same times some seconds later: what was marked is read again,
	 * and then it proves something. */
	for (unsigned i = 0; i < ARRAY_LEN(fresh_names); i++) {
		struct fake_file *file = fake_find(&f, names[i]);

		file->trouble.touched = false;
		file->time.sec = when_now().sec - 5;
		file->seed++;
	}
	take(&f, &snap);
	assert_int_equal(snap.figures.entries_unchanged, 2);
	snapshot_fini(&snap);
	take(&f, &snap);
	assert_int_equal(snap.figures.entries_unchanged, f.n);
	snapshot_fini(&snap);
	fake_fini(&f);
}

/* ---- a store that fails ---- */

struct fault_at {
	uint64_t at;
	enum fault fault;
};

static enum fault
decide(void *arg, uint64_t n, enum store_op op, const char *name)
{
	const struct fault_at *f = arg;

	return n == f->at || (n > f->at && f->fault == FAULT_DEAD) ? f->fault
								   : FAULT_NONE;
}

static void
files_to_store(struct fake *f)
{
	for (unsigned i = 0; i < 60; i++) {
		uint64_t size = i % 3 == 0   ? 300 * KIB
				: i % 3 == 1 ? 4 * KIB - i
					     : i;
		struct fake_file *file = numbered(f, i, size);

		if (i % 20 == 0)
			file->xattrs_len = 100 * KIB;
		if (i == 31)
			file->size = 2 * MIB;
	}
}

/* Whether the run came to its end in spite of the fault. */
static bool
backup_with_fault(struct fake *f, const struct store *base, uint64_t at,
	enum fault fault)
{
	struct fault_at where = { UINT64_MAX, fault };
	struct fault_plan plan = { decide, &where, ERR_NOSPACE };
	struct error err = ERROR_INIT;
	struct store *copy, *st;
	struct snapshot snap;
	enum err rc;

	snapshot_init(&snap);
	must(store_mem_clone(&copy, base, &err), &err);
	must(store_fault_new(&st, copy, &plan, &err), &err);
	fake_reopen(f, st);
	where.at = store_fault_count(st) + at;
	rc = fake_backup(f, NULL, &snap, &err);
	assert_int_equal(f->n_problems, 0);
	if (rc != ERR_OK)
		must_fail(rc, ERR_NOSPACE, &err, "failed as planned");
	err = ERROR_INIT;
	must(store_mem_clone(&st, copy, &err), &err);
	fake_reopen(f, st);
	if (rc == ERR_OK)
		fake_verify(f, &snap);
	snapshot_fini(&snap);

	/* What is left can be built on. */
	take(f, &snap);
	snapshot_fini(&snap);
	return rc == ERR_OK;
}

static void
fail_everywhere(struct fake *f, enum fault fault, uint64_t step)
{
	struct error err = ERROR_INIT;
	struct store *base;
	unsigned n_ended = 0;

	must(store_mem_clone(&base, f->st, &err), &err);
	/* A few in a row that do not matter: it is over. */
	for (uint64_t at = 1; n_ended < 3; at += step)
		n_ended =
			backup_with_fault(f, base, at, fault) ? n_ended + 1 : 0;
	fake_reopen(f, base);
}

static void
test_store_fails_at_each_operation(void **state)
{
	struct snapshot snap;
	struct fake f;

	fake_init(&f, true);
	files_to_store(&f);
	fail_everywhere(&f, FAULT_BEFORE, test_stride());
	fail_everywhere(&f, FAULT_DEAD, test_stride());
	take(&f, &snap);
	snapshot_fini(&snap);
	/* With a previous tree to read beside. */
	for (size_t i = 0; i < f.n; i += 3)
		f.files[i]->size += 1000;
	fail_everywhere(&f, FAULT_BEFORE, test_stride());
	fail_everywhere(&f, FAULT_DEAD, test_stride());
	fake_fini(&f);
}

/* ---- stop ---- */

static enum err
stop_at(struct fake *f, uint64_t at)
{
	struct error err = ERROR_INIT;
	struct snapshot snap;
	enum err rc;

	snapshot_init(&snap);
	f->stop_at = at;
	fake_reopen(f, NULL);
	rc = fake_backup(f, NULL, &snap, &err);
	assert_int_equal(f->n_problems, 0);
	if (rc == ERR_OK)
		fake_verify(f, &snap);
	else
		assert_int_equal(rc, ERR_CANCELLED);
	f->stop_at = 0;
	snapshot_fini(&snap);
	return rc;
}

static void
test_stopped_anywhere(void **state)
{
	struct snapshot snap;
	struct prng p;
	struct fake f;

	prng_init(&p, 9);
	fake_init(&f, true);
	files_to_store(&f);
	for (unsigned i = 0; i < test_scale(80); i++)
		(void)stop_at(&f, prng_below(&p, 400) + 1);
	assert_int_equal(stop_at(&f, 1), ERR_CANCELLED);
	fake_reopen(&f, NULL);
	take(&f, &snap);
	snapshot_fini(&snap);
	/* Where nothing is read, too. */
	assert_int_equal(stop_at(&f, 1), ERR_CANCELLED);
	assert_int_equal(stop_at(&f, 59), ERR_CANCELLED);
	fake_fini(&f);
}

/* ---- freeze and thaw ---- */

static void
test_thaw_after_the_last_read(void **state)
{
	struct snapshot snap;
	struct error err = ERROR_INIT;
	struct fake f;
	char job[sizeof(f.job)];

	fake_init(&f, true);
	for (unsigned i = 0; i < 2000; i++)
		numbered(&f, i, 4 * KIB)->trouble.delay_us = i % 10 * 50;
	f.stop_at = 3000;
	snapshot_init(&snap);
	/* fake_backup compares. */
	assert_int_equal(fake_backup(&f, NULL, &snap, &err), ERR_CANCELLED);
	f.stop_at = 0;
	memcpy(job, f.job, sizeof(job));
	fake_reopen(&f, NULL);
	take(&f, &snap);
	assert_string_equal(f.job, job);
	snapshot_fini(&snap);

	f.freeze_code = ERR_IO;
	snapshot_init(&snap);
	assert_int_equal(fake_backup(&f, NULL, &snap, &err), ERR_IO);
	assert_string_equal(err.msg, "it does not freeze");
	/* The backup that take made; the others came to nothing. */
	assert_int_equal(f.n_kept, 1);
	fake_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_trouble),
		cmocka_unit_test(test_troubles_mixed),
		cmocka_unit_test(test_many_cut_off),
		cmocka_unit_test(test_vain_reads_store_little),
		cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_store_fails_at_each_operation),
		cmocka_unit_test(test_stopped_anywhere),
		cmocka_unit_test(test_thaw_after_the_last_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
