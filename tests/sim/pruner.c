/* SPDX-License-Identifier: Apache-2.0 */
/* pruner: a prune, with any configuration. */
#include "tests/sim/pruner.h"

#include "tests/sim/store.h"

static struct when
now(void *arg)
{
	return when_now();
}

static void
on_problem(void *arg, struct bytes key, const struct error *why)
{
	struct sim *s = arg;

	sim_trace(s, "prune has a problem: %s", why->msg);
	s->n.problems++;
}

static void
on_note(void *arg, const char *sentence)
{
	sim_trace(arg, "prune: %s", sentence);
}

static void
count(struct sim *s, const struct prune_figures *f)
{
	s->n.prunes++;
	s->n.epochs += f->packs_deleted > 0 || f->snapshots_swept > 0;
	s->n.condemned += f->packs_condemned;
	s->n.spared += f->packs_spared;
	s->n.deleted += f->packs_deleted;
	s->n.swept += f->snapshots_swept;
	s->n.fenced += f->sessions_fenced;
	s->n.moved += f->bytes_moved;
}

enum err
pruner_run(struct sim *s, struct repo *r, struct prune_conf *conf,
	struct prune_figures *f, struct error *err)
{
	struct progress progress;
	const struct report report = { .arg = s,
		.progress = &progress,
		.problem = on_problem,
		.note = on_note };
	enum err rc;

	*f = (struct prune_figures){ 0 };
	conf->workers = 1;
	conf->now = now;
	conf->scratch_dir = s->conf.dir;
	progress_init(&progress);
	rc = prune_run(r, conf, &report, f, err);
	progress_fini(&progress);
	if (rc == ERR_OK)
		count(s, f);
	return rc;
}

static void
draw_conf(struct prng *d, struct prune_conf *conf)
{
	static const double unused[] = { 0, 0.05, 0.3, 1 };
	static const uint64_t delays[] = { 0, 0, 600, 86400 };
	static const uint64_t graces[] = { 0, 60, 3600, 86400, 30 * 86400 };

	*conf = (struct prune_conf){
		.max_unused = unused[prng_below(d, ARRAY_LEN(unused))],
		.max_repack = prng_below(d, 4) == 0 ? 20000 : 0,
		.delay_sec = delays[prng_below(d, ARRAY_LEN(delays))],
		.grace_sec = graces[prng_below(d, ARRAY_LEN(graces))],
		.wait_sec = prng_below(d, 3) == 0 ? 60 : 0,
		.dry_run = prng_below(d, 20) == 0,
	};
}

void
prune_job(struct actor *a)
{
	struct store *st = sim_store_new(a);
	struct error err = ERROR_INIT;
	struct prune_figures figures;
	struct prune_conf conf;
	struct repo *r = NULL;
	enum err rc;

	rc = sim_open(a->sim, st, a->key, a->cache[0] != '\0' ? a->cache : NULL,
		&r, &err);
	do {
		draw_conf(&a->dice, &conf);
		if (rc == ERR_OK)
			rc = pruner_run(a->sim, r, &conf, &figures, &err);
	} while (rc == ERR_OK && prng_below(&a->dice, 3) == 0);
	sim_outcome(a, rc, &err);
	repo_close(r);
	store_close(st);
}
