/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_merge: many runs walked as one, in the order of (id, pack, offset), and
 * many runs written as one.
 *
 * Memory: a small buffer for each run; run_merge_write also four bytes for
 * each pack.  A merge is used by one thread.
 */
#ifndef REPO_RUN_MERGE_H
#define REPO_RUN_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "repo/record.h"
#include "repo/run.h"
#include "repo/run_writer.h"

struct run_merge;

/* The runs are borrowed. */
enum err run_merge_new(struct run_merge **out, struct run *const *runs,
	size_t n, struct error *err) MUST_CHECK;
void run_merge_free(struct run_merge *m); /* NULL is allowed */

/* The next record, and which of the runs it is from.  Records that are in
 * several runs come several times. */
struct run_step {
	struct run_item item;
	size_t run;
};
enum err run_merge_next(struct run_merge *m, struct run_step *step, bool *got,
	struct error *err) MUST_CHECK;

/* The packs of all runs likewise, in the order of their ids. */
typedef enum err run_merge_pack_fn(void *arg, size_t run, uint64_t number,
	const struct run_pack *pack, struct error *err);
enum err run_merge_packs(struct run *const *runs, size_t n,
	run_merge_pack_fn *fn, void *arg, struct error *err) MUST_CHECK;

/* Which segments a merged run keeps; the records of others are left out. */
struct run_choice {
	bool (*keep)(void *arg, const struct segment_ref *seg); /* NULL: all */
	void *arg;
};

/* Write a run with what the runs given hold.  *empty, and nothing written,
 * where no segment is kept.  ERR_CORRUPT where one of them is bad, or all are
 * from now on. */
enum err run_merge_write(struct run *const *runs, size_t n,
	const struct run_choice *choice, const struct run_target *to,
	bool *empty, struct error *err) MUST_CHECK;

#endif /* REPO_RUN_MERGE_H */
