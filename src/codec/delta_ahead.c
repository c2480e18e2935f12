/* SPDX-License-Identifier: Apache-2.0 */
/* delta_ahead: see delta_ahead.h. */
#include "codec/delta_ahead.h"

enum {
	REACH = 4 << 20,
	REACH_GROWTH = 16,
	/* Bytes sampled ahead for each byte of both files that was passed. */
	REACHED = 4,
	REACHED_FIRST = 256 << 20,
	/* Of so many samples one has to be an anchor, or what lies ahead is
	 * taken for something else. */
	TRUST = 8
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
}

static struct delta_anchor
ends(const struct delta_ahead *a)
{
	return (struct delta_anchor){ a->old->file->size, a->new->file->size };
}

bool
delta_ahead_next(struct delta_ahead *a, const struct delta_anchor *at,
	struct delta_anchor *out)
{
	for (; a->next < a->anchors.n + a->whole; a->next++) {
		*out = ends(a);
		if (a->next < a->anchors.n)
			*out = delta_anchors_at(&a->anchors, a->next);
		if (out->old >= at->old && out->new >= at->new)
			return true;
	}
	return false;
}

void
delta_ahead_pass(struct delta_ahead *a)
{
	a->next++;
}

static uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static enum err
sample(struct delta_ahead *a, const struct delta_anchor *at,
	const struct delta_anchor *to, struct error *err)
{
	a->next = 0;
	return delta_anchors_find(&a->anchors, a->old, a->new, at, to, err);
}

static enum err
sample_rest(struct delta_ahead *a, const struct delta_anchor *at, bool *more,
	struct error *err)
{
	struct delta_anchor to = ends(a);
	uint64_t left = to.old - at->old + to.new - at->new;

	if (a->wholes > 0 &&
		(a->wholes == DELTA_SAMPLINGS || left > a->whole_left / 2 ||
			a->anchors.spacing == DELTA_ANCHORS_SPACING)) {
		*more = false;
		return ERR_OK;
	}
	a->whole = true;
	a->wholes++;
	a->whole_left = left;
	return sample(a, at, &to, err);
}

static enum err
sample_near(struct delta_ahead *a, const struct delta_anchor *at,
	const struct delta_anchor *to, struct error *err)
{
	uint64_t old = to->old - at->old, new = to->new - at->new;
	enum err rc;

	a->reached += old + new;
	rc = sample(a, at, to, err);
	if (rc == ERR_OK &&
		a->anchors.n < smaller(old, new) / a->anchors.spacing / TRUST)
		a->anchors.n = 0;
	return rc;
}

enum err
delta_ahead_sample(struct delta_ahead *a, const struct delta_anchor *at,
	bool *more, struct error *err)
{
	struct delta_anchor to = *at, end = ends(a);
	bool again = at->old == a->from.old && at->new == a->from.new;

	a->reach = again && a->reach > 0 ? a->reach * REACH_GROWTH : REACH;
	a->from = *at;
	to.old += smaller(a->reach, end.old - at->old);
	to.new += smaller(a->reach, end.new - at->new);
	*more = true;
	if (a->whole || (to.old == end.old && to.new == end.new) ||
		a->reached / REACHED >
			at->old + at->new + REACHED_FIRST / REACHED)
		return sample_rest(a, at, more, err);
	return sample_near(a, at, &to, err);
}
