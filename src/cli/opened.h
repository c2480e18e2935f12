/* SPDX-License-Identifier: Apache-2.0 */
/* opened: a repository and one snapshot of it, ready to be walked. */
#ifndef CLI_OPENED_H
#define CLI_OPENED_H

#include "base/compiler.h"
#include "base/err.h"
#include "cli/access.h"
#include "model/snapshot.h"
#include "tree/cursor.h"
#include "tree/io.h"

struct opened {
	struct access access;
	struct snapshot snap;
	struct lane *lane;
	struct tree_io_repo io;
	struct buf sub; /* key of the SUBPATH; empty: everything */
};

/* spec is "SNAPSHOT[:SUBPATH]"; latest goes by the flags of filter.h, which
 * the command declares.  opened_close ends it, also after a failure. */
enum err opened_open(struct opened *o, struct cli *c, const char *spec,
	struct error *err) MUST_CHECK;
void opened_close(struct opened *o);

/* Each entry at or below the key prefix, in order, decoded. */
typedef enum err opened_fn(void *arg, struct bytes key, const struct entry *e,
	struct error *err);
enum err opened_walk(struct opened *o, struct bytes prefix, opened_fn *fn,
	void *arg, struct error *err) MUST_CHECK;

#endif /* CLI_OPENED_H */
