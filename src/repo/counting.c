/* SPDX-License-Identifier: Apache-2.0 */
/* counting: what the lists of a prune say of packs, segments and snapshots
 * (repo/epoch.h). */
#include <stdlib.h>
#include <string.h>

#include "repo/epoch.h"
#include "repo/segment.h"

enum { TRIES = 8 };

void
condemned_fini(struct condemned *c)
{
	free(c->packs);
	free(c->made);
	free(c->segments);
	free(c->counted);
	free(c->doomed);
	free(c->known);
	*c = (struct condemned){ .n_packs = 0 };
}

void
final_fini(struct final *f)
{
	free(f->spared);
	free(f->segments);
	free(f->snapshots);
	*f = (struct final){ .n_spared = 0 };
}

bool
condemned_has_pack(const struct condemned *c, const struct id *pack)
{
	return id_find(c->packs, c->n_packs, pack) != SIZE_MAX;
}

bool
final_spares(const struct final *f, const struct id *pack)
{
	return id_find(f->spared, f->n_spared, pack) != SIZE_MAX;
}

static int
cmp_segments(const void *a, const void *b)
{
	return segment_cmp(a, b);
}

static bool
has_segment(const struct segment_ref *v, size_t n,
	const struct segment_ref *seg)
{
	return n > 0 && bsearch(seg, v, n, sizeof(*v), cmp_segments) != NULL;
}

bool
condemned_has_counted(const struct condemned *c, const struct segment_ref *seg)
{
	return has_segment(c->counted, c->n_counted, seg);
}

bool
final_has_segment(const struct final *f, const struct segment_ref *seg)
{
	return has_segment(f->segments, f->n_segments, seg);
}

enum err
counting_read(struct store *st, const struct keyset *ks, struct counting *out,
	struct error *err)
{
	struct error why = ERROR_INIT;

	for (unsigned i = 0; i < TRIES; i++) {
		struct counting c = { .final = { .n_spared = 0 } };
		enum err rc = epoch_read(st, &c.state, err);

		if (rc != ERR_OK)
			return rc;
		if (c.state.final > 0)
			rc = epoch_final_get(st, ks, c.state.final, &c.final,
				&why);
		if (rc == ERR_OK) {
			*out = c;
			return ERR_OK;
		}
		if (rc != ERR_NOTFOUND)
			break;
	}
	*err = why;
	return err->code;
}

void
counting_fini(struct counting *c)
{
	final_fini(&c->final);
	c->state = (struct epoch_state){ 0 };
}

bool
counting_segment(const struct counting *c, const struct segment_ref *seg)
{
	if (!seg->base && seg->epoch >= c->state.final)
		return true;
	return final_has_segment(&c->final, seg);
}

static int
cmp_snapshots(const void *a, const void *b)
{
	return epoch_snapshot_cmp(a, b);
}

bool
counting_snapshot(const struct counting *c, const struct snapshot_name *name,
	uint64_t view)
{
	const struct final *f = &c->final;

	return view >= c->state.final ||
	       (f->n_snapshots > 0 &&
		       bsearch(name, f->snapshots, f->n_snapshots,
			       sizeof(*f->snapshots), cmp_snapshots) != NULL);
}

bool
counting_for_claims(const struct counting *c, uint64_t view,
	const struct condemned *condemned, const struct segment_ref *seg)
{
	if (!counting_segment(c, seg))
		return false;
	/* Its epoch has a final, or it has none. */
	if (view <= c->state.final)
		return true;
	return (!seg->base && seg->epoch == view) ||
	       condemned_has_counted(condemned, seg);
}
