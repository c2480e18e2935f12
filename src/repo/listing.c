/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/listing.h"

#include <stdlib.h>

enum { TRIES = 8 };

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

static void
leave_out_void(struct listing *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++)
		if (counting_segment(&l->counting, &l->segs[i].ref))
			l->segs[kept++] = l->segs[i];
	l->n = kept;
}

static enum err
find_missing(struct listing *l, struct error *err)
{
	const struct final *f = &l->counting.final;

	for (size_t i = 0; i < f->n_segments; i++) {
		if (listing_find(l, &f->segments[i]) != NULL)
			continue;
		if (l->missing == NULL)
			l->missing = calloc(f->n_segments, sizeof(*l->missing));
		if (l->missing == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory to list index segments");
		l->missing[l->n_missing++] = f->segments[i];
	}
	return ERR_OK;
}

static enum err
read_once(struct listing *l, struct store *st, const struct keyset *ks,
	struct error *err)
{
	enum err rc = store_list(st, "index", take, l, err);

	if (rc == ERR_OK)
		rc = counting_read(st, ks, &l->counting, err);
	if (rc != ERR_OK)
		return rc;
	if (l->n > 0)
		qsort(l->segs, l->n, sizeof(*l->segs), cmp_listed);
	leave_out_void(l);
	return find_missing(l, err);
}

/*
 * What a final names was there before the final was, and is there until after
 * the next one.  So what lacks is missing where the newest final was the same
 * before the listing and after it.
 */
enum err
listing_read(struct listing *l, struct store *st, const struct keyset *ks,
	struct error *err)
{
	struct epoch_state before;
	enum err rc;

	*l = (struct listing){ NULL };
	for (unsigned i = 0; i < TRIES; i++) {
		listing_fini(l);
		rc = epoch_read(st, &before, err);
		if (rc == ERR_OK)
			rc = read_once(l, st, ks, err);
		if (rc != ERR_OK) {
			listing_fini(l);
			return rc;
		}
		if (l->n_missing == 0 ||
			l->counting.state.final == before.final)
			return ERR_OK;
	}
	listing_fini(l);
	return err_set(err, ERR_AGAIN, "one prune after the other is at work");
}

void
listing_fini(struct listing *l)
{
	free(l->segs);
	free(l->missing);
	counting_fini(&l->counting);
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
