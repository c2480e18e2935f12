/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ranges.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"

enum { GAP_MIN = 4096 };

void
ranges_fini(struct ranges *r)
{
	free(r->v);
	*r = (struct ranges){ 0 };
}

/* There is room for it. */
static void
push(struct ranges *r, struct range one)
{
	while (r->n > 0) {
		const struct range *last = &r->v[r->n - 1];

		if (one.off > last->end && one.off - last->end > r->gap)
			break;
		if (last->off < one.off)
			one.off = last->off;
		if (last->end > one.end)
			one.end = last->end;
		r->n--;
	}
	r->v[r->n++] = one;
}

static void
make_coarser(struct ranges *r)
{
	size_t n = r->n;

	r->gap = r->gap > 0 ? r->gap * 2 : GAP_MIN;
	r->n = 0;
	for (size_t i = 0; i < n; i++)
		push(r, r->v[i]);
}

enum err
ranges_add(struct ranges *r, uint64_t off, uint64_t len, struct error *err)
{
	size_t max = r->max > 0 ? r->max : RANGES_MAX;
	struct range one = { off, 0 };
	void *v;

	if (len == 0)
		return ERR_OK;
	if (__builtin_add_overflow(off, len, &one.end))
		one.end = UINT64_MAX;
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
ranges_union(struct ranges *out, const struct ranges *a, const struct ranges *b,
	struct error *err)
{
	size_t i = 0, j = 0;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && (i < a->n || j < b->n)) {
		bool first =
			j == b->n || (i < a->n && a->v[i].off <= b->v[j].off);
		const struct range *one = first ? &a->v[i++] : &b->v[j++];

		rc = ranges_add(out, one->off, one->end - one->off, err);
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
