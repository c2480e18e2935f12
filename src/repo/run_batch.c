/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/run_batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void
run_batch_fini(struct run_batch *b)
{
	free(b->segs);
	free(b->packs);
	free(b->items);
	*b = (struct run_batch){ 0 };
}

/* Room for one more in an array of n items of len bytes. */
static enum err
grow(void **array, size_t n, size_t *cap, size_t len, struct error *err)
{
	size_t want = *cap > 0 ? *cap * 2 : 64;
	void *more;

	if (n < *cap)
		return ERR_OK;
	/* Numbers of items are kept in 32 bits. */
	if (n >= UINT32_MAX)
		return err_set(err, ERR_NOMEM, "too many records for a run");
	more = reallocarray(*array, want, len);
	if (more == NULL)
		return err_set(err, ERR_NOMEM, "no memory for %zu records",
			want);
	*array = more;
	*cap = want;
	return ERR_OK;
}

enum err
run_batch_seg(struct run_batch *b, const struct segment_ref *seg,
	struct error *err)
{
	void *array = b->segs;
	enum err rc =
		grow(&array, b->n_segs, &b->cap_segs, sizeof(*b->segs), err);

	b->segs = array;
	if (rc == ERR_OK)
		b->segs[b->n_segs++] = *seg;
	return rc;
}

enum err
run_batch_pack(struct run_batch *b, const struct pack_info *pack,
	struct error *err)
{
	void *array = b->packs;
	enum err rc =
		grow(&array, b->n_packs, &b->cap_packs, sizeof(*b->packs), err);

	b->packs = array;
	if (rc != ERR_OK)
		return rc;
	assert(b->n_segs > 0);
	b->packs[b->n_packs++] =
		(struct run_pack){ *pack, (uint32_t)b->n_segs - 1 };
	return ERR_OK;
}

enum err
run_batch_item(struct run_batch *b, const struct record *rec, uint32_t off,
	struct error *err)
{
	void *array = b->items;
	enum err rc =
		grow(&array, b->n_items, &b->cap_items, sizeof(*b->items), err);

	b->items = array;
	assert(b->n_packs > 0);
	if (rc == ERR_OK)
		b->items[b->n_items++] = (struct run_item){ *rec, off,
			(uint32_t)b->n_packs - 1 };
	return rc;
}

/* What is sorted in place of the large things: most comparisons end here. */
struct key {
	uint64_t prefix;
	const void *of;
};

static int
cmp_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int
cmp_packs(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	const struct run_pack *p = x->of, *q = y->of;
	int cmp = cmp_u64(x->prefix, y->prefix);

	if (cmp == 0)
		cmp = id_cmp(&p->info.id, &q->info.id);
	return cmp != 0 ? cmp : cmp_u64(p->seg, q->seg);
}

static int
cmp_items(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	const struct run_item *p = x->of, *q = y->of;
	int cmp = cmp_u64(x->prefix, y->prefix);

	if (cmp == 0)
		cmp = id_cmp(&p->rec.id, &q->rec.id);
	if (cmp == 0)
		cmp = cmp_u64(p->pack, q->pack);
	return cmp != 0 ? cmp : cmp_u64(p->off, q->off);
}

/* Put the packs in order, and tell the items their new numbers. */
static enum err
sort_packs(struct run_batch *b, struct error *err)
{
	struct key *keys = calloc(b->n_packs + 1, sizeof(*keys));
	uint32_t *number = calloc(b->n_packs + 1, sizeof(*number));
	struct run_pack *sorted = calloc(b->n_packs + 1, sizeof(*sorted));
	enum err rc = ERR_OK;

	if (keys == NULL || number == NULL || sorted == NULL) {
		rc = err_set(err, ERR_NOMEM, "no memory to sort packs");
		free(sorted);
		goto out;
	}
	for (size_t i = 0; i < b->n_packs; i++)
		keys[i] = (struct key){ id_prefix(&b->packs[i].info.id),
			&b->packs[i] };
	qsort(keys, b->n_packs, sizeof(*keys), cmp_packs);
	for (size_t i = 0; i < b->n_packs; i++) {
		const struct run_pack *pack = keys[i].of;

		number[pack - b->packs] = (uint32_t)i;
		sorted[i] = *pack;
	}
	for (size_t i = 0; i < b->n_items; i++)
		b->items[i].pack = number[b->items[i].pack];
	free(b->packs);
	b->packs = sorted;
	b->cap_packs = b->n_packs + 1;
out:
	free(keys);
	free(number);
	return rc;
}

static enum err
write_items(struct run_batch *b, struct run_writer *w, struct error *err)
{
	struct key *keys = calloc(b->n_items + 1, sizeof(*keys));
	enum err rc = ERR_OK;

	if (keys == NULL)
		return err_set(err, ERR_NOMEM, "no memory to sort records");
	for (size_t i = 0; i < b->n_items; i++)
		keys[i] = (struct key){ id_prefix(&b->items[i].rec.id),
			&b->items[i] };
	qsort(keys, b->n_items, sizeof(*keys), cmp_items);
	for (size_t i = 0; i < b->n_items && rc == ERR_OK; i++)
		rc = run_writer_item(w, keys[i].of, err);
	free(keys);
	return rc;
}

enum err
run_batch_write(struct run_batch *b, const struct run_target *to,
	struct error *err)
{
	struct run_writer *w = NULL;
	struct run_layout layout;
	enum err rc;

	if (!run_layout(&layout, b->n_segs, b->n_packs, b->n_items))
		return err_set(err, ERR_NOMEM, "too many records for a run");
	rc = sort_packs(b, err);
	if (rc == ERR_OK)
		rc = run_writer_new(&w, to, &layout, err);
	for (size_t i = 0; i < b->n_segs && rc == ERR_OK; i++)
		rc = run_writer_seg(w, &b->segs[i], err);
	for (size_t i = 0; i < b->n_packs && rc == ERR_OK; i++)
		rc = run_writer_pack(w, &b->packs[i], err);
	if (rc == ERR_OK)
		rc = write_items(b, w, err);
	if (rc == ERR_OK)
		rc = run_writer_finish(w, err);
	run_writer_free(w);
	return rc;
}
