/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ranges.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"

enum { GAP_MIN = 4096 };

void
ranges_fini(struct ranges *r)
{
	free(r->v);
	*r = (struct ranges){ .max = r->max };
}

/* Whether one, which begins behind a or out of order, joined it. */
static bool
join(const struct range *a, struct range *one, uint64_t gap)
{
	bool apart = one->off > a->end || one->end < a->off;

	if (one->off > a->end && one->off - a->end > gap)
		return false;
	if (one->off == a->end && one->zero != a->zero)
		return false;
	one->zero = !apart && a->zero && one->zero;
	if (a->off < one->off)
		one->off = a->off;
	if (a->end > one->end)
		one->end = a->end;
	return true;
}

/* There is room for it. */
static void
push(struct ranges *r, struct range one)
{
	while (r->n > 0 && join(&r->v[r->n - 1], &one, r->gap))
		r->n--;
	r->v[r->n++] = one;
}

static void
make_coarser(struct ranges *r)
{
	size_t n = r->n;

	if (r->gap > UINT64_MAX / 2)
		r->gap = UINT64_MAX;
	else
		r->gap = r->gap > 0 ? r->gap * 2 : GAP_MIN;
	r->n = 0;
	for (size_t i = 0; i < n; i++) {
		struct range one = r->v[i];

		/* Side by side, they would stay two for ever. */
		if (r->n > 0 && r->v[r->n - 1].end == one.off)
			r->v[r->n - 1].zero = one.zero = false;
		push(r, one);
	}
}

enum err
ranges_put(struct ranges *r, struct range one, struct error *err)
{
	size_t max = r->max > 0 ? r->max : RANGES_MAX;
	void *v;

	if (one.off >= one.end)
		return ERR_OK;
	assert(max > 1);
	while (r->n >= max)
		make_coarser(r);
	v = array_grow(r->v, r->n, &r->cap, sizeof(*r->v), err);
	if (v == NULL)
		return err->code;
	r->v = v;
	push(r, one);
	return ERR_OK;
}

enum err
ranges_add(struct ranges *r, uint64_t off, uint64_t len, struct error *err)
{
	struct range one = { .off = off };

	if (__builtin_add_overflow(off, len, &one.end))
		one.end = UINT64_MAX;
	return ranges_put(r, one, err);
}

/* The first from i on that ends behind at. */
static size_t
behind(const struct ranges *r, size_t i, uint64_t at)
{
	while (i < r->n && r->v[i].end <= at)
		i++;
	return i;
}

/* What v[i] says from at on: to where, and NULL where there is nothing. */
static const struct range *
look(const struct ranges *r, size_t i, uint64_t at, uint64_t *stop)
{
	const struct range *one = i < r->n ? &r->v[i] : NULL;
	uint64_t border;

	if (one == NULL)
		return NULL;
	border = one->off <= at ? one->end : one->off;
	if (border < *stop)
		*stop = border;
	return one->off <= at ? one : NULL;
}

enum err
ranges_overlay(struct ranges *out, const struct ranges *lower,
	const struct ranges *upper, uint64_t off, uint64_t end,
	struct error *err)
{
	enum err rc = ERR_OK;
	size_t l = 0, u = 0;

	while (rc == ERR_OK && off < end) {
		const struct range *one;
		uint64_t stop = end;

		l = behind(lower, l, off);
		u = behind(upper, u, off);
		one = look(upper, u, off, &stop);
		if (one == NULL)
			one = look(lower, l, off, &stop);
		if (one != NULL)
			rc = ranges_put(out,
				(struct range){ off, stop, one->zero }, err);
		off = stop;
	}
	return rc;
}

bool
ranges_next(const struct ranges *r, uint64_t off, struct range *out)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->v[mid].end > off)
			high = mid;
		else
			low = mid + 1;
	}
	if (low == r->n)
		return false;
	*out = r->v[low];
	if (out->off < off)
		out->off = off;
	return true;
}
