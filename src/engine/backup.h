/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup: one run from a source to a committed snapshot.
 *
 * The source's thread offers entries in key order; beside it walks a cursor
 * over the previous snapshot's tree (a merge join), and what is unchanged is
 * taken over.  What must be read is read by a pool of workers, each of which
 * keeps a chunk from the file to the sealed record: small files gathered in
 * walk order into shared chunks, larger ones cut by the chunker.  Finished
 * entries go, in order, to the tree's builder.
 *
 * Memory: workers * (chunk max + what a lane has) + BACKUP_IN_FLIGHT chunks
 * + packs (repo/writer.h) + one node per level of two trees; see the man page
 * for the formula.  It does not grow with the number of entries.
 */
#ifndef ENGINE_BACKUP_H
#define ENGINE_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/time.h"
#include "engine/report.h"
#include "model/snapshot.h"
#include "repo/repo.h"
#include "source/source.h"

enum {
	GATHER_FILE_MAX = 128 << 10, /* larger files have chunks of their own */
	GATHER_TARGET = 1 << 20, /* of a shared chunk; at most twice that */
	BACKUP_IN_FLIGHT = 4 /* chunks beyond one per worker, at most, and
				at most two more for each */
};

struct backup_conf {
	const char *host; /* NULL: this machine's name */
	struct strings tags;
	bool has_time;
	struct when time; /* instead of now */
	const char *parent; /* snapshot to compare with; NULL: found by host
			       and sources */
	bool force; /* compare with none: read everything */
	bool dry_run;
	int level; /* zstd; 0: the default, 1 */
	unsigned workers; /* 0: one per processor */
	uint32_t unit_max; /* chunks and packs end here, for the sake of memory,
			      where the repository has longer ones; 0: as it
			      has them */
};

/* What the committed (or, dry, would-be) snapshot holds.  Where a prune fenced
 * the session, it is done once more from the start, if the source can. */
enum err backup_run(struct repo *r, struct source *src,
	const struct backup_conf *conf, const struct report *report,
	struct snapshot *result, struct error *err) MUST_CHECK;

#endif /* ENGINE_BACKUP_H */
