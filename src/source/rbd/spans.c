/* SPDX-License-Identifier: Apache-2.0 */
#include "source/rbd/spans.h"

#include <stdlib.h>

#include "base/array.h"

enum { GAP_FIRST = 4096 };

void
spans_init(struct spans *s, size_t max)
{
	*s = (struct spans){ .max = max };
}

void
spans_fini(struct spans *s)
{
	free(s->v);
	spans_init(s, s->max);
}

void
spans_clear(struct spans *s)
{
	s->n = 0;
	s->gap = 0;
}

/* Whether b, which follows a, joined it. */
static bool
join(struct span *a, const struct span *b, uint64_t gap)
{
	uint64_t end = a->off + a->len, b_end = b->off + b->len;
	bool touch = b->off <= end;

	if (touch ? b->off == end && a->exists != b->exists
		  : b->off - end > gap)
		return false;
	a->exists = !touch || a->exists || b->exists;
	if (b_end > end)
		a->len = b_end - a->off;
	return true;
}

static void
close_gaps(struct spans *s)
{
	while (s->n > s->max / 2) {
		size_t n = 0;

		s->gap = s->gap > 0 ? s->gap * 2 : GAP_FIRST;
		for (size_t i = 1; i < s->n; i++) {
			/* Side by side, they would stay two for ever. */
			if (s->v[n].off + s->v[n].len == s->v[i].off)
				s->v[n].exists = s->v[i].exists = true;
			if (!join(&s->v[n], &s->v[i], s->gap))
				s->v[++n] = s->v[i];
		}
		s->n = n + 1;
	}
}

enum err
spans_add(struct spans *s, uint64_t off, uint64_t len, bool exists,
	struct error *err)
{
	struct span x = { off, len, exists }, *v;

	if (len == 0)
		return ERR_OK;
	if (s->n > 0 && off < s->v[s->n - 1].off)
		return err_set(err, ERR_IO,
			"a difference is told out of order: %llu after %llu",
			(unsigned long long)off,
			(unsigned long long)s->v[s->n - 1].off);
	if (s->n > 0 && join(&s->v[s->n - 1], &x, s->gap))
		return ERR_OK;
	if (s->n == s->max)
		close_gaps(s);
	v = array_grow(s->v, s->n, &s->cap, sizeof(*v), err);
	if (v == NULL)
		return ERR_NOMEM;
	s->v = v;
	s->v[s->n++] = x;
	return ERR_OK;
}

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
end_of(const struct span *x)
{
	return x->off + x->len;
}

/* The first of s from i on that ends after at. */
static size_t
after(const struct spans *s, size_t i, uint64_t at)
{
	while (i < s->n && end_of(&s->v[i]) <= at)
		i++;
	return i;
}

enum err
spans_overlay(struct spans *out, const struct spans *lower,
	const struct spans *upper, uint64_t off, uint64_t end,
	struct error *err)
{
	enum err rc = ERR_OK;
	size_t l = 0, u = 0;

	while (rc == ERR_OK && off < end) {
		const struct span *x = NULL;
		uint64_t stop = end;

		l = after(lower, l, off);
		u = after(upper, u, off);
		if (u < upper->n && upper->v[u].off <= off) {
			x = &upper->v[u];
			stop = least(stop, end_of(x));
		} else {
			if (u < upper->n)
				stop = least(stop, upper->v[u].off);
			if (l < lower->n && lower->v[l].off <= off) {
				x = &lower->v[l];
				stop = least(stop, end_of(x));
			} else if (l < lower->n) {
				stop = least(stop, lower->v[l].off);
			}
		}
		if (x != NULL)
			rc = spans_add(out, off, stop - off, x->exists, err);
		off = stop;
	}
	return rc;
}
