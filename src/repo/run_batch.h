/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_batch: the records of some segments in memory, to be sorted into a run.
 * Used by one thread at a time.
 */
#ifndef REPO_RUN_BATCH_H
#define REPO_RUN_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "repo/run_format.h"
#include "repo/run_writer.h"

struct run_batch {
	struct segment_ref *segs;
	struct run_pack *packs;
	struct run_item *items;
	size_t n_segs, n_packs, n_items;
	size_t cap_segs, cap_packs, cap_items;
};

/* Frees; a zeroed batch is an empty one, and so is it afterwards. */
void run_batch_fini(struct run_batch *b);

/* Packs belong to the segment that was added last, items to the pack. */
enum err run_batch_seg(struct run_batch *b, const struct segment_ref *seg,
	struct error *err) MUST_CHECK;
enum err run_batch_pack(struct run_batch *b, const struct pack_info *pack,
	struct error *err) MUST_CHECK;
enum err run_batch_item(struct run_batch *b, const struct record *rec,
	uint32_t off, struct error *err) MUST_CHECK;

/* Make a run of it, now or, where that failed, again.  Nothing is added
 * afterwards. */
enum err run_batch_write(struct run_batch *b, const struct run_target *to,
	struct error *err) MUST_CHECK;

#endif /* REPO_RUN_BATCH_H */
