/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup that dies, or meets a full disk, at its n-th store operation, for
 * every n: what was committed stays, nothing half-made is seen, and the next
 * backup succeeds.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store_fault.h"
#include "tests/engine/world.h"
#include "tests/lib/scale.h"

enum { N_FILES = 40, SIZE_MAX_FILE = 200000 };

struct kill_plan {
	uint64_t at;
	bool after; /* let the operation happen, and die before its reply */
};

static enum fault
decide_kill(void *arg, uint64_t n, enum store_op op, const char *name)
{
	const struct kill_plan *plan = arg;

	if (n < plan->at + plan->after)
		return FAULT_NONE;
	(void)kill(getpid(), SIGKILL);
	for (;;)
		(void)pause();
}

static struct store *
open_dir(const char *path, bool create)
{
	struct error err = ERROR_INIT;
	struct store *st;

	must(store_open(&st, path, create, &err), &err);
	return st;
}

/* In a child: a backup that is killed at that operation.  Whether it got to
 * its end. */
static bool
backup_killed_at(struct world *w, const char *path,
	const struct kill_plan *plan)
{
	struct fault_plan faults = { decide_kill, (void *)(uintptr_t)plan,
		ERR_IO };
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct error err = ERROR_INIT;
		struct store *st;

		if (store_fault_new(&st, open_dir(path, false), &faults,
			    &err) != ERR_OK)
			_exit(3);
		_exit(world_backup(w, st, NULL, &err) == ERR_OK ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	return WIFEXITED(status);
}

static void
must_be_sound(struct world *w, struct store *st, uint64_t n)
{
	struct error err = ERROR_INIT;
	struct check_result result;

	must(world_check(w, st, &result, &err), &err);
	if (result.errors > 0)
		fail_msg("killed at operation %llu: %s", (unsigned long long)n,
			w->last_problem);
}

static void
must_equal_tree(struct world *w, struct store *st)
{
	struct error err = ERROR_INIT;
	bool equal;

	must(world_compare(w, st, &equal, &err), &err);
	assert_true(equal);
}

static void
test_kill_at_every_operation(void **state)
{
	struct error err = ERROR_INIT;
	struct kill_plan plan = { .at = 1 };
	struct world w;
	char path[96];
	size_t before, after;
	bool ended = false;

	world_init(&w, 1, N_FILES, SIZE_MAX_FILE);
	for (unsigned round = 0; !ended; round++) {
		struct store *st;

		(void)snprintf(path, sizeof(path), "%s/repo%u", w.dir, round);
		st = open_dir(path, true);
		must(world_repo_init(st, &err), &err);
		must(world_snapshots(st, &before, &err), &err);
		ended = backup_killed_at(&w, path, &plan);
		must_be_sound(&w, st, plan.at);
		must(world_snapshots(st, &after, &err), &err);
		assert_true(after == before || after == before + 1);
		if (ended)
			assert_int_equal(after, before + 1);
		if (after > before)
			must_equal_tree(&w, st);
		must(world_backup(&w, st, NULL, &err), &err);
		must_be_sound(&w, st, plan.at);
		must_equal_tree(&w, st);
		store_close(st);
		plan.after = !plan.after;
		plan.at += plan.after ? 0 : test_stride();
	}
	assert_true(plan.at > 5);
	world_fini(&w);
}

/* ---- a store that is full from its n-th put on ---- */

struct full_plan {
	uint64_t puts, at;
};

static enum fault
decide_full(void *arg, uint64_t n, enum store_op op, const char *name)
{
	struct full_plan *plan = arg;

	if (op == STORE_PUT)
		plan->puts++;
	return op == STORE_PUT && plan->puts >= plan->at ? FAULT_BEFORE
							 : FAULT_NONE;
}

static void
test_disk_full_at_every_put(void **state)
{
	struct error err = ERROR_INIT;
	struct store *base = tool_store();
	enum err rc = ERR_NOSPACE;
	struct world w;
	size_t n;

	world_init(&w, 2, N_FILES, SIZE_MAX_FILE);
	must(world_repo_init(base, &err), &err);
	must(world_backup(&w, base, NULL, &err), &err);
	world_change(&w, 3);
	for (uint64_t at = 1; rc != ERR_OK; at++) {
		struct full_plan full = { 0, at };
		struct fault_plan plan = { decide_full, &full, ERR_NOSPACE };
		struct store *st;

		err = ERROR_INIT;
		must(store_mem_clone(&st, base, &err), &err);
		must(store_fault_new(&st, st, &plan, &err), &err);
		rc = world_backup(&w, st, NULL, &err);
		if (rc != ERR_OK)
			assert_int_equal(rc, ERR_NOSPACE);
		full.at = UINT64_MAX;
		must_be_sound(&w, st, at);
		err = ERROR_INIT;
		must(world_snapshots(st, &n, &err), &err);
		assert_int_equal(n, rc == ERR_OK ? 2 : 1);
		must(world_backup(&w, st, NULL, &err), &err);
		must_equal_tree(&w, st);
		store_close(st);
	}
	store_close(base);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_at_every_operation),
		cmocka_unit_test(test_disk_full_at_every_put),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
