/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunker: see the definition in chunker.h.
 *
 * No cut can fall before min, and h at a position depends on the 64 bytes
 * that end there, so the bytes up to 64 before min need not be looked at, and
 * whatever h held before those 64 is shifted out by the time it is tested.
 * For the same reason a lane can start anywhere after 64 bytes of warming up:
 * one lane waits for the latency of its own additions, four fill the gaps.
 */
#include "codec/chunker.h"

#include <assert.h>

#include "codec/hash.h"

enum {
	WINDOW = 64, /* bytes that h depends on */
	TARGET_MAX = 8 << 20,
	LANE_MIN = 256, /* below, warming up costs more than lanes gain */
	LANE_MAX = 4096, /* bytes looked at in vain behind a cut: up to 4 x */
};

bool
chunker_params_ok(const struct chunker_params *p)
{
	return p->min >= WINDOW && p->min <= p->target && p->target <= p->max &&
	       p->max <= TARGET_MAX && (p->target & (p->target - 1)) == 0;
}

void
gear_init(struct gear *g, const struct secret *key)
{
	uint8_t raw[sizeof(g->t)];

	hash_expand(raw, sizeof(raw), key, "gear");
	for (size_t i = 0; i < ARRAY_LEN(g->t); i++) {
		uint64_t v = 0;

		for (size_t k = 8; k-- > 0;)
			v = v << 8 | raw[8 * i + k];
		g->t[i] = v;
	}
	explicit_bzero(raw, sizeof(raw));
}

void
chunker_init(struct chunker *c, const struct gear *gear,
	const struct chunker_params *params)
{
	assert(chunker_params_ok(params));
	*c = (struct chunker){ .gear = gear, .params = *params };
}

static uint64_t
step(const uint64_t *t, uint64_t h, uint8_t b)
{
	return (h << 1) + t[b];
}

/* Values of h below this one have their top bits zero. */
static uint64_t
threshold(const struct chunker_params *p, size_t n)
{
	unsigned bits = (unsigned)__builtin_ctz(p->target);

	bits = n < p->target ? bits + 2 : bits - 2;
	return UINT64_C(1) << (64 - bits);
}

bool
chunker_feed_scalar(struct chunker *c, const uint8_t *data, size_t len,
	size_t *used)
{
	for (size_t i = 0; i < len; i++) {
		c->h = step(c->gear->t, c->h, data[i]);
		c->n++;
		if (c->n < c->params.min)
			continue;
		if (c->h < threshold(&c->params, c->n) ||
			c->n == c->params.max) {
			c->n = 0;
			*used = i + 1;
			return true;
		}
	}
	*used = len;
	return false;
}

/*
 * The index of the first position where h falls below the threshold, or len;
 * *h is carried through the bytes up to there.
 */
static size_t
scan_one(const uint64_t *t, uint64_t *h, const uint8_t *data, size_t len,
	uint64_t below)
{
	uint64_t v = *h;
	size_t i;

	for (i = 0; i < len; i++) {
		v = step(t, v, data[i]);
		if (v < below)
			break;
	}
	*h = v;
	return i;
}

/*
 * Bytes that all four lanes can take, one after the other seg bytes apart,
 * before h of one or more falls below the threshold; or seg.
 *
 * On its own, so that a compiler keeps all of it in registers.
 */
__attribute__((noinline)) static size_t
run_lanes(const uint64_t *t, uint64_t lane[4], const uint8_t *data, size_t seg,
	uint64_t below)
{
	const uint8_t *p0 = data, *p1 = p0 + seg, *p2 = p1 + seg;
	const uint8_t *p3 = p2 + seg;
	uint64_t a = lane[0], b = lane[1], c = lane[2], d = lane[3];
	size_t i;

	for (i = 0; i < seg; i++) {
		a = step(t, a, p0[i]);
		b = step(t, b, p1[i]);
		c = step(t, c, p2[i]);
		d = step(t, d, p3[i]);
		/* One branch for the four: it is hardly ever taken. */
		if ((a < below) | (b < below) | (c < below) | (d < below))
			break;
	}
	lane[0] = a;
	lane[1] = b;
	lane[2] = c;
	lane[3] = d;
	return i;
}

/*
 * As scan_one for 4 * seg bytes, of which each lane takes seg; but *h is
 * carried on only where there is no such position.
 */
static size_t
scan_four(const uint64_t *t, uint64_t *h, const uint8_t *data, size_t seg,
	uint64_t below)
{
	uint64_t lane[4] = { *h };
	size_t i, k, at;

	for (k = 1; k < 4; k++)
		for (i = 0; i < WINDOW; i++)
			lane[k] = step(t, lane[k], data[k * seg - WINDOW + i]);

	i = run_lanes(t, lane, data, seg, below);
	if (i == seg) {
		*h = lane[3];
		return 4 * seg;
	}

	/* A lane was hit at i; one before it may be hit later than i. */
	for (k = 0;; k++) {
		at = i;
		if (lane[k] < below)
			break;
		at += 1 + scan_one(t, &lane[k], data + k * seg + i + 1,
				  seg - i - 1, below);
		if (at < seg)
			break;
	}
	return k * seg + at;
}

static size_t
min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t
scan(const uint64_t *t, uint64_t *h, const uint8_t *data, size_t len,
	uint64_t below)
{
	size_t pos = 0;

	while (len - pos >= (size_t)4 * LANE_MIN) {
		size_t seg = min_size((len - pos) / 4, LANE_MAX);
		size_t at = scan_four(t, h, data + pos, seg, below);

		pos += at;
		if (at < 4 * seg)
			return pos;
	}
	return pos + scan_one(t, h, data + pos, len - pos, below);
}

bool
chunker_feed(struct chunker *c, const uint8_t *data, size_t len, size_t *used)
{
	const struct chunker_params *p = &c->params;
	const uint64_t *t = c->gear->t;
	size_t i = 0;

	if (c->n < p->min - WINDOW) {
		i = min_size(len, p->min - WINDOW - c->n);
		c->n += i;
	}
	for (; i < len && c->n < p->min - 1; i++, c->n++)
		c->h = step(t, c->h, data[i]);

	while (i < len) {
		size_t end = c->n + 1 < p->target ? p->target - 1 : p->max;
		size_t part = min_size(len - i, end - c->n);
		size_t at =
			scan(t, &c->h, data + i, part, threshold(p, c->n + 1));
		bool hit = at < part;

		at += hit;
		i += at;
		c->n += at;
		if (hit || c->n == p->max) {
			c->n = 0;
			*used = i;
			return true;
		}
	}
	*used = len;
	return false;
}
