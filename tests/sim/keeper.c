/* SPDX-License-Identifier: Apache-2.0 */
/* keeper: forgets snapshots, takes that back, holds some and lets them go. */
#include "repo/marks.h"
#include "tests/sim/oracle.h"
#include "tests/sim/store.h"

enum { KEEP_MAX = 8, AT_ONCE = 4 };

struct keeping {
	struct actor *a;
	struct repo *repo;
	struct snapshot_name drawn; /* by what marks it already */
	struct snapshot_name some[AT_ONCE]; /* of those that are there */
	uint64_t seen;
};

static enum err
consider(void *arg, const struct snapshot_ref *ref, struct error *err)
{
	struct keeping *k = arg;
	const struct sim_snapshot *snap =
		oracle_find(k->a->sim->oracle, &ref->uid);
	uint64_t at;

	if (snap == NULL)
		return ERR_OK;
	at = k->seen < AT_ONCE ? k->seen : prng_below(&k->a->dice, k->seen + 1);
	k->seen++;
	if (at < AT_ONCE)
		k->some[at] = (struct snapshot_name){ snap->ns, snap->uid };
	return ERR_OK;
}

/* The more there are, the surer and the more of them. */
static enum err
forget(struct keeping *k, struct error *err)
{
	uint64_t keep = prng_below(&k->a->dice, KEEP_MAX);
	enum err rc = repo_each_snapshot(k->repo, consider, NULL, k, err);

	for (size_t i = 0; i < AT_ONCE && rc == ERR_OK && k->seen > keep; i++) {
		rc = marks_forget(repo_store(k->repo), repo_keys(k->repo),
			&k->some[i], "policy", err);
		k->a->sim->n.forgotten += rc == ERR_OK;
		k->seen--;
		if (rc == ERR_USAGE)
			rc = ERR_OK; /* it is held */
	}
	return rc;
}

static bool
is_forgotten(const struct sim_snapshot *snap)
{
	return snapshot_is_whole(snap) && !snapshot_is_alive(snap);
}

static bool
is_held(const struct sim_snapshot *snap)
{
	return snap->held && snapshot_is_whole(snap);
}

static struct sim_snapshot *
draw(struct keeping *k, bool (*wanted)(const struct sim_snapshot *))
{
	struct sim_snapshot *snap =
		oracle_draw(k->a->sim->oracle, &k->a->dice, wanted);

	if (snap != NULL)
		k->drawn = (struct snapshot_name){ snap->ns, snap->uid };
	return snap;
}

static enum err
undelete(struct keeping *k, struct error *err)
{
	struct sim *s = k->a->sim;
	struct sim_snapshot *snap = draw(k, is_forgotten);
	uint64_t before;
	enum err rc;

	if (snap == NULL)
		return ERR_OK;
	before = snap->forgotten;
	rc = marks_undelete(repo_store(k->repo), repo_keys(k->repo), &k->drawn,
		err);
	if (rc == ERR_NOTFOUND || rc == ERR_EXISTS)
		return ERR_OK;
	if (rc == ERR_OK && (before & ~snap->undeleted) != 0)
		sim_violation(s, "%s was told of an undelete that is none",
			k->a->name);
	s->n.undeleted += rc == ERR_OK;
	return rc;
}

static enum err
hold(struct keeping *k, struct error *err)
{
	struct sim_snapshot *snap = draw(k, snapshot_is_alive);
	enum err rc;

	if (snap == NULL)
		return ERR_OK;
	rc = marks_hold(repo_store(k->repo), repo_keys(k->repo), &k->drawn,
		"evidence", err);
	/* A release whose echo comes late may end this hold too. */
	snap->held |= rc == ERR_OK && !snap->released;
	k->a->sim->n.held += rc == ERR_OK;
	return rc == ERR_USAGE || rc == ERR_EXISTS ? ERR_OK : rc;
}

static enum err
release(struct keeping *k, struct error *err)
{
	struct sim_snapshot *snap = draw(k, is_held);
	enum err rc;

	if (snap == NULL)
		return ERR_OK;
	snap->held = false;
	snap->released = true;
	rc = marks_release(repo_store(k->repo), repo_keys(k->repo), &k->drawn,
		err);
	return rc == ERR_NOTFOUND ? ERR_OK : rc;
}

static enum err
do_one(struct keeping *k, struct error *err)
{
	switch (prng_below(&k->a->dice, 10)) {
	case 0:
		return hold(k, err);
	case 1:
		return release(k, err);
	case 2:
	case 3:
		return undelete(k, err);
	default:
		return forget(k, err);
	}
}

void
keeper_job(struct actor *a)
{
	struct keeping k = { .a = a };
	struct store *st = sim_store_new(a);
	struct error err = ERROR_INIT;
	enum err rc = sim_open(a->sim, st, a->key, NULL, &k.repo, &err);

	if (rc == ERR_OK)
		rc = do_one(&k, &err);
	sim_outcome(a, rc, &err);
	repo_close(k.repo);
	store_close(st);
}
