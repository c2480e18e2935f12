/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune_rebase: index segments that name no pack which is going to be deleted.
 *
 * Segments are read one by one.  One that names such a pack, or is small, is
 * taken apart, and what stays of it goes to new ones, index/EPOCH.base/ID; the
 * others stay as they are.
 *
 * Crash argument.  The new segments name packs that are there, and mean
 * nothing before the final list names them; the old ones are deleted after it.
 * Another run makes others, and those of this one are void.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "codec/hash.h"
#include "engine/idset.h"
#include "engine/pruning.h"
#include "repo/segment.h"

enum {
	SMALL = 1 << 20, /* as stored; fewer than two of these are left alone */
	BASE_RECORDS = 256 << 10,
	SAID_MAX = 16 << 20 /* of one pack */
};

struct rebase {
	struct pruning *p;
	uint64_t epoch;
	const struct condemned *c;
	struct final *f;
	size_t cap; /* of f->segments */
	struct idset done; /* what is in a new segment, by hash_of */
	struct segment seg; /* the new one */
	uint64_t n_records; /* in it */
	/* of the segment being read: */
	bool writing; /* what it says is taken over */
	bool changes; /* it names a pack that goes */
	/* of the pack being read: */
	bool stays;
	struct pack_info pack;
	struct record *recs;
	uint32_t n;
	size_t cap_recs;
};

static bool
goes(const struct rebase *r, const struct id *pack)
{
	return condemned_has_pack(r->c, pack) && !final_spares(r->f, pack);
}

static enum err
name(struct rebase *r, const struct segment_ref *ref, struct error *err)
{
	struct final *f = r->f;
	struct segment_ref *v = array_grow(f->segments, f->n_segments, &r->cap,
		sizeof(*v), err);

	if (v == NULL)
		return err->code;
	f->segments = v;
	f->segments[f->n_segments++] = *ref;
	return ERR_OK;
}

/* The new segment is complete. */
static enum err
publish(struct rebase *r, struct error *err)
{
	struct segment_owner owner = { .epoch = r->epoch, .base = true };
	struct segment_ref ref;
	enum err rc;

	if (segment_empty(&r->seg))
		return ERR_OK;
	rc = segment_publish(&r->seg, r->p->store, &r->p->keys->structure,
		&owner, &ref, err);
	if (rc == ERR_OK)
		rc = name(r, &ref, err);
	segment_fini(&r->seg);
	segment_init(&r->seg);
	r->n_records = 0;
	return rc;
}

/* Of what is said of the pack at hand.  Two segments that say different things
 * are both believed: one of them may lie. */
static enum err
hash_of(const struct rebase *r, struct id *out, struct error *err)
{
	struct buf b = BUF_INIT(SAID_MAX);
	enum err rc = buf_put(&b, r->pack.id.b, ID_LEN, err);

	if (rc == ERR_OK)
		rc = buf_put_varint(&b, r->pack.size, err);
	for (uint32_t i = 0; i < r->n && rc == ERR_OK; i++)
		rc = record_put(&b, &r->recs[i], err);
	hash_plain(out, b.data, b.len);
	buf_fini(&b);
	return rc;
}

/* The records of the pack at hand are complete. */
static enum err
end_pack(struct rebase *r, struct error *err)
{
	struct id said;
	bool is_new = false;
	enum err rc;

	if (!r->stays)
		return ERR_OK;
	r->stays = false;
	rc = hash_of(r, &said, err);
	if (rc == ERR_OK)
		rc = idset_add(&r->done, &said, &is_new, err);
	if (rc != ERR_OK || !is_new)
		return rc;
	if (r->n_records > 0 && r->n_records + r->n > BASE_RECORDS)
		rc = publish(r, err);
	if (rc == ERR_OK)
		rc = segment_add(&r->seg, &r->pack, r->recs, err);
	r->n_records += r->n;
	return rc;
}

static enum err
on_pack(void *arg, const struct pack_info *pack, struct error *err)
{
	struct rebase *r = arg;
	bool gone = goes(r, &pack->id);
	enum err rc = end_pack(r, err);

	r->changes = r->changes || gone;
	r->n = 0;
	r->pack = *pack;
	r->stays = r->writing && !gone;
	return rc;
}

static enum err
on_record(void *arg, const struct location *loc, struct error *err)
{
	struct rebase *r = arg;
	struct record *v;

	if (!r->stays)
		return ERR_OK;
	v = array_grow(r->recs, r->n, &r->cap_recs, sizeof(*v), err);
	if (v == NULL)
		return err->code;
	r->recs = v;
	r->recs[r->n++] = loc->rec;
	return ERR_OK;
}

static enum err
read_segment(struct rebase *r, const struct segment_ref *ref, bool writing,
	struct error *err)
{
	struct segment_visitor v = { .pack = on_pack,
		.record = writing ? on_record : NULL,
		.arg = r };
	char object[SEGMENT_NAME_MAX];
	enum err rc;

	r->writing = writing;
	r->changes = false;
	segment_name(ref, object);
	rc = segment_load(r->p->store, object, &r->p->keys->structure, &v, err);
	return rc == ERR_OK ? end_pack(r, err) : rc;
}

/* What is not named again is void from the final on. */
static enum err
decide(struct rebase *r, const struct index_segment *seg, bool merge,
	struct error *err)
{
	bool rewrite = merge && seg->size < SMALL;
	enum err rc = pruning_going(r->p, err);

	if (rc == ERR_OK && !rewrite && r->c->n_packs > r->f->n_spared) {
		rc = read_segment(r, &seg->ref, false, err);
		rewrite = r->changes;
	}
	if (rc != ERR_OK)
		return rc;
	return rewrite ? read_segment(r, &seg->ref, true, err)
		       : name(r, &seg->ref, err);
}

/* Every segment that the condemned list counted is still there. */
static enum err
expect(const struct rebase *r, const struct index_segments *s,
	struct error *err)
{
	char object[SEGMENT_NAME_MAX];

	for (size_t i = 0; i < r->c->n_counted; i++) {
		if (prune_segments_find(s, &r->c->counted[i]) != NULL)
			continue;
		segment_name(&r->c->counted[i], object);
		return err_set(err, ERR_CORRUPT,
			"%s is missing: what it named cannot be told from "
			"garbage",
			object);
	}
	return ERR_OK;
}

static int
cmp_refs(const void *a, const void *b)
{
	return segment_cmp(a, b);
}

static enum err
rebase(struct rebase *r, const struct index_segments *s, struct error *err)
{
	size_t n_small = 0;
	enum err rc = expect(r, s, err);

	for (size_t i = 0; i < s->n; i++)
		n_small += s->v[i].counts && s->v[i].ref.epoch < r->epoch &&
			   s->v[i].size < SMALL;
	for (size_t i = 0; i < s->n && rc == ERR_OK; i++)
		if (s->v[i].counts && s->v[i].ref.epoch < r->epoch)
			rc = decide(r, &s->v[i], n_small > 1, err);
	if (rc == ERR_OK)
		rc = publish(r, err);
	if (rc == ERR_OK && r->f->n_segments > 0)
		qsort(r->f->segments, r->f->n_segments, sizeof(*r->f->segments),
			cmp_refs);
	return rc;
}

enum err
prune_rebase(struct pruning *p, uint64_t epoch, const struct condemned *c,
	struct final *f, struct error *err)
{
	struct rebase r = { .p = p, .epoch = epoch, .c = c, .f = f };
	struct index_segments s;
	enum err rc;

	pruning_phase(p, "writing the index anew");
	rc = prune_segments_read(&s, p, err);
	if (rc != ERR_OK)
		return rc;
	segment_init(&r.seg);
	if (s.counting.state.final >= epoch)
		rc = err_set(err, ERR_EXISTS, "another prune was first");
	else
		rc = rebase(&r, &s, err);
	segment_fini(&r.seg);
	idset_fini(&r.done);
	free(r.recs);
	prune_segments_fini(&s);
	return rc;
}
