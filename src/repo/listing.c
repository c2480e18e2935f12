/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/listing.h"

#include <stdlib.h>

#include "repo/segment.h"

static enum err
take(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct listing *l = arg;
	struct listed seg = { .covered = false };
	unsigned level;

	/* Other names below index/ may mean something to a later version. */
	if (!segment_name_parse(name, &level, &seg.id))
		return ERR_OK;
	seg.level = (uint8_t)level;
	if (l->n == l->cap) {
		size_t cap = l->cap > 0 ? l->cap * 2 : 64;
		void *more = reallocarray(l->segs, cap, sizeof(*l->segs));

		if (more == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory to list %zu index segments", cap);
		l->segs = more;
		l->cap = cap;
	}
	l->segs[l->n++] = seg;
	return ERR_OK;
}

static int
cmp_listed(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	if (x->level != y->level)
		return x->level > y->level ? -1 : 1;
	return id_cmp(&x->id, &y->id);
}

enum err
listing_read(struct listing *l, struct store *st, struct error *err)
{
	enum err rc;

	*l = (struct listing){ NULL };
	rc = store_list(st, "index", take, l, err);
	if (rc != ERR_OK)
		listing_fini(l);
	else if (l->n > 0)
		qsort(l->segs, l->n, sizeof(*l->segs), cmp_listed);
	return rc;
}

void
listing_fini(struct listing *l)
{
	free(l->segs);
	*l = (struct listing){ NULL };
}

struct listed *
listing_find(const struct listing *l, unsigned level, const struct id *id)
{
	struct listed key = { .id = *id, .level = (uint8_t)level };

	if (l->n == 0)
		return NULL;
	return bsearch(&key, l->segs, l->n, sizeof(*l->segs), cmp_listed);
}

void
listing_unmark(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		l->segs[i].covered = l->segs[i].replaced = false;
}

enum err
listing_mark(struct listing *l, struct run *r, struct error *err)
{
	uint64_t n = run_count(r, RUN_SEGS);

	for (uint64_t i = 0; i < n; i++) {
		struct listed *found;
		struct run_seg seg;
		enum err rc = run_seg(r, i, &seg, err);

		if (rc != ERR_OK)
			return rc;
		found = listing_find(l, seg.level, &seg.id);
		if (found == NULL)
			continue;
		if (!seg.replaced)
			found->covered = true;
		else if (listing_find(l, seg.by_level, &seg.by) != NULL)
			found->replaced = true;
	}
	return ERR_OK;
}

bool
listing_keeps(const struct listing *l, const struct run_seg *seg)
{
	const struct listed *found;

	if (seg->replaced)
		return listing_find(l, seg->by_level, &seg->by) != NULL;
	found = listing_find(l, seg->level, &seg->id);
	return found != NULL && !found->replaced;
}
