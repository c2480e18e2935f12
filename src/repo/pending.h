/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending: what this process stores, or has stored, and no run holds yet.
 *
 *   pending_claim -> pending_add -> (published) -> pending_drop
 *
 * Each chunk is in a table from the moment it is claimed, or its pack added,
 * to the moment when a run holds it.  The table is split into shards by the
 * ids, each with a lock of its own; any number of threads may use it.  Memory:
 * about 110 bytes for each chunk in it.
 */
#ifndef REPO_PENDING_H
#define REPO_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "repo/record.h"
#include "repo/segment.h"

struct pending;

/* A pack that was added; immutable. */
struct pending_pack {
	struct pending_pack *next;
	struct pack_info info;
	uint32_t *offs;
	struct record recs[];
};

enum err pending_new(struct pending **out, struct error *err) MUST_CHECK;
void pending_free(struct pending *p); /* NULL is allowed */

enum pending_claim {
	PENDING_THERE, /* it is in the table */
	PENDING_TAKEN, /* it was not, and is now */
	PENDING_STALE /* it is not, and *gen is not seen any more */
};

/*
 * Claim id, which the caller did not find in the set of runs with the number
 * seen.  Whoever drops packs first installs a set that holds them, and with it
 * a new *gen; so an id that was dropped after the caller looked is told here.
 */
enum err pending_claim(struct pending *p, const struct id *id,
	const _Atomic uint64_t *gen, uint64_t seen, enum pending_claim *claim,
	struct error *err) MUST_CHECK;

/* ERR_CORRUPT where the records do not fit into the pack. */
enum err pending_add(struct pending *p, const struct pack_info *pack,
	const struct record *recs, struct error *err) MUST_CHECK;

/* Of packs that were added. */
bool pending_find(struct pending *p, const struct id *id, struct location *out);

uint32_t pending_packs(const struct pending *p);
uint64_t pending_records(const struct pending *p);

/* The oldest pack; the others follow it, up to the number that pending_packs
 * gave.  They stay until they are dropped.  One thread at a time takes and
 * drops. */
const struct pending_pack *pending_first(struct pending *p);
/* Forget the n oldest packs, which a run holds now. */
void pending_drop(struct pending *p, uint32_t n);
/* Forget all, claims too.  While nobody but pending_find uses it. */
void pending_clear(struct pending *p);

#endif /* REPO_PENDING_H */
