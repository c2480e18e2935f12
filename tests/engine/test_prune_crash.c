/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A prune that dies at its n-th store operation, before or after the operation
 * happened, for every n: nothing that counts is lost, and the next ones finish.
 */
#include <stdio.h>
#include <stdlib.h>

#include "store/store_fault.h"
#include "tests/engine/prunes.h"
#include "tests/lib/scale.h"

struct death {
	uint64_t at; /* 0: never */
	enum fault how;
	uint64_t n; /* operations seen */
};

static enum fault
decide(void *arg, uint64_t n, enum store_op op, const char *name)
{
	struct death *d = arg;

	d->n = n;
	if (d->at == 0 || n < d->at)
		return FAULT_NONE;
	return n == d->at ? d->how : FAULT_BEFORE;
}

/* A prune of p that dies so; its result. */
static enum err
prune_dying(struct prunes *p, struct death *death,
	const struct prune_conf *conf, struct error *err)
{
	struct fault_plan plan = { decide, death, ERR_IO };
	struct store *st;
	enum err rc;

	must(store_fault_new(&st, p->st, &plan, err), err);
	rc = prunes_prune(p, st, conf, NULL, err);
	death->at = 0;
	prunes_unwrap(p, st);
	return rc;
}

/* Something of everything: sparse packs, packs that go, orphans, a fence, a
 * session that nobody is behind, a void segment. */
static void
make_past(struct prunes *p, uint64_t seed)
{
	struct prune_conf conf;
	struct death death = { .how = FAULT_BEFORE };
	struct error err = ERROR_INIT;

	prunes_init(p, seed);
	p->size_max = 120000;
	conf = prunes_conf(p);
	for (unsigned i = 0; i < 5; i++) {
		prunes_change(p);
		must(prunes_backup(p, p->st, &err), &err);
	}
	must(prunes_forget(p, p->st, 0, &err), &err);
	must(prunes_forget(p, p->st, 2, &err), &err);
	/* One dies while it moves: a session, packs and perhaps a segment. */
	death.at = 60;
	(void)prune_dying(p, &death, &conf, &err);
	p->now += 100;
	must(prunes_forget(p, p->st, 3, &err), &err);
}

static void
test_die_at_every_operation(void **state)
{
	static const enum fault how[] = { FAULT_BEFORE, FAULT_AFTER };
	struct prune_conf conf;
	struct error err = ERROR_INIT;
	struct prunes base, want;
	struct prunes_size size;
	uint64_t n_ops = 0;
	struct death death = { .how = FAULT_BEFORE };

	make_past(&base, 7);
	prunes_copy(&want, &base);
	conf = prunes_conf(&want);
	must(prune_dying(&want, &death, &conf, &err), &err);
	n_ops = death.n;
	prunes_settle(&want);
	prunes_verify(&want);
	prunes_verify_clean(&want);
	size = prunes_size(&want, "packs");
	print_message("%llu operations\n", (unsigned long long)n_ops);
	assert_true(n_ops > 50);
	for (uint64_t at = 1; at <= n_ops; at += test_stride()) {
		struct prunes p;

		for (unsigned k = 0; k < ARRAY_LEN(how); k++) {
			prunes_copy(&p, &base);
			conf = prunes_conf(&p);
			death = (struct death){ .at = at, .how = how[k] };
			err = ERROR_INIT;
			if (prune_dying(&p, &death, &conf, &err) == ERR_OK)
				assert_true(at > n_ops - 10);
			prunes_verify(&p);
			prunes_settle(&p);
			prunes_verify(&p);
			assert_true(prunes_size(&p, "packs").bytes <=
				    size.bytes + 65536);
			assert_int_equal(prunes_size(&p, "sessions").n_objects,
				0);
			prunes_fini(&p);
		}
	}
	prunes_fini(&want);
	prunes_fini(&base);
}

/* Several die one after the other, each at some operation. */
static void
test_die_again_and_again(void **state)
{
	for (unsigned seed = 0; seed < test_scale(40); seed++) {
		struct prune_conf conf;
		struct error err = ERROR_INIT;
		struct prunes p;

		make_past(&p, 1000 + seed);
		conf = prunes_conf(&p);
		for (unsigned i = 0; i < 8; i++) {
			struct death death = { .at = 1 +
						     prng_below(&p.dice, 150),
				.how = prng_below(&p.dice, 2) ? FAULT_AFTER
							      : FAULT_BEFORE };

			(void)prune_dying(&p, &death, &conf, &err);
			p.now += 1000;
			if (prng_below(&p.dice, 3) == 0)
				must(prunes_backup(&p, p.st, &err), &err);
		}
		prunes_verify(&p);
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
		cmocka_unit_test(test_die_at_every_operation),
		cmocka_unit_test(test_die_again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
