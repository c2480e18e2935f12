/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_writer: makes the file of a run in one pass.
 *
 *   run_writer_new -> put_seg, put_pack, put_item ... -> finish -> free
 *
 * The counts are known from the start, so every table has its place and all
 * are written side by side, each through a buffer of its own: memory does
 * not depend on the size of the run.
 *
 * Crash argument: nothing is synced.  A page that did not reach the disk has
 * no valid MAC; the run is then dropped and made again from the store.
 */
#ifndef REPO_RUN_WRITER_H
#define REPO_RUN_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "base/secret.h"
#include "repo/run_format.h"

/* What a run is made with. */
struct run_target {
	int fd; /* empty, borrowed */
	const struct uid *uid;
	const struct secret *structure;
};

struct run_writer;

enum err run_writer_new(struct run_writer **out, const struct run_target *to,
	const struct run_layout *layout, struct error *err) MUST_CHECK;
void run_writer_free(struct run_writer *w); /* NULL is allowed */

/* Packs in the order of ids, items in that of (id, pack, offset). */
enum err run_writer_seg(struct run_writer *w, const struct segment_ref *seg,
	struct error *err) MUST_CHECK;
enum err run_writer_pack(struct run_writer *w, const struct run_pack *pack,
	struct error *err) MUST_CHECK;
enum err run_writer_item(struct run_writer *w, const struct run_item *item,
	struct error *err) MUST_CHECK;

/* As many of each as the layout says were put: write what is left. */
enum err run_writer_finish(struct run_writer *w, struct error *err) MUST_CHECK;

#endif /* REPO_RUN_WRITER_H */
