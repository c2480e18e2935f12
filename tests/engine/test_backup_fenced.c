/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A prune that fences sessions just before they commit: the backup starts
 * over once, finds its chunks, and says so.
 */
#include <stdio.h>

#include "store/store_fault.h"
#include "tests/engine/fake.h"

struct fences {
	struct store *inner;
	unsigned left; /* of commits that are too late */
	bool foreign; /* it is no fence that they find */
};

static enum fault
decide(void *arg, uint64_t n, enum store_op op, const char *name)
{
	struct fences *f = arg;
	struct error err = ERROR_INIT;

	if (op != STORE_PUT || strncmp(name, "snapshots/", 10) != 0 ||
		f->left == 0)
		return FAULT_NONE;
	f->left--;
	must(store_put(f->inner, name, f->foreign ? "SOMETHING" : "FENCED",
		     f->foreign ? 9 : 6, &err),
		&err);
	return FAULT_NONE;
}

static enum err
count(void *arg, const char *name, uint64_t size, struct error *err)
{
	++*(unsigned *)arg;
	return ERR_OK;
}

static unsigned
objects(struct fake *f, const char *prefix)
{
	struct error err = ERROR_INIT;
	unsigned n = 0;

	must(store_list(f->st, prefix, count, &n, &err), &err);
	return n;
}

static void
begin(struct fake *f, struct fences *fences, struct fault_plan *plan)
{
	struct error err = ERROR_INIT;

	fake_init(f, true);
	repo_close(f->repo);
	fences->inner = f->st;
	*plan = (struct fault_plan){ decide, fences, ERR_IO };
	must(store_fault_new(&f->st, fences->inner, plan, &err), &err);
	f->repo = tool_open(f->st, TOOL_PASS);
	for (unsigned i = 0; i < 40; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "file-%02u", i);
		(void)fake_add(f, name, 1000 + i * 7777);
	}
}

/* Each file was read in both attempts; fake_verify knows of one. */
static void
read_once_each(struct fake *f, unsigned fenced)
{
	for (size_t i = 0; i < f->n; i++) {
		assert_int_equal(f->files[i]->n_opened, 1 + fenced);
		f->files[i]->n_opened = f->files[i]->n_closed = 1;
	}
}

static void
test_starts_over_once(void **state)
{
	for (unsigned fenced = 0; fenced <= 2; fenced++) {
		struct fences fences = { .left = fenced };
		struct error err = ERROR_INIT;
		struct fault_plan plan;
		struct snapshot snap;
		struct fake f;
		enum err rc;

		begin(&f, &fences, &plan);
		snapshot_init(&snap);
		rc = fake_backup(&f, NULL, &snap, &err);
		assert_int_equal(f.n_notes, fenced > 0);
		assert_int_equal(objects(&f, "sessions"), 0);
		if (fenced > 1) {
			must_fail(rc, ERR_EXISTS, &err, "fenced");
		} else {
			must(rc, &err);
			if (fenced == 1)
				assert_int_equal(snap.figures.bytes_added, 0);
			read_once_each(&f, fenced);
			fake_verify(&f, &snap);
		}
		snapshot_fini(&snap);
		fake_fini(&f);
	}
}

static void
test_what_cannot_be_read_again_fails(void **state)
{
	struct fences fences = { .left = 1 };
	struct error err = ERROR_INIT;
	struct fault_plan plan;
	struct snapshot snap;
	struct fake f;

	begin(&f, &fences, &plan);
	f.base.once = true;
	snapshot_init(&snap);
	must_fail(fake_backup(&f, NULL, &snap, &err), ERR_EXISTS, &err,
		"fenced");
	assert_int_equal(f.n_notes, 0);
	snapshot_fini(&snap);
	fake_fini(&f);
}

static void
test_a_foreign_snapshot_is_told(void **state)
{
	struct fences fences = { .left = 2, .foreign = true };
	struct error err = ERROR_INIT;
	struct fault_plan plan;
	struct snapshot snap;
	struct fake f;

	begin(&f, &fences, &plan);
	snapshot_init(&snap);
	must_fail(fake_backup(&f, NULL, &snap, &err), ERR_EXISTS, &err,
		"somebody else");
	snapshot_fini(&snap);
	fake_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starts_over_once),
		cmocka_unit_test(test_what_cannot_be_read_again_fails),
		cmocka_unit_test(test_a_foreign_snapshot_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
