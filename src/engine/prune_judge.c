/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune_judge: which condemned packs are needed after all.
 *
 * What the snapshots that were known when the list was made need is in packs
 * that it does not name.  So only the others are marked: committed since, or
 * undeleted.  The index, refreshed after they were listed, is walked beside
 * what they need; a chunk spares every condemned pack that has it, unless the
 * prune that made the list copied it out of them.  Other copies may lie.
 *
 * Where it cannot be found out what is needed, or a chunk is nowhere to be
 * found, every pack is spared: that ends the epoch without harm.
 */
#include <stdlib.h>

#include "base/array.h"
#include "engine/pruning.h"

struct judging {
	struct pruning *p;
	const struct condemned *c;
	struct live *live;
	bool *spared; /* by number in c */
	size_t n_spared;
	/* the chunk at hand: */
	bool any;
	struct id id;
	bool needed, safe; /* in a pack that was made for it */
	size_t *places; /* condemned packs that have it */
	size_t n, cap;
};

static void
end_chunk(struct judging *j)
{
	for (size_t i = 0; i < j->n && !j->safe; i++) {
		j->n_spared += !j->spared[j->places[i]];
		j->spared[j->places[i]] = true;
	}
	j->n = 0;
}

static enum err
add_place(struct judging *j, size_t number, struct error *err)
{
	size_t *v = array_grow(j->places, j->n, &j->cap, sizeof(*v), err);

	if (v == NULL)
		return err->code;
	j->places = v;
	j->places[j->n++] = number;
	return ERR_OK;
}

static enum err
begin_chunk(struct judging *j, const struct id *id, struct error *err)
{
	enum err rc;

	end_chunk(j);
	j->any = true;
	j->id = *id;
	j->safe = false;
	rc = live_has(j->live, id, &j->needed, err);
	if (rc == ERR_OK && id->b[1] == 0)
		rc = pruning_going(j->p, err);
	return rc;
}

static enum err
on_place(void *arg, const struct location *loc, struct error *err)
{
	struct judging *j = arg;
	const struct condemned *c = j->c;
	size_t number;
	enum err rc = ERR_OK;

	if (!j->any || !id_eq(&j->id, &loc->rec.id))
		rc = begin_chunk(j, &loc->rec.id, err);
	if (rc != ERR_OK || !j->needed || j->safe)
		return rc;
	number = id_find(c->packs, c->n_packs, &loc->pack);
	if (number != SIZE_MAX)
		return add_place(j, number, err);
	j->safe = id_find(c->made, c->n_made, &loc->pack) != SIZE_MAX;
	return ERR_OK;
}

static void
spare_all(struct judging *j, const char *why)
{
	pruning_note(j->p,
		"no pack is deleted this time: %s; coffer check tells more",
		why);
	for (size_t i = 0; i < j->c->n_packs; i++)
		j->spared[i] = true;
	j->n_spared = j->c->n_packs;
}

static enum err
judge(struct judging *j, const struct roots *roots, struct error *err)
{
	struct live_missed missed = { 0, 0 };
	struct error why = ERROR_INIT;
	enum err rc;

	rc = prune_mark(j->p, roots->v, roots->n, j->live, &why);
	if (rc == ERR_NOTFOUND || rc == ERR_CORRUPT) {
		spare_all(j, why.msg);
		return ERR_OK;
	}
	if (rc != ERR_OK) {
		*err = why;
		return rc;
	}
	live_rewind(j->live);
	rc = index_each(j->p->index, on_place, j, err);
	end_chunk(j);
	if (rc == ERR_OK)
		rc = live_end(j->live, &missed, err);
	if (rc == ERR_OK && missed.n > 0)
		spare_all(j, "chunks that a snapshot needs are missing");
	return rc;
}

static enum err
collect(const struct judging *j, struct id **spared, size_t *n_spared,
	struct error *err)
{
	struct id *v = calloc(j->n_spared + 1, sizeof(*v));
	size_t n = 0;

	if (v == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < j->c->n_packs; i++)
		if (j->spared[i])
			v[n++] = j->c->packs[i];
	*spared = v;
	*n_spared = n;
	return ERR_OK;
}

enum err
prune_judge(struct pruning *p, const struct condemned *c,
	const struct roots *roots, struct id **spared, size_t *n_spared,
	struct error *err)
{
	struct judging j = { .p = p, .c = c };
	enum err rc = ERR_OK;

	pruning_phase(p, "looking once more");
	j.spared = calloc(c->n_packs + 1, sizeof(*j.spared));
	if (j.spared == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	if (roots->unreadable && c->n_packs > 0)
		spare_all(&j, "a snapshot cannot be read");
	else if (roots->n > 0 && c->n_packs > 0)
		rc = live_new(&j.live, p->conf->scratch_dir, LIVE_ROOM, err);
	if (rc == ERR_OK && j.live != NULL)
		rc = judge(&j, roots, err);
	if (rc == ERR_OK)
		rc = collect(&j, spared, n_spared, err);
	live_free(j.live);
	free(j.places);
	free(j.spared);
	return rc;
}
