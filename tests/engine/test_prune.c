/* SPDX-License-Identifier: Apache-2.0 */
/* Prunes between backups, forgotten snapshots and undeleted ones: what counts
 * stays, bit for bit, and garbage goes. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/engine/prunes.h"
#include "tests/lib/scale.h"

static void
backup_some(struct prunes *p, unsigned n)
{
	struct error err = ERROR_INIT;

	for (unsigned i = 0; i < n; i++) {
		prunes_change(p);
		must(prunes_backup(p, p->st, &err), &err);
	}
}

static void
test_nothing_to_do(void **state)
{
	struct prune_conf conf;
	struct error err = ERROR_INIT;
	struct prune_figures f;
	struct prunes p;
	uint64_t before;

	prunes_init(&p, 1);
	conf = prunes_conf(&p);
	must(prunes_prune(&p, p.st, &conf, &f, &err), &err);
	assert_int_equal(f.packs, 0);
	backup_some(&p, 1);
	before = prunes_size(&p, "").n_objects;
	must(prunes_prune(&p, p.st, &conf, &f, &err), &err);
	assert_int_equal(f.epoch, 0);
	assert_int_equal(f.packs_condemned, 0);
	assert_int_equal(f.chunks_dead, 0);
	assert_true(f.chunks_live > 10);
	assert_int_equal(f.snapshots, 1);
	assert_int_equal(prunes_size(&p, "").n_objects, before);
	prunes_verify(&p);
	prunes_fini(&p);
}

static void
test_forgotten_goes(void **state)
{
	struct prune_conf conf, dry;
	struct error err = ERROR_INIT;
	struct prune_figures f, told;
	struct prunes p;
	uint64_t before;

	prunes_init(&p, 2);
	conf = dry = prunes_conf(&p);
	dry.dry_run = true;
	backup_some(&p, 4);
	for (unsigned i = 0; i < 3; i++)
		must(prunes_forget(&p, p.st, i, &err), &err);
	before = prunes_size(&p, "").n_objects;
	must(prunes_prune(&p, p.st, &dry, &told, &err), &err);
	assert_int_equal(prunes_size(&p, "").n_objects, before);
	assert_true(told.bytes_freed > 100000);
	assert_int_equal(told.snapshots_swept, 3);
	before = prunes_size(&p, "packs").bytes;
	must(prunes_prune(&p, p.st, &conf, &f, &err), &err);
	assert_int_equal(f.epoch, 1);
	assert_int_equal(f.snapshots_swept, 3);
	assert_int_equal(f.packs_deleted, told.packs_condemned);
	assert_int_equal(f.chunks_live, told.chunks_live);
	assert_true(prunes_size(&p, "packs").bytes < before);
	prunes_verify(&p);
	prunes_settle(&p);
	prunes_verify(&p);
	prunes_verify_clean(&p);
	prunes_fini(&p);
}

static void
test_delay(void **state)
{
	struct prune_conf conf;
	struct error err = ERROR_INIT;
	struct prune_figures f;
	struct prunes p;

	prunes_init(&p, 3);
	conf = prunes_conf(&p);
	conf.delay_sec = 7 * PRUNES_DAY;
	backup_some(&p, 3);
	must(prunes_forget(&p, p.st, 0, &err), &err);
	must(prunes_forget(&p, p.st, 1, &err), &err);
	must(prunes_prune(&p, p.st, &conf, &f, &err), &err);
	assert_true(f.waiting);
	assert_int_equal(f.not_before.sec, p.now + 7 * PRUNES_DAY);
	assert_true(f.packs_condemned > 0);
	assert_int_equal(f.packs_deleted, 0);
	/* One is wanted back in time, and others are made meanwhile. */
	p.now += 6 * PRUNES_DAY;
	must(prunes_undelete(&p, p.st, 0, &err), &err);
	backup_some(&p, 2);
	must(prunes_prune(&p, p.st, &conf, &f, &err), &err);
	assert_true(f.waiting);
	prunes_verify(&p);
	p.now += 2 * PRUNES_DAY;
	conf.delay_sec = PRUNES_DAY;
	must(prunes_prune(&p, p.st, &conf, &f, &err), &err);
	assert_true(f.packs_spared > 0);
	assert_int_equal(f.snapshots_swept, 1);
	prunes_verify(&p);
	prunes_settle(&p);
	prunes_verify(&p);
	prunes_verify_clean(&p);
	prunes_fini(&p);
}

static void
test_roles(void **state)
{
	static const struct {
		enum role role;
		enum err rc;
	} cases[] = { { ROLE_WRITER, ERR_DENIED }, { ROLE_READER, ERR_DENIED },
		{ ROLE_MAINTAINER, ERR_OK } };
	struct pass pass = { "other", 5 };
	struct repo_conf rconf = { .pass = { "other", 5 } };
	struct prune_conf conf;
	struct error err = ERROR_INIT;
	struct prune_figures f;
	struct prunes p;

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct repo *r;

		prunes_init(&p, 4);
		conf = prunes_conf(&p);
		r = tool_open(p.st, TOOL_PASS);
		tool_add_key(p.st, r, cases[i].role, pass);
		repo_close(r);
		backup_some(&p, 4);
		for (unsigned k = 0; k < 3; k++)
			must(prunes_forget(&p, p.st, k, &err), &err);
		must(repo_open(&r, p.st, &rconf, &err), &err);
		assert_int_equal(prune_run(r, &conf, &p.report, &f, &err),
			cases[i].rc);
		repo_close(r);
		if (cases[i].rc == ERR_OK) {
			assert_int_equal(f.snapshots_swept, 3);
			assert_true(f.bytes_moved > 0);
			prunes_settle(&p);
			prunes_verify_clean(&p);
		}
		prunes_verify(&p);
		prunes_fini(&p);
	}
}

static void
random_step(struct prunes *p, unsigned step)
{
	struct prune_conf conf = prunes_conf(p);
	struct error err = ERROR_INIT;
	unsigned i = p->n > 0 ? (unsigned)prng_below(&p->dice, p->n) : 0;
	enum err rc;

	switch (prng_below(&p->dice, 6)) {
	case 0:
	case 1:
		backup_some(p, 1);
		break;
	case 2:
		if (p->n > 0 && !p->past[i].forgotten)
			must(prunes_forget(p, p->st, i, &err), &err);
		break;
	case 3:
		if (p->n > 0 && p->past[i].forgotten) {
			rc = prunes_undelete(p, p->st, i, &err);
			assert_true(rc == ERR_OK || rc == ERR_NOTFOUND ||
				    rc == ERR_EXISTS);
		}
		break;
	default:
		conf.workers = 1 + (unsigned)prng_below(&p->dice, 3);
		conf.delay_sec = PRUNES_DAY * prng_below(&p->dice, 3);
		conf.max_unused = (double)prng_below(&p->dice, 4) / 3;
		conf.max_repack = prng_below(&p->dice, 2) * 300000;
		p->now += (int64_t)prng_below(&p->dice, 3 * PRUNES_DAY);
		must(prunes_prune(p, p->st, &conf, NULL, &err), &err);
		break;
	}
	p->now += 60;
}

static void
test_random_histories(void **state)
{
	for (unsigned seed = 100; seed < 100 + test_scale(12); seed++) {
		struct prunes p;

		print_message("seed %u\n", seed);
		prunes_init(&p, seed);
		p.size_max = 30000u << seed % 4;
		for (unsigned i = 0; i < 40; i++) {
			random_step(&p, i);
			if (i % 10 == 9)
				prunes_verify(&p);
		}
		prunes_settle(&p);
		prunes_verify(&p);
		prunes_verify_clean(&p);
		prunes_fini(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_to_do),
		cmocka_unit_test(test_forgotten_goes),
		cmocka_unit_test(test_delay),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_random_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
