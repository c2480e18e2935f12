/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_index MILLIONS DIR: how fast the index takes up, opens, finds and
 * misses so many million chunks, and what memory that takes.
 *
 * DIR, which must not exist, gets the store and the cache (about 110 bytes a
 * chunk).  Times are those of the processor.  Memory is what the process has
 * resident after each step: its own, and mapped files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "repo/index.h"
#include "repo/pack.h"
#include "tests/lib/prng.h"

enum { PACK_CHUNKS = 1024, PUBLISH_EVERY = 64, LOOKUPS = 2000000 };

static const struct keyset keys = { .structure = { { 1 } } };

struct bench {
	uint64_t n;
	char store_dir[1024], cache_dir[1024], spare_dir[1024];
	struct store *store;
	struct index *idx;
	uint64_t sum; /* of results, so that they are needed */
};

static void
die(const struct error *err)
{
	(void)fprintf(stderr, "bench_index: %s\n", err->msg);
	_exit(1);
}

static void
check(enum err rc, const struct error *err)
{
	if (rc != ERR_OK)
		die(err);
}

/* Of this process: the machine may be busy with others. */
static double
now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Resident memory in MiB: what belongs to the process, and mapped files. */
static void
resident(double *own, double *mapped)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	double kib;

	*own = *mapped = 0;
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "RssAnon: %lf", &kib) == 1)
			*own = kib / 1024;
		if (sscanf(line, "RssFile: %lf", &kib) == 1)
			*mapped = kib / 1024;
	}
	if (f != NULL)
		(void)fclose(f);
}

static void
report(const char *what, double sec, uint64_t n)
{
	double own, mapped;

	resident(&own, &mapped);
	(void)printf("%-28s %9.3f s %9.3f M/s %7.1f + %.1f MiB\n", what, sec,
		(double)n / sec / 1e6, own, mapped);
	(void)fflush(stdout);
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

static void
open_index(struct bench *b, const char *cache)
{
	const struct index_conf conf = { .store = b->store,
		.keys = &keys,
		.cache_dir = cache };
	struct error err = ERROR_INIT;

	check(index_open(&b->idx, &conf, &err), &err);
}

static void
add_pack(struct bench *b, uint64_t first)
{
	static struct record recs[PACK_CHUNKS];
	struct error err = ERROR_INIT;
	struct pack_info pack = { .n_records = PACK_CHUNKS };

	id_of(first, &pack.id);
	pack.size = PACK_HEADER + PACK_TRAILER + PACK_CHUNKS * 16400u;
	for (uint32_t i = 0; i < PACK_CHUNKS; i++) {
		recs[i] = (struct record){ .type = CHUNK_DATA,
			.number = i,
			.stored_len = 16400,
			.plain_len = 16384 };
		id_of(first + i, &recs[i].id);
	}
	check(index_add(b->idx, &pack, recs, &err), &err);
}

static void
run_fill(struct bench *b)
{
	struct error err = ERROR_INIT;
	double start = now();

	open_index(b, b->cache_dir);
	for (uint64_t i = 0; i < b->n; i += PACK_CHUNKS) {
		add_pack(b, i);
		if (index_unpublished(b->idx) >= PUBLISH_EVERY)
			check(index_publish(b->idx, &err), &err);
	}
	check(index_publish(b->idx, &err), &err);
	report("add and publish", now() - start, b->n);
	index_close(b->idx);
}

static void
run_open(struct bench *b, const char *cache, const char *what)
{
	double start = now();

	open_index(b, cache);
	report(what, now() - start, b->n);
}

static void
run_lookups(struct bench *b, uint64_t base, const char *what)
{
	struct error err = ERROR_INIT;
	struct location loc;
	struct prng p;
	struct id id;
	double start = now();
	bool found;

	prng_init(&p, 5);
	for (uint64_t i = 0; i < LOOKUPS; i++) {
		id_of(base + prng_below(&p, b->n), &id);
		check(index_find(b->idx, &id, &loc, &found, &err), &err);
		b->sum += found;
	}
	report(what, now() - start, LOOKUPS);
}

static void
run_claims(struct bench *b, uint64_t base, const char *what)
{
	struct error err = ERROR_INIT;
	enum claim claim;
	struct id id;
	double start = now();

	for (uint64_t i = 0; i < LOOKUPS; i++) {
		id_of(base + i, &id);
		check(index_claim(b->idx, &id, &claim, &err), &err);
		b->sum += claim == CLAIM_MINE;
	}
	report(what, now() - start, LOOKUPS);
}

static enum err
count_one(void *arg, const struct location *loc, struct error *err)
{
	struct bench *b = arg;

	b->sum += loc->off;
	return ERR_OK;
}

static void
run_walk(struct bench *b)
{
	struct error err = ERROR_INIT;
	double start = now();

	check(index_each(b->idx, count_one, b, &err), &err);
	report("walk all", now() - start, b->n);
}

int
main(int argc, char **argv)
{
	const uint64_t beyond = (uint64_t)1 << 60;
	struct error err = ERROR_INIT;
	struct bench b = { 0 };

	if (argc != 3) {
		(void)fprintf(stderr, "usage: bench_index MILLIONS DIR\n");
		return 2;
	}
	b.n = (uint64_t)(atof(argv[1]) * 1e6);
	b.n += PACK_CHUNKS - b.n % PACK_CHUNKS;
	(void)snprintf(b.store_dir, sizeof(b.store_dir), "%s/store", argv[2]);
	(void)snprintf(b.cache_dir, sizeof(b.cache_dir), "%s/cache", argv[2]);
	(void)snprintf(b.spare_dir, sizeof(b.spare_dir), "%s/spare", argv[2]);
	check(store_open(&b.store, b.store_dir, true, &err), &err);
	(void)printf("%-28s %11s %13s %s\n", "", "cpu time", "rate",
		"own memory + mapped");
	run_fill(&b);
	run_open(&b, b.spare_dir, "open without a cache");
	index_close(b.idx);
	run_open(&b, b.cache_dir, "open with a cache");
	run_lookups(&b, 0, "find, there, cold");
	run_lookups(&b, 0, "find, there, warm");
	run_lookups(&b, beyond, "find, not there");
	run_claims(&b, beyond, "claim, not there");
	run_claims(&b, beyond, "claim, claimed");
	run_walk(&b);
	index_close(b.idx);
	store_close(b.store);
	return b.sum > 0 ? 0 : 1;
}
