/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/lib/prng.h"
#include "tree/builder.h"
#include "tree/chunks.h"
#include "tree/content.h"
#include "tree/extents.h"

enum { ROUNDS = 60, PIECES_MAX = 400, LEN_MAX = 5000, N_CHUNKS = 24 };

/* Chunks to take pieces of, and the bytes that a content must read as. */
struct world {
	struct tree_io_mem *mem;
	struct tree_io *io;
	struct prng p;
	struct id ids[N_CHUNKS];
	uint8_t *chunks[N_CHUNKS];
	size_t lens[N_CHUNKS];
	uint8_t *want;
	size_t size;
};

static struct error err;

static void
world_init(struct world *w, uint64_t seed, size_t chunk_len)
{
	struct ticket t;

	prng_init(&w->p, seed);
	assert_int_equal(tree_io_mem_new(&w->mem, &err), ERR_OK);
	w->io = tree_io_mem_io(w->mem);
	w->want = calloc(PIECES_MAX, LEN_MAX);
	assert_non_null(w->want);
	w->size = 0;
	for (size_t i = 0; i < N_CHUNKS; i++) {
		w->lens[i] = LEN_MAX + prng_below(&w->p, chunk_len);
		w->chunks[i] = malloc(w->lens[i]);
		assert_non_null(w->chunks[i]);
		prng_fill(&w->p, w->chunks[i], w->lens[i]);
		assert_int_equal(w->io->ops->put_data(w->io, w->chunks[i],
					 w->lens[i], &t, &err),
			ERR_OK);
		assert_int_equal(ticket_wait(&t, &err), ERR_OK);
		w->ids[i] = t.id;
	}
}

static void
world_fini(struct world *w)
{
	for (size_t i = 0; i < N_CHUNKS; i++)
		free(w->chunks[i]);
	free(w->want);
	tree_io_mem_free(w->mem);
}

/* The next piece of the content: a hole, or a part of some chunk. */
static struct slice
random_piece(struct world *w)
{
	struct slice s = { .len = 1 + prng_below(&w->p, LEN_MAX),
		.hole = prng_below(&w->p, 4) == 0 };
	size_t i = prng_below(&w->p, N_CHUNKS);

	if (!s.hole) {
		s.chunk = w->ids[i];
		s.off = (uint32_t)prng_below(&w->p, w->lens[i] - s.len + 1);
		memcpy(w->want + w->size, w->chunks[i] + s.off, s.len);
	} else {
		memset(w->want + w->size, 0, s.len);
	}
	w->size += s.len;
	return s;
}

static void
random_slices(struct world *w, struct entry *e)
{
	uint64_t n = prng_below(&w->p, PIECES_MAX);

	entry_init(e);
	e->type = ENTRY_FILE;
	e->content.kind = CONTENT_SLICES;
	w->size = 0;
	for (uint64_t i = 0; i < n; i++) {
		struct slice s = random_piece(w);

		assert_int_equal(slices_add(&e->content.slices, &s, &err),
			ERR_OK);
	}
	e->size = w->size;
}

static struct tree_root
build_extents(struct tree_io *io, const struct extent *v, size_t n)
{
	struct tree_root root;
	struct extent_item it;
	struct builder *b;

	assert_int_equal(builder_new(&b, io, TREE_EXTENTS, &err), ERR_OK);
	for (size_t i = 0; i < n; i++) {
		extent_encode(&v[i], &it);
		assert_int_equal(builder_add(b, &it.item, &err), ERR_OK);
	}
	assert_int_equal(builder_finish(b, &root, &err), ERR_OK);
	builder_free(b);
	return root;
}

static void
random_extents(struct world *w, struct entry *e)
{
	uint64_t n = prng_below(&w->p, PIECES_MAX);
	struct extent v[PIECES_MAX];
	size_t n_extents = 0;

	entry_init(e);
	e->type = ENTRY_IMAGE;
	e->content.kind = CONTENT_EXTENTS;
	w->size = 0;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t off = w->size;
		struct slice s = random_piece(w);

		if (!s.hole)
			v[n_extents++] =
				(struct extent){ off, s.len, s.chunk, s.off };
	}
	e->size = w->size;
	e->content.root = build_extents(w->io, v, n_extents).id;
}

/* What a piece says its bytes are. */
static void
piece_is_right(const struct world *w, const struct piece *p)
{
	size_t i = 0;

	assert_true(p->len <= w->size - p->off);
	if (p->kind == PIECE_HOLE) {
		for (uint64_t k = p->off; k < p->off + p->len; k++)
			assert_int_equal(w->want[k], 0);
		return;
	}
	if (p->kind == PIECE_BYTES) {
		assert_memory_equal(p->bytes, w->want + p->off, p->len);
		return;
	}
	while (!id_eq(&p->chunk, &w->ids[i]))
		assert_true(++i < N_CHUNKS);
	assert_true(p->chunk_off + p->len <= w->lens[i]);
	assert_memory_equal(w->chunks[i] + p->chunk_off, w->want + p->off,
		p->len);
}

static void
pieces_cover_it(struct world *w, struct content_view *v)
{
	uint64_t fetched = tree_io_mem_count(w->mem).data_get, off = 0;
	struct piece p;

	while (off < w->size) {
		assert_int_equal(content_piece(v, off, &p, &err), ERR_OK);
		assert_int_equal(p.off, off);
		assert_true(p.len > 0);
		piece_is_right(w, &p);
		off += p.len;
	}
	assert_int_equal(content_piece(v, off, &p, &err), ERR_OK);
	assert_int_equal(p.len, 0);
	for (int i = 0; i < 50 && w->size > 0; i++) {
		off = prng_below(&w->p, w->size);
		assert_int_equal(content_piece(v, off, &p, &err), ERR_OK);
		assert_int_equal(p.off, off);
		piece_is_right(w, &p);
	}
	assert_int_equal(tree_io_mem_count(w->mem).data_get, fetched);
}

static void
reads_are_right(struct world *w, struct content_view *v)
{
	uint8_t *have = malloc(w->size + 1);
	size_t got;

	assert_non_null(have);
	assert_int_equal(content_read(v, 0, have, w->size + 1, &got, &err),
		ERR_OK);
	assert_int_equal(got, w->size);
	assert_memory_equal(have, w->want, w->size);
	for (int i = 0; i < 50; i++) {
		size_t off = prng_below(&w->p, w->size + 10);
		size_t len = prng_below(&w->p, w->size + 10) >>
			     prng_below(&w->p, 12);
		size_t most = off < w->size ? w->size - off : 0;

		len = len < w->size ? len : w->size;
		assert_int_equal(content_read(v, off, have, len, &got, &err),
			ERR_OK);
		assert_int_equal(got, len < most ? len : most);
		if (got > 0)
			assert_memory_equal(have, w->want + off, got);
	}
	free(have);
}

static void
check(struct world *w, const struct id *root, struct entry *e)
{
	struct content_view *v;

	assert_int_equal(content_open(&v, w->io, root, e, &err), ERR_OK);
	/* The view needs nothing of the entry any more. */
	entry_fini(e);
	assert_int_equal(content_size(v), w->size);
	pieces_cover_it(w, v);
	reads_are_right(w, v);
	content_close(v);
}

/* Property: all ways to keep a content read as its bytes, anywhere. */
static void
all_kinds_read_the_same(void **state)
{
	const struct id none = { { 0 } };
	struct world w;
	struct entry e;

	world_init(&w, 51, 3000);
	for (int i = 0; i < ROUNDS; i++) {
		random_slices(&w, &e);
		check(&w, &none, &e);
		random_extents(&w, &e);
		check(&w, &none, &e);
		w.size = prng_below(&w.p, LEN_MAX);
		entry_init(&e);
		e.type = ENTRY_FILE;
		e.size = w.size;
		e.content.kind = w.size > 0 ? CONTENT_INLINE : CONTENT_NONE;
		e.content.bytes = (struct bytes){ w.want, w.size };
		check(&w, &none, &e);
	}
	world_fini(&w);
}

/* Property: whatever is read in whatever order, the bytes are right and those
 * kept are no more than was allowed. */
static void
cache_is_bounded(void **state)
{
	const size_t max = 3 << 20;
	uint8_t data[LEN_MAX];
	struct chunks c;
	struct world w;

	world_init(&w, 52, 1 << 20);
	chunks_init(&c, w.io, max);
	for (int i = 0; i < 3000; i++) {
		size_t n = prng_below(&w.p, N_CHUNKS);
		size_t off = prng_below(&w.p, w.lens[n]);
		size_t len = prng_below(&w.p, LEN_MAX);

		if (off + len > w.lens[n])
			len = w.lens[n] - off;
		assert_int_equal(chunks_read(&c, &w.ids[n], (uint32_t)off, data,
					 len, &err),
			ERR_OK);
		assert_memory_equal(data, w.chunks[n] + off, len);
		assert_true(c.sum <= max);
	}
	assert_true(c.n > 1);
	chunks_fini(&c);
	world_fini(&w);
}

/* Five chunks in turns, as many increments leave them: each is fetched once. */
static void
cache_is_of_use(void **state)
{
	struct content_view *v;
	struct world w;
	struct entry e;
	uint8_t byte;
	size_t got;

	world_init(&w, 55, 1 << 20);
	entry_init(&e);
	e.type = ENTRY_FILE;
	e.size = 3000;
	e.content.kind = CONTENT_SLICES;
	for (uint32_t i = 0; i < e.size; i++) {
		struct slice s = { .len = 1, .off = i, .chunk = w.ids[i % 5] };

		assert_int_equal(slices_add(&e.content.slices, &s, &err),
			ERR_OK);
	}
	assert_int_equal(content_open(&v, w.io, &w.ids[0], &e, &err), ERR_OK);
	for (uint32_t i = 0; i < e.size; i++) {
		assert_int_equal(content_read(v, i, &byte, 1, &got, &err),
			ERR_OK);
		assert_int_equal(byte, w.chunks[i % 5][i]);
	}
	assert_int_equal(tree_io_mem_count(w.mem).data_get, 5);
	content_close(v);
	entry_fini(&e);
	world_fini(&w);
}

static struct tree_root
build_entries(struct world *w, const struct entry *a, const struct entry *b)
{
	const struct entry *const v[] = { a, b };
	struct buf val = BUF_INIT(VALUE_MAX);
	struct refs refs = { 0 };
	struct tree_root root;
	struct builder *t;

	assert_int_equal(builder_new(&t, w->io, TREE_ENTRIES, &err), ERR_OK);
	for (size_t i = 0; i < 2; i++) {
		const uint8_t key = (uint8_t)('a' + i);
		struct item it = { .key = { &key, 1 } };

		buf_clear(&val);
		assert_int_equal(entry_encode(v[i], &val, &refs, &err), ERR_OK);
		it.val = (struct bytes){ val.data, val.len };
		it.refs = refs.v;
		it.n_refs = refs.n;
		it.weight = v[i]->size;
		assert_int_equal(builder_add(t, &it, &err), ERR_OK);
	}
	assert_int_equal(builder_finish(t, &root, &err), ERR_OK);
	builder_free(t);
	buf_fini(&val);
	refs_fini(&refs);
	return root;
}

static void
link_to(struct entry *e, const char *key)
{
	entry_init(e);
	e->type = ENTRY_FILE;
	e->content.kind = CONTENT_LINK;
	e->content.bytes = (struct bytes){ (const uint8_t *)key, strlen(key) };
}

static void
links(void **state)
{
	struct content_view *v;
	struct entry a, b, bad;
	struct tree_root root;
	struct world w;

	world_init(&w, 53, 3000);
	random_slices(&w, &a);
	link_to(&b, "a");
	b.size = a.size;
	root = build_entries(&w, &a, &b);
	entry_fini(&a);
	link_to(&bad, "b");
	assert_int_equal(content_open(&v, w.io, &root.id, &bad, &err),
		ERR_CORRUPT);
	link_to(&bad, "c");
	assert_int_equal(content_open(&v, w.io, &root.id, &bad, &err),
		ERR_CORRUPT);
	link_to(&bad, "a");
	bad.type = ENTRY_FIFO;
	assert_int_equal(content_open(&v, w.io, &root.id, &bad, &err),
		ERR_CORRUPT);
	check(&w, &root.id, &b);
	world_fini(&w);
}

/* Extents that overlap, that pass the end, that pass their chunk; and what
 * was never stored. */
static void
what_cannot_be_read(void **state)
{
	struct extent good[2] = { { .off = 0, .len = 10 },
		{ .off = 20, .len = 10 } };
	struct content_view *v;
	struct entry e;
	struct world w;
	uint8_t data[64];
	size_t got;

	world_init(&w, 54, 3000);
	entry_init(&e);
	e.type = ENTRY_IMAGE;
	e.size = 30;
	assert_int_equal(content_open(&v, w.io, &w.ids[0], &e, &err),
		ERR_NOTFOUND);
	good[0].chunk = good[1].chunk = w.ids[3];
	e.content.kind = CONTENT_EXTENTS;
	for (int i = 0; i < 4; i++) {
		struct extent bad[2] = { good[0], good[1] };

		if (i == 1)
			bad[0].len = 21;
		else if (i == 2)
			bad[1].len = 11;
		else if (i == 3)
			bad[1].chunk_off = (uint32_t)w.lens[3] - 9;
		e.content.root = build_extents(w.io, bad, 2).id;
		assert_int_equal(content_open(&v, w.io, &w.ids[0], &e, &err),
			ERR_OK);
		assert_int_equal(content_read(v, 0, data, 30, &got, &err),
			i == 0 ? ERR_OK : ERR_CORRUPT);
		/* A failure is not forgotten. */
		assert_int_equal(content_read(v, 0, data, 30, &got, &err),
			i == 0 ? ERR_OK : ERR_CORRUPT);
		content_close(v);
	}
	e.content.root = w.ids[0];
	assert_int_equal(content_open(&v, w.io, &w.ids[0], &e, &err),
		ERR_CORRUPT);
	e.content.kind = CONTENT_INLINE;
	assert_int_equal(content_open(&v, w.io, &w.ids[0], &e, &err),
		ERR_CORRUPT);
	entry_fini(&e);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_kinds_read_the_same),
		cmocka_unit_test(cache_is_bounded),
		cmocka_unit_test(cache_is_of_use),
		cmocka_unit_test(links),
		cmocka_unit_test(what_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
