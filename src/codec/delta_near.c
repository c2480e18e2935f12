/* SPDX-License-Identifier: Apache-2.0 */
/* delta_near: see delta_near.h. */
#include "codec/delta_near.h"

#include <endian.h>
#include <string.h>

enum {
	WORD = sizeof(uint64_t),
	BESIDE = 256, /* bytes changed in place that need no table */
	GROWTH = 4, /* of the span */
	PROBES = 8,
	ALIKE = 4, /* grams of one hash that are remembered */
	COMPARED = 8 * DELTA_MIN, /* to tell which of those is best */
	/* A span's worth of comparisons that came to nothing, times this. */
	PATIENCE = 4
};

_Static_assert((1 << DELTA_NEAR_BITS) >= 4 * DELTA_NEAR / DELTA_GRAM,
	"the table is too full");

static size_t
smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The first DELTA_MIN bytes that are alike at one offset in both. */
static bool
beside(struct delta_near *near, const struct delta_view *old,
	const struct delta_view *new, struct delta_near_spot *out)
{
	size_t n = smaller(old->len, new->len), from = 0, i;

	n = smaller(n, BESIDE + DELTA_MIN);
	for (i = 0; i + WORD <= n && i - from < DELTA_MIN; i += WORD) {
		uint64_t x, y;

		memcpy(&x, old->data + i, WORD);
		memcpy(&y, new->data + i, WORD);
		if (x != y)
			from = i + WORD -
			       (size_t)__builtin_clzll(htole64(x ^ y)) / 8;
	}
	near->effort += i;
	out->old = out->new = from;
	return i >= from + DELTA_MIN;
}

/* Grams that repeat themselves must not push others out. */
static void
remember(struct delta_near *near, unsigned bits, uint64_t h, size_t gram)
{
	size_t mask = ((size_t)1 << bits) - 1, at = delta_gear_slot(h, bits);
	unsigned same = 0;

	for (unsigned i = 0; i < PROBES && same < ALIKE; i++) {
		struct delta_near_slot *s = &near->slots[(at + i) & mask];

		if (s->gram == 0) {
			s->h = h;
			s->gram = gram;
			return;
		}
		same += s->h == h;
	}
}

static void
remember_all(struct delta_near *near, unsigned bits, const uint8_t *old,
	size_t n)
{
	memset(near->slots, 0, sizeof(near->slots[0]) << bits);
	for (size_t gram = 0; gram < n / DELTA_GRAM; gram++) {
		const uint8_t *p = old + gram * DELTA_GRAM;
		uint64_t h = 0;

		for (size_t i = 0; i < DELTA_GRAM; i++)
			h = delta_gear_step(near->gear, h, p[i]);
		remember(near, bits, h, gram + 1);
	}
	near->effort += n;
}

/* Bytes alike around *at (0: none), which is moved to where they begin. */
static size_t
extend(struct delta_near *near, const struct delta_view *old,
	const struct delta_view *new, struct delta_near_spot *at)
{
	struct delta_view a = { old->data + at->old, old->len - at->old };
	struct delta_view b = { new->data + at->new, new->len - at->new };
	size_t back = 0, max = smaller(at->old, at->new), n;

	a.len = smaller(a.len, COMPARED);
	n = delta_view_alike(&a, &b);
	near->effort += n + WORD;
	if (n < DELTA_GRAM)
		return 0;
	while (back < max &&
		a.data[-1 - (ptrdiff_t)back] == b.data[-1 - (ptrdiff_t)back])
		back++;
	near->effort += back;
	at->old -= back;
	at->new -= back;
	return n + back;
}

/* The best of the old grams that have h, which ends before new[end]. */
static bool
recognize(struct delta_near *near, unsigned bits, uint64_t h,
	const struct delta_view *old, const struct delta_view *new, size_t end,
	struct delta_near_spot *out)
{
	size_t mask = ((size_t)1 << bits) - 1, at = delta_gear_slot(h, bits);
	size_t best = DELTA_MIN - 1;

	for (size_t i = 0; i < PROBES; i++) {
		struct delta_near_slot *s = &near->slots[(at + i) & mask];
		struct delta_near_spot spot = { 0, end - DELTA_GRAM };
		size_t n;

		if (s->gram == 0)
			break;
		if (s->h != h)
			continue;
		spot.old = (s->gram - 1) * DELTA_GRAM;
		n = extend(near, old, new, &spot);
		if (n > best) {
			best = n;
			*out = spot;
		}
	}
	return best >= DELTA_MIN;
}

static unsigned
bits_for(size_t span)
{
	size_t grams = span / DELTA_GRAM;

	return 64 - (unsigned)__builtin_clzll(grams) + 1;
}

static bool
search(struct delta_near *near, const struct delta_view *old,
	const struct delta_view *new, size_t span, struct delta_near_spot *out)
{
	unsigned bits = bits_for(span);
	size_t n = smaller(new->len, span), mask = ((size_t)1 << bits) - 1;
	uint64_t h = 0, limit;

	remember_all(near, bits, old->data, smaller(old->len, span));
	near->effort += n;
	limit = near->effort + PATIENCE * span;
	for (size_t i = 0; i < n; i++) {
		const struct delta_near_slot *s;

		h = delta_gear_step(near->gear, h, new->data[i]);
		s = &near->slots[delta_gear_slot(h, bits) & mask];
		if (s->gram == 0 || i + 1 < DELTA_GRAM)
			continue;
		if (recognize(near, bits, h, old, new, i + 1, out)) {
			near->effort -= n - i - 1;
			return true;
		}
		if (near->effort > limit)
			return false;
	}
	return false;
}

bool
delta_near_find(struct delta_near *near, const struct delta_view *old,
	const struct delta_view *new, size_t span, struct delta_near_spot *out)
{
	if (beside(near, old, new, out))
		return true;
	for (size_t s = DELTA_NEAR_FIRST; s <= span; s *= GROWTH) {
		if (search(near, old, new, s, out))
			return true;
		if (s >= old->len && s >= new->len)
			return false;
	}
	return false;
}
