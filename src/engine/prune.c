/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune: which step is next.
 *
 * Before each step the state of the epochs is read anew, so it does not matter
 * who made the last one, this run, one that was killed, or another one that is
 * under way.  A step that fails, and meanwhile somebody else has gone on, is
 * no failure: what it looked for was deleted, or its list came second.
 *
 * Crash argument: that of each step (prune_begin.c, prune_final.c,
 * prune_sweep.c); nothing is kept between them but in the store.
 */
#include "engine/prune.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/pool.h"
#include "engine/pruning.h"

/* Of other prunes, that this one lets pass. */
enum { STEPS_MAX = 64 };

struct run {
	struct pruning p;
	bool begun; /* an epoch */
	bool over;
};

struct when
pruning_now(const struct pruning *p)
{
	return p->conf->now != NULL ? p->conf->now(p->conf->now_arg)
				    : when_now();
}

uint64_t
pruning_age(const struct pruning *p, const struct when *then)
{
	struct when now = pruning_now(p);

	return now.sec > then->sec ? (uint64_t)now.sec - (uint64_t)then->sec
				   : 0;
}

enum err
pruning_going(const struct pruning *p, struct error *err)
{
	if (p->report->stop != NULL && *p->report->stop)
		return err_set(err, ERR_CANCELLED, "interrupted");
	return ERR_OK;
}

void
pruning_phase(const struct pruning *p, const char *what)
{
	progress_current(p->report->progress, what, strlen(what));
}

void
pruning_note(const struct pruning *p, const char *fmt, ...)
{
	char text[700];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p->report->note(p->report->arg, text);
}

/* Whether the delay since the condemned list is over, by the store's clock. */
static enum err
look_at_delay(struct run *run, uint64_t epoch, bool *over, struct error *err)
{
	struct pruning *p = &run->p;
	struct prune_figures *f = p->figures;
	char name[64];
	struct when since;
	enum err rc;

	(void)snprintf(name, sizeof(name), "prune/%llu/condemned",
		(unsigned long long)epoch);
	rc = store_time(p->store, name, &since, err);
	if (rc != ERR_OK)
		return rc;
	*over = pruning_age(p, &since) >= p->conf->delay_sec;
	f->not_before = since;
	if (__builtin_add_overflow(since.sec, (int64_t)p->conf->delay_sec,
		    &f->not_before.sec))
		f->not_before.sec = INT64_MAX;
	return ERR_OK;
}

static enum err
end_epoch(struct run *run, uint64_t epoch, struct error *err)
{
	struct pruning *p = &run->p;
	struct condemned c = { .n_packs = 0 };
	bool ready;
	enum err rc = look_at_delay(run, epoch, &ready, err);

	if (rc != ERR_OK)
		return rc;
	p->figures->waiting = !ready;
	if (!ready) {
		run->over = true;
		return ERR_OK;
	}
	p->figures->not_before = (struct when){ 0, 0 };
	rc = prune_sessions_resolve(p, epoch, &ready, err);
	p->figures->waiting = rc == ERR_OK && !ready;
	if (rc == ERR_OK && !ready)
		run->over = true;
	if (rc != ERR_OK || !ready)
		return rc;
	rc = epoch_condemned_get(p->store, p->keys, epoch, &c, err);
	if (rc == ERR_OK)
		rc = prune_final(p, epoch, &c, err);
	condemned_fini(&c);
	return rc;
}

static enum err
begin_epoch(struct run *run, uint64_t epoch, struct error *err)
{
	enum err rc;

	if (run->begun) {
		run->over = true;
		return ERR_OK;
	}
	/* Somebody may have got as far as done, and no further. */
	rc = epoch_forget_before(run->p.store, epoch - 1, err);
	if (rc == ERR_OK || rc == ERR_DENIED)
		rc = prune_begin(&run->p, epoch, &run->begun, err);
	if (rc != ERR_OK)
		return rc;
	run->over = !run->begun;
	if (run->begun)
		run->p.figures->epoch = epoch;
	return ERR_OK;
}

static enum err
step(struct run *run, const struct epoch_state *state, struct error *err)
{
	if (state->newest > 0)
		run->p.figures->epoch = state->newest;
	switch (state->step) {
	case EPOCH_CONDEMNED:
		return end_epoch(run, state->newest, err);
	case EPOCH_FINAL:
		return prune_sweep(&run->p, state->newest, err);
	case EPOCH_NONE:
	case EPOCH_DONE:
		break;
	}
	return begin_epoch(run, state->newest + 1, err);
}

static bool
same(const struct epoch_state *a, const struct epoch_state *b)
{
	return a->newest == b->newest && a->step == b->step;
}

/* After a failure: whether somebody else has gone on, which explains it. */
static bool
overtaken(struct run *run, const struct epoch_state *before, enum err rc)
{
	struct epoch_state now;
	struct error ignored;

	if (rc != ERR_EXISTS && rc != ERR_NOTFOUND && rc != ERR_CORRUPT)
		return false;
	return epoch_read(run->p.store, &now, &ignored) == ERR_OK &&
	       !same(&now, before);
}

static enum err
go(struct run *run, struct error *err)
{
	enum err rc = ERR_OK;

	for (unsigned i = 0; i < STEPS_MAX && rc == ERR_OK && !run->over; i++) {
		struct epoch_state state;
		struct error why = ERROR_INIT;

		rc = epoch_read(run->p.store, &state, err);
		if (rc != ERR_OK)
			break;
		rc = step(run, &state, &why);
		if (rc != ERR_OK && overtaken(run, &state, rc))
			rc = ERR_OK;
		if (rc != ERR_OK)
			*err = why;
	}
	return rc;
}

/* What the next epoch would do; where one is open, as if it were done. */
static enum err
foresee(struct run *run, struct error *err)
{
	struct epoch_state state;
	enum err rc = epoch_read(run->p.store, &state, err);

	if (rc != ERR_OK)
		return rc;
	run->p.figures->epoch = state.newest;
	if (state.step == EPOCH_CONDEMNED) {
		rc = look_at_delay(run, state.newest, &run->over, err);
		run->p.figures->waiting = !run->over;
	}
	if (rc == ERR_OK)
		rc = prune_begin(&run->p, state.newest + 1, &run->begun, err);
	return rc;
}

enum err
prune_run(struct repo *r, const struct prune_conf *conf,
	const struct report *report, struct prune_figures *figures,
	struct error *err)
{
	struct run run = { .p = { .repo = r,
				   .store = repo_store(r),
				   .keys = repo_keys(r),
				   .conf = conf,
				   .report = report,
				   .figures = figures,
				   .workers = conf->workers > 0
						      ? conf->workers
						      : pool_cpus() } };
	enum err rc;

	*figures = (struct prune_figures){ 0 };
	if (!conf->dry_run && !run.p.keys->has_maint)
		return err_set(err, ERR_DENIED,
			"a %s key cannot prune, only an admin or maintainer "
			"key can",
			role_name(run.p.keys->role));
	rc = repo_index(r, &run.p.index, err);
	if (rc == ERR_OK)
		rc = conf->dry_run ? foresee(&run, err) : go(&run, err);
	return rc;
}
