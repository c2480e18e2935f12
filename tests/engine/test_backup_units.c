/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup that has to do with little memory (unit_max): its chunks and packs
 * are short, everything comes back, what it stores again it finds; and the
 * memory is what that is for.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/engine/fake.h"
#include "tests/lib/sanitizer.h"

enum {
	MIB = 1 << 20,
	SIZE = 40 * MIB,
	MEMORY_MAX = 16 * MIB, /* without unit_max it takes 44 */
	SLACK = 64 << 10 /* the ends of a pack */
};

static void
take(struct fake *f, uint32_t unit_max, bool force, struct snapshot *snap)
{
	const struct backup_conf conf = { .host = "here",
		.level = 6,
		.workers = 1,
		.force = force,
		.unit_max = unit_max };
	struct error err = ERROR_INIT;

	snapshot_init(snap);
	must(fake_backup(f, &conf, snap, &err), &err);
}

struct longest {
	uint64_t chunk, pack;
};

static enum err
on_chunk(void *arg, const struct location *loc, struct error *err)
{
	uint64_t *max = &((struct longest *)arg)->chunk;

	(void)err;
	if (loc->rec.plain_len > *max)
		*max = loc->rec.plain_len;
	return ERR_OK;
}

static enum err
on_pack(void *arg, const struct pack_info *pack, struct error *err)
{
	uint64_t *max = &((struct longest *)arg)->pack;

	(void)err;
	if (pack->size > *max)
		*max = pack->size;
	return ERR_OK;
}

static struct longest
measure(struct fake *f)
{
	struct longest max = { 0, 0 };
	struct error err = ERROR_INIT;
	struct index *idx;

	must(repo_index(f->repo, &idx, &err), &err);
	must(index_each(idx, on_chunk, &max, &err), &err);
	must(index_each_pack(idx, on_pack, &max, &err), &err);
	return max;
}

/* No shorter than what the chunker aims at. */
static void
units_are_short(void **state)
{
	static const uint32_t maxima[] = { 0, MIB, 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(maxima); i++) {
		const uint64_t limit = MIB;
		struct longest max;
		struct snapshot snap;
		struct fake f;

		fake_init(&f, false);
		(void)fake_add(&f, "large", SIZE);
		take(&f, maxima[i], false, &snap);
		fake_verify(&f, &snap);
		snapshot_fini(&snap);
		max = measure(&f);
		print_message("%u: %llu, %llu\n", maxima[i],
			(unsigned long long)max.chunk,
			(unsigned long long)max.pack);
		if (maxima[i] == 0) {
			assert_true(max.chunk > MIB);
			assert_true(max.pack > 8 * MIB);
		} else {
			assert_int_equal(max.chunk, limit);
			assert_true(max.pack < maxima[i] + limit + SLACK);
		}
		take(&f, maxima[i], true, &snap);
		assert_in_range(snap.figures.bytes_added, 0, SLACK);
		snapshot_fini(&snap);
		fake_fini(&f);
	}
}

#ifndef HAVE_SANITIZER
static uint64_t
peak(void)
{
	unsigned long long kib = 0;
	char line[256];
	FILE *in = fopen("/proc/self/status", "re");

	assert_non_null(in);
	while (fgets(line, sizeof(line), in) != NULL)
		(void)sscanf(line, "VmHWM: %llu", &kib);
	(void)fclose(in);
	assert_true(kib > 0);
	return kib << 10;
}

/* From now on. */
static void
forget_peak(void)
{
	FILE *out = fopen("/proc/self/clear_refs", "we");

	assert_non_null(out);
	assert_true(fputs("5", out) > 0);
	assert_int_equal(fclose(out), 0);
}

static int
on_file(const char *path, const struct stat *sb, int flag, struct FTW *ftw)
{
	(void)sb;
	(void)flag;
	(void)ftw;
	return remove(path);
}

/* Of bytes that nothing can be saved of. */
static void
memory_is_little(void **state)
{
	struct repo_init_conf conf = tool_init_conf();
	char dir[] = "/var/tmp/coffer-units-XXXXXX";
	struct error err = ERROR_INIT;
	struct snapshot snap;
	struct store *st;
	struct fake f;
	uint64_t before, took;

	(void)state;
	assert_non_null(mkdtemp(dir));
	conf.chunker = CHUNKER_DEFAULT;
	conf.pack_target = REPO_PACK_TARGET;
	fake_init(&f, false);
	must(store_open(&st, dir, true, &err), &err);
	must(repo_init(st, &conf, &err), &err);
	fake_reopen(&f, st);
	(void)fake_add(&f, "large", SIZE);
	forget_peak();
	before = peak();
	take(&f, MIB, false, &snap);
	took = peak() - before;
	print_message("%llu KiB\n", (unsigned long long)took >> 10);
	assert_in_range(took, 1, MEMORY_MAX);
	snapshot_fini(&snap);
	fake_fini(&f);
	assert_int_equal(nftw(dir, on_file, 16, FTW_DEPTH | FTW_PHYS), 0);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
#ifndef HAVE_SANITIZER
		cmocka_unit_test(memory_is_little),
#endif
		cmocka_unit_test(units_are_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
