/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epilogue: when nobody is at work any more.  Prunes end what is open; then
 * comes every request that was still on its way, a year later; then prunes
 * again, after which nothing is left that no snapshot needs.
 */
#include "repo/marks.h"
#include "tests/sim/garbage.h"
#include "tests/sim/oracle.h"
#include "tests/sim/pruner.h"
#include "tests/sim/store.h"

enum { ROUNDS = 4 };

static const uint64_t year = 365 * 86400 * 1000000000ull;

static void
come(struct sim *s, struct actor *a)
{
	*a = (struct actor){ .sim = s,
		.kind = ACTOR_PRUNE,
		.name = "last",
		.pid = 9,
		.alone = true };
	prng_init(&a->dice, prng_next(&s->dice));
	sim_set_self(a);
}

static void
prune(struct sim *s)
{
	struct prune_conf conf = { .max_unused = 0 };
	struct prune_figures figures;
	struct error err = ERROR_INIT;
	struct store *st;
	struct actor a;
	struct repo *r;

	s->clock_nsec += year;
	come(s, &a);
	st = sim_store_new(&a);
	if (sim_open(s, st, KEY_MAINTAINER, NULL, &r, &err) != ERR_OK ||
		pruner_run(s, r, &conf, &figures, &err) != ERR_OK)
		sim_violation(s, "a prune with nobody else there: %s", err.msg);
	repo_close(r);
	store_close(st);
	sim_set_self(NULL);
	if (figures.waiting)
		sim_violation(s, "a prune with nobody else there waits");
	oracle_check(s->oracle);
}

/* So that the next prune has something to do, whatever else it finds. */
static void
forget_one(struct sim *s)
{
	const struct sim_snapshot *snap =
		oracle_draw(s->oracle, &s->dice, snapshot_is_alive);
	struct error err = ERROR_INIT;
	struct snapshot_name name;
	struct store *st;
	struct actor a;
	struct repo *r;
	enum err rc;

	come(s, &a);
	st = sim_store_new(&a);
	if (sim_open(s, st, KEY_MAINTAINER, NULL, &r, &err) != ERR_OK)
		sim_violation(s, "at the end: %s", err.msg);
	if (snap != NULL) {
		name = (struct snapshot_name){ snap->ns, snap->uid };
		rc = marks_forget(st, repo_keys(r), &name, "last", &err);
		if (rc != ERR_OK && rc != ERR_USAGE)
			sim_violation(s, "at the end: %s", err.msg);
	}
	repo_close(r);
	store_close(st);
	sim_set_self(NULL);
}

void
sim_epilogue(struct sim *s)
{
	oracle_check(s->oracle);
	if (prng_below(&s->dice, 2) == 0)
		prune(s);
	while (air_execute(s))
		oracle_check(s->oracle);
	forget_one(s);
	for (unsigned i = 0; i < ROUNDS; i++)
		prune(s);
	garbage_check(s);
}
