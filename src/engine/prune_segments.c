/* SPDX-License-Identifier: Apache-2.0 */
/* prune_segments: the index segments in the store, and which of them count. */
#include <stdlib.h>

#include "base/array.h"
#include "engine/pruning.h"
#include "repo/segment.h"

void
prune_segments_fini(struct index_segments *s)
{
	free(s->v);
	counting_fini(&s->counting);
	*s = (struct index_segments){ 0 };
}

static enum err
on_segment(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct index_segments *s = arg;
	struct index_segment seg = { .size = size };
	struct index_segment *v;

	/* Other names may mean something to a later version. */
	if (!segment_name_parse(name, &seg.ref))
		return ERR_OK;
	v = array_grow(s->v, s->n, &s->cap, sizeof(*v), err);
	if (v == NULL)
		return err->code;
	s->v = v;
	s->v[s->n++] = seg;
	return ERR_OK;
}

static int
cmp_segments(const void *a, const void *b)
{
	const struct index_segment *x = a, *y = b;

	return segment_cmp(&x->ref, &y->ref);
}

enum err
prune_segments_read(struct index_segments *s, struct pruning *p,
	struct error *err)
{
	enum err rc;

	*s = (struct index_segments){ 0 };
	rc = store_list(p->store, "index", on_segment, s, err);
	if (rc == ERR_OK)
		rc = counting_read(p->store, p->keys, &s->counting, err);
	if (rc != ERR_OK) {
		prune_segments_fini(s);
		return rc;
	}
	if (s->n > 0)
		qsort(s->v, s->n, sizeof(*s->v), cmp_segments);
	for (size_t i = 0; i < s->n; i++)
		s->v[i].counts = counting_segment(&s->counting, &s->v[i].ref);
	return ERR_OK;
}

const struct index_segment *
prune_segments_find(const struct index_segments *s,
	const struct segment_ref *ref)
{
	struct index_segment key = { .ref = *ref };

	return s->n > 0 ? bsearch(&key, s->v, s->n, sizeof(*s->v), cmp_segments)
			: NULL;
}
