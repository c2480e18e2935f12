/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_view against a model: a content of random pieces in memory, read
 * through ways that count, delay and damage.
 */
#include "tests/lib/repo_tools.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "model/path.h"
#include "tree/builder.h"
#include "tree/extents.h"
#include "view/image_view.h"

enum {
	N_CHUNKS = 160,
	CHUNK_LEN = 96 << 10,
	PIECES = 900,
	PIECE_LEN = 40 << 10,
	SIZE_MAX_ = PIECES * PIECE_LEN,
	CACHE = 4 << 20,
	THREADS = 8,
	TRIES = 60000, /* of a millisecond */
	NOBODY = -1
};

struct world {
	struct tree_io_mem *mem;
	struct prng p;
	struct id ids[N_CHUNKS];
	uint8_t *chunks[N_CHUNKS];
	size_t lens[N_CHUNKS];
	struct entry e;
	uint8_t *want;
	int *chunk_of; /* of each piece; -1: a hole */
	uint64_t *end_of;
	size_t size, n_pieces;
	struct image_view *v;

	pthread_mutex_t lock;
	bool busy[N_CHUNKS], damaged[N_CHUNKS];
	uint64_t data_gets, node_gets, by_others;
	pthread_t reader;
	unsigned delay_us;
	unsigned ways;
};

struct way {
	struct tree_io io;
	struct world *w;
	atomic_bool used;
};

/* In threads that cmocka did not start. */
#define sure(what)                                                       \
	do {                                                             \
		if (!(what)) {                                           \
			(void)fprintf(stderr, "line %d: %s\n", __LINE__, \
				#what);                                  \
			abort();                                         \
		}                                                        \
	} while (0)

/* ---- ways ---- */

static void
pause_us(unsigned us)
{
	const struct timespec t = { us / 1000000, us % 1000000 * 1000L };

	if (us > 0)
		(void)nanosleep(&t, NULL);
}

static int
number_of(const struct world *w, const struct id *id)
{
	for (int i = 0; i < N_CHUNKS; i++)
		if (id_eq(&w->ids[i], id))
			return i;
	return NOBODY;
}

static enum err
way_node(struct tree_io *io, const struct id *id, struct buf *out,
	size_t *head_len, struct error *err)
{
	struct way *way = container_of(io, struct way, io);
	struct world *w = way->w;
	struct tree_io *mem = tree_io_mem_io(w->mem);
	enum err rc;

	sure(!atomic_exchange(&way->used, true));
	pthread_mutex_lock(&w->lock);
	w->node_gets++;
	rc = mem->ops->get_node(mem, id, out, head_len, err);
	pthread_mutex_unlock(&w->lock);
	atomic_store(&way->used, false);
	return rc;
}

/* No chunk is fetched twice at the same time. */
static enum err
way_data(struct tree_io *io, const struct id *id, struct buf *out,
	struct error *err)
{
	struct way *way = container_of(io, struct way, io);
	struct world *w = way->w;
	struct tree_io *mem = tree_io_mem_io(w->mem);
	int n = number_of(w, id);
	bool damaged;
	enum err rc;

	sure(n >= 0);
	sure(!atomic_exchange(&way->used, true));
	pthread_mutex_lock(&w->lock);
	sure(!w->busy[n]);
	w->busy[n] = true;
	w->data_gets++;
	w->by_others += pthread_equal(pthread_self(), w->reader) ? 0 : 1;
	damaged = w->damaged[n];
	pthread_mutex_unlock(&w->lock);
	pause_us(w->delay_us);
	pthread_mutex_lock(&w->lock);
	rc = damaged ? err_set(err, ERR_CORRUPT, "chunk %d is damaged", n)
		     : mem->ops->get_data(mem, id, out, err);
	w->busy[n] = false;
	pthread_mutex_unlock(&w->lock);
	atomic_store(&way->used, false);
	return rc;
}

static const struct tree_io_ops way_ops = { .get_node = way_node,
	.get_data = way_data };

static enum err
way_open(void *arg, struct tree_io **out, struct error *err)
{
	struct world *w = arg;
	struct way *way = calloc(1, sizeof(*way));

	assert_non_null(way);
	way->io =
		(struct tree_io){ &way_ops, tree_io_mem_io(w->mem)->boundary };
	way->w = w;
	pthread_mutex_lock(&w->lock);
	w->ways++;
	pthread_mutex_unlock(&w->lock);
	*out = &way->io;
	return ERR_OK;
}

static void
way_close(void *arg, struct tree_io *io)
{
	struct world *w = arg;

	w->ways--;
	free(container_of(io, struct way, io));
}

static uint64_t
gets(struct world *w, const uint64_t *count)
{
	uint64_t n;

	pthread_mutex_lock(&w->lock);
	n = *count;
	pthread_mutex_unlock(&w->lock);
	return n;
}

/* ---- a content and what it reads as ---- */

static void
make_chunks(struct world *w)
{
	struct tree_io *io = tree_io_mem_io(w->mem);
	struct error err = ERROR_INIT;
	struct ticket t;

	for (int i = 0; i < N_CHUNKS; i++) {
		w->lens[i] = PIECE_LEN + prng_below(&w->p, CHUNK_LEN);
		w->chunks[i] = malloc(w->lens[i]);
		assert_non_null(w->chunks[i]);
		prng_fill(&w->p, w->chunks[i], w->lens[i]);
		must(io->ops->put_data(io, w->chunks[i], w->lens[i], &t, &err),
			&err);
		must(ticket_wait(&t, &err), &err);
		w->ids[i] = t.id;
	}
}

static struct slice
add_piece(struct world *w)
{
	struct slice s = { .len = 1 + prng_below(&w->p, PIECE_LEN),
		.hole = prng_below(&w->p, 4) == 0 };
	size_t i = (w->n_pieces / 3 + prng_below(&w->p, 3)) % N_CHUNKS;

	w->chunk_of[w->n_pieces] = s.hole ? NOBODY : (int)i;
	if (!s.hole) {
		s.chunk = w->ids[i];
		s.off = (uint32_t)prng_below(&w->p, w->lens[i] - s.len + 1);
		memcpy(w->want + w->size, w->chunks[i] + s.off, s.len);
	}
	w->size += s.len;
	w->end_of[w->n_pieces++] = w->size;
	return s;
}

static void
make_extents(struct world *w)
{
	struct error err = ERROR_INIT;
	struct tree_root root;
	struct builder *b;

	must(builder_new(&b, tree_io_mem_io(w->mem), TREE_EXTENTS, &err), &err);
	for (size_t i = 0; i < PIECES; i++) {
		uint64_t off = w->size;
		struct slice s = add_piece(w);
		struct extent x = { off, s.len, s.chunk, s.off };
		struct extent_item it;

		if (s.hole)
			continue;
		extent_encode(&x, &it);
		must(builder_add(b, &it.item, &err), &err);
	}
	must(builder_finish(b, &root, &err), &err);
	builder_free(b);
	w->e.type = ENTRY_IMAGE;
	w->e.content.kind = CONTENT_EXTENTS;
	w->e.content.root = root.id;
}

static void
make_slices(struct world *w)
{
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < PIECES; i++) {
		struct slice s = add_piece(w);

		must(slices_add(&w->e.content.slices, &s, &err), &err);
	}
	w->e.type = ENTRY_FILE;
	w->e.content.kind = CONTENT_SLICES;
}

static void
make_inline(struct world *w)
{
	w->size = 5000;
	prng_fill(&w->p, w->want, w->size);
	w->chunk_of[0] = NOBODY;
	w->e.type = ENTRY_RECORD;
	w->e.content.kind = CONTENT_INLINE;
	w->e.content.bytes = (struct bytes){ w->want, w->size };
}

static void
open_view(struct world *w, const struct image_view_conf *conf)
{
	const struct image_view_ways ways = { way_open, way_close, w };
	const struct id none = { { 0 } };
	struct error err = ERROR_INIT;

	must(image_view_open_by(&w->v, &ways, &none, &w->e, conf, &err), &err);
	assert_int_equal(image_view_size(w->v), w->size);
}

static void
world_init(struct world *w, uint64_t seed, void (*make)(struct world *),
	const struct image_view_conf *conf)
{
	struct error err = ERROR_INIT;

	*w = (struct world){ .reader = pthread_self() };
	print_message("seed %llu\n", (unsigned long long)seed);
	prng_init(&w->p, seed);
	pthread_mutex_init(&w->lock, NULL);
	must(tree_io_mem_new(&w->mem, &err), &err);
	w->want = calloc(1, SIZE_MAX_);
	w->chunk_of = calloc(PIECES, sizeof(int));
	w->end_of = calloc(PIECES, sizeof(uint64_t));
	assert_true(w->want && w->chunk_of && w->end_of);
	make_chunks(w);
	entry_init(&w->e);
	make(w);
	w->e.size = w->size;
	open_view(w, conf);
}

static void
world_fini(struct world *w)
{
	image_view_close(w->v);
	assert_int_equal(w->ways, 0);
	for (int i = 0; i < N_CHUNKS; i++)
		free(w->chunks[i]);
	entry_fini(&w->e);
	free(w->want);
	free(w->chunk_of);
	free(w->end_of);
	tree_io_mem_free(w->mem);
	pthread_mutex_destroy(&w->lock);
}

/* The piece that covers off. */
static size_t
piece_at(const struct world *w, uint64_t off)
{
	size_t i = 0;

	while (w->end_of[i] <= off)
		i++;
	return i;
}

static bool
meets_damage(const struct world *w, uint64_t off, size_t len)
{
	for (size_t i = piece_at(w, off); len > 0; i++) {
		if (w->chunk_of[i] != NOBODY && w->damaged[w->chunk_of[i]])
			return true;
		if (w->end_of[i] >= off + len)
			return false;
	}
	return false;
}

static void
read_is_right(struct world *w, uint64_t off, size_t len, uint8_t *room)
{
	struct error err = ERROR_INIT;

	must(image_view_read(w->v, off, room, len, &err), &err);
	assert_memory_equal(room, w->want + off, len);
}

/* ---- tests ---- */

static void
one_thread_reads(struct world *w)
{
	struct error err = ERROR_INIT;
	uint8_t *room = malloc(w->size);
	uint8_t byte;

	assert_non_null(room);
	for (int i = 0; i < 1500; i++) {
		uint64_t off = prng_below(&w->p, w->size);
		size_t len = prng_below(&w->p, i % 9 == 0 ? 300000 : 9000);

		if (len > w->size - off)
			len = w->size - off;
		read_is_right(w, off, len, room);
	}
	read_is_right(w, 0, w->size, room);
	must_fail(image_view_read(w->v, w->size, &byte, 1, &err), ERR_USAGE,
		&err, "beyond the end");
	must_fail(image_view_read(w->v, UINT64_MAX, &byte, 1, &err), ERR_USAGE,
		&err, "beyond the end");
	must_fail(image_view_read(w->v, 1, room, w->size, &err), ERR_USAGE,
		&err, "beyond the end");
	free(room);
}

static void
any_read_is_what_the_content_says(void **state)
{
	static void (*const kinds[])(
		struct world *) = { make_inline, make_slices, make_extents };
	const struct image_view_conf conf = { .cache_max = CACHE };
	struct world w;

	for (uint64_t i = 0; i < ARRAY_LEN(kinds); i++) {
		world_init(&w, 100 + i, kinds[i], &conf);
		one_thread_reads(&w);
		world_fini(&w);
	}
}

struct crowd {
	struct world *w;
	uint64_t seed;
	uint64_t failures;
};

static void
crowd_read(struct crowd *c, uint64_t off, size_t len, uint8_t *room)
{
	struct error err = ERROR_INIT;
	struct world *w = c->w;

	if (image_view_read(w->v, off, room, len, &err) == ERR_OK) {
		sure(memcmp(room, w->want + off, len) == 0);
		sure(!meets_damage(w, off, len));
	} else {
		sure(err.code == ERR_CORRUPT);
		sure(strstr(err.msg, "at offset") != NULL);
		sure(meets_damage(w, off, len));
		c->failures++;
	}
	sure(image_view_count(w->v).bytes <=
		CACHE + (THREADS + 2) * 2 * CHUNK_LEN);
}

/* Half of them read front to back, half anywhere. */
static void *
crowd_reads(void *arg)
{
	struct crowd *c = arg;
	struct world *w = c->w;
	uint8_t *room = malloc(200000);
	struct prng p;
	uint64_t off;

	sure(room != NULL);
	prng_init(&p, c->seed);
	off = prng_below(&p, w->size);
	for (int i = 0; i < 250; i++) {
		size_t len = 1 + prng_below(&p, i % 20 == 0 ? 200000 : 40000);

		if (c->seed % 2 == 0 || off == w->size)
			off = prng_below(&p, w->size);
		if (len > w->size - off)
			len = w->size - off;
		crowd_read(c, off, len, room);
		off += len;
	}
	free(room);
	return NULL;
}

static uint64_t
crowd_run(struct world *w, uint64_t seed)
{
	struct crowd crowd[THREADS];
	pthread_t threads[THREADS];
	uint64_t failures = 0;

	for (uint64_t i = 0; i < THREADS; i++) {
		crowd[i] = (struct crowd){ w, seed + i, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_reads,
					 &crowd[i]),
			0);
	}
	for (uint64_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		failures += crowd[i].failures;
	}
	return failures;
}

/* Fewer readers than threads, too; and the memory stays within its bounds. */
static void
eight_threads_read_the_same(void **state)
{
	const unsigned readers[] = { 1, 3, THREADS };
	struct world w;

	for (uint64_t i = 0; i < ARRAY_LEN(readers); i++) {
		const struct image_view_conf conf = { .cache_max = CACHE,
			.readers = readers[i],
			.workers = 2 };

		world_init(&w, 200 + i, i == 1 ? make_slices : make_extents,
			&conf);
		w.delay_us = 20;
		assert_int_equal(crowd_run(&w, 1000 * i), 0);
		for (int tries = 0;
			image_view_count(w.v).bytes > CACHE && tries < TRIES;
			tries++)
			pause_us(1000);
		assert_true(image_view_count(w.v).bytes <= CACHE);
		assert_true(w.ways <= readers[i] + 2);
		world_fini(&w);
	}
}

static void
damage_fails_only_what_needs_it(void **state)
{
	const struct image_view_conf conf = { .cache_max = CACHE };
	uint8_t *room = malloc(SIZE_MAX_);
	struct error err = ERROR_INIT;
	struct world w;

	assert_non_null(room);
	world_init(&w, 300, make_extents, &conf);
	for (int i = 0; i < 3; i++)
		w.damaged[prng_below(&w.p, N_CHUNKS)] = true;
	assert_int_not_equal(crowd_run(&w, 5000), 0);
	must_fail(image_view_read(w.v, 0, room, w.size, &err), ERR_CORRUPT,
		&err, "is damaged");
	/* Nothing is remembered of a failure. */
	memset(w.damaged, 0, sizeof(w.damaged));
	read_is_right(&w, 0, w.size, room);
	world_fini(&w);
	free(room);
}

static void *
read_first_byte(void *arg)
{
	struct world *w = arg;
	struct error err = ERROR_INIT;
	uint64_t off = 0;
	uint8_t byte;

	while (w->chunk_of[piece_at(w, off)] == NOBODY)
		off = w->end_of[piece_at(w, off)];
	must(image_view_read(w->v, off, &byte, 1, &err), &err);
	assert_int_equal(byte, w->want[off]);
	return NULL;
}

static void
one_fetch_serves_all(void **state)
{
	const struct image_view_conf conf = { .cache_max = CACHE };
	pthread_t threads[THREADS];
	struct world w;

	world_init(&w, 400, make_extents, &conf);
	w.delay_us = 50000;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
					 read_first_byte, &w),
			0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(w.data_gets, 1);
	world_fini(&w);
}

/* Whoever reads on is met by chunks that others have fetched. */
static void
sequential_reads_are_fetched_ahead(void **state)
{
	const struct image_view_conf conf = { .cache_max = 8 << 20,
		.window = 1 << 20,
		.workers = 2 };
	static uint8_t room[16384];
	struct world w;
	uint64_t off = 0;

	world_init(&w, 500, make_extents, &conf);
	w.delay_us = 3000;
	for (; off < 40 * sizeof(room); off += sizeof(room))
		read_is_right(&w, off, sizeof(room), room);
	/* Slow workers find everything fetched by now: they are waited for. */
	for (; off + sizeof(room) <= w.size; off += sizeof(room)) {
		read_is_right(&w, off, sizeof(room), room);
		for (int tries = 0; gets(&w, &w.by_others) < 10 && tries < 200;
			tries++)
			pause_us(1000);
	}
	assert_true(gets(&w, &w.by_others) >= 10);
	world_fini(&w);
}

/* With room for everything, random reads fetch what they read and no more. */
static void
random_reads_fetch_nothing_else(void **state)
{
	const struct image_view_conf conf = { .cache_max = 1 << 30 };
	bool needed[N_CHUNKS] = { false };
	struct world w;
	uint64_t n = 0;
	uint8_t room[16];

	world_init(&w, 600, make_extents, &conf);
	for (int i = 0; i < 60; i++) {
		uint64_t off = prng_below(&w.p, w.size - sizeof(room));

		read_is_right(&w, off, sizeof(room), room);
		for (size_t k = piece_at(&w, off);; k++) {
			if (w.chunk_of[k] != NOBODY)
				needed[w.chunk_of[k]] = true;
			if (w.end_of[k] >= off + sizeof(room))
				break;
		}
	}
	for (int i = 0; i < N_CHUNKS; i++)
		n += needed[i] ? 1 : 0;
	pause_us(20000);
	assert_int_equal(gets(&w, &w.data_gets), n);
	world_fini(&w);
}

/* Told once, of as much as there is room for. */
static void
ahead_is_bounded(void **state)
{
	const struct image_view_conf conf = { .cache_max = CACHE };
	struct error err = ERROR_INIT;
	struct world w;
	uint64_t before = 0, now;
	int tries = 0;

	world_init(&w, 700, make_extents, &conf);
	must(image_view_ahead(w.v, 0, w.size, &err), &err);
	while (gets(&w, &w.data_gets) < 2 && tries++ < TRIES)
		pause_us(1000);
	for (now = 1; now != before; now = gets(&w, &w.data_gets)) {
		before = now;
		pause_us(50000);
	}
	assert_true(now > 1);
	assert_true(image_view_count(w.v).bytes <=
		    CACHE / 2 + 2 * CHUNK_LEN + 200000);
	world_fini(&w);
}

/* A content that a hostile tree tells: more of a chunk than there is. */
static void
make_too_long(struct world *w)
{
	struct slice s = { .len = w->lens[0] + 1, .chunk = w->ids[0] };
	struct error err = ERROR_INIT;

	must(slices_add(&w->e.content.slices, &s, &err), &err);
	w->e.type = ENTRY_FILE;
	w->e.content.kind = CONTENT_SLICES;
	w->size = w->lens[0] + 1;
	memcpy(w->want, w->chunks[0], w->lens[0]);
}

static void
no_more_of_a_chunk_than_there_is(void **state)
{
	const struct image_view_conf conf = { 0 };
	struct error err = ERROR_INIT;
	struct world w;
	uint8_t room[2];

	world_init(&w, 750, make_too_long, &conf);
	read_is_right(&w, w.size - 3, 2, room);
	must_fail(image_view_read(w.v, w.size - 2, room, 2, &err), ERR_CORRUPT,
		&err, "more of a chunk");
	must_fail(image_view_read(w.v, w.size - 1, room, 1, &err), ERR_CORRUPT,
		&err, "more of a chunk");
	world_fini(&w);
}

struct map {
	struct world *w;
	uint64_t at;
	unsigned told, told_max;
	int last;
};

static bool
map_is_right(void *arg, uint64_t off, uint64_t len, bool hole)
{
	struct map *m = arg;

	assert_int_equal(off, m->at);
	assert_true(len > 0);
	assert_int_not_equal(m->last, hole);
	m->last = hole;
	for (size_t i = piece_at(m->w, off);; i++) {
		assert_int_equal(m->w->chunk_of[i] == NOBODY, hole);
		if (m->w->end_of[i] >= off + len)
			break;
	}
	m->at += len;
	return ++m->told < m->told_max;
}

static void
extents_are_those_of_the_content(void **state)
{
	const struct image_view_conf conf = { .cache_max = CACHE };
	struct error err = ERROR_INIT;
	struct world w;

	world_init(&w, 800, make_extents, &conf);
	for (int i = 0; i < 400; i++) {
		uint64_t off = prng_below(&w.p, w.size);
		uint64_t len = prng_below(&w.p, w.size - off + 1);
		struct map m = { &w, off, 0, i % 3 == 0 ? 5 : UINT32_MAX, -1 };

		must(image_view_extents(w.v, off, len, map_is_right, &m, &err),
			&err);
		if (m.told < m.told_max)
			assert_int_equal(m.at, off + len);
	}
	must_fail(image_view_extents(w.v, 1, w.size, map_is_right, NULL, &err),
		ERR_USAGE, &err, "beyond the end");
	assert_int_equal(w.data_gets, 0);
	world_fini(&w);
}

/* ---- in a repository ---- */

static struct tree_root
put_entries(struct repo *r, struct lane *lane)
{
	struct entry file = { .type = ENTRY_FILE, .size = 5 };
	struct entry dir = { .type = ENTRY_DIR };
	struct writer_conf conf = { .host = "h" };
	struct buf val = BUF_INIT(VALUE_MAX);
	struct error err = ERROR_INIT;
	struct refs refs = { 0 };
	struct tree_io_repo io;
	struct tree_root root;
	struct builder *b;
	struct writer *w;

	file.content.kind = CONTENT_INLINE;
	file.content.bytes = (struct bytes){ (const uint8_t *)"hello", 5 };
	must(writer_open(&w, r, &conf, &err), &err);
	tree_io_repo_init(&io, r, lane, w);
	must(builder_new(&b, &io.io, TREE_ENTRIES, &err), &err);
	for (int i = 0; i < 2; i++) {
		struct item item = { .key = { (const uint8_t *)"dir\0file",
					     i == 0 ? 3 : 8 } };

		buf_clear(&val);
		must(entry_encode(i == 0 ? &dir : &file, &val, &refs, &err),
			&err);
		item.val = (struct bytes){ val.data, val.len };
		must(builder_add(b, &item, &err), &err);
	}
	must(builder_finish(b, &root, &err), &err);
	must(writer_flush(w, &err), &err);
	builder_free(b);
	writer_free(w);
	buf_fini(&val);
	refs_fini(&refs);
	return root;
}

static void
entries_are_found_by_key(void **state)
{
	const struct image_view_conf conf = { 0 };
	const struct bytes dir = { (const uint8_t *)"dir", 3 };
	const struct bytes file = { (const uint8_t *)"dir\0file", 8 };
	const struct bytes none = { (const uint8_t *)"dir\0fil", 7 };
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);
	struct lane *lane = tool_lane(r);
	struct error err = ERROR_INIT;
	struct image_view *v = NULL;
	struct tree_root root = put_entries(r, lane);
	uint8_t room[5];

	must_fail(image_view_open_key(&v, r, &root.id, none, &conf, &err),
		ERR_NOTFOUND, &err, "/dir/fil: it is not in the snapshot");
	must_fail(image_view_open_key(&v, r, &root.id, dir, &conf, &err),
		ERR_USAGE, &err, "/dir: a dir has no content");
	must(image_view_open_key(&v, r, &root.id, file, &conf, &err), &err);
	must(image_view_read(v, 0, room, 5, &err), &err);
	assert_memory_equal(room, "hello", 5);
	image_view_close(v);
	lane_free(lane);
	repo_close(r);
	store_close(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_read_is_what_the_content_says),
		cmocka_unit_test(eight_threads_read_the_same),
		cmocka_unit_test(damage_fails_only_what_needs_it),
		cmocka_unit_test(one_fetch_serves_all),
		cmocka_unit_test(sequential_reads_are_fetched_ahead),
		cmocka_unit_test(random_reads_fetch_nothing_else),
		cmocka_unit_test(ahead_is_bounded),
		cmocka_unit_test(no_more_of_a_chunk_than_there_is),
		cmocka_unit_test(extents_are_those_of_the_content),
		cmocka_unit_test(entries_are_found_by_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
