/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What differs between two images, against arrays of bytes: versions of one
 * image by random edits, each compared with any other.  The seed is an
 * argument; without one, some fixed ones are run.
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
#include "tree/extents.h"
#include "tree/image.h"
#include "tree/image_diff.h"

enum { MOST = 5 << 20, BLOCK = 4096, VERSIONS = 14, ROUNDS = 10 };

static struct error err;

struct version {
	struct image_ref ref;
	uint8_t *bytes; /* MOST; zeroes from the size on */
};

struct world {
	struct spy spy;
	struct prng p;
	struct version v[VERSIONS];
	uint8_t *data;
	uint64_t rewrites;
};

static void
world_init(struct world *w, uint64_t seed)
{
	*w = (struct world){ 0 };
	assert_int_equal(spy_init(&w->spy, false, &err), ERR_OK);
	prng_init(&w->p, seed);
	w->data = malloc(MOST);
	assert_non_null(w->data);
	for (size_t i = 0; i < VERSIONS; i++) {
		w->v[i].bytes = calloc(1, MOST);
		assert_non_null(w->v[i].bytes);
	}
}

static void
world_fini(struct world *w)
{
	spy_fini(&w->spy);
	free(w->data);
	for (size_t i = 0; i < VERSIONS; i++)
		free(w->v[i].bytes);
}

/* One change at off: what is there already, zeroes, a hole, or new data. */
static void
change(struct world *w, struct image *img, uint8_t *bytes, uint64_t off,
	size_t len)
{
	uint64_t kind = prng_below(&w->p, 8);
	enum err rc;

	if (kind == 0) {
		memset(bytes + off, 0, len);
		rc = image_punch(img, off, len, &err);
	} else {
		if (kind == 1)
			memset(bytes + off, 0, len);
		else if (kind != 2)
			prng_fill(&w->p, bytes + off, len);
		rc = image_replace(img, off, bytes + off, len, &err);
	}
	assert_int_equal(rc, ERR_OK);
}

/* Version i, made of version from, or of nothing. */
static void
make_version(struct world *w, size_t i, const struct version *from)
{
	struct version *v = &w->v[i];
	struct image_conf conf = { 0 };
	uint64_t mask = prng_below(&w->p, 2) * (BLOCK - 1), off;
	unsigned few = prng_below(&w->p, 4) == 0; /* and long ones */
	uint64_t gap = (uint64_t)1 << (7 + prng_below(&w->p, 4 + 10 * few));
	uint64_t len_max = (uint64_t)1 << (4 + prng_below(&w->p, 6 + 9 * few));
	uint64_t n = prng_below(&w->p, few ? 50 : 9000);
	struct image_figures f;
	struct tree_root root;
	struct image *img;

	memset(v->bytes, 0, MOST);
	conf.size = prng_below(&w->p, MOST + 1) & ~mask;
	if (from != NULL) {
		conf.old_root = &from->ref.root;
		conf.old_size = from->ref.size;
		if (prng_below(&w->p, 6) > 0)
			conf.size = from->ref.size;
		memcpy(v->bytes, from->bytes, conf.size);
	}
	assert_int_equal(image_open(&img, &w->spy.io, &conf, &err), ERR_OK);
	off = prng_below(&w->p, conf.size + 1) & ~mask;
	off *= prng_below(&w->p, 2);
	while (n-- > 0 && off < conf.size) {
		uint64_t len = (1 + prng_below(&w->p, len_max) + mask) & ~mask;

		if (len > conf.size - off)
			len = conf.size - off;
		change(w, img, v->bytes, off, len);
		off += len + (prng_below(&w->p, gap) & ~mask);
	}
	assert_int_equal(image_finish(img, &root, &f, &err), ERR_OK);
	image_free(img);
	w->rewrites += f.windows_rewritten;
	v->ref = (struct image_ref){ .root = root.id, .size = conf.size };
}

/* What the ranges of one diff are held against. */
struct seen {
	struct world *w;
	const struct version *a, *b; /* a NULL: nothing */
	bool compared;
	struct content_view *view; /* of b */
	uint8_t *made; /* a, made into b */
	uint64_t at;
	bool any, hole;
};

static uint8_t
a_byte(const struct seen *s, uint64_t off)
{
	return s->a != NULL ? s->a->bytes[off] : 0;
}

/* Each block of the range, or what of it is in it, reads otherwise. */
static void
blocks_differ(const struct seen *s, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t next = (from / BLOCK + 1) * BLOCK;
		bool same = true;

		if (next > to)
			next = to;
		for (; from < next; from++)
			same = same && a_byte(s, from) == s->b->bytes[from];
		assert_false(same);
	}
}

static void
is_kind(const struct seen *s, uint64_t from, uint64_t to, bool hole)
{
	struct piece piece;

	for (; from < to; from += piece.len) {
		assert_int_equal(content_piece(s->view, from, &piece, &err),
			ERR_OK);
		assert_true(piece.len > 0);
		assert_int_equal(piece.kind, hole ? PIECE_HOLE : PIECE_CHUNK);
	}
}

static enum err
see(void *arg, uint64_t off, uint64_t len, bool hole, struct error *why)
{
	struct seen *s = arg;

	(void)why;
	assert_true(len > 0);
	assert_true(
		!s->any || off > s->at || (off == s->at && hole != s->hole));
	assert_true(len <= s->b->ref.size && off <= s->b->ref.size - len);
	is_kind(s, off, off + len, hole);
	if (s->compared)
		blocks_differ(s, off, off + len);
	if (hole)
		memset(s->made + off, 0, len);
	else
		memcpy(s->made + off, s->b->bytes + off, len);
	s->at = off + len;
	s->hole = hole;
	s->any = true;
	return ERR_OK;
}

static void
compare(struct world *w, const struct version *a, const struct version *b,
	bool compare_bytes)
{
	struct entry e = { .type = ENTRY_IMAGE, .size = b->ref.size };
	struct seen s = { .w = w, .a = a, .b = b, .compared = compare_bytes };
	const struct image_ref *ref = a != NULL ? &a->ref : NULL;

	e.content.kind = CONTENT_EXTENTS;
	e.content.root = b->ref.root;
	assert_int_equal(content_open(&s.view, &w->spy.io, &b->ref.root, &e,
				 &err),
		ERR_OK);
	s.made = w->data;
	memset(s.made, 0, MOST);
	if (a != NULL)
		memcpy(s.made, a->bytes, b->ref.size);
	w->spy.n_fetched = 0;
	assert_int_equal(image_diff(&w->spy.io, ref, &b->ref, compare_bytes,
				 see, &s, &err),
		ERR_OK);
	assert_true(memcmp(s.made, b->bytes, b->ref.size) == 0);
	assert_true(compare_bytes || w->spy.n_fetched == 0);
	assert_true(!s.any || a == NULL || !id_eq(&a->ref.root, &b->ref.root));
	content_close(s.view);
}

static void
random_versions(uint64_t seed)
{
	uint64_t rounds = test_scale(ROUNDS);
	struct world *w = malloc(sizeof(*w));
	uint64_t rewrites = 0;

	assert_non_null(w);
	print_message("seed %llu\n", (unsigned long long)seed);
	for (uint64_t r = 0; r < rounds; r++) {
		world_init(w, seed * 1000 + r);
		for (size_t i = 0; i < VERSIONS; i++)
			make_version(w, i,
				i > 0 ? &w->v[i - 1 - prng_below(&w->p, i) / 3]
				      : NULL);
		for (size_t i = 0; i < VERSIONS; i++) {
			size_t k = prng_below(&w->p, VERSIONS);

			compare(w, &w->v[k], &w->v[i], false);
			compare(w, &w->v[k], &w->v[i], true);
			if (i > 0)
				compare(w, &w->v[i - 1], &w->v[i], true);
			compare(w, NULL, &w->v[i], i % 2 == 0);
		}
		rewrites += w->rewrites;
		world_fini(w);
	}
	assert_true(rounds < ROUNDS || rewrites > 5);
	free(w);
}

static uint64_t given_seed;

static void
against_bytes(void **state)
{
	if (given_seed != 0) {
		random_versions(given_seed);
		return;
	}
	for (uint64_t seed = 1; seed <= 3; seed++)
		random_versions(seed);
}

struct count {
	uint64_t n, off, len;
};

static enum err
count(void *arg, uint64_t off, uint64_t len, bool hole, struct error *why)
{
	struct count *c = arg;

	assert_false(hole);
	c->n++;
	c->off = off;
	c->len = len;
	return c->n == 2 ? err_set(why, ERR_CANCELLED, "two are enough")
			 : ERR_OK;
}

/* An image of which each window is the same chunk. */
static struct image_ref
large_image(struct spy *s, uint64_t windows)
{
	struct extent e = { .len = IMAGE_WINDOW };
	uint8_t *data = malloc(IMAGE_WINDOW);
	struct tree_root root;
	struct extent_item it;
	struct builder *b;
	struct ticket t;

	assert_non_null(data);
	memset(data, 'x', IMAGE_WINDOW);
	assert_int_equal(s->io.ops->put_data(&s->io, data, IMAGE_WINDOW, &t,
				 &err),
		ERR_OK);
	assert_int_equal(ticket_wait(&t, &err), ERR_OK);
	e.chunk = t.id;
	assert_int_equal(builder_new(&b, &s->io, TREE_EXTENTS, &err), ERR_OK);
	for (uint64_t i = 0; i < windows; i++) {
		e.off = i * IMAGE_WINDOW;
		extent_encode(&e, &it);
		assert_int_equal(builder_add(b, &it.item, &err), ERR_OK);
	}
	assert_int_equal(builder_finish(b, &root, &err), ERR_OK);
	builder_free(b);
	free(data);
	return (struct image_ref){ root.id, windows * IMAGE_WINDOW };
}

static struct image_ref
with_changes(struct spy *s, const struct image_ref *old, unsigned n)
{
	struct image_conf conf = { .old_root = &old->root,
		.old_size = old->size,
		.size = old->size };
	struct image_figures f;
	struct tree_root root;
	struct image *img;

	assert_int_equal(image_open(&img, &s->io, &conf, &err), ERR_OK);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(image_replace(img,
					 old->size / 2 + i * BLOCK * 3 + 5, "y",
					 1, &err),
			ERR_OK);
	assert_int_equal(image_finish(img, &root, &f, &err), ERR_OK);
	image_free(img);
	return (struct image_ref){ root.id, old->size };
}

/* Of a tree of several levels, one path of each is read. */
static void
equal_subtrees_are_not_read(void **state)
{
	struct spy *s = malloc(sizeof(*s));
	struct tree_io_count before, after;
	struct image_ref a, b, c;
	struct count seen = { 0 };

	assert_non_null(s);
	assert_int_equal(spy_init(s, false, &err), ERR_OK);
	a = large_image(s, 200000);
	b = with_changes(s, &a, 1);
	for (int compare_bytes = 0; compare_bytes < 2; compare_bytes++) {
		seen = (struct count){ 0 };
		before = tree_io_mem_count(s->mem);
		assert_int_equal(image_diff(&s->io, &a, &b, compare_bytes != 0,
					 count, &seen, &err),
			ERR_OK);
		after = tree_io_mem_count(s->mem);
		assert_in_range(after.node_get - before.node_get, 2, 12);
		assert_int_equal(after.data_get - before.data_get,
			compare_bytes ? 2 : 0);
		assert_int_equal(seen.n, 1);
		assert_int_equal(seen.off, a.size / 2 + 5);
		assert_int_equal(seen.len, 1);
	}
	c = with_changes(s, &a, 5);
	seen = (struct count){ 0 };
	assert_int_equal(image_diff(&s->io, &b, &c, false, count, &seen, &err),
		ERR_CANCELLED);
	assert_int_equal(seen.n, 2);
	spy_fini(s);
	free(s);
}

static enum err
ignore(void *arg, uint64_t off, uint64_t len, bool hole, struct error *why)
{
	(void)arg;
	(void)off;
	(void)len;
	(void)hole;
	(void)why;
	return ERR_OK;
}

static void
any_use_may_fail(void **state)
{
	struct world *w = malloc(sizeof(*w));
	uint64_t uses = 1;

	assert_non_null(w);
	world_init(w, 4711);
	make_version(w, 0, NULL);
	make_version(w, 1, &w->v[0]);
	make_version(w, 2, &w->v[1]);
	for (uint64_t i = 0; i <= uses; i++) {
		w->spy.used = 0;
		w->spy.fail_at = i;
		assert_int_equal(image_diff(&w->spy.io, &w->v[0].ref,
					 &w->v[2].ref, true, ignore, NULL,
					 &err),
			i > 0 ? ERR_NOSPACE : ERR_OK);
		if (i == 0)
			uses = w->spy.used;
	}
	assert_true(uses > 4);
	world_fini(w);
	free(w);
}

/* What no image of ours is: an extent behind the end that is given. */
static void
lies_are_corrupt(void **state)
{
	struct spy *s = malloc(sizeof(*s));
	struct image_ref a, b, cut;
	struct count seen = { 0 };

	assert_non_null(s);
	assert_int_equal(spy_init(s, false, &err), ERR_OK);
	a = large_image(s, 3);
	b = with_changes(s, &a, 1);
	cut = (struct image_ref){ a.root, a.size - 1 };
	assert_int_equal(image_diff(&s->io, &cut, &b, false, count, &seen,
				 &err),
		ERR_CORRUPT);
	spy_fini(s);
	free(s);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(against_bytes),
		cmocka_unit_test(equal_subtrees_are_not_read),
		cmocka_unit_test(any_use_may_fail),
		cmocka_unit_test(lies_are_corrupt),
	};

	if (argc > 1)
		given_seed = strtoull(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
