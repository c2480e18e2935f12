/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live: chains of blocks in a file without a name.
 *
 *   block: u64 place of the one before in its chain, plus one · u64 checksum
 *          | BLOCK_FPS fingerprints
 *
 * The block being filled of each chain is in memory.  A walk goes through the
 * ranges of fingerprints in order.  A range is as wide as its share of the
 * room would be if fingerprints were spread evenly; where more come, it ends
 * earlier; where none come, the next begins at the first that there is.  Each
 * range reads its chain once, and is sorted by digits (LSD radix sort).
 */
#include "engine/live.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"
#include "base/secret.h"
#include "codec/shorthash.h"

enum {
	PARTS = 256,
	BLOCK_LEN = 16 << 10,
	BLOCK_HEAD = 2, /* words: the one before, the checksum */
	BLOCK_WORDS = BLOCK_LEN / 8,
	RECENT = 1 << 16,
	ROOM_MIN = 64,
	DIGIT_BITS = 12,
	DIGITS = 5 /* of the 56 bits that differ within a chain */
};

static const char what[] = "temporary file of live chunks";

struct chain {
	uint64_t last; /* place of its last block in the file, plus one */
	uint64_t n; /* fingerprints, those in memory too */
	uint32_t fill; /* words of its block in memory, with the head */
};

struct live {
	const char *dir;
	int fd; /* -1 until it is needed */
	uint64_t n_blocks;
	struct shorthash_key key;
	struct chain chain[PARTS];
	uint64_t *blocks; /* PARTS of BLOCK_WORDS */
	uint64_t *recent; /* what was added last, by hash */
	/* the walk: */
	uint64_t *read; /* one block */
	uint64_t *v, *spare; /* the range at hand, sorted */
	size_t room, n, at;
	bool met; /* v[at] was asked for */
	unsigned part; /* the chain of the range */
	uint64_t lo, hi; /* the range, both in it */
	uint64_t next; /* the first behind it in the chain, if there is one */
	bool has_next;
	bool loaded;
	struct live_missed missed;
	uint64_t asked;
};

enum err
live_new(struct live **out, const char *scratch_dir, size_t room,
	struct error *err)
{
	struct live *l = calloc(1, sizeof(*l));

	assert(room >= ROOM_MIN);
	if (l == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	l->fd = -1;
	l->dir = scratch_dir;
	l->room = room;
	random_bytes(l->key.b, sizeof(l->key.b));
	l->blocks = calloc(PARTS, BLOCK_LEN);
	l->recent = calloc(RECENT, sizeof(uint64_t));
	l->read = calloc(1, BLOCK_LEN);
	l->v = calloc(room, sizeof(uint64_t));
	l->spare = calloc(room, sizeof(uint64_t));
	for (unsigned i = 0; i < PARTS; i++)
		l->chain[i].fill = BLOCK_HEAD;
	if (l->blocks == NULL || l->recent == NULL || l->read == NULL ||
		l->v == NULL || l->spare == NULL) {
		live_free(l);
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	*out = l;
	return ERR_OK;
}

void
live_free(struct live *l)
{
	if (l == NULL)
		return;
	fsx_close(&l->fd);
	free(l->blocks);
	free(l->recent);
	free(l->read);
	free(l->v);
	free(l->spare);
	free(l);
}

/* A file that nobody else can find. */
static enum err
open_file(struct live *l, struct error *err)
{
	const char *dir = l->dir != NULL ? l->dir : getenv("TMPDIR");
	char path[4096];

	if (dir == NULL || dir[0] == '\0')
		dir = "/var/tmp";
	l->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (l->fd >= 0)
		return ERR_OK;
	if (snprintf(path, sizeof(path), "%s/coffer-live-XXXXXX", dir) >=
		(int)sizeof(path))
		return err_set(err, ERR_USAGE, "%s: path too long", dir);
	l->fd = mkostemp(path, O_CLOEXEC);
	if (l->fd < 0)
		return err_sys(err, errno, "%s: %s", dir, what);
	(void)unlink(path);
	return ERR_OK;
}

static uint64_t
checksum(const struct live *l, const uint64_t *block, uint64_t place)
{
	return block[0] ^ place ^
	       shorthash(&l->key, block + BLOCK_HEAD,
		       BLOCK_LEN - BLOCK_HEAD * sizeof(uint64_t));
}

static enum err
spill(struct live *l, unsigned part, struct error *err)
{
	uint64_t *block = l->blocks + (size_t)part * BLOCK_WORDS;
	struct chain *c = &l->chain[part];
	enum err rc = ERR_OK;

	if (l->fd < 0)
		rc = open_file(l, err);
	if (rc != ERR_OK)
		return rc;
	block[0] = c->last;
	block[1] = checksum(l, block, l->n_blocks);
	rc = fsx_pwrite(l->fd, block, BLOCK_LEN, l->n_blocks * BLOCK_LEN, what,
		err);
	if (rc != ERR_OK)
		return rc;
	c->last = ++l->n_blocks;
	c->fill = BLOCK_HEAD;
	return ERR_OK;
}

enum err
live_add(struct live *l, const struct id *id, struct error *err)
{
	uint64_t fp = id_prefix(id);
	unsigned part = (unsigned)(fp >> 56);
	uint64_t *seen = &l->recent[fp % RECENT];
	struct chain *c = &l->chain[part];
	enum err rc = ERR_OK;

	/* A place that was never written holds 0. */
	if (*seen == fp && fp != 0)
		return ERR_OK;
	if (c->fill == BLOCK_WORDS)
		rc = spill(l, part, err);
	if (rc != ERR_OK)
		return rc;
	l->blocks[(size_t)part * BLOCK_WORDS + c->fill++] = fp;
	c->n++;
	*seen = fp;
	return ERR_OK;
}

/* ---- the walk ---- */

/* Sort v[0 .. n) and leave each value once. */
static void
sort_range(struct live *l)
{
	static const uint64_t mask = (1u << DIGIT_BITS) - 1;
	uint32_t count[1u << DIGIT_BITS];
	size_t n = 0;

	for (unsigned d = 0; d < DIGITS; d++) {
		unsigned shift = d * DIGIT_BITS;
		uint64_t *swap = l->v;
		uint32_t at = 0;

		memset(count, 0, sizeof(count));
		for (size_t i = 0; i < l->n; i++)
			count[l->v[i] >> shift & mask]++;
		for (size_t i = 0; i <= mask; i++) {
			uint32_t here = count[i];

			count[i] = at;
			at += here;
		}
		for (size_t i = 0; i < l->n; i++)
			l->spare[count[l->v[i] >> shift & mask]++] = l->v[i];
		l->v = l->spare;
		l->spare = swap;
	}
	for (size_t i = 0; i < l->n; i++)
		if (n == 0 || l->v[n - 1] != l->v[i])
			l->v[n++] = l->v[i];
	l->n = n;
}

static void
end_range(struct live *l, uint64_t hi, uint64_t next)
{
	l->hi = hi;
	l->next = next;
	l->has_next = true;
}

/* Make room in a range that is full; it may then end earlier. */
static void
thin_out(struct live *l)
{
	size_t half = l->room / 2;

	sort_range(l);
	if (l->n <= l->room / 4 * 3)
		return;
	end_range(l, l->v[half - 1], l->v[half]);
	l->n = half;
}

/* Take those of a block that are in the range. */
static void
take_block(struct live *l, const uint64_t *fps, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t fp = fps[i];

		if (l->n == l->room && fp >= l->lo && fp <= l->hi)
			thin_out(l);
		if (fp >= l->lo && fp <= l->hi)
			l->v[l->n++] = fp;
		else if (fp > l->hi && (!l->has_next || fp < l->next))
			end_range(l, l->hi, fp);
	}
}

static enum err
damaged(struct error *err)
{
	return err_set(err, ERR_IO, "%s: what was written does not come back",
		what);
}

static enum err
take_chain(struct live *l, struct error *err)
{
	const struct chain *c = &l->chain[l->part];
	uint64_t place = c->last, n = c->fill - BLOCK_HEAD;
	size_t got;
	enum err rc;

	take_block(l, l->blocks + (size_t)l->part * BLOCK_WORDS + BLOCK_HEAD,
		n);
	while (place > 0) {
		place--;
		rc = fsx_pread(l->fd, l->read, BLOCK_LEN, place * BLOCK_LEN,
			&got, what, err);
		if (rc != ERR_OK)
			return rc;
		if (got != BLOCK_LEN ||
			l->read[1] != checksum(l, l->read, place) ||
			l->read[0] > place)
			return damaged(err);
		take_block(l, l->read + BLOCK_HEAD, BLOCK_WORDS - BLOCK_HEAD);
		n += BLOCK_WORDS - BLOCK_HEAD;
		place = l->read[0];
	}
	return n == c->n ? ERR_OK : damaged(err);
}

/* Load the range of a chain that begins at lo. */
static enum err
load(struct live *l, unsigned part, uint64_t lo, struct error *err)
{
	uint64_t chain_end = ((uint64_t)part + 1) * ((uint64_t)1 << 56) - 1;
	uint64_t shares = l->chain[part].n / (l->room / 2) + 1;
	uint64_t width = ((uint64_t)1 << 56) / shares;
	enum err rc;

	l->part = part;
	l->lo = lo;
	l->hi = chain_end - lo < width ? chain_end : lo + width;
	l->has_next = false;
	l->n = l->at = 0;
	l->met = false;
	l->loaded = true;
	rc = take_chain(l, err);
	if (rc == ERR_OK)
		sort_range(l);
	return rc;
}

/* Leave the fingerprint at hand behind. */
static void
step(struct live *l)
{
	if (!l->met && l->missed.n++ == 0)
		l->missed.first = l->v[l->at];
	l->met = false;
	l->at++;
}

/* The range after the one at hand; *end behind the last. */
static enum err
next_range(struct live *l, bool *end, struct error *err)
{
	unsigned part = l->part + 1;

	if (!l->loaded)
		return load(l, 0, 0, err);
	while (l->at < l->n)
		step(l);
	if (l->has_next)
		return load(l, l->part, l->next, err);
	*end = part == PARTS;
	return *end ? ERR_OK : load(l, part, (uint64_t)part << 56, err);
}

void
live_rewind(struct live *l)
{
	l->loaded = false;
	l->part = 0;
	l->n = l->at = 0;
	l->asked = 0;
	l->missed = (struct live_missed){ 0, 0 };
}

enum err
live_has(struct live *l, const struct id *id, bool *has, struct error *err)
{
	uint64_t fp = id_prefix(id);
	bool end = false;
	enum err rc = ERR_OK;

	assert(fp >= l->asked);
	l->asked = fp;
	while (rc == ERR_OK && !end &&
		(!l->loaded || l->part != fp >> 56 ||
			(fp > l->hi && l->has_next)))
		rc = next_range(l, &end, err);
	if (rc != ERR_OK)
		return rc;
	while (l->at < l->n && l->v[l->at] < fp)
		step(l);
	*has = l->at < l->n && l->v[l->at] == fp;
	l->met = l->met || *has;
	return ERR_OK;
}

enum err
live_end(struct live *l, struct live_missed *out, struct error *err)
{
	bool end = false;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && !end)
		rc = next_range(l, &end, err);
	if (rc == ERR_OK)
		*out = l->missed;
	return rc;
}
