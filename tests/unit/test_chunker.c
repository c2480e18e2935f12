/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/id.h"
#include "codec/chunker.h"
#include "codec/hash.h"
#include "tests/lib/prng.h"

typedef bool feed_fn(struct chunker *c, const uint8_t *data, size_t len,
	size_t *used);

enum { MAX_CUTS = 1 << 16 };

struct cuts {
	size_t n;
	uint64_t at[MAX_CUTS];
};

static void
gear_of(struct gear *g, uint8_t fill)
{
	struct secret key;

	memset(key.b, fill, sizeof(key.b));
	gear_init(g, &key);
}

/* How many bytes to hand over next; 0: any number, drawn from rng. */
struct feeding {
	feed_fn *feed[2]; /* one of them by chance where rng is set */
	size_t step;
	struct prng *rng;
};

static size_t
next_step(const struct feeding *f, size_t left)
{
	size_t step = f->step;

	if (step == 0) {
		step = (size_t)1 << prng_below(f->rng, 18);
		step += (size_t)prng_below(f->rng, step);
	}
	return step < left ? step : left;
}

static void
cut(struct cuts *out, const struct gear *g, const struct chunker_params *p,
	const struct feeding *f, const uint8_t *data, size_t len)
{
	struct chunker c;
	size_t pos = 0, used;

	out->n = 0;
	chunker_init(&c, g, p);
	while (pos < len) {
		size_t give = next_step(f, len - pos);
		size_t which = f->rng != NULL ? prng_below(f->rng, 2) : 0;
		bool end = f->feed[which](&c, data + pos, give, &used);

		if (end)
			assert_in_range(used, 1, give);
		else
			assert_int_equal(used, give);
		pos += used;
		if (!end)
			continue;
		assert_true(out->n < MAX_CUTS);
		out->at[out->n++] = pos;
	}
}

static void
assert_same(const struct cuts *a, const struct cuts *b)
{
	assert_int_equal(a->n, b->n);
	assert_memory_equal(a->at, b->at, a->n * sizeof(a->at[0]));
}

/* Written down from the definition, with none of the module's code. */
static void
cut_by_definition(struct cuts *out, const struct gear *g,
	const struct chunker_params *p, const uint8_t *data, size_t len)
{
	size_t start = 0, n;
	unsigned bits = 0;

	while (UINT32_C(1) << bits < p->target)
		bits++;
	out->n = 0;
	for (size_t i = 0; i < len; i++) {
		size_t from = i < 63 ? 0 : i - 63;
		uint64_t h = 0;
		bool end;

		n = i + 1 - start;
		if (n < p->min)
			continue;
		for (size_t k = from; k <= i; k++)
			h += g->t[data[k]] << (i - k);
		if (n < p->target)
			end = h >> (62 - bits) == 0;
		else
			end = h >> (66 - bits) == 0;
		if (end || n == p->max) {
			out->at[out->n++] = i + 1;
			start = i + 1;
		}
	}
}

/*
 * Random bytes, with runs of one byte (which make h constant: cuts at max or
 * at once) and repetitions in between.
 */
static uint8_t *
make_data(struct prng *rng, size_t len)
{
	uint8_t *data = malloc(len);
	size_t pos = 0;

	assert_non_null(data);
	while (pos < len) {
		size_t part = 1 + prng_below(rng, len / 4);
		uint64_t kind = prng_below(rng, 8);

		if (part > len - pos)
			part = len - pos;
		if (kind == 0)
			memset(data + pos, (int)prng_below(rng, 256), part);
		else if (kind == 1 && pos >= part)
			memcpy(data + pos, data + pos - part, part);
		else
			prng_fill(rng, data + pos, part);
		pos += part;
	}
	return data;
}

static const struct chunker_params small_params[] = {
	{ 64, 64, 64 },
	{ 64, 64, 65 },
	{ 64, 256, 1024 },
	{ 65, 128, 8 << 20 },
	{ 100, 1024, 1024 },
	{ 1024, 1024, 9999 },
	{ 700, 2048, 100000 },
	{ 4096, 16384, 65536 },
	{ 64, 65536, 1 << 20 },
};

static struct cuts want, have;

static void
scalar_is_the_definition(void **state)
{
	struct gear g;

	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct prng rng;
		size_t len = 100000;
		uint8_t *data;
		struct feeding f = { { chunker_feed_scalar }, 1000, NULL };

		prng_init(&rng, seed);
		data = make_data(&rng, len);
		gear_of(&g, (uint8_t)seed);
		print_message("seed %" PRIu64 "\n", seed);
		for (size_t i = 0; i < ARRAY_LEN(small_params); i++) {
			cut_by_definition(&want, &g, &small_params[i], data,
				len);
			cut(&have, &g, &small_params[i], &f, data, len);
			assert_same(&want, &have);
		}
		free(data);
	}
}

/* However the bytes are handed over, and whichever implementation runs. */
static void
compare_feeds(const struct gear *g, const struct chunker_params *p,
	struct prng *rng, const uint8_t *data, size_t len)
{
	static const size_t steps[] = { 1, 63, 64, 65, 1023, 1024, 1025, 4096,
		16384, 16385, 65537, SIZE_MAX };
	struct feeding scalar = { { chunker_feed_scalar }, SIZE_MAX, NULL };
	struct feeding f = { { chunker_feed }, 0, NULL };
	struct feeding mixed = { { chunker_feed, chunker_feed_scalar }, 0,
		rng };

	cut(&want, g, p, &scalar, data, len);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		f.step = steps[i];
		cut(&have, g, p, &f, data, len);
		assert_same(&want, &have);
	}
	cut(&have, g, p, &mixed, data, len);
	assert_same(&want, &have);
}

static void
cuts_ignore_feeds(void **state)
{
	struct gear g;

	for (uint64_t seed = 100; seed < 130; seed++) {
		struct prng rng;
		size_t len;
		uint8_t *data;

		prng_init(&rng, seed);
		len = 1000 + prng_below(&rng, 300000);
		data = make_data(&rng, len);
		gear_of(&g, (uint8_t)seed);
		print_message("seed %" PRIu64 "\n", seed);
		for (size_t i = 0; i < ARRAY_LEN(small_params); i++)
			compare_feeds(&g, &small_params[i], &rng, data, len);
		free(data);
	}
}

static void
cuts_ignore_feeds_default(void **state)
{
	struct chunker_params p = CHUNKER_DEFAULT;
	size_t len = (size_t)24 << 20;
	struct prng rng;
	struct gear g;
	uint8_t *data;

	prng_init(&rng, 7);
	data = make_data(&rng, len);
	gear_of(&g, 7);
	compare_feeds(&g, &p, &rng, data, len);
	assert_in_range(want.n, len / p.max, len / p.min);
	free(data);
}

/* min <= length <= max, and the mean near the target on random bytes. */
static void
lengths_hold(void **state)
{
	struct chunker_params p = { 512, 1024, 8192 };
	struct feeding f = { { chunker_feed }, 65536, NULL };
	size_t len = (size_t)8 << 20, from = 0;
	struct prng rng;
	struct gear g;
	uint8_t *data = malloc(len);

	assert_non_null(data);
	prng_init(&rng, 11);
	prng_fill(&rng, data, len);
	gear_of(&g, 11);
	cut(&have, &g, &p, &f, data, len);
	for (size_t i = 0; i < have.n; i++) {
		assert_in_range(have.at[i] - from, p.min, p.max);
		from = have.at[i];
	}
	assert_in_range(have.n, len / 1350, len / 1000);
	free(data);
}

/* What content-defined means: after an insertion the old cuts come back. */
static void
cuts_survive_insertion(void **state)
{
	struct chunker_params p = { 512, 1024, 8192 };
	struct feeding f = { { chunker_feed }, 65536, NULL };
	size_t len = 1 << 20, shift = 137, same = 0;
	struct prng rng;
	struct gear g;
	uint8_t *data = malloc(len + shift);

	assert_non_null(data);
	prng_init(&rng, 13);
	prng_fill(&rng, data, len + shift);
	gear_of(&g, 13);
	cut(&want, &g, &p, &f, data + shift, len);
	cut(&have, &g, &p, &f, data, len + shift);
	for (size_t i = 0, k = 0; i < want.n && k < have.n;) {
		size_t a = want.at[i] + shift, b = have.at[k];

		same += a == b;
		i += a <= b;
		k += b <= a;
	}
	assert_in_range(same, want.n - 20, want.n);
	free(data);
}

static void
params_are_checked(void **state)
{
	static const struct chunker_params bad[] = {
		{ 0, 0, 0 },
		{ 63, 256, 1024 },
		{ 64, 255, 1024 },
		{ 512, 256, 1024 },
		{ 64, 256, 255 },
		{ 64, 256, (8 << 20) + 1 },
		{ 64, 0, 1024 },
		{ 64, UINT32_C(1) << 31, UINT32_MAX },
	};
	struct chunker_params p = CHUNKER_DEFAULT;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(chunker_params_ok(&bad[i]));
	for (size_t i = 0; i < ARRAY_LEN(small_params); i++)
		assert_true(chunker_params_ok(&small_params[i]));
	assert_true(chunker_params_ok(&p));
}

static void
assert_words(const char *hex, const uint64_t *words, size_t n)
{
	size_t len = 8 * n;
	uint8_t *raw = malloc(len);
	char text[ID_HEX + 1];
	struct id id;

	assert_non_null(raw);
	for (size_t i = 0; i < len; i++)
		raw[i] = (uint8_t)(words[i / 8] >> 8 * (i % 8));
	hash_plain(&id, raw, len);
	free(raw);
	hex_encode(id.b, ID_LEN, text);
	assert_string_equal(text, hex);
}

/*
 * The format depends on these: a repository deduplicates against chunks that
 * an older program cut.
 */
static void
format_is_pinned(void **state)
{
	static const uint64_t default_cuts[] = { 1184151, 2499188, 4121566,
		5445319, 7163165, 8298558, 9870750, 11004410, 12347648,
		13478566, 14174610, 15234660, 16293959 };
	struct chunker_params params = CHUNKER_DEFAULT;
	struct chunker_params small = { 512, 1024, 8192 };
	struct feeding f = { { chunker_feed }, 1 << 18, NULL };
	size_t len = (size_t)16 << 20;
	uint8_t *data = malloc(len);
	struct prng rng;
	struct gear g;

	assert_non_null(data);
	gear_of(&g, 0x42);
	assert_words("afcfce3fdfb2776020c67311b3725fab"
		     "2d444b22f3e7f43a7201ab3b963cb0c2",
		g.t, ARRAY_LEN(g.t));

	prng_init(&rng, 20261121);
	prng_fill(&rng, data, len);
	cut(&have, &g, &params, &f, data, len);
	assert_int_equal(have.n, ARRAY_LEN(default_cuts));
	assert_memory_equal(have.at, default_cuts, sizeof(default_cuts));

	cut(&have, &g, &small, &f, data, len);
	assert_int_equal(have.n, 13827);
	assert_words("7317d7c642d7f0b95cd142a1810066dd"
		     "8e10777fe7e505528bb6057b96754cd5",
		have.at, have.n);
	free(data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalar_is_the_definition),
		cmocka_unit_test(cuts_ignore_feeds),
		cmocka_unit_test(cuts_ignore_feeds_default),
		cmocka_unit_test(lengths_hold),
		cmocka_unit_test(cuts_survive_insertion),
		cmocka_unit_test(params_are_checked),
		cmocka_unit_test(format_is_pinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
