/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_codec [FILE]: how many gigabytes a second one core puts through each
 * primitive of the codec floor.
 *
 * The bytes are the start of FILE, or words drawn at random without one;
 * where "random" is said they are random.  Each figure is the best of three.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "codec/aead.h"
#include "codec/chunker.h"
#include "codec/compress.h"
#include "codec/hash.h"
#include "codec/shorthash.h"
#include "tests/lib/prng.h"

enum { POOL = 16 << 20, ROUNDS = 3 };

static const double round_sec = 0.25;

struct bench {
	struct secret key;
	struct gear gear;
	struct compressor *comp;
	struct aead *aead;
	uint8_t *text; /* POOL bytes of each */
	uint8_t *random;
	uint8_t *out;
	size_t frame_len;
	enum codec codec; /* of 1 MiB of text, at the end of out */
	uint64_t sum; /* of results, so that they are needed */
};

/* Process len bytes at data once. */
typedef void pass_fn(struct bench *b, const uint8_t *data, size_t len);

static void
die(const struct error *err)
{
	(void)fprintf(stderr, "bench_codec: %s\n", err->msg);
	_exit(1);
}

static void
pass_hash(struct bench *b, const uint8_t *data, size_t len)
{
	struct id id;

	hash_keyed(&id, &b->key, data, len);
	b->sum += id.b[0];
}

static void
pass_shorthash(struct bench *b, const uint8_t *data, size_t len)
{
	static const struct shorthash_key key = { { 1 } };

	b->sum += shorthash(&key, data, len);
}

static void
feed_all(struct bench *b, const struct chunker_params *p, const uint8_t *data,
	size_t len, bool scalar)
{
	struct chunker c;
	size_t pos = 0, used;

	chunker_init(&c, &b->gear, p);
	while (pos < len) {
		if (scalar)
			b->sum += chunker_feed_scalar(&c, data + pos, len - pos,
				&used);
		else
			b->sum +=
				chunker_feed(&c, data + pos, len - pos, &used);
		pos += used;
	}
}

/* With these a cut is rare and next to nothing is skipped. */
static const struct chunker_params scan_all = { 64, 8 << 20, 8 << 20 };

static void
pass_gear_scalar(struct bench *b, const uint8_t *data, size_t len)
{
	feed_all(b, &scan_all, data, len, true);
}

static void
pass_gear_lanes(struct bench *b, const uint8_t *data, size_t len)
{
	feed_all(b, &scan_all, data, len, false);
}

static void
pass_gear_default(struct bench *b, const uint8_t *data, size_t len)
{
	feed_all(b, &CHUNKER_DEFAULT, data, len, false);
}

static void
pass_gear_small(struct bench *b, const uint8_t *data, size_t len)
{
	feed_all(b, &(struct chunker_params){ 64 << 10, 128 << 10, 1 << 20 },
		data, len, false);
}

static void
pass_zstd_1(struct bench *b, const uint8_t *data, size_t len)
{
	b->sum += compress_bytes(b->comp, 1, data, len, b->out, &b->codec);
}

static void
pass_zstd_3(struct bench *b, const uint8_t *data, size_t len)
{
	b->sum += compress_bytes(b->comp, 3, data, len, b->out, &b->codec);
}

static void
pass_zstd_9(struct bench *b, const uint8_t *data, size_t len)
{
	b->sum += compress_bytes(b->comp, 9, data, len, b->out, &b->codec);
}

static void
pass_unzstd(struct bench *b, const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;

	if (decompress_bytes(b->comp, b->codec, b->out + POOL, b->frame_len,
		    b->out, len, &err) != ERR_OK)
		die(&err);
}

static void
pass_seal(struct bench *b, const uint8_t *data, size_t len)
{
	struct aead_args args = { &b->key, b->sum++, "additional", 10 };
	struct error err = ERROR_INIT;

	if (aead_seal(b->aead, &args, data, len, b->out, &err) != ERR_OK)
		die(&err);
}

/* Of the processor, so that others at work disturb less. */
static double
now_sec(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

static double
best_rate(struct bench *b, pass_fn *pass, const uint8_t *pool, size_t len)
{
	double best = 0;

	for (int i = 0; i < ROUNDS; i++) {
		double start = now_sec(), sec = 0;
		size_t pos = 0, bytes = 0;

		do {
			pass(b, pool + pos, len);
			bytes += len;
			pos = pos + 2 * len <= POOL ? pos + len : 0;
			/* To look at the clock takes longer than a hash. */
			if (bytes % (1 << 20) == 0)
				sec = now_sec() - start;
		} while (sec < round_sec);
		if ((double)bytes / sec > best)
			best = (double)bytes / sec;
	}
	return best;
}

static void
run_all(struct bench *b)
{
	const struct {
		const char *name;
		pass_fn *pass;
		const uint8_t *pool;
		size_t len;
	} rows[] = {
		{ "blake3 keyed, 4 KiB", pass_hash, b->random, 4 << 10 },
		{ "blake3 keyed, 64 KiB", pass_hash, b->random, 64 << 10 },
		{ "blake3 keyed, 1 MiB", pass_hash, b->random, 1 << 20 },
		{ "siphash, 64 B", pass_shorthash, b->random, 64 },
		{ "gear, one lane", pass_gear_scalar, b->random, 8 << 20 },
		{ "gear, four lanes", pass_gear_lanes, b->random, 8 << 20 },
		{ "chunker, target 1 MiB", pass_gear_default, b->random, POOL },
		{ "chunker, target 128 KiB", pass_gear_small, b->random, POOL },
		{ "zstd 1, 1 MiB", pass_zstd_1, b->text, 1 << 20 },
		{ "zstd 3, 1 MiB", pass_zstd_3, b->text, 1 << 20 },
		{ "zstd 1, 1 MiB random", pass_zstd_1, b->random, 1 << 20 },
		{ "zstd 9, 1 MiB random", pass_zstd_9, b->random, 1 << 20 },
		{ "zstd decompress, 1 MiB", pass_unzstd, b->text, 1 << 20 },
		{ "aes-256-gcm seal, 1 KiB", pass_seal, b->random, 1 << 10 },
		{ "aes-256-gcm seal, 16 KiB", pass_seal, b->random, 16 << 10 },
		{ "aes-256-gcm seal, 1 MiB", pass_seal, b->random, 1 << 20 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		printf("%-26s %6.2f GB/s\n", rows[i].name,
			best_rate(b, rows[i].pass, rows[i].pool, rows[i].len) /
				1e9);
	printf("zstd 1 makes %.2f of each byte\n",
		(double)b->frame_len / (1 << 20));
}

static void
fill_words(struct prng *rng, uint8_t *data, size_t len)
{
	char words[1024][9];
	size_t pos = 0;

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t n = 3 + prng_below(rng, 6);

		for (size_t k = 0; k < n; k++)
			words[i][k] = (char)('a' + prng_below(rng, 26));
		words[i][n - 1] = ' ';
		words[i][n] = '\0';
	}
	while (pos < len) {
		const char *word = words[prng_below(rng, ARRAY_LEN(words))];

		while (*word != '\0' && pos < len)
			data[pos++] = (uint8_t)*word++;
	}
}

/* A file that is shorter than the pool is repeated. */
static bool
fill_from(const char *path, uint8_t *data, size_t len)
{
	FILE *f = fopen(path, "rb");
	size_t got = f != NULL ? fread(data, 1, len, f) : 0;

	if (f != NULL)
		(void)fclose(f);
	for (size_t i = got; got > 0 && i < len; i++)
		data[i] = data[i - got];
	return got > 0;
}

int
main(int argc, char **argv)
{
	struct bench b = { .key = { { 1 } } };
	struct error err = ERROR_INIT;
	struct prng rng;

	prng_init(&rng, 1);
	b.text = malloc(POOL);
	b.random = malloc(POOL);
	b.out = malloc(POOL + compress_bound(POOL));
	if (b.text == NULL || b.random == NULL || b.out == NULL) {
		(void)err_set(&err, ERR_NOMEM, "out of memory");
		die(&err);
	}
	if (compressor_new(&b.comp, &err) != ERR_OK ||
		aead_new(&b.aead, &err) != ERR_OK)
		die(&err);
	gear_init(&b.gear, &b.key);
	prng_fill(&rng, b.random, POOL);
	fill_words(&rng, b.text, POOL);
	if (argc > 1 && !fill_from(argv[1], b.text, POOL)) {
		(void)err_set(&err, ERR_IO, "%s: nothing to read", argv[1]);
		die(&err);
	}
	b.frame_len = compress_bytes(b.comp, 1, b.text, 1 << 20, b.out + POOL,
		&b.codec);
	if (b.frame_len == 0) {
		(void)err_set(&err, ERR_IO, "the bytes do not compress");
		die(&err);
	}
	run_all(&b);
	compressor_free(b.comp);
	aead_free(b.aead);
	free(b.text);
	free(b.random);
	free(b.out);
	return 0;
}
