/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nodecache: the nodes of the last snapshot's trees, in a local file, for who
 * cannot read them back from the repository: a key of role writer.
 *
 *   nodecache_open -> nodecache_holds, nodecache_get  (the previous trees)
 *                  -> nodecache_keep...               (the new ones)
 *                  -> nodecache_publish, or not -> nodecache_close
 *
 * There is one file per lineage, which is a host and what is backed up there;
 * its name is a keyed hash of that.  It is sealed (repo/nodefile.h), so it
 * tells nothing to who has the disk only.  Who has the writer's key too can
 * read in it the names and times that the last snapshot has of this host.
 *
 * The file is a copy.  It is read and authenticated whole when it is opened,
 * what it gives is verified by its node id again, and a file with anything
 * wrong is as if it were not there.  No failure of the cache is one of the
 * run: what cannot be kept is told by nodecache_publish, and the next run
 * reads everything.
 *
 * A nodecache is used by one thread.  Several processes may use one lineage:
 * the first one that keeps something publishes, the others only read.
 *
 * Memory: less than 180 bytes for each node of the file that was opened and
 * of the one that is made, of which there are NODEFILE_NODES_MAX each at most
 * (a node holds some 200 entries), and three times the largest node.
 */
#ifndef REPO_NODECACHE_H
#define REPO_NODECACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "repo/repo.h"
#include "repo/writer.h"

struct nodecache;

/* Of all the files of one repository together.  Those of other lineages give
 * way, the longest unused first. */
#define NODECACHE_SIZE_MAX (UINT64_C(1) << 30)

struct nodecache_conf {
	const void *lineage;
	size_t lineage_len;
	uint64_t size_max; /* 0: NODECACHE_SIZE_MAX */
};

/* In the cache directory of r, which is borrowed; where that has none, it
 * holds nothing and keeps nothing.  Fails for want of memory only. */
enum err nodecache_open(struct nodecache **out, struct repo *r,
	const struct nodecache_conf *conf, struct error *err) MUST_CHECK;
void nodecache_close(struct nodecache *nc); /* NULL is allowed */

/* Whether it has the whole trees below that root. */
bool nodecache_holds(const struct nodecache *nc, const struct id *root);

/* As repo_read_node.  ERR_NOTFOUND; ERR_CORRUPT, ERR_IO where the file was
 * damaged since it was opened, and it then is removed. */
enum err nodecache_get(struct nodecache *nc, const struct id *id,
	struct buf *out, size_t *head_len, struct error *err) MUST_CHECK;

/* A node of the new trees. */
void nodecache_keep(struct nodecache *nc, const struct id *id,
	const struct node_bytes *node);
/* The same for one of the file; false where it does not have it. */
bool nodecache_carry(struct nodecache *nc, const struct id *id);
/* Whether it was kept or carried before. */
bool nodecache_keeps(const struct nodecache *nc, const struct id *id);

/* Keep nothing, because of why. */
void nodecache_give_up(struct nodecache *nc, const struct error *why);

/*
 * The snapshot with that root is committed, and all nodes of its trees were
 * kept or carried: let the file hold them, and nothing else.  A failure says
 * why the next run finds nothing; it is for telling.
 */
enum err nodecache_publish(struct nodecache *nc, const struct id *root,
	struct error *err);

#endif /* REPO_NODECACHE_H */
