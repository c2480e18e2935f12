/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/compress.h"
#include "tests/lib/lines_made.h"
#include "tests/lib/prng.h"

enum { LEN_MAX = 300000, GUARD = 64 };

static struct compressor *comp;
static uint8_t plain[LEN_MAX], *packed, back[LEN_MAX + GUARD];
static enum codec codec;

static int
open_all(void **state)
{
	struct error err = ERROR_INIT;

	packed = malloc(compress_bound(LEN_MAX));
	if (packed == NULL)
		return -1;
	return compressor_new(&comp, &err) == ERR_OK ? 0 : -1;
}

static int
close_all(void **state)
{
	compressor_free(comp);
	free(packed);
	return 0;
}

/* Zeroes, or bytes out of eight, or words out of 64. */
static void
fill_compressible(struct prng *rng, uint8_t *data, size_t len)
{
	enum { WORD = 12 };
	uint8_t words[64][WORD];
	uint64_t kind = prng_below(rng, 3);
	size_t word = 0;

	prng_fill(rng, words, sizeof(words));
	memset(data, 0, len);
	for (size_t i = 0; i < len && kind != 0; i++) {
		if (i % WORD == 0)
			word = prng_below(rng, ARRAY_LEN(words));
		data[i] = kind == 1 ? (uint8_t)prng_below(rng, 8)
				    : words[word][i % WORD];
	}
}

static size_t
pack(int level, size_t len)
{
	size_t n = compress_bytes(comp, level, plain, len, packed, &codec);

	assert_int_equal(codec == CODEC_RAW, n == 0);
	return n;
}

static enum err
unpack(const void *data, size_t len, size_t plain_len)
{
	struct error err = ERROR_INIT;
	enum err rc;

	memset(back + plain_len, 0xee, GUARD);
	rc = decompress_bytes(comp, codec, data, len, back, plain_len, &err);
	for (size_t i = 0; i < GUARD; i++)
		assert_int_equal(back[plain_len + i], 0xee);
	assert_int_equal(rc, err.code);
	return rc;
}

/* The most bytes that save 3 % of len. */
static size_t
worth(size_t len)
{
	return len * 97 / 100;
}

static void
assert_round_trip(int level, size_t len, size_t packed_len)
{
	assert_in_range(packed_len, 1, worth(len));
	if (unpack(packed, packed_len, len) != ERR_OK)
		fail_msg("level %d, %zu bytes", level, len);
	assert_memory_equal(back, plain, len);
}

static int
some_level(struct prng *rng)
{
	static const int levels[] = { -5, -1, 1, 2, 3, 4, 5, 6, 9, 19 };

	return levels[prng_below(rng, ARRAY_LEN(levels))];
}

static void
compressible_round_trip(void **state)
{
	for (uint64_t seed = 1; seed <= 120; seed++) {
		struct prng rng;
		size_t len, n;
		int level;

		prng_init(&rng, seed);
		len = 1000 + prng_below(&rng, LEN_MAX - 1000);
		level = some_level(&rng);
		fill_compressible(&rng, plain, len);
		n = pack(level, len);
		/* Negative levels do without entropy coding. */
		if (level > 0 || n > 0)
			assert_round_trip(level, len, n);
	}
}

/* Whatever the length, 0 included: a round trip or a clear no. */
static void
short_lengths(void **state)
{
	for (size_t len = 0; len < 300; len++) {
		size_t n;

		memset(plain, 'a', len);
		n = pack(1, len);
		if (len >= 40 || n != 0)
			assert_round_trip(1, len, n);
	}
}

static void
random_bytes_stay_raw(void **state)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct prng rng;
		size_t len;

		prng_init(&rng, seed);
		len = prng_below(&rng, LEN_MAX + 1);
		prng_fill(&rng, plain, len);
		assert_int_equal(pack(some_level(&rng), len), 0);
	}
}

/*
 * A random part takes as it is, zeroes take next to nothing: the answer turns
 * where 3 % are saved, or a little later, since libzstd hops over bytes where
 * nothing matches.
 */
static void
three_percent_decide(void **state)
{
	static const int levels[] = { 1, 3, 9 };
	size_t len = 5037, limit = worth(len);
	struct prng rng;

	prng_init(&rng, 3);
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		size_t zeroes = 120, n = 0;

		prng_fill(&rng, plain, len);
		memset(plain + len - zeroes, 0, zeroes);
		while (n == 0 && zeroes++ < 250) {
			plain[len - zeroes] = 0;
			n = pack(levels[i], len);
		}
		assert_round_trip(levels[i], len, n);
		assert_in_range(n, limit - 50, limit);
	}
}

/* RFC 8878, 3.1.1.1.1: no length, no checksum, no dictionary. */
static void
frame_header_is_minimal(void **state)
{
	memset(plain, 0, 10000);
	assert_in_range(pack(1, 10000), 9, 30);
	assert_int_equal(packed[4], 0);
}

/* The quick look at high levels must not miss what lies elsewhere. */
static void
high_level_sees_all_parts(void **state)
{
	struct prng rng;

	for (size_t at = 0; at < LEN_MAX; at += LEN_MAX / 6) {
		prng_init(&rng, at);
		prng_fill(&rng, plain, LEN_MAX);
		memset(plain + at, 7, LEN_MAX / 6);
		assert_round_trip(9, LEN_MAX, pack(9, LEN_MAX));
	}
}

/* Long inputs are sampled: what can be saved is seen wherever it lies. */
static void
samples_see_all_parts(void **state)
{
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct prng rng;
		size_t len, part, at;

		prng_init(&rng, seed);
		len = 150000 + prng_below(&rng, LEN_MAX - 150000);
		part = len / 12;
		at = prng_below(&rng, len - part);
		prng_fill(&rng, plain, len);
		memset(plain + at, (int)seed, part);
		assert_round_trip(1, len, pack(1, len));
	}
}

/* Bytes out of 100, of which one takes 6.7 bits. */
static void
samples_see_frequencies(void **state)
{
	struct prng rng;

	prng_init(&rng, 5);
	for (size_t i = 0; i < LEN_MAX; i++)
		plain[i] = (uint8_t)prng_below(&rng, 100);
	assert_round_trip(1, LEN_MAX, pack(1, LEN_MAX));
}

static void
samples_see_repeated_blocks(void **state)
{
	const size_t len = 256 << 10;

	for (size_t block = 512; block <= len / 2; block *= 2) {
		struct prng rng;

		prng_init(&rng, block);
		prng_fill(&rng, plain, block);
		for (size_t at = block; at < len; at += block)
			memcpy(plain + at, plain, block);
		assert_round_trip(1, len, pack(1, len));
	}
}

static void
level_matters(void **state)
{
	struct prng rng;
	size_t quick, slow;

	prng_init(&rng, 2);
	for (size_t i = 0; i < LEN_MAX; i++)
		plain[i] = (uint8_t)(prng_below(&rng, 6) * prng_below(&rng, 6));
	for (size_t i = 1000; i < LEN_MAX; i += 1 + prng_below(&rng, 200))
		memcpy(plain + i, plain + prng_below(&rng, i - 40),
			LEN_MAX - i < 40 ? LEN_MAX - i : 40);
	quick = pack(1, LEN_MAX);
	slow = pack(15, LEN_MAX);
	assert_in_range(slow, 1, quick - 1);
	assert_int_equal(pack(1, LEN_MAX), quick);
}

/* Of files that are made, changed and removed: counters, numbers near them, and
 * names of which half come again. */
static void
fill_log(uint64_t seed, size_t len)
{
	struct prng rng;
	unsigned id = 1000, inode = 500;
	uint64_t name = 0;
	char line[128];
	size_t at = 0;

	prng_init(&rng, seed);
	while (at < len) {
		unsigned what = (unsigned)prng_below(&rng, 3);
		unsigned near = inode - (unsigned)prng_below(&rng, 200);
		size_t n;

		if (what == 0)
			name = prng_below(&rng, 1 << 20);
		n = (size_t)snprintf(line, sizeof(line),
			what == 0   ? "%u: %u|CREATE(7,n%05" PRIx64 ".o):%u\n"
			: what == 1 ? "%u: %u|UNLINK(7,n%05" PRIx64 ".o):%u\n"
				    : "%u: %u|ATTR(%" PRIu64 ",420,0,0,%u)\n",
			id, 1795255200 + id / 300, what == 2 ? near : name,
			what == 0 ? inode++ : near);
		id++;
		n = n < len - at ? n : len - at;
		memcpy(plain + at, line, n);
		at += n;
	}
}

/* At most 2/3 of what a level before makes of the lines. */
static void
logs_are_made_columns(void **state)
{
	for (uint64_t seed = 1; seed <= 5; seed++) {
		size_t len = 200000 + seed, before, n;

		fill_log(seed, len);
		before = pack(4, len);
		assert_int_equal(codec, CODEC_ZSTD);
		n = pack(6, len);
		assert_int_equal(codec, CODEC_COLUMNS);
		assert_round_trip(6, len, n);
		assert_in_range(n, 1, before * 2 / 3);
		assert_int_equal(unpack(packed, n, len - 1), ERR_CORRUPT);
		assert_int_equal(unpack(packed, n, len + 1), ERR_CORRUPT);
		assert_int_equal(unpack(packed, n, 0), ERR_CORRUPT);
	}
}

/* Never larger than the lines compressed, whatever they are. */
static void
columns_are_taken_where_they_are_smaller(void **state)
{
	size_t taken = 0, all = 100;

	for (uint64_t seed = 1; seed <= all; seed++) {
		struct lines_made l;
		size_t n;

		lines_made_init(&l, seed, 1000 + seed * 300);
		memcpy(plain, l.text, l.len);
		n = pack(6, l.len);
		if (n > 0)
			assert_round_trip(6, l.len, n);
		taken += codec == CODEC_COLUMNS;
		free(l.text);
	}
	assert_in_range(taken, 1, all - 1);
}

static void
damaged_columns_stay_inside(void **state)
{
	const size_t len = 20000;
	struct prng rng;
	size_t n;

	fill_log(4, len);
	n = pack(6, len);
	assert_int_equal(codec, CODEC_COLUMNS);
	prng_init(&rng, 1);
	for (size_t cut = 0; cut < n; cut += 1 + cut / 50)
		assert_int_equal(unpack(packed, cut, len), ERR_CORRUPT);
	for (size_t i = 0; i < 2000; i++) {
		size_t at = prng_below(&rng, i < 64 ? 16 : n);
		uint8_t good = packed[at];

		packed[at] ^= (uint8_t)(1 + prng_below(&rng, 255));
		(void)unpack(packed, n, len);
		packed[at] = good;
	}
	assert_round_trip(6, len, n);
}

static size_t
pack_some(uint64_t seed, size_t len)
{
	struct prng rng;
	size_t n;

	prng_init(&rng, seed);
	fill_compressible(&rng, plain, len);
	n = pack(1, len);
	assert_round_trip(1, len, n);
	return n;
}

static void
other_length_is_refused(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		size_t len = 5000 + seed, n = pack_some(seed, len);

		assert_int_equal(unpack(packed, n, len - 1), ERR_CORRUPT);
		assert_int_equal(unpack(packed, n, len + 1), ERR_CORRUPT);
		assert_int_equal(unpack(packed, n, 0), ERR_CORRUPT);
		assert_int_equal(unpack(packed, n, LEN_MAX), ERR_CORRUPT);
	}
}

static void
truncated_or_extended_is_refused(void **state)
{
	static const uint8_t skippable[12] = { 0x50, 0x2a, 0x4d, 0x18, 4 };

	for (uint64_t seed = 1; seed <= 5; seed++) {
		size_t len = 3000, n = pack_some(seed, len);

		for (size_t cut = 0; cut < n; cut++)
			assert_int_equal(unpack(packed, cut, len), ERR_CORRUPT);
		memcpy(packed + n, skippable, sizeof(skippable));
		assert_int_equal(unpack(packed, n + sizeof(skippable), len),
			ERR_CORRUPT);
		memmove(packed + n, packed, n);
		assert_int_equal(unpack(packed, 2 * n, 2 * len), ERR_CORRUPT);
	}
	assert_int_equal(unpack(skippable, sizeof(skippable), 0), ERR_CORRUPT);
}

/* Without a checksum some damage yields other bytes; never more of them. */
static void
damage_stays_inside(void **state)
{
	static uint8_t kept[2 * LEN_MAX];

	for (uint64_t seed = 1; seed <= 40; seed++) {
		size_t len = 20000, n = pack_some(seed, len);
		struct prng rng;

		prng_init(&rng, seed);
		memcpy(kept, packed, n);
		for (int i = 0; i < 300; i++) {
			size_t flips = 1 + prng_below(&rng, 4);

			memcpy(packed, kept, n);
			while (flips-- > 0)
				packed[prng_below(&rng, n)] ^=
					(uint8_t)(1 << prng_below(&rng, 8));
			(void)unpack(packed, n, prng_below(&rng, 2 * len));
		}
	}
}

static void
garbage_stays_inside(void **state)
{
	static const uint8_t magic[4] = { 0x28, 0xb5, 0x2f, 0xfd };
	uint8_t junk[2000];
	struct prng rng;

	prng_init(&rng, 77);
	for (int i = 0; i < 20000; i++) {
		size_t len = prng_below(&rng, sizeof(junk));

		prng_fill(&rng, junk, sizeof(junk));
		assert_int_equal(unpack(junk, len, prng_below(&rng, LEN_MAX)),
			ERR_CORRUPT);
		memcpy(junk, magic, sizeof(magic));
		(void)unpack(junk, len, prng_below(&rng, LEN_MAX));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compressible_round_trip),
		cmocka_unit_test(short_lengths),
		cmocka_unit_test(random_bytes_stay_raw),
		cmocka_unit_test(three_percent_decide),
		cmocka_unit_test(frame_header_is_minimal),
		cmocka_unit_test(high_level_sees_all_parts),
		cmocka_unit_test(samples_see_all_parts),
		cmocka_unit_test(samples_see_frequencies),
		cmocka_unit_test(samples_see_repeated_blocks),
		cmocka_unit_test(level_matters),
		cmocka_unit_test(other_length_is_refused),
		cmocka_unit_test(truncated_or_extended_is_refused),
		cmocka_unit_test(damage_stays_inside),
		cmocka_unit_test(logs_are_made_columns),
		cmocka_unit_test(columns_are_taken_where_they_are_smaller),
		cmocka_unit_test(damaged_columns_stay_inside),
		cmocka_unit_test(garbage_stays_inside),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
