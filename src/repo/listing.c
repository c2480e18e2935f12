/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/listing.h"

#include <stdlib.h>

static enum err
take(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct listing *l = arg;
	struct listed seg = { .covered = false };

	/* Other names below index/ may mean something to a later version. */
	if (!segment_name_parse(name, &seg.ref))
		return ERR_OK;
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

	return segment_cmp(&x->ref, &y->ref);
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
listing_find(const struct listing *l, const struct segment_ref *ref)
{
	struct listed key = { .ref = *ref };

	if (l->n == 0)
		return NULL;
	return bsearch(&key, l->segs, l->n, sizeof(*l->segs), cmp_listed);
}

void
listing_unmark(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		l->segs[i].covered = false;
}

enum err
listing_mark(struct listing *l, struct run *r, struct error *err)
{
	uint64_t n = run_count(r, RUN_SEGS);

	for (uint64_t i = 0; i < n; i++) {
		struct segment_ref ref;
		struct listed *found;
		enum err rc = run_seg(r, i, &ref, err);

		if (rc != ERR_OK)
			return rc;
		found = listing_find(l, &ref);
		if (found != NULL)
			found->covered = true;
	}
	return ERR_OK;
}
