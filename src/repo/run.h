/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: an immutable sorted file of the local cache (repo/run_format.h).  Its
 * records are read page by page; all else is mapped.
 *
 *   run_writer.h makes the file -> run_open -> run_find ... -> run_unref
 *
 * A run is counted; any number of threads may use it.  Every page is
 * authenticated when it is first touched, and never believed before.  Once a
 * page does not pass, the run is bad, stays bad, and everything that meets
 * the page fails with ERR_CORRUPT; the caller then does without the run.
 *
 * A page that passed is not checked again.  What a disk could spoil in it
 * afterwards cannot make a chunk appear that is not there, because that takes
 * all 32 bytes of its id; a spoilt location is found by the pack's own tags.
 *
 * The file must not be truncated while it is mapped.  Nothing here does; a
 * removed file keeps its bytes for whoever has it open.
 */
#ifndef REPO_RUN_H
#define REPO_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "base/secret.h"
#include "repo/filter.h"
#include "repo/record.h"
#include "repo/run_format.h"

struct run;

/* Takes fd, also on failure.  ERR_CORRUPT where it is not the run uid of the
 * repository with this key, or not whole. */
enum err run_open(struct run **out, int fd, const struct uid *uid,
	const struct secret *structure, struct error *err) MUST_CHECK;
struct run *run_ref(struct run *r);
void run_unref(struct run *r); /* NULL is allowed */

const struct uid *run_uid(const struct run *r);
bool run_is_bad(const struct run *r);
/* Its pages are genuine, but what they say is not possible. */
void run_set_bad(struct run *r);
/* Items of a table. */
uint64_t run_count(const struct run *r, enum run_table table);

/* Fetch what run_find will look at first, so that the waits for memory of
 * several runs run side by side. */
void run_prefetch(const struct run *r, const struct filter_key *key);

/* A record that was found. */
struct run_hit {
	struct location loc;
	uint32_t seg; /* number in the table of segments */
	uint64_t at; /* of the record */
};

/* The first location of id, if the run has any; key is that of id. */
enum err run_find(struct run *r, const struct id *id,
	const struct filter_key *key, struct run_hit *hit, bool *found,
	struct error *err) MUST_CHECK;
/* The location of the same id behind *hit, likewise. */
enum err run_find_next(struct run *r, struct run_hit *hit, bool *found,
	struct error *err) MUST_CHECK;

enum err run_pack(struct run *r, uint64_t i, struct run_pack *out,
	struct error *err) MUST_CHECK;
enum err run_seg(struct run *r, uint64_t i, struct segment_ref *out,
	struct error *err) MUST_CHECK;

/* Every record in order, through a small buffer rather than the mapping, so
 * that a walk over a large run does not fill memory. */
struct run_cursor {
	struct run *run; /* borrowed */
	uint8_t *buf;
	uint64_t next; /* record */
	uint64_t page; /* first in buf, counted from the table's first */
	uint64_t n_pages; /* in buf */
	struct run_item item;
};

enum err run_cursor_init(struct run_cursor *c, struct run *r,
	struct error *err) MUST_CHECK;
void run_cursor_fini(struct run_cursor *c);
/* The next record to c->item; *got false behind the last. */
enum err run_cursor_next(struct run_cursor *c, bool *got,
	struct error *err) MUST_CHECK;

#endif /* REPO_RUN_H */
