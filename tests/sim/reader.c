/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader: a restore.  It may come too late for a snapshot that is being
 * swept, and then fails; it never gets wrong data.  Where nothing went wrong
 * and the snapshot is there all the time, it gets all of it.
 */
#include <string.h>

#include "tests/sim/oracle.h"
#include "tests/sim/store.h"

struct choice {
	struct actor *a;
	struct sim_snapshot *snap;
	uint64_t passed_over;
};

static enum err
consider(void *arg, const struct snapshot_ref *ref, struct error *err)
{
	struct choice *c = arg;
	struct sim_snapshot *snap = oracle_find(c->a->sim->oracle, &ref->uid);

	if (snap != NULL && prng_below(&c->a->dice, ++c->passed_over) == 0)
		c->snap = snap;
	return ERR_OK;
}

static enum err
restore(struct choice *c, struct repo *r, struct error *err)
{
	struct sim *s = c->a->sim;
	struct model_verdict verdict;
	struct tree_io_repo io;
	struct lane *lane = NULL;
	enum err rc = lane_new(&lane, r, err);

	if (rc != ERR_OK)
		return rc;
	tree_io_repo_init(&io, r, lane, NULL);
	rc = model_compare(&c->snap->m, &io.io, &c->snap->root, NULL, &verdict,
		err);
	if (rc == ERR_OK && !verdict.right)
		sim_violation(s, "%s restored wrong data: %s", c->a->name,
			verdict.why);
	if (rc != ERR_OK && !c->a->disturbed && snapshot_is_alive(c->snap))
		sim_violation(s, "%s could not restore what is there: %s",
			c->a->name, err->msg);
	s->n.reads++;
	s->n.reads_failed += rc != ERR_OK;
	lane_free(lane);
	return rc;
}

void
reader_job(struct actor *a)
{
	struct choice c = { a, NULL, 0 };
	struct store *st = sim_store_new(a);
	struct error err = ERROR_INIT;
	struct repo *r = NULL;
	enum err rc;

	rc = sim_open(a->sim, st, a->key, a->cache[0] != '\0' ? a->cache : NULL,
		&r, &err);
	if (rc == ERR_OK)
		rc = repo_each_snapshot(r, consider, NULL, &c, &err);
	if (rc == ERR_OK && c.snap != NULL)
		rc = restore(&c, r, &err);
	sim_outcome(a, rc, &err);
	repo_close(r);
	store_close(st);
}
