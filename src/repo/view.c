/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/view.h"

#include <stdatomic.h>
#include <stdlib.h>

static enum err
view_new(struct view **out, struct error *err)
{
	struct view *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a view");
	atomic_init(&v->refs, 1);
	*out = v;
	return ERR_OK;
}

/* Both lists ascend. */
static void
leave_out_spared(struct condemned *c, const struct final *f)
{
	size_t kept = 0, at = 0;

	for (size_t i = 0; i < c->n_packs; i++) {
		while (at < f->n_spared &&
			id_cmp(&f->spared[at], &c->packs[i]) < 0)
			at++;
		if (at == f->n_spared || !id_eq(&f->spared[at], &c->packs[i]))
			c->packs[kept++] = c->packs[i];
	}
	c->n_packs = kept;
}

/* Keep what claims ask for. */
static void
strip(struct condemned *c, bool open)
{
	free(c->made);
	free(c->segments);
	free(c->doomed);
	free(c->known);
	c->made = NULL;
	c->segments = NULL;
	c->doomed = NULL;
	c->known = NULL;
	c->n_made = c->n_segments = c->n_doomed = c->n_known = 0;
	if (open)
		return;
	free(c->counted);
	c->counted = NULL;
	c->n_counted = 0;
}

enum err
view_load(struct view **out, struct store *st, const struct keyset *ks,
	uint64_t epoch, const struct uid *session, struct error *err)
{
	struct counting c = { .state = { 0 } };
	struct view *v = NULL;
	enum err rc = view_new(&v, err);

	if (rc == ERR_OK && epoch > 0)
		rc = epoch_condemned_get(st, ks, epoch, &v->condemned, err);
	if (rc == ERR_OK && epoch > 0)
		rc = counting_read(st, ks, &c, err);
	if (rc != ERR_OK) {
		view_unref(v);
		return rc;
	}
	v->owner = (struct segment_owner){ epoch, false, *session };
	v->open = epoch > c.state.final;
	if (epoch == c.state.final)
		leave_out_spared(&v->condemned, &c.final);
	strip(&v->condemned, v->open);
	counting_fini(&c);
	*out = v;
	return ERR_OK;
}

struct view *
view_ref(struct view *v)
{
	atomic_fetch_add(&v->refs, 1);
	return v;
}

void
view_unref(struct view *v)
{
	if (v == NULL || atomic_fetch_sub(&v->refs, 1) != 1)
		return;
	condemned_fini(&v->condemned);
	free(v);
}

bool
view_restricts(const struct view *v)
{
	return v->open || v->condemned.n_packs > 0;
}

bool
view_condemns(const struct view *v, const struct id *pack)
{
	return condemned_has_pack(&v->condemned, pack);
}

bool
view_allows(const struct view *v, const struct segment_ref *seg)
{
	return !v->open || (!seg->base && seg->epoch == v->owner.epoch) ||
	       condemned_has_counted(&v->condemned, seg);
}
