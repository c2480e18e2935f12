/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta_anchors: see delta_anchors.h.
 *
 * A sample is a gram whose hash is below a threshold.  The table keeps the
 * first that come where it is full nearby: the spacing leaves it half empty
 * unless somebody made the bytes for the purpose.
 */
#include "codec/delta_anchors.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PROBES = 16 };

/* Of a sample that is not there (0 in a slot: no sample), or there twice. */
#define NOWHERE UINT64_C(0)
#define TWICE   UINT64_MAX

/* Offsets are those of a sample's end, which is not 0. */
struct delta_anchors_sample {
	uint64_t h, old, new;
};

typedef void sample_fn(struct delta_anchors *a, uint64_t h, uint64_t end);

void
delta_anchors_init(struct delta_anchors *a, const struct delta_gear *gear)
{
	*a = (struct delta_anchors){ .gear = gear };
}

void
delta_anchors_fini(struct delta_anchors *a)
{
	free(a->samples);
	free(a->met);
	free(a->before);
	free(a->best);
	delta_anchors_init(a, a->gear);
}

static enum err
allocate(struct delta_anchors *a, struct error *err)
{
	size_t n = DELTA_ANCHORS_MAX;

	if (a->samples == NULL)
		a->samples = malloc(n * sizeof(*a->samples));
	if (a->met == NULL)
		a->met = malloc(n * sizeof(*a->met));
	if (a->before == NULL)
		a->before = malloc(n * sizeof(*a->before));
	if (a->best == NULL)
		a->best = malloc(n * sizeof(*a->best));
	if (a->samples == NULL || a->met == NULL || a->before == NULL ||
		a->best == NULL)
		return err_set(err, ERR_NOMEM, "delta: out of memory");
	memset(a->samples, 0, n * sizeof(*a->samples));
	a->n_met = a->n = 0;
	return ERR_OK;
}

/* The sample of h, or a free slot; NULL where there is none nearby. */
static struct delta_anchors_sample *
look_up(struct delta_anchors *a, uint64_t h)
{
	size_t mask = DELTA_ANCHORS_MAX - 1;
	size_t at = delta_gear_slot(h, DELTA_ANCHORS_BITS);

	for (size_t i = 0; i < PROBES; i++) {
		struct delta_anchors_sample *s = &a->samples[(at + i) & mask];

		if (s->old == NOWHERE || s->h == h)
			return s;
	}
	return NULL;
}

static void
add_old(struct delta_anchors *a, uint64_t h, uint64_t end)
{
	struct delta_anchors_sample *s = look_up(a, h);

	if (s == NULL)
		return;
	s->h = h;
	s->old = s->old == NOWHERE ? end : TWICE;
}

static void
meet_new(struct delta_anchors *a, uint64_t h, uint64_t end)
{
	struct delta_anchors_sample *s = look_up(a, h);

	if (s == NULL || s->old == NOWHERE || s->old == TWICE)
		return;
	if (s->new == NOWHERE)
		a->met[a->n_met++] = (uint32_t)(s - a->samples);
	s->new = s->new == NOWHERE ? end : TWICE;
}

/* Of one window, behind whose last byte is end; h goes on through them all. */
static uint64_t
sample_view(struct delta_anchors *a, const struct delta_view *view,
	uint64_t off, uint64_t first, uint64_t h, sample_fn *fn)
{
	uint64_t below = UINT64_MAX / a->spacing;

	for (size_t i = 0; i < view->len; i++) {
		h = delta_gear_step(a->gear, h, view->data[i]);
		if (h < below && off + i >= first)
			fn(a, h, off + i + 1);
	}
	return h;
}

static enum err
sample(struct delta_anchors *a, struct delta_window *w, uint64_t from,
	uint64_t to, sample_fn *fn, struct error *err)
{
	uint64_t h = 0, off = from;
	struct delta_view view;
	enum err rc;

	while (off < to) {
		rc = delta_window_at(w, off, 1, &view, err);
		if (rc != ERR_OK)
			return rc;
		if (view.len > to - off)
			view.len = (size_t)(to - off);
		h = sample_view(a, &view, off, from + DELTA_GRAM - 1, h, fn);
		off += view.len;
	}
	return ERR_OK;
}

static const struct delta_anchors_sample *
met(const struct delta_anchors *a, size_t i)
{
	return &a->samples[a->met[i]];
}

/* Leave out what occurs twice in the new file. */
static void
keep_unique(struct delta_anchors *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n_met; i++) {
		a->met[n] = a->met[i];
		n += met(a, i)->new != TWICE;
	}
	a->n_met = n;
}

/*
 * The longest ascending subsequence (Schensted 1961; Fredman 1975), by the old
 * offsets of what was met in the order of the new ones: best[k] is the lowest
 * at which one of k + 1 ends.
 */
static void
choose(struct delta_anchors *a)
{
	size_t n = 0, at;

	for (size_t i = 0; i < a->n_met; i++) {
		size_t low = 0, high = n;

		while (low < high) {
			size_t mid = low + (high - low) / 2;

			if (met(a, a->best[mid])->old < met(a, i)->old)
				low = mid + 1;
			else
				high = mid;
		}
		a->before[i] = low > 0 ? a->best[low - 1] : 0;
		a->best[low] = (uint32_t)i;
		n += low == n;
	}
	a->n = n;
	if (n == 0)
		return;
	at = a->best[n - 1];
	for (size_t i = n; i-- > 0; at = a->before[at])
		a->best[i] = a->met[at];
}

static uint64_t
spacing_for(uint64_t len)
{
	uint64_t spacing = DELTA_ANCHORS_SPACING;

	while (len / spacing > DELTA_ANCHORS_MAX / 2)
		spacing *= 2;
	return spacing;
}

enum err
delta_anchors_find(struct delta_anchors *a, struct delta_window *old,
	struct delta_window *new, const struct delta_anchor *from,
	const struct delta_anchor *to, struct error *err)
{
	enum err rc;

	rc = allocate(a, err);
	if (rc != ERR_OK)
		return rc;
	a->spacing = spacing_for(to->old - from->old);
	rc = sample(a, old, from->old, to->old, add_old, err);
	if (rc == ERR_OK)
		rc = sample(a, new, from->new, to->new, meet_new, err);
	if (rc != ERR_OK)
		return rc;
	keep_unique(a);
	choose(a);
	return ERR_OK;
}

struct delta_anchor
delta_anchors_at(const struct delta_anchors *a, size_t i)
{
	const struct delta_anchors_sample *s = &a->samples[a->best[i]];

	assert(i < a->n);
	return (struct delta_anchor){ s->old, s->new };
}
