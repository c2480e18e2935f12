/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta_near: where two pieces of bytes go on alike after they part.
 *
 * Looked for at the same distance first, then anywhere within 1 KiB of both,
 * within 4 KiB, and so on up to DELTA_NEAR: an island costs about what it is
 * large.  Each aligned gram of the old piece is entered into a table, and the
 * new one is rolled over it, as rsync does (Tridgell, Mackerras 1996).
 */
#ifndef CODEC_DELTA_NEAR_H
#define CODEC_DELTA_NEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/delta_gear.h"
#include "codec/delta_window.h"

enum {
	DELTA_NEAR_FIRST = 1 << 10,
	/* What to have of either piece: what begins in its first DELTA_NEAR
	 * bytes is recognized by what follows. */
	DELTA_NEAR_WANT = DELTA_NEAR + 8 * DELTA_MIN,
	DELTA_NEAR_BITS = 12
};

struct delta_near {
	const struct delta_gear *gear;
	/* Bytes hashed and compared so far, for who sets limits. */
	uint64_t effort;
	struct delta_near_slot {
		uint64_t h;
		size_t gram; /* which one, from 1; 0: none */
	} slots[1 << DELTA_NEAR_BITS];
};

struct delta_near_spot {
	size_t old, new; /* from there on DELTA_MIN bytes or more are alike */
};

/*
 * What begins first in the new piece, of what lies in the first span bytes of
 * both.  Where the bytes repeat themselves something may be missed.  Effort: up
 * to some ten times span.
 */
bool delta_near_find(struct delta_near *near, const struct delta_view *old,
	const struct delta_view *new, size_t span, struct delta_near_spot *out);

#endif /* CODEC_DELTA_NEAR_H */
