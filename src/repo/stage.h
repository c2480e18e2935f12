/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage: the packs that a session is building.
 *
 *   putters:  stage_reserve -> seal into slot.at -> stage_done
 *   one storer: stage_take -> store it -> stage_recycle, until NULL
 *
 * Many threads fill one pack at the same time: a reservation hands out a
 * record number and a range of the pack's memory under a short lock, and the
 * sealing happens outside it.  A pack whose records pass the target is
 * closed, and goes to the storer when its last reservation is done.  Data and
 * nodes are never in one pack.
 *
 * There are STAGE_PACKS packs in all, so at most so many are in memory; a
 * reservation that finds none free waits for the storer.  Neither kind can
 * have all of them, or the other would wait for nothing.  Their memory is
 * mapped, large enough that every reservation fits and a table after it, and
 * used again and again; a small session touches only its first pages.
 *
 * A failure is sticky: from then on every reservation returns it, and the
 * storer is handed nothing more.
 */
#ifndef REPO_STAGE_H
#define REPO_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "repo/keys.h"
#include "repo/pack.h"
#include "repo/record.h"

enum { STAGE_PACKS = 3 };

struct stage;

/* A pack being built; while the storer has it, nobody else touches it. */
struct stage_pack {
	uint8_t *bytes;
	size_t len; /* header and records */
	size_t room; /* of bytes */
	struct pack_header header;
	struct pack_keys keys;
	struct record *recs;
	uint32_t n_recs;
	/* the stage's own */
	uint32_t pending; /* reservations not yet done */
	int state;
};

struct stage_slot {
	struct stage_pack *pack;
	struct record rec;
	uint8_t *at; /* rec.stored_len bytes */
};

/* Borrows ks.  ERR_DENIED where ks cannot seal packs. */
enum err stage_new(struct stage **out, const struct keyset *ks, uint32_t target,
	struct error *err) MUST_CHECK;
void stage_free(struct stage *s);

/* Room for rec, of which number is filled in; rec->type says the kind. */
enum err stage_reserve(struct stage *s, const struct record *rec,
	struct stage_slot *slot, struct error *err) MUST_CHECK;

/* slot->at is sealed; or, after stage_fail, will never be. */
void stage_done(struct stage *s, const struct stage_slot *slot);

void stage_fail(struct stage *s, const struct error *why);
/* The sticky failure, or ERR_OK. */
enum err stage_failure(struct stage *s, struct error *err) MUST_CHECK;

/* Close what is open, and wait until the storer has recycled everything that
 * was reserved before. */
enum err stage_flush(struct stage *s, struct error *err) MUST_CHECK;

/* True where a record was reserved and its pack was not recycled as stored. */
bool stage_has_lost(struct stage *s);

/* Close what is open, and wait for nothing. */
void stage_close(struct stage *s);

/* The storer's: the next full pack; NULL after stage_end. */
struct stage_pack *stage_take(struct stage *s);
/* The same, and NULL where there is none now. */
struct stage_pack *stage_take_now(struct stage *s);
/* Whether it was stored, or is lost (then stage_fail was called). */
void stage_recycle(struct stage *s, struct stage_pack *p, bool stored);
void stage_end(struct stage *s);

#endif /* REPO_STAGE_H */
