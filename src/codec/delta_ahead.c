/* SPDX-License-Identifier: Apache-2.0 */
/* delta_ahead: see delta_ahead.h. */
#include "codec/delta_ahead.h"

#include <stdlib.h>

enum {
	REACH = 4 << 20,
	REACH_GROWTH = 16,
	REACH_MAX = 64 << 20,
	/* Bytes sampled ahead for each byte of both files that was passed. */
	REACHED = 4,
	REACHED_FIRST = 256 << 20,
	/* Of so many samples one has to be an anchor, or what lies ahead is
	 * taken for something else. */
	TRUST = 8,
	FAR_MAX = 1 << 15
};

void
delta_ahead_init(struct delta_ahead *a, const struct delta_gear *gear,
	struct delta_window *old, struct delta_window *new)
{
	*a = (struct delta_ahead){ .old = old, .new = new };
	delta_anchors_init(&a->anchors, gear);
}

void
delta_ahead_fini(struct delta_ahead *a)
{
	delta_anchors_fini(&a->anchors);
	free(a->far);
	a->far = NULL;
}

static bool
same(const struct delta_anchor *a, const struct delta_anchor *b)
{
	return a->old == b->old && a->new == b->new;
}

static struct delta_anchor
ends(const struct delta_ahead *a)
{
	return (struct delta_anchor){ a->old->file->size, a->new->file->size };
}

static size_t
count(const struct delta_ahead *a)
{
	return a->far_turn ? a->n_far : a->anchors.n + a->complete;
}

static struct delta_anchor
anchor(const struct delta_ahead *a, size_t i)
{
	if (a->far_turn)
		return a->far[i];
	return i < a->anchors.n ? a->anchors.v[i] : ends(a);
}

static size_t *
turn(struct delta_ahead *a)
{
	return a->far_turn ? &a->next_far : &a->next;
}

bool
delta_ahead_next(struct delta_ahead *a, const struct delta_anchor *at,
	struct delta_anchor *out)
{
	size_t *i = turn(a);

	if (a->far_turn && !same(at, &a->from))
		return false;
	for (; *i < count(a); ++*i) {
		*out = anchor(a, *i);
		if (out->old >= at->old && out->new >= at->new)
			return true;
	}
	return false;
}

void
delta_ahead_pass(struct delta_ahead *a, uint64_t behind)
{
	size_t *i = turn(a);
	struct delta_anchor at = anchor(a, *i), b;

	while (++*i < count(a)) {
		b = anchor(a, *i);
		if (b.old - at.old > behind || b.new - at.new > behind)
			break;
	}
}

static uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static enum err
sample_near(struct delta_ahead *a, uint64_t reach, struct error *err)
{
	struct delta_anchor to = a->from, end = ends(a);
	uint64_t old = smaller(reach, end.old - to.old);
	uint64_t new = smaller(reach, end.new - to.new);
	enum err rc;

	to.old += old;
	to.new += new;
	a->reach = reach;
	a->reached += old + new;
	a->next = 0;
	a->complete = same(&to, &end);
	rc = delta_anchors_find(&a->anchors, a->old, a->new, &a->from, &to,
		err);
	if (rc == ERR_OK && !a->complete &&
		a->anchors.n < smaller(old, new) / a->anchors.spacing / TRUST)
		a->anchors.n = 0;
	return rc;
}

static enum err
keep_far(struct delta_ahead *a, struct error *err)
{
	size_t each = a->anchors.n / FAR_MAX + 1;

	a->far = malloc((a->anchors.n / each + 2) * sizeof(*a->far));
	if (a->far == NULL)
		return err_set(err, ERR_NOMEM, "delta: out of memory");
	for (size_t i = 0; i < a->anchors.n; i += each)
		a->far[a->n_far++] = a->anchors.v[i];
	a->far[a->n_far++] = ends(a);
	return ERR_OK;
}

static enum err
sample_far(struct delta_ahead *a, struct error *err)
{
	struct delta_anchor end = ends(a);
	enum err rc = ERR_OK;

	if (a->far == NULL) {
		rc = delta_anchors_find(&a->anchors, a->old, a->new, &a->from,
			&end, err);
		if (rc == ERR_OK)
			rc = keep_far(a, err);
	}
	delta_anchors_fini(&a->anchors);
	a->complete = false;
	a->far_turn = true;
	return rc;
}

enum err
delta_ahead_sample(struct delta_ahead *a, const struct delta_anchor *at,
	bool *more, struct error *err)
{
	bool again = a->reach > 0 && same(at, &a->from);
	bool spent = a->reached / REACHED >
		     at->old + at->new + REACHED_FIRST / REACHED;
	uint64_t reach = again ? a->reach * REACH_GROWTH : REACH;

	*more = !again || (!a->far_turn && !a->complete);
	if (!*more)
		return ERR_OK;
	a->far_turn = false;
	a->from = *at;
	if (spent || reach > REACH_MAX) {
		a->reach = reach;
		return sample_far(a, err);
	}
	return sample_near(a, reach, err);
}
