/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One job waits in the store before its n-th operation, for every n, while
 * another one runs from its beginning to its end: two prunes, a backup and a
 * prune, a prune and somebody who forgets or wants back.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/store_fault.h"
#include "tests/engine/prunes.h"
#include "tests/lib/scale.h"

enum job { BACKUP, PRUNE, PRUNE_RUDE, FORGET, UNDELETE, READ };

static const char *const job_names[] = { "backup", "prune", "rude prune",
	"forget", "undelete", "read" };

/* The first job goes on until it is at that operation; then the second runs. */
struct pair {
	struct prunes *p;
	enum job first, second;
	uint64_t at; /* 0: never */
	_Atomic bool done;
	_Atomic uint64_t n; /* operations of the first */
};

/* The oldest snapshot that is (not) forgotten. */
static unsigned
oldest(const struct prunes *p, bool forgotten)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->past[i].forgotten == forgotten)
			return i;
	fail_msg("there is none");
	return 0;
}

static enum err
run_job(struct prunes *p, struct store *st, enum job job, struct error *err)
{
	struct prune_conf conf = prunes_conf(p);

	switch (job) {
	case BACKUP:
		return prunes_backup(p, st, err);
	case PRUNE_RUDE:
		conf.grace_sec = 0;
		return prunes_prune(p, st, &conf, NULL, err);
	case FORGET:
		return prunes_forget(p, st, oldest(p, false), err);
	case UNDELETE:
		return prunes_undelete(p, st, oldest(p, true), err);
	case READ:
		prunes_read(p, st, oldest(p, false));
		return ERR_OK;
	case PRUNE:
		break;
	}
	return prunes_prune(p, st, &conf, NULL, err);
}

/* What may come of a job beside the other. */
static void
must_be_allowed(const struct pair *pair, enum job job, enum err rc,
	const struct error *err)
{
	bool rude = pair->first == PRUNE_RUDE || pair->second == PRUNE_RUDE;
	bool fenced = job == BACKUP && rude && rc == ERR_EXISTS;
	bool late = job == UNDELETE && (rc == ERR_EXISTS || rc == ERR_NOTFOUND);

	if (rc != ERR_OK && !fenced && !late)
		fail_msg("%s, with %s in %s at %llu: %s: %s", job_names[job],
			job_names[pair->second], job_names[pair->first],
			(unsigned long long)pair->at, err_name(rc), err->msg);
}

static enum fault
decide(void *arg, uint64_t n, enum store_op op, const char *name)
{
	struct pair *pair = arg;
	struct error err = ERROR_INIT;
	enum err rc;

	pair->n = n;
	if (pair->at == 0 || n < pair->at || atomic_exchange(&pair->done, true))
		return FAULT_NONE;
	rc = run_job(pair->p, pair->p->st, pair->second, &err);
	must_be_allowed(pair, pair->second, rc, &err);
	return FAULT_NONE;
}

static void
run_pair(struct pair *pair)
{
	struct fault_plan plan = { decide, pair, ERR_IO };
	struct error err = ERROR_INIT;
	struct store *st;
	enum err rc;

	must(store_fault_new(&st, pair->p->st, &plan, &err), &err);
	rc = run_job(pair->p, st, pair->first, &err);
	must_be_allowed(pair, pair->first, rc, &err);
	prunes_unwrap(pair->p, st);
}

static void
make_past(struct prunes *p, uint64_t seed)
{
	struct error err = ERROR_INIT;

	prunes_init(p, seed);
	p->size_max = 120000;
	for (unsigned i = 0; i < 4; i++) {
		prunes_change(p);
		must(prunes_backup(p, p->st, &err), &err);
	}
	must(prunes_forget(p, p->st, 1, &err), &err);
	must(prunes_forget(p, p->st, 2, &err), &err);
	/* What was forgotten comes again, and is found by deduplication in
	 * packs that go. */
	memcpy(p->sizes, p->past[2].sizes, sizeof(p->sizes));
	p->now += 1000;
}

static void
all_of(const struct prunes *base, enum job first, enum job second)
{
	struct pair pair = { .first = first, .second = second };
	struct prunes p;
	uint64_t n;

	prunes_copy(&p, base);
	pair.p = &p;
	run_pair(&pair);
	n = pair.n;
	prunes_fini(&p);
	assert_true(n > 10);
	for (uint64_t at = 1; at <= n; at += test_stride()) {
		prunes_copy(&p, base);
		pair = (struct pair){ &p, first, second, at, false, 0 };
		run_pair(&pair);
		prunes_verify(&p);
		prunes_settle(&p);
		prunes_verify(&p);
		prunes_fini(&p);
	}
}

/* One at a time, each in its own group of jobs. */
static void
test_pairs(void **state)
{
	static const enum job pairs[][2] = { { PRUNE, PRUNE },
		{ PRUNE, BACKUP }, { BACKUP, PRUNE }, { BACKUP, PRUNE_RUDE },
		{ PRUNE, FORGET }, { PRUNE, UNDELETE }, { READ, PRUNE },
		{ PRUNE, PRUNE_RUDE }, { PRUNE_RUDE, BACKUP } };
	struct prunes base;

	make_past(&base, 11);
	for (unsigned i = 0; i < ARRAY_LEN(pairs); i++) {
		print_message("%s in %s\n", job_names[pairs[i][1]],
			job_names[pairs[i][0]]);
		all_of(&base, pairs[i][0], pairs[i][1]);
	}
	prunes_fini(&base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
