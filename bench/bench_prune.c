/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_prune make DIR MILLIONS [SNAPSHOTS]
 * bench_prune run DIR MILLIONS
 *
 * make writes a repository of so many million chunks that has all its
 * metadata and none of its data: the index tells of packs that are not there,
 * an image refers to 19 of 20 chunks, and each snapshot is an edit of the one
 * before.  DIR must not exist; it takes about 110 bytes a chunk and 120 KB a
 * snapshot.  run measures what a prune of it costs until the first pack would
 * be touched, with the local cache and without.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/time.h"
#include "codec/compress.h"
#include "engine/prune.h"
#include "engine/select.h"
#include "model/entry.h"
#include "repo/index.h"
#include "repo/keys.h"
#include "repo/pack.h"
#include "repo/repo.h"
#include "repo/session.h"
#include "repo/writer.h"
#include "tests/lib/prng.h"
#include "tree/builder.h"
#include "tree/edit.h"
#include "tree/extents.h"

enum {
	PACK_CHUNKS = 32,
	CHUNK = 1 << 20,
	STORED = CHUNK / 2,
	EDIT = 1000, /* chunks that a snapshot replaces */
	LOOKUPS = 1000000,
	PATH_ROOM = 1024
};

static const char pass[] = "bench";

struct bench {
	struct error err;
	struct store *store;
	struct repo *repo;
	struct lane *lane;
	struct writer *w;
	struct tree_io_repo io;
	struct prng p;
	uint64_t n_base; /* chunks of the first snapshot */
	uint64_t n_snapshots;
};

static void
check(struct bench *b, enum err rc)
{
	if (rc == ERR_OK)
		return;
	(void)fprintf(stderr, "bench_prune: %s\n", b->err.msg);
	_exit(1);
}

static void
id_of(uint64_t i, struct id *id)
{
	struct prng p;

	prng_init(&p, i * 0x9e3779b97f4a7c15u + 12345);
	for (size_t k = 0; k < ID_LEN; k += 8) {
		uint64_t v = prng_next(&p);

		memcpy(id->b + k, &v, 8);
	}
}

/* Peak of this process, in MB, with what it has mapped. */
static double
peak(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_maxrss * 1024 / 1e6;
}

static double
cpu(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

struct watch {
	double wall, cpu;
};

static struct watch
start(void)
{
	return (struct watch){ mono_sec(), cpu() };
}

static void
tell(const struct watch *from, const char *what, uint64_t n)
{
	double wall = mono_sec() - from->wall;

	(void)printf("%-36s %8.2f s %8.2f CPU s %10.3f M/s %7.1f MB peak\n",
		what, wall, cpu() - from->cpu, (double)n / wall / 1e6, peak());
	(void)fflush(stdout);
}

static void
open_repo(struct bench *b, const char *dir, bool create, const char *cache)
{
	const struct repo_init_conf init = {
		.pass = { pass, sizeof(pass) - 1 },
		.cost = { .passes = 1, .mem_kib = 8 },
		.chunker = { 512 << 10, 1 << 20, 8 << 20 },
		.pack_target = REPO_PACK_TARGET,
	};
	const struct repo_conf conf = { .pass = init.pass,
		.cache_root = cache };
	char store[PATH_ROOM];

	(void)snprintf(store, sizeof(store), "%s/repo", dir);
	check(b, store_open(&b->store, store, create, &b->err));
	if (create)
		check(b, repo_init(b->store, &init, &b->err));
	check(b, repo_open(&b->repo, b->store, &conf, &b->err));
	check(b, lane_new(&b->lane, b->repo, &b->err));
}

static void
close_repo(struct bench *b)
{
	lane_free(b->lane);
	repo_close(b->repo);
	store_close(b->store);
}

/* Packs that are only told of: the chunks [first, first + n). */
static void
tell_index(struct bench *b, uint64_t first, uint64_t n)
{
	struct record recs[PACK_CHUNKS];
	struct pack_info pack = { .n_records = PACK_CHUNKS,
		.size = PACK_HEADER + PACK_TRAILER + PACK_CHUNKS * STORED };
	struct index *idx;

	check(b, repo_index(b->repo, &idx, &b->err));
	for (uint64_t i = first; i < first + n; i += PACK_CHUNKS) {
		id_of(i + ((uint64_t)1 << 60), &pack.id);
		for (uint32_t k = 0; k < PACK_CHUNKS; k++) {
			recs[k] = (struct record){ .type = CHUNK_DATA,
				.codec = CODEC_ZSTD,
				.number = k,
				.stored_len = STORED,
				.plain_len = CHUNK };
			id_of(i + k, &recs[k].id);
		}
		check(b, index_add(idx, &pack, recs, &b->err));
	}
	check(b, index_publish(idx, &b->err));
}

static void
extent_of(uint64_t at, uint64_t chunk, struct extent_item *out)
{
	struct extent e = { .off = at * CHUNK, .len = CHUNK };

	id_of(chunk, &e.chunk);
	extent_encode(&e, out);
}

static struct tree_root
first_image(struct bench *b)
{
	struct extent_item it;
	struct tree_root root;
	struct builder *to;

	check(b, builder_new(&to, &b->io.io, TREE_EXTENTS, &b->err));
	for (uint64_t i = 0; i < b->n_base; i++) {
		/* Every twentieth chunk is garbage. */
		if (i % 20 == 19)
			continue;
		extent_of(i, i, &it);
		check(b, builder_add(to, &it.item, &b->err));
	}
	check(b, builder_finish(to, &root, &b->err));
	builder_free(to);
	return root;
}

/* EDIT chunks somewhere are replaced by those from chunk on. */
static struct tree_root
next_image(struct bench *b, const struct tree_root *old, uint64_t chunk)
{
	uint64_t at = prng_below(&b->p, b->n_base - EDIT);
	struct extent_item it;
	struct tree_root root;
	struct edit *e;

	check(b, edit_open(&e, &b->io.io, TREE_EXTENTS, &old->id, &b->err));
	for (uint64_t i = 0; i < EDIT; i++) {
		extent_of(at + i, chunk + i, &it);
		check(b, edit_put(e, &it.item, &b->err));
	}
	check(b, edit_finish(e, &root, &b->err));
	edit_free(e);
	return root;
}

/* A tree with the image as its only entry. */
static struct id
entries_of(struct bench *b, const struct tree_root *image)
{
	struct buf val = BUF_INIT(1 << 16);
	struct refs refs = { NULL, 0, 0 };
	struct item item = { .key = { (const uint8_t *)"image", 5 } };
	struct tree_root root;
	struct builder *to;
	struct entry e;

	entry_init(&e);
	e.type = ENTRY_IMAGE;
	e.size = item.weight = b->n_base * CHUNK;
	e.content.kind = CONTENT_EXTENTS;
	e.content.root = image->id;
	check(b, entry_encode(&e, &val, &refs, &b->err));
	item.val = (struct bytes){ val.data, val.len };
	item.refs = refs.v;
	item.n_refs = refs.n;
	check(b, builder_new(&to, &b->io.io, TREE_ENTRIES, &b->err));
	check(b, builder_add(to, &item, &b->err));
	check(b, builder_finish(to, &root, &b->err));
	builder_free(to);
	refs_fini(&refs);
	buf_fini(&val);
	entry_fini(&e);
	return root.id;
}

static void
commit(struct bench *b, const struct id *root, uint64_t i)
{
	struct buf record = BUF_INIT(1 << 16);
	struct session session;
	struct snapshot snap;

	snapshot_init(&snap);
	snap.root = *root;
	snap.begin = snap.end =
		(struct when){ 1700000000 + (int64_t)i * 60, 0 };
	snap.host = strdup("bench");
	check(b, snapshot_encode(&snap, &record, &b->err));
	check(b, session_begin(&session, b->store, repo_keys(b->repo), "bench",
			 &b->err));
	check(b, session_commit(&session, record.data, record.len, &b->err));
	session_end(&session);
	snapshot_fini(&snap);
	buf_fini(&record);
}

static void
make(struct bench *b, const char *dir)
{
	const struct writer_conf conf = { .host = "bench" };
	struct id *roots = calloc(b->n_snapshots, sizeof(*roots));
	struct tree_root image;
	uint64_t next = b->n_base;
	struct watch from = start();

	if (roots == NULL)
		_exit(1);
	open_repo(b, dir, true, NULL);
	check(b, writer_open(&b->w, b->repo, &conf, &b->err));
	tree_io_repo_init(&b->io, b->repo, b->lane, b->w);
	tell_index(b, 0, b->n_base + b->n_snapshots * EDIT);
	tell(&from, "index told", next);
	image = first_image(b);
	roots[0] = entries_of(b, &image);
	for (uint64_t i = 1; i < b->n_snapshots; i++, next += EDIT) {
		/* An edit reads the nodes of the one before. */
		check(b, writer_flush(b->w, &b->err));
		image = next_image(b, &image, next);
		roots[i] = entries_of(b, &image);
	}
	check(b, writer_flush(b->w, &b->err));
	writer_free(b->w);
	tell(&from, "trees made", next);
	for (uint64_t i = 0; i < b->n_snapshots; i++)
		commit(b, &roots[i], i);
	tell(&from, "snapshots made", b->n_snapshots);
	free(roots);
	close_repo(b);
}

static void
lookups(struct bench *b, uint64_t base, const char *what)
{
	struct watch from = start();
	struct location loc;
	struct index *idx;
	struct id id;
	bool found;

	check(b, repo_index(b->repo, &idx, &b->err));
	for (uint64_t i = 0; i < LOOKUPS; i++) {
		id_of(base + prng_below(&b->p, b->n_base), &id);
		check(b, index_find(idx, &id, &loc, &found, &b->err));
	}
	tell(&from, what, LOOKUPS);
}

static void
problem(void *arg, struct bytes key, const struct error *why)
{
	(void)fprintf(stderr, "bench_prune: %s\n", why->msg);
}

static void
note(void *arg, const char *sentence)
{
	(void)fprintf(stderr, "bench_prune: %s\n", sentence);
}

static void
prune(struct bench *b, const char *what)
{
	const struct prune_conf conf = { .max_unused = 0.05, .dry_run = true };
	_Atomic bool stop = false;
	struct progress progress = { 0 };
	struct report report = { .progress = &progress,
		.problem = problem,
		.note = note,
		.stop = &stop };
	struct prune_figures f;
	struct watch from = start();

	check(b, prune_run(b->repo, &conf, &report, &f, &b->err));
	tell(&from, what, f.chunks_live + f.chunks_dead);
	(void)printf(
		"  %llu snapshots, %llu chunks live, %llu dead, %llu packs, "
		"%llu condemned\n",
		(unsigned long long)f.snapshots,
		(unsigned long long)f.chunks_live,
		(unsigned long long)f.chunks_dead, (unsigned long long)f.packs,
		(unsigned long long)f.packs_condemned);
}

static void
open_timed(struct bench *b, const char *dir, const char *cache,
	const char *what)
{
	struct watch from = start();
	struct index *idx;

	open_repo(b, dir, false, cache);
	check(b, repo_index(b->repo, &idx, &b->err));
	tell(&from, what, 1);
}

static void
run(struct bench *b, const char *dir)
{
	char cache[PATH_ROOM];

	(void)snprintf(cache, sizeof(cache), "%s/cache", dir);
	open_timed(b, dir, cache, "open, no cache or what is there");
	close_repo(b);
	open_timed(b, dir, cache, "open with the cache");
	lookups(b, 0, "lookups of what is there");
	lookups(b, (uint64_t)1 << 58, "lookups of what is not");
	prune(b, "mark and plan (prune --dry-run)");
	close_repo(b);
}

int
main(int argc, char **argv)
{
	struct bench b = { .n_snapshots = 10000 };

	b.err = (struct error)ERROR_INIT;
	prng_init(&b.p, 7);
	if (argc > 3)
		b.n_base = (uint64_t)(atof(argv[3]) * 1e6);
	if (argc == 4 && b.n_base > 0 && strcmp(argv[1], "run") == 0) {
		run(&b, argv[2]);
		return 0;
	}
	if (argc < 4 || strcmp(argv[1], "make") != 0) {
		(void)fprintf(stderr,
			"usage: bench_prune make DIR MILLIONS [SNAPSHOTS]\n"
			"       bench_prune run DIR MILLIONS\n");
		return 2;
	}
	if (argc > 4)
		b.n_snapshots = strtoull(argv[4], NULL, 10);
	if (b.n_base < (b.n_snapshots + 2) * EDIT) {
		(void)fprintf(stderr,
			"bench_prune: too few chunks for the snapshots\n");
		return 2;
	}
	b.n_base -= b.n_snapshots * EDIT;
	b.n_base -= b.n_base % PACK_CHUNKS;
	make(&b, argv[2]);
	return 0;
}
