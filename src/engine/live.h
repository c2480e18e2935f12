/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live: the set of chunks that something needs, asked in the order of the
 * index.
 *
 *   live_new -> live_add... -> live_rewind -> live_has, ids ascending ...
 *            -> live_end -> (live_rewind again) -> live_free
 *
 * A chunk is kept as the first eight bytes of its id.  Two chunks that share
 * them are taken for one, so that garbage may be called live, never the other
 * way round.  What does not fit into the buffers goes to a temporary file, to
 * one of 256 chains of blocks by its first byte; a walk sorts one part of a
 * chain after the other.  Blocks carry a checksum, and each chain is counted.
 *
 * Memory: 5 MiB, and twice 8 bytes for each place of room, however many are
 * added; the file takes 8 bytes for each id added, but for those that came
 * shortly before.  One thread at a time.
 */
#ifndef ENGINE_LIVE_H
#define ENGINE_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"

struct live;

enum { LIVE_ROOM = 1 << 20 };

/* scratch_dir: for the temporary file, which is made when it is needed; NULL:
 * TMPDIR.  room: chunks sorted at a time, from 64. */
enum err live_new(struct live **out, const char *scratch_dir, size_t room,
	struct error *err) MUST_CHECK;
void live_free(struct live *l); /* NULL is allowed */

enum err live_add(struct live *l, const struct id *id,
	struct error *err) MUST_CHECK;

/* Begin a walk; nothing is added from now on. */
void live_rewind(struct live *l);

/* Whether id was added.  Not below the id that was asked for before. */
enum err live_has(struct live *l, const struct id *id, bool *has,
	struct error *err) MUST_CHECK;

/* What the walk left out. */
struct live_missed {
	uint64_t n; /* chunks that were added and not asked for */
	uint64_t first; /* the first eight bytes of the first one */
};
enum err live_end(struct live *l, struct live_missed *out,
	struct error *err) MUST_CHECK;

#endif /* ENGINE_LIVE_H */
