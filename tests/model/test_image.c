/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images against an array of bytes: random changes over many generations.
 * The seed is an argument; without one, some fixed ones are run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/lib/prng.h"
#include "tests/lib/scale.h"
#include "tests/lib/spy_io.h"
#include "tree/builder.h"
#include "tree/content.h"
#include "tree/cursor.h"
#include "tree/extents.h"
#include "tree/image.h"

enum {
	MOST = 12 << 20,
	BLOCK = 4096,
	WINDOWS = MOST / IMAGE_WINDOW,
	GENERATIONS = 60
};

static struct error err;

/* What the rest of a window that is stored anew is read from. */
enum rest { FROM_CHUNKS, FROM_ORIGIN, FROM_NOWHERE };

struct world_origin {
	struct origin base; /* comes first */
	struct world *w;
};

/* One image and what it must read as. */
struct world {
	struct spy spy;
	enum rest rest;
	struct world_origin origin;
	struct prng p;
	struct id root;
	bool has_root;
	bool as_slices; /* the old image is given as such */
	bool everything;
	uint64_t fixed_size; /* 0: it changes */
	uint64_t size;
	uint8_t *want; /* MOST; zeroes from size on */
	uint64_t old_size;
	uint8_t *old; /* what it was before this generation */
	uint8_t *have, *data;
	bool touched[WINDOWS];
	bool taken_from[WINDOWS]; /* of the old image */
	uint64_t changed; /* bytes given to image_replace */
	uint64_t bytes_rewritten; /* in all generations */
	unsigned rewrites, shared, in_pieces, refusals;
};

static enum err
read_origin(const struct origin *o, uint64_t off, void *data, size_t len,
	struct error *why)
{
	const struct world *w =
		((const struct world_origin *)(const void *)o)->w;

	(void)why;
	assert_true(off <= w->size && len <= w->size - off);
	memcpy(data, w->want + off, len);
	return ERR_OK;
}

static void
world_init(struct world *w, uint64_t seed, bool threads)
{
	*w = (struct world){ .origin = { { read_origin }, w } };
	assert_int_equal(spy_init(&w->spy, threads, &err), ERR_OK);
	prng_init(&w->p, seed);
	w->want = calloc(1, MOST);
	w->old = malloc(MOST);
	w->have = malloc(MOST);
	w->data = malloc(MOST);
	assert_true(w->want != NULL && w->old != NULL && w->have != NULL &&
		    w->data != NULL);
}

static void
world_fini(struct world *w)
{
	spy_fini(&w->spy);
	free(w->want);
	free(w->old);
	free(w->have);
	free(w->data);
}

/* Data of some kind: random, zero, or blocks of both. */
static void
random_data(struct world *w, uint64_t off, size_t len)
{
	uint64_t kind = prng_below(&w->p, 4);

	prng_fill(&w->p, w->data, len);
	if (kind == 0)
		memset(w->data, 0, len);
	if (kind != 1)
		return;
	for (size_t i = 0; i < len; i++) {
		if ((off + i) / BLOCK % 3 == 0)
			w->data[i] = 0;
	}
}

/* How changes of one generation look. */
struct style {
	uint64_t gap, len;
	bool aligned;
	uint64_t punches; /* one of so many is a hole */
};

static struct style
random_style(struct world *w)
{
	struct style s = { 0 };

	if (prng_below(&w->p, 4) == 0) {
		s.gap = (uint64_t)1 << (8 + prng_below(&w->p, 16));
		s.len = (uint64_t)1 << (1 + prng_below(&w->p, 22));
	} else {
		s.gap = (uint64_t)1 << (9 + prng_below(&w->p, 6));
		s.len = (uint64_t)1 << (8 + prng_below(&w->p, 6));
	}
	s.aligned = prng_below(&w->p, 3) > 0;
	s.punches = 1 + prng_below(&w->p, 8);
	return s;
}

static void
touch(bool *windows, uint64_t off, uint64_t len)
{
	for (uint64_t i = off / IMAGE_WINDOW;
		len > 0 && i <= (off + len - 1) / IMAGE_WINDOW; i++)
		windows[i] = true;
}

static void
put_some(struct world *w, struct image *img, uint64_t off, uint64_t len)
{
	random_data(w, off, len);
	memcpy(w->want + off, w->data, len);
	w->changed += len;
	touch(w->touched, off, len);
	assert_int_equal(image_replace(img, off, w->data, len, &err), ERR_OK);
}

static void
punch_some(struct world *w, struct image *img, uint64_t off, uint64_t len)
{
	memset(w->want + off, 0, len);
	touch(w->touched, off, len);
	assert_int_equal(image_punch(img, off, len, &err), ERR_OK);
}

static void
take_some(struct world *w, struct image *img, uint64_t off, uint64_t old_off,
	uint64_t len)
{
	memcpy(w->want + off, w->old + old_off, len);
	if (off != old_off) {
		touch(w->touched, off, len);
		touch(w->taken_from, old_off, len);
	}
	assert_int_equal(image_take(img, off, old_off, len, &err), ERR_OK);
}

static void
change_some(struct world *w, struct image *img)
{
	struct style s = random_style(w);
	uint64_t mask = s.aligned ? BLOCK - 1 : 0, off = 0;
	/* A generation may change one corner only. */
	uint64_t first = prng_below(&w->p, w->size + 1);
	uint64_t n = 1 + prng_below(&w->p, 600);

	off = prng_below(&w->p, 3) > 0 ? 0 : first & ~mask;
	while (n-- > 0 && off < w->size) {
		uint64_t len = (1 + prng_below(&w->p, s.len) + mask) & ~mask;

		if (len > w->size - off)
			len = w->size - off;
		if (prng_below(&w->p, s.punches) == 0)
			punch_some(w, img, off, len);
		else
			put_some(w, img, off, len);
		off += len;
		off += prng_below(&w->p, s.gap) & ~mask;
	}
}

static uint64_t
at_most(struct world *w, uint64_t limit, uint64_t left)
{
	uint64_t len = prng_below(&w->p, limit + 1);

	return len < left ? len : left;
}

/* The old image with things put in and taken out, as delta (codec/delta.h)
 * tells it, and some that stays in its place unmentioned. */
static void
edit_some(struct world *w, struct image *img)
{
	uint64_t most = (uint64_t)1 << (5 + prng_below(&w->p, 12));
	uint64_t put = (uint64_t)1 << prng_below(&w->p, 9);
	uint64_t left = prng_below(&w->p, 4000), off = 0, old = 0, len;

	/* More pieces than a window may have. */
	if (prng_below(&w->p, 4) == 0) {
		most = put = 1 + prng_below(&w->p, 64);
		left = 4 * IMAGE_FRAGMENTS_MAX;
	}
	if (prng_below(&w->p, 3) == 0)
		off = prng_below(&w->p, w->size + 1);
	for (; left > 0 && off < w->size; left--, off += len) {
		uint64_t dice = prng_below(&w->p, 12);

		if (dice == 0) {
			old += at_most(w, put, w->old_size - old);
			len = 0;
		} else if (dice == 1) {
			len = at_most(w, put, w->size - off);
		} else if (dice == 2) {
			len = at_most(w, put, w->size - off);
			punch_some(w, img, off, len);
		} else if (dice < 6) {
			len = at_most(w, put, w->size - off);
			put_some(w, img, off, len);
		} else {
			/* Now and then in its old place again. */
			if (prng_below(&w->p, 50) == 0 && old < off &&
				off < w->old_size)
				old = off;
			len = at_most(w, most, w->size - off);
			len = len < w->old_size - old ? len : w->old_size - old;
			take_some(w, img, off, old, len);
			old += len;
		}
	}
	len = w->size - off;
	len = len < w->old_size - old ? len : w->old_size - old;
	take_some(w, img, off, old, len);
}

static void
change_or_edit(struct world *w, struct image *img)
{
	if (prng_below(&w->p, 2) == 0)
		edit_some(w, img);
	else
		change_some(w, img);
}

/* The extents of the image as they are now. */
static struct extent *
list_extents(struct world *w, size_t *n)
{
	struct extent *v = NULL;
	struct cursor *c;
	struct item it;

	*n = 0;
	if (!w->has_root)
		return NULL;
	assert_int_equal(cursor_open(&c, &w->spy.io, TREE_EXTENTS, &w->root,
				 &err),
		ERR_OK);
	for (;;) {
		assert_int_equal(cursor_next(c, &it, &err), ERR_OK);
		if (it.key.data == NULL)
			break;
		v = reallocarray(v, *n + 1, sizeof(*v));
		assert_non_null(v);
		assert_int_equal(extent_decode(&it, &v[(*n)++], &err), ERR_OK);
	}
	cursor_close(c);
	return v;
}

/* Only chunks that lie in touched windows were fetched. */
static void
fetched_no_other(const struct world *w, const struct extent *old, size_t n)
{
	for (size_t i = 0; i < w->spy.n_fetched; i++) {
		const struct id *id = &w->spy.fetched[i];
		bool found = false;

		for (size_t k = 0; k < n && !found; k++) {
			uint64_t from = old[k].off / IMAGE_WINDOW;
			uint64_t to =
				(old[k].off + old[k].len - 1) / IMAGE_WINDOW;

			for (uint64_t j = from; j <= to && !found; j++)
				found = (w->touched[j] || w->taken_from[j]) &&
					id_eq(&old[k].chunk, id);
		}
		assert_true(found);
	}
}

/* Of no window that was touched do pieces lie in too many chunks. */
static void
chunks_are_bounded(const struct world *w, const struct extent *v, size_t n)
{
	struct id seen[IMAGE_CHUNKS_MAX + 1];
	uint64_t window = UINT64_MAX;
	size_t n_seen = 0;

	for (size_t k = 0; k < n && w->rest != FROM_NOWHERE; k++) {
		uint64_t i = v[k].off / IMAGE_WINDOW;
		size_t j = 0;

		if (!w->touched[i])
			continue;
		if (i != window)
			n_seen = 0;
		window = i;
		while (j < n_seen && !id_eq(&seen[j], &v[k].chunk))
			j++;
		if (j < n_seen)
			continue;
		assert_true(n_seen < ARRAY_LEN(seen));
		seen[n_seen++] = v[k].chunk;
	}
}

/* In as many pieces as they may, and none that continues another. */
static void
fragments_are_bounded(struct world *w, const struct extent *v, size_t n)
{
	unsigned in_window[WINDOWS] = { 0 };

	chunks_are_bounded(w, v, n);
	for (size_t k = 0; k < n; k++) {
		uint64_t to = (v[k].off + v[k].len - 1) / IMAGE_WINDOW;

		assert_true(v[k].off + v[k].len <= w->size);
		for (uint64_t j = v[k].off / IMAGE_WINDOW; j <= to; j++)
			in_window[j]++;
		if (k == 0)
			continue;
		assert_true(v[k - 1].off + v[k - 1].len <= v[k].off);
		assert_false(
			v[k - 1].off + v[k - 1].len == v[k].off &&
			v[k - 1].chunk_off + v[k - 1].len == v[k].chunk_off &&
			id_eq(&v[k - 1].chunk, &v[k].chunk));
	}
	for (size_t j = 0; j < WINDOWS; j++) {
		w->in_pieces += in_window[j] > IMAGE_FRAGMENTS_MAX;
		if (w->touched[j] && w->rest != FROM_NOWHERE)
			assert_in_range(in_window[j], 0, IMAGE_FRAGMENTS_MAX);
	}
}

static void
reads_as_wanted(struct world *w)
{
	struct entry e = { .type = ENTRY_IMAGE, .size = w->size };
	struct content_view *v;
	size_t got;

	e.content.kind = CONTENT_EXTENTS;
	e.content.root = w->root;
	assert_int_equal(content_open(&v, &w->spy.io, &w->root, &e, &err),
		ERR_OK);
	assert_int_equal(content_read(v, 0, w->have, MOST, &got, &err), ERR_OK);
	assert_int_equal(got, w->size);
	assert_true(memcmp(w->have, w->want, w->size) == 0);
	for (int i = 0; i < 20 && w->size > 0; i++) {
		uint64_t off = prng_below(&w->p, w->size);
		size_t len = prng_below(&w->p, 3 * IMAGE_WINDOW);

		assert_int_equal(content_read(v, off, w->have, len, &got, &err),
			ERR_OK);
		assert_int_equal(got,
			len < w->size - off ? len : w->size - off);
		assert_true(memcmp(w->have, w->want + off, got) == 0);
	}
	content_close(v);
}

static struct slices
slices_of(const struct extent *v, size_t n, uint64_t size)
{
	struct slices s = { 0 };
	uint64_t off = 0;

	for (size_t i = 0; i <= n; i++) {
		uint64_t next = i < n ? v[i].off : size;
		struct slice hole = { .hole = true, .len = next - off };
		struct slice data = { 0 };

		assert_int_equal(slices_add(&s, &hole, &err), ERR_OK);
		if (i == n)
			break;
		data.len = v[i].len;
		data.chunk = v[i].chunk;
		data.off = v[i].chunk_off;
		assert_int_equal(slices_add(&s, &data, &err), ERR_OK);
		off = next + data.len;
	}
	return s;
}

/* What changes in one generation. */
typedef void change_fn(struct world *w, struct image *img);

static void
generation(struct world *w, change_fn *change)
{
	struct image_conf conf = { .old_root = w->has_root ? &w->root : NULL,
		.old_size = w->size,
		.size = w->size };
	struct extent *old, *new;
	struct slices slices = { 0 };
	struct image_figures f;
	struct tree_root root;
	struct image *img;
	size_t n_old, n_new;

	memcpy(w->old, w->want, MOST);
	w->old_size = w->size;
	if (!w->has_root || prng_below(&w->p, 8) == 0)
		conf.size = prng_below(&w->p, MOST + 1) &
			    ~(prng_below(&w->p, 2) * (BLOCK - 1));
	if (w->fixed_size > 0)
		conf.size = w->fixed_size;
	if (conf.size < w->size)
		memset(w->want + conf.size, 0, w->size - conf.size);
	w->size = conf.size;
	memset(w->touched, 0, sizeof(w->touched));
	memset(w->taken_from, 0, sizeof(w->taken_from));
	w->changed = 0;
	old = list_extents(w, &n_old);
	if (w->as_slices && w->has_root) {
		slices = slices_of(old, n_old, conf.old_size);
		conf.old_slices = &slices;
		conf.old_root = NULL;
	}
	w->spy.n_fetched = 0;
	if (w->rest == FROM_ORIGIN)
		conf.origin = &w->origin.base;
	w->spy.deny_data = w->rest != FROM_CHUNKS;
	assert_int_equal(image_open(&img, &w->spy.io, &conf, &err), ERR_OK);
	free(slices.v);
	change(w, img);
	assert_int_equal(image_finish(img, &root, &f, &err), ERR_OK);
	image_free(img);
	w->spy.deny_data = false;

	w->root = root.id;
	w->has_root = true;
	fetched_no_other(w, old, n_old);
	assert_true(w->spy.n_fetched == 0 || f.windows_rewritten > 0);
	assert_true(f.bytes_stored <= w->changed + f.bytes_rewritten);
	assert_true(f.bytes_rewritten <= f.windows_rewritten * IMAGE_WINDOW);
	new = list_extents(w, &n_new);
	assert_int_equal(root.count, n_new);
	fragments_are_bounded(w, new, n_new);
	reads_as_wanted(w);
	w->rewrites += f.windows_rewritten > 0;
	w->bytes_rewritten += f.bytes_rewritten;
	w->shared += f.bytes_stored > f.bytes_rewritten;
	w->refusals += f.windows_in_pieces > 0;
	free(old);
	free(new);
}

/* What the random generations came to: generations that stored windows anew
 * and that shared chunks, windows in too many pieces, and generations that
 * were refused the rest of a window. */
static struct {
	unsigned rewrites, shared, in_pieces, refusals;
} met;

/* With and without threads, from a tree or from slices, and whatever the rest
 * is read from: the same trees; and the same bytes where it cannot be read. */
static void
random_generations(uint64_t seed)
{
	enum { PLAIN, THREADS, ORIGIN, DENIED, SLICES, WORLDS };
	static const enum rest rest
		[WORLDS] = { [ORIGIN] = FROM_ORIGIN, [DENIED] = FROM_NOWHERE };
	uint64_t n = test_scale(GENERATIONS);
	struct world *w = calloc(WORLDS, sizeof(*w));

	assert_non_null(w);
	print_message("seed %llu\n", (unsigned long long)seed);
	for (size_t k = 0; k < WORLDS; k++) {
		world_init(&w[k], seed, k == THREADS);
		w[k].rest = rest[k];
		w[k].as_slices = k == SLICES;
	}
	for (uint64_t i = 0; i < n; i++) {
		for (size_t k = 0; k < WORLDS; k++)
			generation(&w[k], change_or_edit);
		assert_true(id_eq(&w[PLAIN].root, &w[THREADS].root));
		assert_true(id_eq(&w[PLAIN].root, &w[ORIGIN].root));
		assert_true(id_eq(&w[PLAIN].root, &w[SLICES].root));
	}
	assert_int_equal(w[DENIED].rewrites, 0);
	met.rewrites += w[PLAIN].rewrites;
	met.shared += w[PLAIN].shared;
	met.in_pieces += w[DENIED].in_pieces;
	met.refusals += w[DENIED].refusals;
	for (size_t k = 0; k < WORLDS; k++)
		world_fini(&w[k]);
	free(w);
}

static uint64_t given_seed;

static void
against_bytes(void **state)
{
	if (given_seed != 0) {
		random_generations(given_seed);
		return;
	}
	for (uint64_t seed = 1; seed <= 4; seed++)
		random_generations(seed);
	if (test_scale(GENERATIONS) < GENERATIONS)
		return;
	print_message("rewrites %u, shared %u, in pieces %u, refusals %u\n",
		met.rewrites, met.shared, met.in_pieces, met.refusals);
	assert_true(met.rewrites > 10 && met.shared > 100);
	assert_true(met.in_pieces > 5 && met.refusals > 10);
}

/* A block in each window; the first time, everything. */
static void
change_blocks(struct world *w, struct image *img)
{
	size_t len = BLOCK;

	for (uint64_t off = 0; off < w->size; off += IMAGE_WINDOW) {
		uint64_t at = off;

		if (w->everything)
			len = IMAGE_WINDOW;
		else
			at += prng_below(&w->p, IMAGE_WINDOW / BLOCK) * BLOCK;
		if (len > w->size - off)
			len = w->size - off;
		if (at > w->size - len)
			at = w->size - len;
		prng_fill(&w->p, w->want + at, len);
		w->changed += len;
		assert_int_equal(image_replace(img, at, w->want + at, len,
					 &err),
			ERR_OK);
		touch(w->touched, at, len);
	}
}

/* After many small changes a window is gathered from few chunks again, for
 * less than the window. */
static void
few_chunks_stay_few(void **state)
{
	enum { TIMES = 3 * IMAGE_CHUNKS_MAX };
	struct world *w = malloc(sizeof(*w));

	assert_non_null(w);
	world_init(w, 5, false);
	w->fixed_size = 5 << 20;
	w->everything = true;
	for (int i = 0; i <= TIMES; i++) {
		generation(w, change_blocks);
		w->everything = false;
	}
	/* Windows stored anew would be 19 MiB. */
	assert_in_range(w->bytes_rewritten, 1 << 20, 8 << 20);
	world_fini(w);
	free(w);
}

/* A few small pieces of it new, and all of it moved to and fro. */
static void
edit_a_little(struct world *w, struct image *img)
{
	enum { STRETCH = 300000, SMALL = 3000 };
	uint64_t off = 0, old = 0, len;

	if (w->everything) {
		change_blocks(w, img);
		return;
	}
	while (off < w->size) {
		len = at_most(w, STRETCH, w->size - off);
		len = len < w->old_size - old ? len : w->old_size - old;
		take_some(w, img, off, old, len);
		off += len;
		old += len;
		len = at_most(w, SMALL, w->size - off);
		if (prng_below(&w->p, 8) == 0)
			punch_some(w, img, off, len);
		else
			put_some(w, img, off, len);
		off += len;
		old += at_most(w, SMALL, w->old_size - old);
	}
}

static void
few_chunks_stay_few_where_they_move(void **state)
{
	enum { TIMES = 3 * IMAGE_CHUNKS_MAX };
	struct world *w = malloc(sizeof(*w));

	assert_non_null(w);
	for (unsigned i = 0; i < 2; i++) {
		world_init(w, 6, false);
		w->fixed_size = 4 << 20;
		w->as_slices = i == 1;
		w->everything = true;
		for (int k = 0; k <= TIMES; k++) {
			generation(w, edit_a_little);
			w->everything = false;
		}
		/* Windows stored anew each time would be more. */
		assert_in_range(w->bytes_rewritten, 1 << 20, 32 << 20);
		world_fini(w);
	}
	free(w);
}

/* A large image of which each window is the same chunk, or none. */
static struct id
large_image(struct spy *s, uint64_t windows, bool hole)
{
	uint8_t *data = malloc(IMAGE_WINDOW);
	struct extent e = { .len = IMAGE_WINDOW };
	struct tree_root root;
	struct extent_item it;
	struct builder *b;
	struct ticket t;
	struct prng p;

	assert_non_null(data);
	prng_init(&p, 7);
	prng_fill(&p, data, IMAGE_WINDOW);
	assert_int_equal(s->io.ops->put_data(&s->io, data, IMAGE_WINDOW, &t,
				 &err),
		ERR_OK);
	assert_int_equal(ticket_wait(&t, &err), ERR_OK);
	e.chunk = t.id;
	assert_int_equal(builder_new(&b, &s->io, TREE_EXTENTS, &err), ERR_OK);
	for (uint64_t i = 0; i < windows && !hole; i++) {
		e.off = i * IMAGE_WINDOW;
		extent_encode(&e, &it);
		assert_int_equal(builder_add(b, &it.item, &err), ERR_OK);
	}
	assert_int_equal(builder_finish(b, &root, &err), ERR_OK);
	builder_free(b);
	free(data);
	return root.id;
}

/* A scattered increment costs its own bytes and not the windows around it. */
static void
scattered(bool hole)
{
	enum { WRITES = 10000, GIB2_BLOCKS = 1 << 19 };
	const uint64_t size = (uint64_t)2 << 30;
	bool *hit = calloc(GIB2_BLOCKS, sizeof(*hit));
	struct spy *s = malloc(sizeof(*s));
	struct image_conf conf = { .old_size = size, .size = size };
	struct tree_io_count before, after;
	struct image_figures f;
	uint8_t data[BLOCK];
	struct tree_root root;
	struct image *img;
	struct prng p;
	struct id old;

	assert_true(hit != NULL && s != NULL);
	prng_init(&p, 8);
	for (int i = 0; i < WRITES;) {
		uint64_t k = prng_below(&p, GIB2_BLOCKS);

		i += !hit[k];
		hit[k] = true;
	}
	assert_int_equal(spy_init(s, false, &err), ERR_OK);
	old = large_image(s, size / IMAGE_WINDOW, hole);
	conf.old_root = &old;
	before = tree_io_mem_count(s->mem);
	assert_int_equal(image_open(&img, &s->io, &conf, &err), ERR_OK);
	for (uint64_t k = 0; k < GIB2_BLOCKS; k++) {
		if (!hit[k])
			continue;
		prng_fill(&p, data, BLOCK);
		assert_int_equal(image_replace(img, k * BLOCK, data, BLOCK,
					 &err),
			ERR_OK);
	}
	assert_int_equal(image_finish(img, &root, &f, &err), ERR_OK);
	image_free(img);
	after = tree_io_mem_count(s->mem);
	print_message("stored %llu in %llu chunks, rewritten %llu in %llu "
		      "windows, nodes read %llu, stored %llu\n",
		(unsigned long long)f.bytes_stored,
		(unsigned long long)(after.data_put - before.data_put),
		(unsigned long long)f.bytes_rewritten,
		(unsigned long long)f.windows_rewritten,
		(unsigned long long)(after.node_get - before.node_get),
		(unsigned long long)(after.node_put - before.node_put));
	assert_true(
		f.bytes_stored - f.bytes_rewritten <= (uint64_t)WRITES * BLOCK);
	assert_in_range(f.windows_rewritten, 0, 3);
	assert_in_range(f.bytes_stored, 0, 44 << 20);
	assert_in_range(after.data_put - before.data_put, 0, 60);
	assert_in_range(after.data_get - before.data_get, 0,
		f.windows_rewritten);
	spy_fini(s);
	free(s);
	free(hit);
}

static void
scattered_into_data(void **state)
{
	scattered(false);
}

static void
scattered_into_a_hole(void **state)
{
	scattered(true);
}

/* One change in a tree of several levels: its path, and nothing else. */
static void
one_change_costs_its_path(void **state)
{
	const uint64_t windows = 200000;
	struct spy *s = malloc(sizeof(*s));
	struct image_conf conf = { .old_size = windows * IMAGE_WINDOW,
		.size = windows * IMAGE_WINDOW };
	struct tree_io_count before, after;
	struct image_figures f;
	struct tree_root root;
	struct image *img;
	struct id old;

	assert_non_null(s);
	assert_int_equal(spy_init(s, false, &err), ERR_OK);
	old = large_image(s, windows, false);
	conf.old_root = &old;
	for (int i = 0; i < 3; i++) {
		uint64_t off = windows / 2 * IMAGE_WINDOW + 5000;

		before = tree_io_mem_count(s->mem);
		assert_int_equal(image_open(&img, &s->io, &conf, &err), ERR_OK);
		if (i == 1)
			assert_int_equal(image_replace(img, off, "x", 1, &err),
				ERR_OK);
		/* Nearly all of it, which is not looked at. */
		if (i == 2)
			assert_int_equal(image_punch(img, 5000,
						 conf.size - 10000, &err),
				ERR_OK);
		assert_int_equal(image_finish(img, &root, &f, &err), ERR_OK);
		image_free(img);
		after = tree_io_mem_count(s->mem);
		print_message("nodes read %llu, stored %llu\n",
			(unsigned long long)(after.node_get - before.node_get),
			(unsigned long long)(after.node_put - before.node_put));
		assert_in_range(after.node_get - before.node_get, 0, 30);
		assert_in_range(after.node_put - before.node_put, 0, 15);
		assert_int_equal(after.data_get, before.data_get);
		if (i == 0)
			assert_true(id_eq(&root.id, &old));
	}
	assert_int_equal(root.weight, 10000);
	spy_fini(s);
	free(s);
}

/* So much more of the new image is, in one piece, what of the old one is. */
static void
take_all(struct image *img, uint64_t off, uint64_t old_off, uint64_t len)
{
	assert_int_equal(image_take(img, off, old_off, len, &err), ERR_OK);
}

/* A shift of all of an image costs its nodes and no data, and one that shifts
 * nothing, nothing. */
static void
a_shift_costs_nodes(void **state)
{
	const uint64_t windows = 20000, size = windows * IMAGE_WINDOW;
	struct spy *s = malloc(sizeof(*s));
	struct image_conf conf = { .old_size = size };
	struct tree_io_count before, after;
	struct image_figures f;
	struct tree_root root;
	struct image *img;
	struct id old;

	assert_non_null(s);
	assert_int_equal(spy_init(s, false, &err), ERR_OK);
	old = large_image(s, windows, false);
	conf.old_root = &old;
	for (uint64_t shift = 0; shift <= 44; shift += 44) {
		before = tree_io_mem_count(s->mem);
		conf.size = size + shift;
		assert_int_equal(image_open(&img, &s->io, &conf, &err), ERR_OK);
		if (shift > 0)
			assert_int_equal(image_replace(img, 0, s, shift, &err),
				ERR_OK);
		take_all(img, shift, 0, size / 2 + 5);
		take_all(img, shift + size / 2 + 5, size / 2 + 5, size / 2 - 5);
		assert_int_equal(image_finish(img, &root, &f, &err), ERR_OK);
		image_free(img);
		after = tree_io_mem_count(s->mem);
		assert_int_equal(f.bytes_stored, shift);
		assert_int_equal(f.windows_rewritten, 0);
		assert_int_equal(after.data_get, before.data_get);
		if (shift > 0)
			assert_int_equal(root.count, windows + 1);
		else
			assert_true(id_eq(&root.id, &old));
		assert_in_range(after.node_put - before.node_put, 0,
			shift > 0 ? windows / 50 : 3);
	}
	assert_int_equal(root.weight, size + 44);
	spy_fini(s);
	free(s);
}

/* Millions of pieces of a few KB: what each stands for is found by going on,
 * so that no node is read for each of them. */
static void
many_takes_read_each_node_once(void **state)
{
	enum { PIECE = 3000, NEW = 44 };
	const uint64_t windows = 500, size = windows * IMAGE_WINDOW;
	struct spy *s = malloc(sizeof(*s));
	struct image_conf conf = { .old_size = size, .size = size };
	struct tree_io_count before, after;
	struct image_figures f;
	struct tree_root root;
	struct image *img;
	uint64_t off = 0, node_put = 0;
	struct id old;

	assert_non_null(s);
	assert_int_equal(spy_init(s, false, &err), ERR_OK);
	old = large_image(s, windows, false);
	conf.old_root = &old;
	for (int i = 0; i < 2; i++) {
		before = tree_io_mem_count(s->mem);
		assert_int_equal(image_open(&img, &s->io, &conf, &err), ERR_OK);
		for (off = 0; off + PIECE <= size; off += PIECE) {
			assert_int_equal(image_replace(img, off,
						 (uint8_t *)s + off % 999, NEW,
						 &err),
				ERR_OK);
			take_all(img, off + NEW, off + 1, PIECE - NEW);
		}
		assert_int_equal(image_finish(img, &root, &f, &err), ERR_OK);
		image_free(img);
		after = tree_io_mem_count(s->mem);
		print_message("nodes read %llu, stored %llu; extents %llu\n",
			(unsigned long long)(after.node_get - before.node_get),
			(unsigned long long)(after.node_put - before.node_put),
			(unsigned long long)root.count);
		assert_int_equal(f.windows_rewritten, 0);
		/* Three cursors, on two to three levels. */
		assert_in_range(after.node_get - before.node_get, 0,
			i == 0 ? 20 : 2 * node_put + 20);
		node_put = after.node_put - before.node_put;
		old = root.id;
	}
	spy_fini(s);
	free(s);
}

/*
 * More extents than the queue holds behind a piece whose chunk is not full:
 * windows in three states, each of which is told apart by its bytes.
 */
enum { QUEUE_WINDOWS = 3000 };

static unsigned
queue_kind(uint64_t i)
{
	return (unsigned)(i * 2654435761u >> 9 & 3);
}

/* What window i of the new image reads as; changes begin as data. */
static void
queue_want(uint64_t i, const uint8_t *old, const uint8_t *data, uint8_t *want)
{
	unsigned kind = queue_kind(i);

	memcpy(want, kind == 1 ? data : old, IMAGE_WINDOW);
	if (kind == 1)
		memcpy(want, &i, sizeof(i));
	for (size_t k = 0; k < i % 20 && kind == 1; k++)
		memset(want + (3 + 5 * k) * BLOCK, 0, BLOCK);
	for (size_t k = 1; k < 12 && kind == 2; k++) {
		if (k % 2 == 0)
			memset(want + k * BLOCK, 0, 100);
		else
			memcpy(want + k * BLOCK, data + i, 4);
	}
}

static void
queue_window(struct image *img, uint64_t i, const uint8_t *want)
{
	uint64_t off = i * IMAGE_WINDOW;
	enum err rc = ERR_OK;

	if (queue_kind(i) == 1)
		rc = image_replace(img, off, want, IMAGE_WINDOW, &err);
	for (size_t k = BLOCK;
		k < 12 * BLOCK && queue_kind(i) == 2 && rc == ERR_OK;
		k += BLOCK) {
		if (k / BLOCK % 2 == 0)
			rc = image_punch(img, off + k, 100, &err);
		else
			rc = image_replace(img, off + k, want + k, 4, &err);
	}
	assert_int_equal(rc, ERR_OK);
}

static void
queue_reads(struct spy *s, const struct id *root, const uint8_t *old,
	const uint8_t *data)
{
	struct entry e = { .type = ENTRY_IMAGE };
	uint8_t *have = malloc(IMAGE_WINDOW), *want = malloc(IMAGE_WINDOW);
	struct content_view *v;
	size_t got;

	assert_true(have != NULL && want != NULL);
	e.size = (uint64_t)QUEUE_WINDOWS * IMAGE_WINDOW;
	e.content.kind = CONTENT_EXTENTS;
	e.content.root = *root;
	assert_int_equal(content_open(&v, &s->io, root, &e, &err), ERR_OK);
	for (uint64_t i = 0; i < QUEUE_WINDOWS; i++) {
		queue_want(i, old, data, want);
		assert_int_equal(content_read(v, i * IMAGE_WINDOW, have,
					 IMAGE_WINDOW, &got, &err),
			ERR_OK);
		assert_true(memcmp(have, want, IMAGE_WINDOW) == 0);
	}
	content_close(v);
	free(have);
	free(want);
}

static void
queue_fills(void **state)
{
	struct image_conf conf = { .old_size = (uint64_t)QUEUE_WINDOWS *
					       IMAGE_WINDOW };
	uint8_t *old = malloc(IMAGE_WINDOW), *data = malloc(IMAGE_WINDOW);
	uint8_t *want = malloc(IMAGE_WINDOW);
	struct spy *s = malloc(sizeof(*s));
	struct image_figures f;
	struct tree_root root;
	struct image *img;
	uint64_t stored = 0;
	struct id old_root;
	struct prng p;

	assert_true(old != NULL && data != NULL && want != NULL && s != NULL);
	assert_int_equal(spy_init(s, true, &err), ERR_OK);
	old_root = large_image(s, QUEUE_WINDOWS, false);
	prng_init(&p, 7);
	prng_fill(&p, old, IMAGE_WINDOW);
	prng_fill(&p, data, IMAGE_WINDOW);
	conf.size = conf.old_size;
	conf.old_root = &old_root;
	assert_int_equal(image_open(&img, &s->io, &conf, &err), ERR_OK);
	for (uint64_t i = 0; i < QUEUE_WINDOWS; i++) {
		queue_want(i, old, data, want);
		queue_window(img, i, want);
		if (queue_kind(i) == 1)
			stored += IMAGE_WINDOW - i % 20 * BLOCK;
		else if (queue_kind(i) == 2)
			stored += 6 * 4;
	}
	assert_int_equal(image_finish(img, &root, &f, &err), ERR_OK);
	image_free(img);
	assert_int_equal(f.windows_rewritten, 0);
	assert_int_equal(f.bytes_stored, stored);
	queue_reads(s, &root.id, old, data);
	spy_fini(s);
	free(s);
	free(old);
	free(data);
	free(want);
}

/*
 * The n-th use of the io fails, for all n: an image says so and lets go of
 * everything, also of what is still being stored.
 */
static void
edit_once(struct world *w, uint64_t fail_at)
{
	struct image_conf conf = { .old_root = &w->root,
		.old_size = w->size,
		.size = w->size - 5000 };
	struct image *img = NULL;
	struct image_figures f;
	struct tree_root root;
	enum err rc;

	w->spy.fail_at = fail_at;
	w->spy.used = 0;
	w->spy.n_fetched = 0;
	rc = image_open(&img, &w->spy.io, &conf, &err);
	/* More pieces than a window may have. */
	for (uint64_t off = 0; off < IMAGE_WINDOW && rc == ERR_OK; off += 64)
		rc = image_replace(img, off, w->data + off, 2, &err);
	for (uint64_t off = IMAGE_WINDOW;
		off + 250000 < conf.size && rc == ERR_OK; off += 300000) {
		rc = image_replace(img, off, w->data + off,
			off % 900000 == 0 ? 2 : 200000, &err);
		if (rc == ERR_OK)
			rc = image_take(img, off + 200000, off + 190000, 50000,
				&err);
	}
	if (rc == ERR_OK)
		rc = image_finish(img, &root, &f, &err);
	image_free(img);
	w->spy.fail_at = 0;
	assert_int_equal(rc,
		w->spy.used >= fail_at && fail_at > 0 ? ERR_NOSPACE : ERR_OK);
}

static void
any_use_may_fail(void **state)
{
	struct world *w = malloc(sizeof(*w));
	uint64_t uses;

	assert_non_null(w);
	world_init(w, 99, true);
	do {
		generation(w, change_some);
	} while (w->rewrites < 2 || w->size < MOST / 2);
	prng_fill(&w->p, w->data, MOST);
	edit_once(w, 0);
	uses = w->spy.used;
	assert_true(uses > 10);
	for (uint64_t i = 1; i <= uses; i++)
		edit_once(w, i);
	world_fini(w);
	free(w);
}

static void
order_is_demanded(void **state)
{
	struct image_conf conf = { .size = 100 };
	struct image_figures f;
	struct tree_root root;
	struct image *img;
	struct spy *s = malloc(sizeof(*s));

	assert_non_null(s);
	assert_int_equal(spy_init(s, false, &err), ERR_OK);
	assert_int_equal(image_open(&img, &s->io, &conf, &err), ERR_OK);
	assert_int_equal(image_replace(img, 10, "ab", 2, &err), ERR_OK);
	assert_int_equal(image_replace(img, 11, "ab", 2, &err), ERR_USAGE);
	assert_int_equal(image_punch(img, 0, 1, &err), ERR_USAGE);
	assert_int_equal(image_punch(img, 90, 11, &err), ERR_USAGE);
	assert_int_equal(image_punch(img, 90, UINT64_MAX, &err), ERR_USAGE);
	assert_int_equal(image_replace(img, 101, "", 0, &err), ERR_USAGE);
	assert_int_equal(image_take(img, 20, 0, 1, &err), ERR_USAGE);
	assert_int_equal(image_replace(img, 98, "ab", 2, &err), ERR_OK);
	assert_int_equal(image_finish(img, &root, &f, &err), ERR_OK);
	assert_int_equal(root.count, 2);
	assert_int_equal(root.weight, 4);
	assert_int_equal(f.bytes_stored, 4);
	image_free(img);

	conf.old_root = &root.id;
	conf.old_size = 100;
	conf.size = 200;
	assert_int_equal(image_open(&img, &s->io, &conf, &err), ERR_OK);
	assert_int_equal(image_take(img, 10, 20, 30, &err), ERR_OK);
	assert_int_equal(image_take(img, 39, 50, 1, &err), ERR_USAGE);
	assert_int_equal(image_take(img, 40, 49, 1, &err), ERR_USAGE);
	assert_int_equal(image_take(img, 40, 101, 0, &err), ERR_USAGE);
	assert_int_equal(image_take(img, 40, 60, 41, &err), ERR_USAGE);
	assert_int_equal(image_take(img, 40, 60, UINT64_MAX, &err), ERR_USAGE);
	assert_int_equal(image_take(img, 190, 60, 11, &err), ERR_USAGE);
	/* None of these has moved on; what stays in its place does. */
	assert_int_equal(image_take(img, 50, 50, 10, &err), ERR_OK);
	assert_int_equal(image_replace(img, 59, "a", 1, &err), ERR_USAGE);
	assert_int_equal(image_take(img, 60, 59, 1, &err), ERR_USAGE);
	assert_int_equal(image_take(img, 160, 60, 40, &err), ERR_OK);
	assert_int_equal(image_finish(img, &root, &f, &err), ERR_OK);
	/* "ab" at 98 is there, and at 198. */
	assert_int_equal(root.count, 2);
	assert_int_equal(root.weight, 4);
	assert_int_equal(f.bytes_stored, 0);
	image_free(img);
	spy_fini(s);
	free(s);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_is_demanded),
		cmocka_unit_test(against_bytes),
		cmocka_unit_test(few_chunks_stay_few),
		cmocka_unit_test(few_chunks_stay_few_where_they_move),
		cmocka_unit_test(scattered_into_data),
		cmocka_unit_test(scattered_into_a_hole),
		cmocka_unit_test(one_change_costs_its_path),
		cmocka_unit_test(a_shift_costs_nodes),
		cmocka_unit_test(many_takes_read_each_node_once),
		cmocka_unit_test(queue_fills),
		cmocka_unit_test(any_use_may_fail),
	};

	if (argc > 1)
		given_seed = strtoull(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
