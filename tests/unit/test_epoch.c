/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of prunes come back as they went in and nothing else is taken;
 * what counts is what a plain reading of docs/format.md, section 12, says.
 */
#include "tests/lib/repo_tools.h"

#include <stdio.h>
#include <stdlib.h>

#include "repo/epoch_list.h"
#include "repo/segment.h"

enum { MAX = 12 };

/* A few values only, so that lists and questions meet. */
static uint8_t
dice(struct prng *p)
{
	return (uint8_t)prng_below(p, 5);
}

static int
cmp_ids(const void *a, const void *b)
{
	return id_cmp(a, b);
}

static int
cmp_segs(const void *a, const void *b)
{
	return segment_cmp(a, b);
}

static int
cmp_snaps(const void *a, const void *b)
{
	return epoch_snapshot_cmp(a, b);
}

/* Sort, and drop what is there twice; the first thing in an item orders it. */
static size_t
settle(void *items, size_t n, size_t len,
	int (*cmp)(const void *, const void *))
{
	uint8_t *v = items;
	size_t kept = 0;

	qsort(v, n, len, cmp);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || cmp(v + (kept - 1) * len, v + i * len) != 0)
			memmove(v + kept++ * len, v + i * len, len);
	return kept;
}

static void *
room(size_t len)
{
	void *v = calloc(MAX, len);

	assert_non_null(v);
	return v;
}

static struct segment_ref
random_segment(struct prng *p)
{
	struct segment_ref s = { .epoch = prng_below(p, 5) };

	s.base = s.epoch > 0 && prng_below(p, 2) == 0;
	s.id.b[0] = dice(p);
	return s;
}

static struct snapshot_name
random_snapshot(struct prng *p)
{
	struct snapshot_name s = { .ns = { { dice(p) } } };

	s.sid.b[UID_LEN - 1] = dice(p);
	return s;
}

static struct id *
random_packs(struct prng *p, size_t *n)
{
	struct id *v = room(sizeof(*v));

	*n = prng_below(p, MAX);
	for (size_t i = 0; i < *n; i++)
		v[i].b[31] = dice(p);
	*n = settle(v, *n, sizeof(*v), cmp_ids);
	return v;
}

static struct segment_ref *
random_segments(struct prng *p, size_t *n)
{
	struct segment_ref *v = room(sizeof(*v));

	*n = prng_below(p, MAX);
	for (size_t i = 0; i < *n; i++)
		v[i] = random_segment(p);
	*n = settle(v, *n, sizeof(*v), cmp_segs);
	return v;
}

static struct snapshot_name *
random_snapshots(struct prng *p, size_t *n)
{
	struct snapshot_name *v = room(sizeof(*v));

	*n = prng_below(p, MAX);
	for (size_t i = 0; i < *n; i++)
		v[i] = random_snapshot(p);
	*n = settle(v, *n, sizeof(*v), cmp_snaps);
	return v;
}

static struct condemned
random_condemned(struct prng *p)
{
	struct condemned c = { .time = { (int64_t)prng_next(p), 5 } };

	c.packs = random_packs(p, &c.n_packs);
	c.made = random_packs(p, &c.n_made);
	c.segments = random_segments(p, &c.n_segments);
	c.counted = random_segments(p, &c.n_counted);
	c.known = random_snapshots(p, &c.n_known);
	c.doomed = room(sizeof(*c.doomed));
	c.n_doomed = prng_below(p, MAX);
	for (size_t i = 0; i < c.n_doomed; i++)
		c.doomed[i] = (struct doomed){ random_snapshot(p),
			prng_below(p, 300) };
	/* The name comes first in a struct doomed. */
	c.n_doomed = settle(c.doomed, c.n_doomed, sizeof(*c.doomed), cmp_snaps);
	return c;
}

static struct final
random_final(struct prng *p)
{
	struct final f = { .time = { (int64_t)prng_below(p, 1 << 30), 7 } };

	f.spared = random_packs(p, &f.n_spared);
	f.segments = random_segments(p, &f.n_segments);
	f.snapshots = random_snapshots(p, &f.n_snapshots);
	return f;
}

static void
expect_same(const struct buf *a, const struct buf *b)
{
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->data, b->data, a->len);
}

/* Taken, it encodes to the same; of what is cut off nothing is taken. */
static void
check_condemned(const struct buf *one)
{
	struct buf two = BUF_INIT(1 << 20);
	struct error err = ERROR_INIT;
	struct condemned c;

	if (epoch_list_get_condemned(&c, one->data, one->len, &err) != ERR_OK) {
		assert_int_equal(err.code, ERR_CORRUPT);
		return;
	}
	must(epoch_list_put_condemned(&two, &c, &err), &err);
	expect_same(one, &two);
	condemned_fini(&c);
	buf_fini(&two);
}

static void
check_final(const struct buf *one)
{
	struct buf two = BUF_INIT(1 << 20);
	struct error err = ERROR_INIT;
	struct final f;

	if (epoch_list_get_final(&f, one->data, one->len, &err) != ERR_OK) {
		assert_int_equal(err.code, ERR_CORRUPT);
		return;
	}
	must(epoch_list_put_final(&two, &f, &err), &err);
	expect_same(one, &two);
	final_fini(&f);
	buf_fini(&two);
}

static void
spoil(struct prng *p, struct buf *b, void (*check)(const struct buf *))
{
	for (unsigned i = 0; i < 60; i++) {
		size_t at = prng_below(p, b->len);
		uint8_t was = b->data[at];

		b->data[at] ^= (uint8_t)(1u << prng_below(p, 8));
		check(b);
		b->data[at] = was;
	}
}

static void
test_lists_come_back(void **state)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct error err = ERROR_INIT;
		struct buf one = BUF_INIT(1 << 20);
		struct condemned c, c2;
		struct final f, f2;
		struct prng p;

		prng_init(&p, seed);
		c = random_condemned(&p);
		f = random_final(&p);
		must(epoch_list_put_condemned(&one, &c, &err), &err);
		must(epoch_list_get_condemned(&c2, one.data, one.len, &err),
			&err);
		assert_int_equal(c2.n_packs, c.n_packs);
		assert_int_equal(c2.n_made, c.n_made);
		assert_int_equal(c2.n_doomed, c.n_doomed);
		assert_int_equal(c2.n_counted, c.n_counted);
		for (size_t i = 0; i < c.n_doomed; i++)
			assert_int_equal(c2.doomed[i].k, c.doomed[i].k);
		condemned_fini(&c2);
		check_condemned(&one);
		for (size_t len = 0; len < one.len; len++)
			assert_int_equal(epoch_list_get_condemned(&c2, one.data,
						 len, &err),
				ERR_CORRUPT);
		spoil(&p, &one, check_condemned);

		buf_clear(&one);
		must(epoch_list_put_final(&one, &f, &err), &err);
		check_final(&one);
		for (size_t len = 0; len < one.len; len++)
			assert_int_equal(epoch_list_get_final(&f2, one.data,
						 len, &err),
				ERR_CORRUPT);
		spoil(&p, &one, check_final);
		condemned_fini(&c);
		final_fini(&f);
		buf_fini(&one);
	}
}

static bool
among(const struct segment_ref *v, size_t n, const struct segment_ref *s)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].epoch == s->epoch && v[i].base == s->base &&
			id_eq(&v[i].id, &s->id))
			return true;
	return false;
}

/* The words of the page. */
static bool
naive_segment(uint64_t final, const struct final *f,
	const struct segment_ref *s)
{
	bool named = among(f->segments, f->n_segments, s);

	return s->base ? named : s->epoch >= final || named;
}

static bool
naive_snapshot(uint64_t final, const struct final *f,
	const struct snapshot_name *s, uint64_t view)
{
	for (size_t i = 0; i < f->n_snapshots; i++)
		if (memcmp(&f->snapshots[i], s, sizeof(*s)) == 0)
			return true;
	return view >= final;
}

static void
check_rules(struct prng *p, const struct counting *c, const struct final *f,
	const struct condemned *last)
{
	uint64_t final = c->state.final;

	for (unsigned i = 0; i < 300; i++) {
		struct segment_ref seg = random_segment(p);
		struct snapshot_name snap = random_snapshot(p);
		uint64_t view = prng_below(p, 5);
		bool counts = naive_segment(final, f, &seg);
		bool claims = counts;

		assert_int_equal(counting_segment(c, &seg), counts);
		assert_int_equal(counting_snapshot(c, &snap, view),
			naive_snapshot(final, f, &snap, view));
		view = c->state.newest;
		if (c->state.step == EPOCH_CONDEMNED)
			claims = counts &&
				 ((!seg.base && seg.epoch == view) ||
					 among(last->counted, last->n_counted,
						 &seg));
		assert_int_equal(counting_for_claims(c, view, last, &seg),
			claims);
	}
}

/* Prunes one after the other, each step looked at; old epochs are removed, or
 * not. */
static void
test_what_counts(void **state)
{
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct store *st = tool_store();
		struct error err = ERROR_INIT;
		struct final f = { .n_spared = 0 };
		struct condemned last = { .n_packs = 0 }, got;
		struct counting c;
		struct keyset ks;
		struct prng p;
		uint64_t final = 0;

		prng_init(&p, seed);
		must(keyset_new(&ks, &err), &err);
		for (unsigned i = 0; i < 12; i++) {
			uint64_t epoch = 1 + i / 3;
			enum epoch_step step = (enum epoch_step)(1 + i % 3);

			if (step == EPOCH_CONDEMNED) {
				condemned_fini(&last);
				last = random_condemned(&p);
				must(epoch_condemned_put(st, &ks, epoch, &last,
					     &err),
					&err);
				must_fail(epoch_condemned_put(st, &ks, epoch,
						  &last, &err),
					ERR_EXISTS, &err, "");
				must(epoch_condemned_get(st, &ks, epoch, &got,
					     &err),
					&err);
				assert_int_equal(got.n_packs, last.n_packs);
				condemned_fini(&got);
			} else if (step == EPOCH_FINAL) {
				final_fini(&f);
				f = random_final(&p);
				must(epoch_final_put(st, &ks, epoch, &f, &err),
					&err);
				final = epoch;
			} else {
				must(epoch_done_put(st, &ks, epoch, &err),
					&err);
				if (prng_below(&p, 2) == 0)
					must(epoch_forget_before(st, epoch,
						     &err),
						&err);
			}
			must(counting_read(st, &ks, &c, &err), &err);
			assert_int_equal(c.state.newest, epoch);
			assert_int_equal(c.state.step, step);
			assert_int_equal(c.state.final, final);
			check_rules(&p, &c, &f, &last);
			counting_fini(&c);
		}
		condemned_fini(&last);
		final_fini(&f);
		keyset_wipe(&ks);
		store_close(st);
	}
}

/* Objects below prune/ that no order of steps leaves. */
static void
test_what_cannot_be_is_refused(void **state)
{
	static const struct {
		const char *names[4];
		bool ok;
	} cases[] = {
		{ { NULL }, true },
		{ { "1/condemned" }, true },
		{ { "1/final" }, false },
		{ { "1/condemned", "1/done" }, false },
		{ { "1/condemned", "1/final", "1/done" }, true },
		{ { "2/condemned" }, false },
		{ { "1/condemned", "1/final", "2/condemned" }, false },
		{ { "1/final", "1/done", "2/condemned" }, true },
		{ { "1/done", "2/condemned", "2/final" }, true },
		{ { "1/final", "3/condemned", "3/final", "3/done" }, true },
		{ { "1/done", "2/condemned" }, false },
		{ { "01/condemned" }, false },
		{ { "0/condemned" }, false },
		{ { "1/condemned", "1/finals" }, false },
		{ { "1/condemned/x" }, false },
		{ { "1" }, false },
		{ { "1000000000000000000/condemned" }, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct store *st = tool_store();
		struct error err = ERROR_INIT;
		struct epoch_state s;
		char name[100];

		for (size_t k = 0; k < 4 && cases[i].names[k] != NULL; k++) {
			(void)snprintf(name, sizeof(name), "prune/%s",
				cases[i].names[k]);
			must(store_put(st, name, "", 0, &err), &err);
		}
		assert_int_equal(epoch_read(st, &s, &err),
			cases[i].ok ? ERR_OK : ERR_CORRUPT);
		store_close(st);
	}
}

/* A list that somebody without the maintenance key made. */
static void
test_who_may_not(void **state)
{
	struct store *st = tool_store();
	struct error err = ERROR_INIT;
	struct condemned c = { .n_packs = 0 };
	struct keyset ks, thief;
	struct counting counting;

	must(keyset_new(&ks, &err), &err);
	must(keyset_new(&thief, &err), &err);
	thief.structure = ks.structure;
	ks.has_maint = false;
	assert_int_equal(epoch_condemned_put(st, &ks, 1, &c, &err), ERR_DENIED);
	assert_int_equal(epoch_condemned_put(st, &thief, 0, &c, &err),
		ERR_USAGE);
	must(epoch_condemned_put(st, &thief, 1, &c, &err), &err);
	must(epoch_final_put(st, &thief, 1, &(struct final){ .n_spared = 0 },
		     &err),
		&err);
	assert_int_equal(counting_read(st, &ks, &counting, &err), ERR_CORRUPT);
	keyset_wipe(&ks);
	keyset_wipe(&thief);
	store_close(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists_come_back),
		cmocka_unit_test(test_what_counts),
		cmocka_unit_test(test_what_cannot_be_is_refused),
		cmocka_unit_test(test_who_may_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
