/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two files made as the input says: the old one and what delta tells make the
 * new one, in ranges that ascend, each byte once.
 *
 * Input: u8 what (bits 0-1: to the old file, to the new one, to both, to the
 * new one what the old one has at the seed's place; bits 2-3: noise, noise of
 * four bytes over and over, one byte, records of 44 bytes), u8 seed, u16
 * length; and again.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/rd.h"
#include "codec/delta.h"
#include "tests/lib/prng.h"

enum { SIZE = 1 << 18, RECORD = 44 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t olds[SIZE], news[SIZE], made[SIZE];

struct told {
	uint64_t end, old_end, old_size, new_size;
};

static enum err
read_from(void *arg, uint64_t off, void *data, size_t len, struct error *err)
{
	assert(off <= SIZE && len <= SIZE - off);
	memcpy(data, (const uint8_t *)arg + off, len);
	return ERR_OK;
}

static enum err
take(void *arg, uint64_t off, uint64_t old_off, uint64_t len, struct error *err)
{
	struct told *t = arg;

	assert(off == t->end && len >= DELTA_MIN && len <= t->new_size - off);
	assert(old_off >= t->old_end && old_off <= t->old_size);
	assert(len <= t->old_size - old_off);
	memcpy(made + off, olds + old_off, len);
	t->end += len;
	t->old_end = old_off + len;
	return ERR_OK;
}

static enum err
put(void *arg, uint64_t off, const void *data, size_t len, struct error *err)
{
	struct told *t = arg;

	assert(off == t->end && len > 0 && len <= t->new_size - off);
	memcpy(made + off, data, len);
	t->end += len;
	return ERR_OK;
}

static void
fill(uint8_t *out, unsigned kind, uint8_t seed, size_t len)
{
	struct prng rng;

	prng_init(&rng, seed);
	if (kind == 2)
		memset(out, seed, len);
	for (size_t i = 0; i < len && kind != 2; i++) {
		if (kind == 1 && i >= 4)
			out[i] = out[i - 4];
		else if (kind == 3 && i % RECORD >= 4)
			out[i] = (uint8_t)(i % RECORD / 4);
		else
			out[i] = (uint8_t)prng_next(&rng);
	}
}

static size_t
smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void
make(struct told *t, struct rd *r)
{
	while (rd_left(r) >= 4) {
		uint8_t what = rd_u8(r), seed = rd_u8(r);
		size_t len = rd_u16(r), n = smaller(len, SIZE - t->new_size);

		if (what % 4 != 1 && what % 4 != 3) {
			size_t m = smaller(len, SIZE - t->old_size);

			fill(olds + t->old_size, what / 4 % 4, seed, m);
			t->old_size += m;
		}
		if (what % 4 == 3) {
			size_t at = t->old_size / 256 * seed;

			n = smaller(n, t->old_size - at);
			memcpy(news + t->new_size, olds + at, n);
			t->new_size += n;
		} else if (what % 4 != 0) {
			fill(news + t->new_size, what / 4 % 4, seed, n);
			t->new_size += n;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;
	struct delta_file old = { 0, read_from, olds };
	struct delta_file new = { 0, read_from, news };
	struct told t = { 0 };
	struct delta_fn fn = { take, put, &t };
	struct rd r;

	rd_init(&r, data, len);
	make(&t, &r);
	old.size = t.old_size;
	new.size = t.new_size;
	assert(delta_run(&old, &new, &fn, &err) == ERR_OK);
	assert(t.end == new.size &&memcmp(made, news, new.size) == 0);
	return 0;
}
