/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/image_plan.h"

#include <assert.h>
#include <string.h>

void
image_plan_begin(struct image_plan *plan)
{
	plan->number++;
	plan->n = plan->n_old = plan->n_chunks = plan->new_len = 0;
	plan->len = plan->spans_len = 0;
}

static struct image_span *
find_span(struct image_plan *plan, const struct extent *e)
{
	struct image_span *s;
	size_t i;

	memcpy(&i, e->chunk.b, sizeof(i));
	for (;; i++) {
		s = &plan->spans[i % PLAN_SPANS];
		if (s->plan != plan->number)
			break;
		if (id_eq(&s->chunk, &e->chunk))
			return s;
	}
	*s = (struct image_span){ e->chunk, plan->number, e->chunk_off,
		e->chunk_off, 0 };
	plan->n_chunks++;
	return s;
}

static void
add_span(struct image_plan *plan, const struct extent *e)
{
	const uint64_t from = e->chunk_off, to = from + e->len;
	struct image_span *s = find_span(plan, e);

	plan->spans_len -= s->to - s->from;
	if (from < s->from)
		s->from = from;
	if (to > s->to)
		s->to = to;
	plan->spans_len += s->to - s->from;
	s->live += e->len;
}

void
image_plan_add(struct image_plan *plan, const struct image_part *part)
{
	size_t len = part->run.to - part->run.from;

	if (part->is_old) {
		plan->n_old++;
		if (plan->n < IMAGE_FRAGMENTS_MAX)
			add_span(plan, &part->old);
	} else {
		plan->new_len += len;
		plan->spans_len += len;
	}
	plan->len += len;
	if (plan->n < IMAGE_FRAGMENTS_MAX)
		plan->v[plan->n] = *part;
	plan->n++;
}

const struct id *
image_plan_largest(const struct image_plan *plan)
{
	const struct image_span *best = NULL;

	for (size_t i = 0; i < PLAN_SPANS; i++) {
		const struct image_span *s = &plan->spans[i];

		if (s->plan == plan->number &&
			(best == NULL || s->live > best->live))
			best = s;
	}
	assert(best != NULL);
	return &best->chunk;
}
