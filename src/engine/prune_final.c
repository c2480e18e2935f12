/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune_final: the second half, up to the list that says what counts.
 *
 *   (sessions are resolved) -> marks swept -> snapshots listed -> index
 *   refreshed -> judge -> segments listed, rewritten -> final
 *
 * Why this is safe.  Every session with an older view is over, so no snapshot
 * of such a view comes up any more behind the list of snapshots, but void; and
 * each of the list, but the swept ones, is a root.  What segments they need
 * were published before they were committed, so the index that is read after
 * the list names it.  The segments are listed again afterwards, and all that
 * count then are named: none that a judgement relied on is missing.
 *
 * Several prunes may do this at a time.  Each of their lists is right, as long
 * as it is the only one; which it is, is decided by its creation.
 */
#include <stdlib.h>

#include "engine/pruning.h"

static enum err
make(struct pruning *p, uint64_t epoch, const struct condemned *c,
	struct roots *roots, struct final *f, struct error *err)
{
	enum err rc = prune_roots_read_again(roots, p, epoch, c, err);

	if (rc == ERR_OK)
		rc = index_refresh(p->index, err);
	if (rc == ERR_OK)
		rc = prune_judge(p, c, roots, &f->spared, &f->n_spared, err);
	if (rc == ERR_OK)
		rc = prune_rebase(p, epoch, c, f, err);
	if (rc != ERR_OK)
		return rc;
	f->time = pruning_now(p);
	f->snapshots = roots->counting;
	f->n_snapshots = roots->n_counting;
	roots->counting = NULL;
	roots->n_counting = 0;
	return ERR_OK;
}

enum err
prune_final(struct pruning *p, uint64_t epoch, const struct condemned *c,
	struct error *err)
{
	struct roots roots = { 0 };
	struct final f = { .n_spared = 0 };
	enum err rc = make(p, epoch, c, &roots, &f, err);

	if (rc == ERR_OK)
		rc = epoch_final_put(p->store, p->keys, epoch, &f, err);
	if (rc == ERR_OK)
		p->figures->packs_spared += f.n_spared;
	final_fini(&f);
	prune_roots_fini(&roots);
	return rc;
}
