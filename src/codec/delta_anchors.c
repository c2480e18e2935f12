/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta_anchors: see delta_anchors.h.
 *
 * A sample is a gram whose hash is below a threshold.  The table keeps the
 * first that come where it is full nearby: the spacing leaves it half empty
 * unless somebody made the bytes for the purpose.
 */
#include "codec/delta_anchors.h"

#include <stdlib.h>

enum { PROBES = 16, BITS_MIN = 8 };

/* Of a sample that is not there (0 in a slot: no sample), or there twice. */
#define NOWHERE UINT64_C(0)
#define TWICE   UINT64_MAX

/* Offsets are those of a sample's end, which is not 0. */
struct sample {
	uint64_t h, old, new;
};

/* What it takes to find anchors. */
struct table {
	const struct delta_gear *gear;
	uint64_t below; /* the hashes of samples */
	unsigned bits;
	struct sample *samples; /* 1 << bits, and so many of each of these: */
	uint32_t *met, *before, *best;
	size_t n_met;
};

typedef void sample_fn(struct table *t, uint64_t h, uint64_t end);

void
delta_anchors_init(struct delta_anchors *a, const struct delta_gear *gear)
{
	*a = (struct delta_anchors){ .gear = gear };
}

void
delta_anchors_fini(struct delta_anchors *a)
{
	free(a->v);
	delta_anchors_init(a, a->gear);
}

/* For the samples in len bytes. */
static enum err
table_init(struct table *t, const struct delta_anchors *a, uint64_t len,
	struct error *err)
{
	size_t n = (size_t)1 << BITS_MIN;

	*t = (struct table){ .gear = a->gear,
		.below = UINT64_MAX / a->spacing,
		.bits = BITS_MIN };
	for (; n < DELTA_ANCHORS_MAX && n / 2 < len / a->spacing; n *= 2)
		t->bits++;
	t->samples = calloc(n, sizeof(*t->samples));
	t->met = malloc(n * sizeof(*t->met));
	t->before = malloc(n * sizeof(*t->before));
	t->best = malloc(n * sizeof(*t->best));
	if (t->samples == NULL || t->met == NULL || t->before == NULL ||
		t->best == NULL)
		return err_set(err, ERR_NOMEM, "delta: out of memory");
	return ERR_OK;
}

static void
table_fini(struct table *t)
{
	free(t->samples);
	free(t->met);
	free(t->before);
	free(t->best);
}

/* The sample of h, or a free slot; NULL where there is none nearby. */
static struct sample *
look_up(struct table *t, uint64_t h)
{
	size_t mask = ((size_t)1 << t->bits) - 1;
	size_t at = delta_gear_slot(h, t->bits);

	for (size_t i = 0; i < PROBES; i++) {
		struct sample *s = &t->samples[(at + i) & mask];

		if (s->old == NOWHERE || s->h == h)
			return s;
	}
	return NULL;
}

static void
add_old(struct table *t, uint64_t h, uint64_t end)
{
	struct sample *s = look_up(t, h);

	if (s == NULL)
		return;
	s->h = h;
	s->old = s->old == NOWHERE ? end : TWICE;
}

static void
meet_new(struct table *t, uint64_t h, uint64_t end)
{
	struct sample *s = look_up(t, h);

	if (s == NULL || s->old == NOWHERE || s->old == TWICE)
		return;
	if (s->new == NOWHERE)
		t->met[t->n_met++] = (uint32_t)(s - t->samples);
	s->new = s->new == NOWHERE ? end : TWICE;
}

/* Of one window, behind whose last byte is end; h goes on through them all. */
static uint64_t
sample_view(struct table *t, const struct delta_view *view, uint64_t off,
	uint64_t first, uint64_t h, sample_fn *fn)
{
	for (size_t i = 0; i < view->len; i++) {
		h = delta_gear_step(t->gear, h, view->data[i]);
		if (h < t->below && off + i >= first)
			fn(t, h, off + i + 1);
	}
	return h;
}

static enum err
sample(struct table *t, struct delta_window *w, uint64_t from, uint64_t to,
	sample_fn *fn, struct error *err)
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
		h = sample_view(t, &view, off, from + DELTA_GRAM - 1, h, fn);
		off += view.len;
	}
	return ERR_OK;
}

static const struct sample *
met(const struct table *t, size_t i)
{
	return &t->samples[t->met[i]];
}

/* Leave out what occurs twice in the new file. */
static void
keep_unique(struct table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_met; i++) {
		t->met[n] = t->met[i];
		n += met(t, i)->new != TWICE;
	}
	t->n_met = n;
}

/*
 * The longest ascending subsequence (Schensted 1961; Fredman 1975), by the old
 * offsets of what was met in the order of the new ones: best[k] is the lowest
 * at which one of k + 1 ends.  Its length; best[] then are its samples.
 */
static size_t
choose(struct table *t)
{
	size_t n = 0, at;

	for (size_t i = 0; i < t->n_met; i++) {
		size_t low = 0, high = n;

		while (low < high) {
			size_t mid = low + (high - low) / 2;

			if (met(t, t->best[mid])->old < met(t, i)->old)
				low = mid + 1;
			else
				high = mid;
		}
		t->before[i] = low > 0 ? t->best[low - 1] : 0;
		t->best[low] = (uint32_t)i;
		n += low == n;
	}
	if (n == 0)
		return 0;
	at = t->best[n - 1];
	for (size_t i = n; i-- > 0; at = t->before[at])
		t->best[i] = t->met[at];
	return n;
}

static enum err
keep(struct delta_anchors *a, const struct table *t, size_t n,
	struct error *err)
{
	if (n == 0)
		return ERR_OK;
	a->v = malloc(n * sizeof(*a->v));
	if (a->v == NULL)
		return err_set(err, ERR_NOMEM, "delta: out of memory");
	for (a->n = 0; a->n < n; a->n++) {
		const struct sample *s = &t->samples[t->best[a->n]];

		a->v[a->n] = (struct delta_anchor){ s->old, s->new };
	}
	return ERR_OK;
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
	struct table t;
	enum err rc;

	delta_anchors_fini(a);
	a->spacing = spacing_for(to->old - from->old);
	rc = table_init(&t, a, to->old - from->old, err);
	if (rc == ERR_OK)
		rc = sample(&t, old, from->old, to->old, add_old, err);
	if (rc == ERR_OK)
		rc = sample(&t, new, from->new, to->new, meet_new, err);
	if (rc == ERR_OK) {
		keep_unique(&t);
		rc = keep(a, &t, choose(&t), err);
	}
	table_fini(&t);
	return rc;
}
