/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of a real cluster against arrays in memory: many reads, writes and
 * zeroings in flight, snapshots, resizes, rollbacks; and a difference names
 * every byte that differs.  The seed is an argument; without one, a fixed one
 * is run.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lab/ceph_rig.h"
#include "tests/lib/scale.h"

enum {
	SIZE_MAX_ = 12 << 20,
	SIZE_FIRST = 6 << 20,
	IN_FLIGHT = 24,
	SNAPS_MAX = 8,
	STEPS = 160
};

/* What an image holds; base: what it would without data of its own, which is
 * the parent's data, where it still reaches. */
struct state {
	uint8_t *now, *base;
	uint64_t size;
	unsigned rolled; /* how often it was rolled back */
};

struct world {
	struct prng rng;
	const char *name;
	bool rolls;
	struct ceph_image *img;
	struct state head;
	struct state snap[SNAPS_MAX];
	char snap_name[SNAPS_MAX][16];
	unsigned n_snaps, next_snap;
	unsigned n_diffs, n_extents;
};

static struct rig rig;
static uint64_t seed = 20261121;

static void
copy_state(struct state *to, const struct state *from)
{
	to->now = malloc(SIZE_MAX_);
	to->base = malloc(SIZE_MAX_);
	memcpy(to->now, from->now, SIZE_MAX_);
	memcpy(to->base, from->base, SIZE_MAX_);
	to->size = from->size;
	to->rolled = from->rolled;
}

static void
free_state(struct state *s)
{
	free(s->now);
	free(s->base);
}

/* ---- operations in flight ---- */

struct flight {
	struct ceph_op op;
	enum { READ, WRITE, ZERO } what;
	uint64_t off, len;
	uint8_t *data;
};

static int
cmp_u64(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* n disjoint ranges of [0, size); small ones now and then. */
static void
cut_ranges(struct world *w, struct flight *f, unsigned n)
{
	uint64_t at[2 * IN_FLIGHT];

	for (unsigned i = 0; i < 2 * n; i++)
		at[i] = prng_below(&w->rng, w->head.size + 1);
	qsort(at, 2 * n, sizeof(*at), cmp_u64);
	for (unsigned i = 0; i < n; i++) {
		f[i].off = at[2 * i];
		f[i].len = at[2 * i + 1] - f[i].off;
		if (prng_below(&w->rng, 2) == 0 && f[i].len > 5000)
			f[i].len = 1 + prng_below(&w->rng, 5000);
		/* One in four lies on pages. */
		if (prng_below(&w->rng, 4) == 0 && f[i].len > 8192) {
			f[i].off = (f[i].off + 4095) & ~(uint64_t)4095;
			f[i].len = (f[i].len - 4096) & ~(uint64_t)4095;
		}
	}
}

static void
begin(struct world *w, struct flight *f)
{
	struct error err = ERROR_INIT;
	enum err e;

	f->what = prng_below(&w->rng, 5) < 2    ? WRITE
		  : prng_below(&w->rng, 2) == 0 ? READ
						: ZERO;
	f->data = malloc(f->len + 1);
	if (f->what == WRITE) {
		prng_fill(&w->rng, f->data, f->len);
		memcpy(w->head.now + f->off, f->data, f->len);
		e = ceph_write(&f->op, w->img, f->off, f->data, f->len, &err);
	} else if (f->what == ZERO) {
		memset(w->head.now + f->off, 0, f->len);
		e = ceph_zero(&f->op, w->img, f->off, f->len, &err);
	} else
		e = ceph_read(&f->op, w->img, f->off, f->data, f->len, &err);
	must(e, &err);
}

static void
batch(struct world *w)
{
	struct flight f[IN_FLIGHT];
	unsigned n = 1 + (unsigned)prng_below(&w->rng, IN_FLIGHT);
	struct error err = ERROR_INIT;
	struct ceph_op flush;

	cut_ranges(w, f, n);
	for (unsigned i = 0; i < n; i++)
		begin(w, &f[i]);
	for (unsigned i = n; i-- > 0;) {
		must(ceph_op_wait(&f[i].op, &err), &err);
		if (f[i].what == READ)
			assert_memory_equal(f[i].data, w->head.now + f[i].off,
				f[i].len);
		free(f[i].data);
	}
	must(ceph_flush(&flush, w->img, &err), &err);
	must(ceph_op_wait(&flush, &err), &err);
}

/* ---- snapshots and sizes ---- */

static void
drop_snap(struct world *w, unsigned i)
{
	struct error err = ERROR_INIT;

	must(ceph_snap_remove(w->img, w->snap_name[i], &err), &err);
	free_state(&w->snap[i]);
	w->n_snaps--;
	for (unsigned k = i; k < w->n_snaps; k++) {
		w->snap[k] = w->snap[k + 1];
		memcpy(w->snap_name[k], w->snap_name[k + 1],
			sizeof(w->snap_name[k]));
	}
}

static void
take_snap(struct world *w)
{
	struct error err = ERROR_INIT;

	if (w->n_snaps == SNAPS_MAX)
		drop_snap(w, (unsigned)prng_below(&w->rng, SNAPS_MAX));
	(void)snprintf(w->snap_name[w->n_snaps], sizeof(w->snap_name[0]), "s%u",
		w->next_snap++);
	must(ceph_snap_create(w->img, w->snap_name[w->n_snaps],
		     prng_below(&w->rng, 2) == 0, &err),
		&err);
	copy_state(&w->snap[w->n_snaps++], &w->head);
}

static void
resize(struct world *w)
{
	uint64_t size = 1 + prng_below(&w->rng, SIZE_MAX_);
	struct error err = ERROR_INIT;

	must(ceph_image_resize(w->img, size, &err), &err);
	if (size < w->head.size) {
		memset(w->head.now + size, 0, SIZE_MAX_ - size);
		memset(w->head.base + size, 0, SIZE_MAX_ - size);
	}
	w->head.size = size;
}

static void
roll_back(struct world *w)
{
	char snap[64];
	unsigned i, rolled = w->head.rolled + 1;

	if (!w->rolls || w->n_snaps == 0)
		return;
	i = (unsigned)prng_below(&w->rng, w->n_snaps);
	(void)snprintf(snap, sizeof(snap), "volumes/%s@%s", w->name,
		w->snap_name[i]);
	ceph_image_close(w->img);
	rig_run(&rig, "rbd", "snap", "rollback", "--no-progress", snap, NULL);
	w->img = rig_open(rig.volumes, w->name, NULL, true);
	free_state(&w->head);
	copy_state(&w->head, &w->snap[i]);
	w->head.rolled = rolled;
}

/* ---- differences ---- */

struct told {
	const struct state *to;
	uint8_t *named; /* a byte for each of the image */
	uint64_t at, end;
	unsigned n;
};

static enum err
keep_extent(void *arg, uint64_t off, uint64_t len, bool exists,
	struct error *err)
{
	struct told *t = arg;

	assert_true(len > 0);
	assert_true(off >= t->at);
	assert_true(len <= t->end - off);
	t->at = off + len;
	t->n++;
	memset(t->named + off, 1, len);
	for (uint64_t i = off; !exists && i < t->at; i++)
		assert_int_equal(t->to->now[i], 0);
	return ERR_OK;
}

static uint8_t
before(const struct state *from, const struct state *to, unsigned flags,
	uint64_t i)
{
	if (from != NULL)
		return i < from->size ? from->now[i] : 0;
	/* Zeroes of its own are nothing new, but for an object map. */
	if ((flags & CEPH_DIFF_PARENT) != 0 ||
		((flags & CEPH_DIFF_WHOLE) == 0 && to->now[i] == 0))
		return 0;
	return to->base[i];
}

static void
diff(struct world *w, struct ceph_image *img, const char *from_name,
	const struct state *from, const struct state *to)
{
	unsigned flags = (unsigned)prng_below(&w->rng, 4);
	uint64_t off = 0, len = UINT64_MAX;
	struct error err = ERROR_INIT;
	struct told t = { .to = to };

	/* See CEPH_DIFF_WHOLE. */
	if (from != NULL && from->rolled != to->rolled)
		flags &= ~(unsigned)CEPH_DIFF_WHOLE;
	if (prng_below(&w->rng, 2) == 0) {
		off = prng_below(&w->rng, SIZE_MAX_);
		len = prng_below(&w->rng, SIZE_MAX_);
	}
	t.named = calloc(1, SIZE_MAX_);
	t.at = off;
	t.end = len < SIZE_MAX_ - off ? off + len : SIZE_MAX_;
	if (t.end > to->size)
		t.end = to->size;
	must(ceph_diff(img, from_name, off, len, flags, keep_extent, &t, &err),
		&err);
	for (uint64_t i = off; i < t.end; i++)
		if (!t.named[i] && to->now[i] != before(from, to, flags, i))
			fail_msg("%s: byte %llu differs from %s, not named "
				 "(flags %u, %llu+%llu)",
				w->name, (unsigned long long)i,
				from_name != NULL ? from_name : "nothing",
				flags, (unsigned long long)off,
				(unsigned long long)len);
	w->n_diffs++;
	w->n_extents += t.n;
	free(t.named);
}

/* From nothing or an older snapshot to a snapshot or the head. */
static void
diff_any(struct world *w)
{
	unsigned to = (unsigned)prng_below(&w->rng, w->n_snaps + 1);
	unsigned from = (unsigned)prng_below(&w->rng, to + 1);
	const char *from_name = from > 0 ? w->snap_name[from - 1] : NULL;
	const struct state *from_state = from > 0 ? &w->snap[from - 1] : NULL;
	struct ceph_image *img;

	if (to == w->n_snaps) {
		diff(w, w->img, from_name, from_state, &w->head);
		return;
	}
	img = rig_open(rig.volumes, w->name, w->snap_name[to], false);
	diff(w, img, from_name, from_state, &w->snap[to]);
	ceph_image_close(img);
}

static void
read_snap(struct world *w)
{
	struct state *s;
	struct ceph_image *img;
	uint8_t *data;
	unsigned i;

	if (w->n_snaps == 0)
		return;
	i = (unsigned)prng_below(&w->rng, w->n_snaps);
	s = &w->snap[i];
	data = malloc(s->size);
	img = rig_open(rig.volumes, w->name, w->snap_name[i], false);
	rig_read(img, 0, data, s->size);
	assert_memory_equal(data, s->now, s->size);
	ceph_image_close(img);
	free(data);
}

/* ---- a life ---- */

static void
step(struct world *w)
{
	uint64_t dice = prng_below(&w->rng, 20);

	if (dice < 8)
		batch(w);
	else if (dice < 10)
		take_snap(w);
	else if (dice < 11)
		resize(w);
	else if (dice < 17)
		diff_any(w);
	else if (dice < 18)
		roll_back(w);
	else
		read_snap(w);
}

static void
live(struct world *w)
{
	uint64_t steps = test_scale(STEPS);

	for (uint64_t i = 0; i < steps; i++)
		step(w);
	while (w->n_snaps > 0)
		drop_snap(w, 0);
	ceph_image_close(w->img);
	free_state(&w->head);
	print_message("%s: %u differences, %u extents\n", w->name, w->n_diffs,
		w->n_extents);
	assert_true(w->n_extents > 0);
}

static void
init(struct world *w, const char *name)
{
	memset(w, 0, sizeof(*w));
	w->name = name;
	prng_init(&w->rng, seed + (unsigned char)name[0]);
	print_message("%s: seed %llu\n", name, (unsigned long long)seed);
	w->head.size = SIZE_FIRST;
	w->head.now = calloc(1, SIZE_MAX_);
	w->head.base = calloc(1, SIZE_MAX_);
}

static void
live_as(const char *name, const struct ceph_create *conf)
{
	struct error err = ERROR_INIT;
	struct world w;

	init(&w, name);
	w.rolls = true;
	must(ceph_image_create(rig.volumes, name, conf, &err), &err);
	w.img = rig_open(rig.volumes, name, NULL, true);
	live(&w);
}

static void
test_plain(void **state)
{
	struct ceph_create conf = { .size = SIZE_FIRST, .order = 18 };

	live_as("plain", &conf);
}

static void
test_no_map(void **state)
{
	struct ceph_create conf = { .size = SIZE_FIRST,
		.order = 22,
		.features = CEPH_LAYERING,
		.has_features = true };

	live_as("no-map", &conf);
}

static void
test_striped(void **state)
{
	struct ceph_create conf = { .size = SIZE_FIRST,
		.order = 19,
		.features = CEPH_LAYERING | CEPH_EXCLUSIVE_LOCK |
			    CEPH_OBJECT_MAP | CEPH_FAST_DIFF | CEPH_STRIPING,
		.has_features = true,
		.stripe_unit = 32 << 10,
		.stripe_count = 3 };

	live_as("striped", &conf);
}

static void
test_clone(void **state)
{
	struct ceph_create conf = { .size = SIZE_FIRST, .order = 19 };
	struct error err = ERROR_INIT;
	struct ceph_image *parent;
	struct world w;

	init(&w, "clone");
	must(ceph_image_create(rig.volumes, "parent", &conf, &err), &err);
	parent = rig_open(rig.volumes, "parent", NULL, true);
	for (unsigned i = 0; i < 12; i++) {
		uint64_t off = prng_below(&w.rng, SIZE_FIRST - 300000);

		prng_fill(&w.rng, w.head.now + off, 300000);
		rig_write(parent, off, w.head.now + off, 300000);
	}
	memcpy(w.head.base, w.head.now, SIZE_MAX_);
	must(ceph_snap_create(parent, "p", false, &err), &err);
	must(ceph_image_clone(rig.volumes, "parent", "p", rig.volumes, "clone",
		     &conf, &err),
		&err);
	w.img = rig_open(rig.volumes, "clone", NULL, true);
	live(&w);
	ceph_image_close(parent);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_no_map),
		cmocka_unit_test(test_striped),
		cmocka_unit_test(test_clone),
	};
	int failed;

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 10);
	rig_start(&rig, "7320", NULL);
	rig.c = rig_connect(&rig, 0);
	rig.volumes = rig_pool(rig.c, "volumes", NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	ceph_pool_close(rig.volumes);
	ceph_disconnect(rig.c);
	rig_stop(&rig);
	return failed;
}
