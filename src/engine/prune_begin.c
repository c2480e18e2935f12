/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune_begin: the first half of an epoch.
 *
 *   sessions -> packs listed -> snapshots -> index -> mark -> plan -> move ->
 *   segments listed -> condemned
 *
 * Why in this order.  Sessions come first, so that what one of them has made
 * by the end is known to be its; packs before the index, so that what the
 * index names by then is no orphan; snapshots before the index, so that what
 * they need is in it.  All this saves work for nothing, no more: whatever this
 * half does not see is looked at by the second, which alone decides.
 *
 * Two things are a matter of safety.  The marks of forgotten snapshots were
 * read before the list is created, so a session that begins after it knows of
 * them.  And the segments that count were listed before it, so a session that
 * relies on them relies on what the second half will find.
 *
 * Crash argument.  The list is one object, created exclusively, after the
 * copies of what lived in packs that it names are durable.  Killed before,
 * there are some copies too many, and a session that the next prune fences.
 */
#include <stdlib.h>

#include "engine/pruning.h"
#include "repo/pack.h"

/* So many small segments are worth an epoch that makes one of them. */
enum { SEGMENTS_MANY = 32, SEGMENT_SMALL = 1 << 20 };

struct beginning {
	struct pruning *p;
	uint64_t epoch;
	struct sessions sessions;
	struct plan plan;
	struct roots roots;
	struct index_segments segments;
	struct live *live;
	struct condemned c;
	uint64_t n_strays;
};

static void
on_busy(void *arg, const struct id *id)
{
	struct beginning *b = arg;
	struct plan_pack *pack = prune_plan_find(&b->plan, id);

	if (pack != NULL)
		pack->flags |= PLAN_BUSY;
}

/* Whether a session that is not over may have made an orphan. */
static enum err
look_at_orphan(struct beginning *b, struct plan_pack *pack, struct error *err)
{
	char name[PACK_NAME];
	struct when made;
	enum err rc;

	if (b->sessions.n == 0)
		return ERR_OK;
	pack_name(name, &pack->id);
	rc = store_time(b->p->store, name, &made, err);
	for (size_t i = 0; rc == ERR_OK && i < b->sessions.n; i++)
		if (when_cmp(&made, &b->sessions.v[i].started) >= 0)
			pack->flags |= PLAN_YOUNG;
	return rc == ERR_NOTFOUND ? ERR_OK : rc;
}

/* One that came after packs were listed is none of ours; one that is not there
 * at all may go from the index. */
static enum err
look_for_unlisted(struct beginning *b, struct plan_pack *pack,
	struct error *err)
{
	char name[PACK_NAME];
	uint64_t size;
	enum err rc;

	pack_name(name, &pack->id);
	rc = store_size(b->p->store, name, &size, err);
	if (rc == ERR_OK)
		pack->flags |= PLAN_YOUNG;
	return rc == ERR_NOTFOUND ? ERR_OK : rc;
}

/* A pack that is needed and not there harms nobody more than it has done; but
 * somebody should know. */
static void
tell_missing(const struct beginning *b)
{
	uint32_t gone = PLAN_NAMED | PLAN_LISTED | PLAN_YOUNG;
	uint64_t n = 0;

	for (size_t i = 0; i < b->plan.n; i++)
		n += b->plan.v[i].n_live > 0 &&
		     (b->plan.v[i].flags & gone) == PLAN_NAMED;
	if (n > 0)
		pruning_note(b->p,
			"%llu packs that snapshots need are missing: coffer "
			"check tells more",
			(unsigned long long)n);
}

static enum err
look_at_packs(struct beginning *b, struct error *err)
{
	struct prune_figures *f = b->p->figures;
	enum err rc = ERR_OK;

	for (size_t i = 0; i < b->plan.n && rc == ERR_OK; i++) {
		struct plan_pack *pack = &b->plan.v[i];

		f->packs++;
		f->bytes += pack->size;
		if ((pack->flags & PLAN_NAMED) == 0) {
			f->packs_orphaned++;
			rc = look_at_orphan(b, pack, err);
		} else if ((pack->flags & PLAN_LISTED) == 0) {
			rc = look_for_unlisted(b, pack, err);
		}
	}
	return rc;
}

static enum err
on_stray(void *arg, const struct snapshot_name *name, struct error *err)
{
	struct beginning *b = arg;

	b->n_strays++;
	return ERR_OK;
}

static enum err
look_around(struct beginning *b, struct error *err)
{
	struct pruning *p = b->p;
	enum err rc;

	pruning_phase(p, "reading snapshots and the index");
	rc = prune_sessions_read(&b->sessions, p, err);
	if (rc == ERR_OK)
		rc = prune_plan_list(&b->plan, p, err);
	if (rc == ERR_OK)
		rc = prune_roots_read(&b->roots, p, err);
	if (rc == ERR_OK)
		rc = prune_strays(p, on_stray, b, err);
	if (rc == ERR_OK)
		rc = index_refresh(p->index, err);
	if (rc == ERR_OK)
		rc = prune_plan_name(&b->plan, err);
	if (rc == ERR_OK)
		rc = prune_sessions_packs(&b->sessions, p, on_busy, b, err);
	return rc == ERR_OK ? look_at_packs(b, err) : rc;
}

static enum err
missing(const struct live_missed *missed, struct error *err)
{
	return err_set(err, ERR_CORRUPT,
		"%llu chunks that snapshots need are in no pack, as one that "
		"begins with %016llx; nothing is deleted as long as that is "
		"so: coffer check tells which snapshots to forget",
		(unsigned long long)missed->n,
		(unsigned long long)missed->first);
}

static enum err
mark_and_plan(struct beginning *b, struct error *err)
{
	struct pruning *p = b->p;
	enum err rc;

	p->figures->snapshots += b->roots.n_counting;
	p->figures->sessions_open = b->sessions.n;
	pruning_phase(p, "marking what snapshots need");
	rc = live_new(&b->live, p->conf->scratch_dir, LIVE_ROOM, err);
	if (rc == ERR_OK)
		rc = prune_mark(p, b->roots.v, b->roots.n, b->live, err);
	if (rc != ERR_OK)
		return rc;
	pruning_phase(p, "looking for what is not needed");
	rc = prune_plan_weigh(&b->plan, b->live, err);
	if (rc == ERR_OK && b->plan.missed.n > 0)
		rc = missing(&b->plan.missed, err);
	return rc == ERR_OK ? prune_choose(&b->plan, err) : rc;
}

/* ---- the list ---- */

static uint64_t
count_gone(const struct plan *plan)
{
	uint64_t n = 0;

	for (size_t i = 0; i < plan->n; i++)
		n += (plan->v[i].flags & PLAN_GONE) != 0;
	return n;
}

static bool
has_work(const struct beginning *b)
{
	size_t n_void = 0, n_small = 0;

	for (size_t i = 0; i < b->sessions.n; i++)
		if (prune_sessions_is_stale(b->p, &b->sessions.v[i]))
			return true;
	for (size_t i = 0; i < b->segments.n; i++) {
		n_void += !b->segments.v[i].counts;
		n_small += b->segments.v[i].counts &&
			   b->segments.v[i].size < SEGMENT_SMALL;
	}
	return count_gone(&b->plan) > 0 || b->roots.n_doomed > 0 ||
	       b->roots.n_void > 0 || b->roots.n_fences > 0 ||
	       b->n_strays > 0 || n_void > 0 || n_small >= SEGMENTS_MANY;
}

static enum err
list_packs(struct beginning *b, struct error *err)
{
	struct condemned *c = &b->c;

	c->packs = calloc(count_gone(&b->plan) + 1, sizeof(*c->packs));
	if (c->packs == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < b->plan.n; i++)
		if ((b->plan.v[i].flags & PLAN_GONE) != 0)
			c->packs[c->n_packs++] = b->plan.v[i].id;
	return ERR_OK;
}

static enum err
list_segments(struct beginning *b, struct error *err)
{
	struct condemned *c = &b->c;

	c->segments = calloc(b->segments.n + 1, sizeof(*c->segments));
	c->counted = calloc(b->segments.n + 1, sizeof(*c->counted));
	if (c->segments == NULL || c->counted == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < b->segments.n; i++) {
		const struct index_segment *seg = &b->segments.v[i];

		if (seg->counts)
			c->counted[c->n_counted++] = seg->ref;
		else
			c->segments[c->n_segments++] = seg->ref;
	}
	return ERR_OK;
}

static enum err
condemn(struct beginning *b, struct error *err)
{
	struct pruning *p = b->p;
	enum err rc;

	b->c.time = pruning_now(p);
	rc = list_packs(b, err);
	if (rc == ERR_OK)
		rc = list_segments(b, err);
	if (rc != ERR_OK)
		return rc;
	b->c.doomed = b->roots.doomed;
	b->c.n_doomed = b->roots.n_doomed;
	b->c.known = b->roots.counting;
	b->c.n_known = b->roots.n_counting;
	b->roots.doomed = NULL;
	b->roots.counting = NULL;
	rc = epoch_condemned_put(p->store, p->keys, b->epoch, &b->c, err);
	if (rc == ERR_OK)
		p->figures->packs_condemned += b->c.n_packs;
	return rc;
}

static void
foresee(struct beginning *b)
{
	struct prune_figures *f = b->p->figures;

	f->bytes_unused = b->plan.unused;
	if (!b->p->conf->dry_run)
		return;
	for (size_t i = 0; i < b->plan.n; i++) {
		const struct plan_pack *pack = &b->plan.v[i];

		if ((pack->flags & PLAN_MOVE) != 0) {
			f->packs_condemned++;
			f->bytes_moved += pack->live;
			f->bytes_freed += pack->size - pack->live;
		} else if ((pack->flags & PLAN_GONE) != 0) {
			f->packs_condemned++;
			f->bytes_freed += pack->size;
		}
	}
	f->snapshots_swept = b->roots.n_doomed;
}

static enum err
go(struct beginning *b, bool *begun, struct error *err)
{
	enum err rc = look_around(b, err);

	if (rc == ERR_OK)
		rc = mark_and_plan(b, err);
	if (rc != ERR_OK)
		return rc;
	tell_missing(b);
	foresee(b);
	if (b->p->conf->dry_run)
		return ERR_OK;
	rc = prune_move(&b->plan, b->live, &b->c.made, &b->c.n_made, err);
	b->p->figures->bytes_unused = b->plan.unused;
	if (rc == ERR_OK)
		rc = prune_segments_read(&b->segments, b->p, err);
	if (rc != ERR_OK || !has_work(b))
		return rc;
	rc = condemn(b, err);
	*begun = rc == ERR_OK;
	return rc;
}

enum err
prune_begin(struct pruning *p, uint64_t epoch, bool *begun, struct error *err)
{
	struct beginning b = { .p = p, .epoch = epoch };
	enum err rc;

	*begun = false;
	rc = go(&b, begun, err);
	condemned_fini(&b.c);
	live_free(b.live);
	prune_segments_fini(&b.segments);
	prune_roots_fini(&b.roots);
	prune_plan_fini(&b.plan);
	prune_sessions_fini(&b.sessions);
	return rc;
}
