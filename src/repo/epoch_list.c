/* SPDX-License-Identifier: Apache-2.0 */
/* epoch_list: lists of items of four kinds, one after the other. */
#include "repo/epoch_list.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "repo/segment.h"

static const char malformed[] = "malformed";

/* A kind of item: how it is written, read and ordered. */
struct kind {
	size_t len; /* in memory */
	size_t min; /* as bytes, at least */
	enum err (*put)(struct buf *out, const void *item, struct error *err);
	void (*get)(struct rd *rd, void *item);
	int (*cmp)(const void *a, const void *b);
};

static enum err
put_pack(struct buf *out, const void *item, struct error *err)
{
	return buf_put(out, ((const struct id *)item)->b, ID_LEN, err);
}

static void
get_pack(struct rd *rd, void *item)
{
	rd_copy(rd, ((struct id *)item)->b, ID_LEN);
}

static int
cmp_packs(const void *a, const void *b)
{
	return id_cmp(a, b);
}

static const struct kind packs = { sizeof(struct id), ID_LEN, put_pack,
	get_pack, cmp_packs };

static enum err
put_segment(struct buf *out, const void *item, struct error *err)
{
	const struct segment_ref *ref = item;
	enum err rc = buf_put_varint(out, ref->epoch, err);

	if (rc == ERR_OK)
		rc = buf_put_u8(out, ref->base, err);
	return rc == ERR_OK ? buf_put(out, ref->id.b, ID_LEN, err) : rc;
}

static void
get_segment(struct rd *rd, void *item)
{
	struct segment_ref *ref = item;
	uint8_t base;

	ref->epoch = rd_varint_max(rd, EPOCH_MAX);
	base = rd_u8(rd);
	rd->bad = rd->bad || base > 1 || (base == 1 && ref->epoch == 0);
	ref->base = base == 1;
	rd_copy(rd, ref->id.b, ID_LEN);
}

static int
cmp_segments(const void *a, const void *b)
{
	return segment_cmp(a, b);
}

static const struct kind segments = { sizeof(struct segment_ref), 2 + ID_LEN,
	put_segment, get_segment, cmp_segments };

static enum err
put_snapshot(struct buf *out, const void *item, struct error *err)
{
	const struct snapshot_name *name = item;
	enum err rc = buf_put(out, name->ns.b, UID_LEN, err);

	return rc == ERR_OK ? buf_put(out, name->sid.b, UID_LEN, err) : rc;
}

static void
get_snapshot(struct rd *rd, void *item)
{
	struct snapshot_name *name = item;

	rd_copy(rd, name->ns.b, UID_LEN);
	rd_copy(rd, name->sid.b, UID_LEN);
}

static int
cmp_snapshots(const void *a, const void *b)
{
	return epoch_snapshot_cmp(a, b);
}

static const struct kind snapshots = { sizeof(struct snapshot_name),
	(size_t)2 * UID_LEN, put_snapshot, get_snapshot, cmp_snapshots };

static enum err
put_doomed(struct buf *out, const void *item, struct error *err)
{
	const struct doomed *d = item;
	enum err rc = put_snapshot(out, &d->name, err);

	return rc == ERR_OK ? buf_put_varint(out, d->k, err) : rc;
}

static void
get_doomed(struct rd *rd, void *item)
{
	struct doomed *d = item;

	get_snapshot(rd, &d->name);
	d->k = rd_varint_max(rd, EPOCH_MAX);
}

static int
cmp_doomed(const void *a, const void *b)
{
	const struct doomed *x = a, *y = b;

	return epoch_snapshot_cmp(&x->name, &y->name);
}

static const struct kind doomed = { sizeof(struct doomed), 2 * UID_LEN + 1,
	put_doomed, get_doomed, cmp_doomed };

static enum err
put_list(struct buf *out, const struct kind *kind, const void *items, size_t n,
	struct error *err)
{
	const uint8_t *at = items;
	enum err rc = buf_put_varint(out, n, err);

	for (size_t i = 0; i < n && rc == ERR_OK; i++, at += kind->len) {
		assert(i == 0 || kind->cmp(at - kind->len, at) < 0);
		rc = kind->put(out, at, err);
	}
	return rc;
}

/* *items is NULL, or to be freed, also after a failure. */
static enum err
get_list(struct rd *rd, const struct kind *kind, uint64_t max, void **items,
	size_t *n, struct error *err)
{
	uint64_t fit = rd_left(rd) / kind->min;
	uint64_t count = rd_varint_max(rd, fit < max ? fit : max);
	uint8_t *at;

	*items = NULL;
	*n = 0;
	if (!rd_ok(rd) || count == 0)
		return rd_ok(rd) ? ERR_OK
				 : err_set(err, ERR_CORRUPT, malformed);
	at = calloc(count, kind->len);
	if (at == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a list of %llu",
			(unsigned long long)count);
	*items = at;
	*n = count;
	for (size_t i = 0; i < count; i++, at += kind->len) {
		kind->get(rd, at);
		if (!rd_ok(rd) || (i > 0 && kind->cmp(at - kind->len, at) >= 0))
			return err_set(err, ERR_CORRUPT, malformed);
	}
	return ERR_OK;
}

enum err
epoch_list_put_time(struct buf *out, const struct when *t, struct error *err)
{
	enum err rc = buf_put_svarint(out, t->sec, err);

	return rc == ERR_OK ? buf_put_varint(out, t->nsec, err) : rc;
}

static void
get_time(struct rd *rd, struct when *t)
{
	t->sec = rd_svarint(rd);
	t->nsec = (uint32_t)rd_varint_max(rd, 999999999);
}

enum err
epoch_list_put_condemned(struct buf *out, const struct condemned *c,
	struct error *err)
{
	enum err rc = epoch_list_put_time(out, &c->time, err);

	assert(c->n_packs <= CONDEMNED_PACKS_MAX);
	if (rc == ERR_OK)
		rc = put_list(out, &packs, c->packs, c->n_packs, err);
	if (rc == ERR_OK)
		rc = put_list(out, &packs, c->made, c->n_made, err);
	if (rc == ERR_OK)
		rc = put_list(out, &segments, c->segments, c->n_segments, err);
	if (rc == ERR_OK)
		rc = put_list(out, &segments, c->counted, c->n_counted, err);
	if (rc == ERR_OK)
		rc = put_list(out, &doomed, c->doomed, c->n_doomed, err);
	if (rc == ERR_OK)
		rc = put_list(out, &snapshots, c->known, c->n_known, err);
	return rc;
}

enum err
epoch_list_get_condemned(struct condemned *out, const void *data, size_t len,
	struct error *err)
{
	struct condemned c = { .n_packs = 0 };
	void *at[6] = { NULL };
	struct rd rd;
	enum err rc;

	rd_init(&rd, data, len);
	get_time(&rd, &c.time);
	rc = get_list(&rd, &packs, CONDEMNED_PACKS_MAX, &at[0], &c.n_packs,
		err);
	if (rc == ERR_OK)
		rc = get_list(&rd, &packs, UINT64_MAX, &at[5], &c.n_made, err);
	if (rc == ERR_OK)
		rc = get_list(&rd, &segments, UINT64_MAX, &at[1], &c.n_segments,
			err);
	if (rc == ERR_OK)
		rc = get_list(&rd, &segments, UINT64_MAX, &at[2], &c.n_counted,
			err);
	if (rc == ERR_OK)
		rc = get_list(&rd, &doomed, UINT64_MAX, &at[3], &c.n_doomed,
			err);
	if (rc == ERR_OK)
		rc = get_list(&rd, &snapshots, UINT64_MAX, &at[4], &c.n_known,
			err);
	if (rc == ERR_OK && !rd_done(&rd))
		rc = err_set(err, ERR_CORRUPT, malformed);
	c.packs = at[0];
	c.made = at[5];
	c.segments = at[1];
	c.counted = at[2];
	c.doomed = at[3];
	c.known = at[4];
	if (rc == ERR_OK)
		*out = c;
	else
		condemned_fini(&c);
	return rc;
}

enum err
epoch_list_put_final(struct buf *out, const struct final *f, struct error *err)
{
	enum err rc = epoch_list_put_time(out, &f->time, err);

	assert(f->n_spared <= CONDEMNED_PACKS_MAX);
	if (rc == ERR_OK)
		rc = put_list(out, &packs, f->spared, f->n_spared, err);
	if (rc == ERR_OK)
		rc = put_list(out, &segments, f->segments, f->n_segments, err);
	if (rc == ERR_OK)
		rc = put_list(out, &snapshots, f->snapshots, f->n_snapshots,
			err);
	return rc;
}

enum err
epoch_list_get_final(struct final *out, const void *data, size_t len,
	struct error *err)
{
	struct final f = { .n_spared = 0 };
	void *at[3] = { NULL };
	struct rd rd;
	enum err rc;

	rd_init(&rd, data, len);
	get_time(&rd, &f.time);
	rc = get_list(&rd, &packs, CONDEMNED_PACKS_MAX, &at[0], &f.n_spared,
		err);
	if (rc == ERR_OK)
		rc = get_list(&rd, &segments, UINT64_MAX, &at[1], &f.n_segments,
			err);
	if (rc == ERR_OK)
		rc = get_list(&rd, &snapshots, UINT64_MAX, &at[2],
			&f.n_snapshots, err);
	if (rc == ERR_OK && !rd_done(&rd))
		rc = err_set(err, ERR_CORRUPT, malformed);
	f.spared = at[0];
	f.segments = at[1];
	f.snapshots = at[2];
	if (rc == ERR_OK)
		*out = f;
	else
		final_fini(&f);
	return rc;
}
