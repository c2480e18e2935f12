/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_world: an index on a store in memory and a cache in a temporary
 * directory, beside a plain list of what it should hold.
 */
#ifndef TESTS_LIB_INDEX_WORLD_H
#define TESTS_LIB_INDEX_WORLD_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/index.h"
#include "store/store_mem.h"
#include "tests/lib/packs.h"

enum { WORLD_RECS = 30, CHUNKS_MAX = 20000, PACKS_MAX = 2000 };

static const struct keyset world_keys = { .structure = { { 2, 7, 1 } } };

/* A chunk that was added, and whether its segment is in the store. */
struct world_chunk {
	struct location loc;
	bool published;
};

struct world {
	struct prng p;
	struct store *st;
	char root[64];
	char cache[80];
	struct index *idx;
	struct world_chunk *chunks;
	size_t n;
	struct id packs[PACKS_MAX];
	size_t n_packs;
};

static inline void
world_init(struct world *w, uint64_t seed)
{
	struct error err = ERROR_INIT;

	memset(w, 0, sizeof(*w));
	prng_init(&w->p, seed);
	assert_int_equal(store_mem_new(&w->st, &err), ERR_OK);
	(void)snprintf(w->root, sizeof(w->root), "/tmp/test-index-XXXXXX");
	assert_non_null(mkdtemp(w->root));
	(void)snprintf(w->cache, sizeof(w->cache), "%s/cache", w->root);
	w->chunks = calloc(CHUNKS_MAX, sizeof(*w->chunks));
	assert_non_null(w->chunks);
}

/* Call fn with the path of every file in the cache; how many there are. */
static inline unsigned
world_files(const struct world *w, void (*fn)(void *arg, const char *path),
	void *arg)
{
	DIR *dir = opendir(w->cache);
	struct dirent *e;
	unsigned n = 0;

	if (dir == NULL)
		return 0;
	while ((e = readdir(dir)) != NULL) {
		char path[400];

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", w->cache,
			e->d_name);
		if (fn != NULL)
			fn(arg, path);
		n++;
	}
	(void)closedir(dir);
	return n;
}

static inline void
world_remove_file(void *arg, const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static inline void
world_fini(struct world *w)
{
	index_close(w->idx);
	store_close(w->st);
	(void)world_files(w, world_remove_file, NULL);
	(void)rmdir(w->cache);
	assert_int_equal(rmdir(w->root), 0);
	free(w->chunks);
}

static inline struct index *
world_open(struct world *w, const char *cache)
{
	const struct index_conf conf = { .store = w->st,
		.keys = &world_keys,
		.cache_dir = cache };
	struct error err = ERROR_INIT;
	struct index *idx = NULL;
	enum err rc = index_open(&idx, &conf, &err);

	if (rc != ERR_OK)
		print_error("%s\n", err.msg);
	assert_int_equal(rc, ERR_OK);
	return idx;
}

static inline void
world_reopen(struct world *w)
{
	size_t kept = 0;

	index_close(w->idx);
	for (size_t i = 0; i < w->n; i++)
		if (w->chunks[i].published)
			w->chunks[kept++] = w->chunks[i];
	w->n = kept;
	w->idx = world_open(w, w->cache);
}

static inline void
world_claim(struct index *idx, const struct id *id, enum claim want)
{
	struct error err = ERROR_INIT;
	enum claim got;

	assert_int_equal(index_claim(idx, id, &got, &err), ERR_OK);
	assert_int_equal(got, want);
}

/* Claim the chunks of a new pack, some of them known, and add it. */
static inline void
world_add(struct world *w, struct index *idx)
{
	struct error err = ERROR_INIT;
	struct record recs[WORLD_RECS];
	struct pack_info pack;
	uint32_t n = (uint32_t)prng_below(&w->p, WORLD_RECS + 1);
	struct location loc = { .off = PACK_HEADER };

	assert_true(w->n + n <= CHUNKS_MAX);
	packs_make(&w->p, &pack, recs, n);
	for (uint32_t i = 0; i < n; i++) {
		if (w->n > 0 && prng_below(&w->p, 8) == 0) {
			recs[i].id =
				w->chunks[prng_below(&w->p, w->n)].loc.rec.id;
			continue;
		}
		world_claim(idx, &recs[i].id, CLAIM_MINE);
		world_claim(idx, &recs[i].id, CLAIM_HAVE);
	}
	assert_int_equal(index_add(idx, &pack, recs, &err), ERR_OK);
	loc.pack = pack.id;
	for (uint32_t i = 0; i < n; i++) {
		loc.rec = recs[i];
		w->chunks[w->n++] = (struct world_chunk){ loc, false };
		loc.off += recs[i].stored_len;
	}
	w->packs[w->n_packs++] = pack.id;
}

static inline void
world_publish(struct world *w, struct index *idx)
{
	struct error err = ERROR_INIT;

	assert_int_equal(index_publish(idx, &err), ERR_OK);
	assert_int_equal(index_unpublished(idx), 0);
	for (size_t i = 0; i < w->n; i++)
		w->chunks[i].published = true;
}

static inline bool
world_same_place(const struct location *a, const struct location *b)
{
	return id_eq(&a->pack, &b->pack) && a->off == b->off &&
	       packs_same(&a->rec, &b->rec);
}

static inline bool
world_is_place(const struct world *w, const struct location *loc)
{
	for (size_t i = 0; i < w->n; i++)
		if (world_same_place(&w->chunks[i].loc, loc))
			return true;
	return false;
}

/* Everything there is found where it lies; nothing else is. */
static inline void
world_expect(struct world *w, struct index *idx)
{
	struct error err = ERROR_INIT;
	struct location loc;
	struct id id;
	bool found;

	for (size_t i = 0; i < w->n; i++) {
		const struct location *want = &w->chunks[i].loc;

		assert_int_equal(index_find(idx, &want->rec.id, &loc, &found,
					 &err),
			ERR_OK);
		assert_true(found);
		assert_true(id_eq(&loc.rec.id, &want->rec.id));
		assert_true(world_same_place(&loc, want) ||
			    world_is_place(w, &loc));
		if (i % 4 == 0)
			world_claim(idx, &want->rec.id, CLAIM_HAVE);
	}
	for (unsigned i = 0; i < 200; i++) {
		prng_fill(&w->p, id.b, ID_LEN);
		assert_int_equal(index_find(idx, &id, &loc, &found, &err),
			ERR_OK);
		assert_false(found);
	}
}

static inline int
world_cmp(const void *a, const void *b)
{
	const struct location *x = &((const struct world_chunk *)a)->loc;
	const struct location *y = &((const struct world_chunk *)b)->loc;
	int cmp = id_cmp(&x->rec.id, &y->rec.id);

	if (cmp == 0)
		cmp = id_cmp(&x->pack, &y->pack);
	return cmp != 0 ? cmp : (x->off > y->off) - (x->off < y->off);
}

struct world_walk {
	const struct world *w;
	size_t n;
	struct id last;
};

static inline enum err
world_walk_one(void *arg, const struct location *loc, struct error *err)
{
	struct world_walk *k = arg;

	while (k->n < k->w->n && !k->w->chunks[k->n].published)
		k->n++;
	assert_in_range(k->n, 0, k->w->n - 1);
	assert_true(world_same_place(&k->w->chunks[k->n++].loc, loc));
	return ERR_OK;
}

static inline enum err
world_walk_pack(void *arg, const struct pack_info *pack, struct error *err)
{
	struct world_walk *k = arg;

	assert_true(k->n == 0 || id_cmp(&k->last, &pack->id) < 0);
	k->last = pack->id;
	k->n++;
	return ERR_OK;
}

/* A walk hands out what is published, all of it, in order. */
static inline void
world_expect_walk(struct world *w, struct index *idx, bool all)
{
	struct error err = ERROR_INIT;
	struct world_walk k = { .w = w };

	qsort(w->chunks, w->n, sizeof(*w->chunks), world_cmp);
	assert_int_equal(index_each(idx, world_walk_one, &k, &err), ERR_OK);
	while (k.n < w->n && !w->chunks[k.n].published)
		k.n++;
	assert_int_equal(k.n, w->n);
	k.n = 0;
	assert_int_equal(index_each_pack(idx, world_walk_pack, &k, &err),
		ERR_OK);
	if (all)
		assert_int_equal(k.n, w->n_packs);
}

#endif /* TESTS_LIB_INDEX_WORLD_H */
