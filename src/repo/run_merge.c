/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_merge: a binary heap of cursors (Knuth, TAOCP volume 3, 5.4.1).
 */
#include "repo/run_merge.h"

#include <stdlib.h>
#include <string.h>

/* The numbers of runs that are not at their end, the smallest head first. */
struct heap {
	size_t *at;
	size_t n;
	bool (*less)(const void *of, size_t a, size_t b);
	const void *of;
};

static void
heap_down(struct heap *h, size_t i)
{
	for (;;) {
		size_t child = 2 * i + 1, was = h->at[i];

		if (child >= h->n)
			return;
		if (child + 1 < h->n &&
			h->less(h->of, h->at[child + 1], h->at[child]))
			child++;
		if (!h->less(h->of, h->at[child], was))
			return;
		h->at[i] = h->at[child];
		h->at[child] = was;
		i = child;
	}
}

static void
heap_order(struct heap *h)
{
	for (size_t i = h->n / 2; i-- > 0;)
		heap_down(h, i);
}

/* The first head moved on, or came to its end. */
static void
heap_moved(struct heap *h, bool more)
{
	if (!more)
		h->at[0] = h->at[--h->n];
	if (h->n > 0)
		heap_down(h, 0);
}

struct head {
	struct run_cursor cursor;
	struct id pack; /* of the cursor's item */
};

struct run_merge {
	size_t n;
	struct head *heads;
	struct heap heap;
	bool started;
};

static bool
head_less(const void *of, size_t a, size_t b)
{
	const struct head *heads = of;
	const struct run_item *x = &heads[a].cursor.item;
	const struct run_item *y = &heads[b].cursor.item;
	int cmp = id_cmp(&x->rec.id, &y->rec.id);

	if (cmp == 0)
		cmp = id_cmp(&heads[a].pack, &heads[b].pack);
	return cmp < 0 || (cmp == 0 && x->off < y->off);
}

enum err
run_merge_new(struct run_merge **out, struct run *const *runs, size_t n,
	struct error *err)
{
	struct run_merge *m = calloc(1, sizeof(*m));
	enum err rc = ERR_OK;

	if (m == NULL)
		return err_set(err, ERR_NOMEM, "no memory to merge runs");
	m->heads = calloc(n + 1, sizeof(*m->heads));
	m->heap.at = calloc(n + 1, sizeof(*m->heap.at));
	if (m->heads == NULL || m->heap.at == NULL)
		rc = err_set(err, ERR_NOMEM, "no memory to merge runs");
	m->heap.less = head_less;
	m->heap.of = m->heads;
	for (size_t i = 0; i < n && rc == ERR_OK; i++) {
		rc = run_cursor_init(&m->heads[i].cursor, runs[i], err);
		if (rc == ERR_OK)
			m->n = i + 1;
	}
	if (rc == ERR_OK)
		*out = m;
	else
		run_merge_free(m);
	return rc;
}

void
run_merge_free(struct run_merge *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->n; i++)
		run_cursor_fini(&m->heads[i].cursor);
	free(m->heads);
	free(m->heap.at);
	free(m);
}

static enum err
head_next(struct head *h, bool *got, struct error *err)
{
	struct run_pack pack;
	enum err rc = run_cursor_next(&h->cursor, got, err);

	if (rc != ERR_OK || !*got)
		return rc;
	rc = run_pack(h->cursor.run, h->cursor.item.pack, &pack, err);
	if (rc == ERR_OK)
		h->pack = pack.info.id;
	return rc;
}

static enum err
merge_start(struct run_merge *m, struct error *err)
{
	enum err rc = ERR_OK;
	bool got;

	for (size_t i = 0; i < m->n && rc == ERR_OK; i++) {
		rc = head_next(&m->heads[i], &got, err);
		if (rc == ERR_OK && got)
			m->heap.at[m->heap.n++] = i;
	}
	heap_order(&m->heap);
	m->started = true;
	return rc;
}

enum err
run_merge_next(struct run_merge *m, struct run_step *step, bool *got,
	struct error *err)
{
	enum err rc = ERR_OK;
	bool more;

	if (!m->started) {
		rc = merge_start(m, err);
	} else if (m->heap.n > 0) {
		rc = head_next(&m->heads[m->heap.at[0]], &more, err);
		if (rc == ERR_OK)
			heap_moved(&m->heap, more);
	}
	if (rc != ERR_OK)
		return rc;
	*got = m->heap.n > 0;
	if (*got) {
		step->run = m->heap.at[0];
		step->item = m->heads[step->run].cursor.item;
	}
	return ERR_OK;
}

struct pack_head {
	struct run_pack pack;
	uint64_t next;
};

static bool
pack_less(const void *of, size_t a, size_t b)
{
	const struct pack_head *heads = of;

	return id_cmp(&heads[a].pack.info.id, &heads[b].pack.info.id) < 0;
}

static enum err
pack_next(struct pack_head *h, struct run *r, bool *got, struct error *err)
{
	*got = h->next < run_count(r, RUN_PACKS);
	return *got ? run_pack(r, h->next++, &h->pack, err) : ERR_OK;
}

enum err
run_merge_packs(struct run *const *runs, size_t n, run_merge_pack_fn *fn,
	void *arg, struct error *err)
{
	struct pack_head *heads = calloc(n + 1, sizeof(*heads));
	struct heap heap = { .less = pack_less, .of = heads };
	enum err rc = ERR_OK;
	bool got;

	heap.at = calloc(n + 1, sizeof(*heap.at));
	if (heads == NULL || heap.at == NULL)
		rc = err_set(err, ERR_NOMEM, "no memory to merge packs");
	for (size_t i = 0; i < n && rc == ERR_OK; i++) {
		rc = pack_next(&heads[i], runs[i], &got, err);
		if (rc == ERR_OK && got)
			heap.at[heap.n++] = i;
	}
	if (rc == ERR_OK)
		heap_order(&heap);
	while (rc == ERR_OK && heap.n > 0) {
		size_t i = heap.at[0];

		rc = fn(arg, i, heads[i].next - 1, &heads[i].pack, err);
		if (rc == ERR_OK)
			rc = pack_next(&heads[i], runs[i], &got, err);
		if (rc == ERR_OK)
			heap_moved(&heap, got);
	}
	free(heap.at);
	free(heads);
	return rc;
}

/* A merge that is written. */
struct plan {
	struct run *const *runs;
	size_t n;
	const struct run_choice *choice;
	struct run_writer *writer;
	/* by run: new numbers of its segments and packs; GONE where left out */
	uint32_t **segs;
	uint32_t **packs;
	uint64_t n_segs, n_packs, n_records;
};

enum { GONE = UINT32_MAX };

static enum err
numbers_new(uint32_t **out, uint64_t n, struct error *err)
{
	*out = calloc(n + 1, sizeof(**out));
	if (*out == NULL)
		return err_set(err, ERR_NOMEM, "no memory to merge runs");
	return ERR_OK;
}

/* Which segments and how many packs and records of run i stay. */
static enum err
plan_run(struct plan *p, size_t i, struct error *err)
{
	struct run *r = p->runs[i];
	uint64_t n_records = 0;
	struct run_pack pack;
	struct segment_ref seg;
	enum err rc;

	rc = numbers_new(&p->segs[i], run_count(r, RUN_SEGS), err);
	if (rc == ERR_OK)
		rc = numbers_new(&p->packs[i], run_count(r, RUN_PACKS), err);
	for (uint64_t k = 0; k < run_count(r, RUN_SEGS) && rc == ERR_OK; k++) {
		rc = run_seg(r, k, &seg, err);
		if (rc != ERR_OK)
			break;
		p->segs[i][k] = GONE;
		if (p->choice->keep == NULL ||
			p->choice->keep(p->choice->arg, &seg))
			p->segs[i][k] = (uint32_t)p->n_segs++;
	}
	for (uint64_t k = 0; k < run_count(r, RUN_PACKS) && rc == ERR_OK; k++) {
		rc = run_pack(r, k, &pack, err);
		if (rc != ERR_OK || p->segs[i][pack.seg] == GONE)
			continue;
		p->n_packs++;
		n_records += pack.info.n_records;
	}
	/* Before a file of that size is begun. */
	if (rc == ERR_OK && n_records > run_count(r, RUN_RECORDS))
		rc = err_set(err, ERR_CORRUPT,
			"packs of a run with more records than it has");
	p->n_records += n_records;
	return rc;
}

static enum err
write_segs(struct plan *p, struct error *err)
{
	struct segment_ref seg;
	enum err rc = ERR_OK;

	for (size_t i = 0; i < p->n; i++) {
		uint64_t n = run_count(p->runs[i], RUN_SEGS);

		for (uint64_t k = 0; k < n && rc == ERR_OK; k++) {
			if (p->segs[i][k] == GONE)
				continue;
			rc = run_seg(p->runs[i], k, &seg, err);
			if (rc == ERR_OK)
				rc = run_writer_seg(p->writer, &seg, err);
		}
	}
	p->n_packs = 0;
	return rc;
}

static enum err
write_pack(void *arg, size_t run, uint64_t number, const struct run_pack *pack,
	struct error *err)
{
	struct plan *p = arg;
	struct run_pack moved = { pack->info, p->segs[run][pack->seg] };

	p->packs[run][number] = GONE;
	if (moved.seg == GONE)
		return ERR_OK;
	p->packs[run][number] = (uint32_t)p->n_packs++;
	return run_writer_pack(p->writer, &moved, err);
}

static enum err
write_items(struct plan *p, struct error *err)
{
	struct run_merge *m = NULL;
	struct run_step step;
	bool got;
	enum err rc = run_merge_new(&m, p->runs, p->n, err);

	while (rc == ERR_OK) {
		rc = run_merge_next(m, &step, &got, err);
		if (rc != ERR_OK || !got)
			break;
		step.item.pack = p->packs[step.run][step.item.pack];
		if (step.item.pack != GONE)
			rc = run_writer_item(p->writer, &step.item, err);
	}
	run_merge_free(m);
	return rc;
}

static enum err
plan_write(struct plan *p, const struct run_target *to, struct error *err)
{
	struct run_layout layout;
	enum err rc;

	if (!run_layout(&layout, p->n_segs, p->n_packs, p->n_records))
		return err_set(err, ERR_NOMEM, "too many records for a run");
	rc = run_writer_new(&p->writer, to, &layout, err);
	if (rc == ERR_OK)
		rc = write_segs(p, err);
	if (rc == ERR_OK)
		rc = run_merge_packs(p->runs, p->n, write_pack, p, err);
	if (rc == ERR_OK)
		rc = write_items(p, err);
	if (rc == ERR_OK)
		rc = run_writer_finish(p->writer, err);
	run_writer_free(p->writer);
	return rc;
}

/* No page was damaged, and yet the runs cannot be merged: none of them is to
 * be believed any more. */
static void
blame(struct run *const *runs, size_t n)
{
	bool known = false;

	for (size_t i = 0; i < n; i++)
		known = known || run_is_bad(runs[i]);
	for (size_t i = 0; i < n && !known; i++)
		run_set_bad(runs[i]);
}

enum err
run_merge_write(struct run *const *runs, size_t n,
	const struct run_choice *choice, const struct run_target *to,
	bool *empty, struct error *err)
{
	struct plan p = { .runs = runs, .n = n, .choice = choice };
	enum err rc = ERR_OK;

	p.segs = calloc(n + 1, sizeof(*p.segs));
	p.packs = calloc(n + 1, sizeof(*p.packs));
	if (p.segs == NULL || p.packs == NULL)
		rc = err_set(err, ERR_NOMEM, "no memory to merge runs");
	for (size_t i = 0; i < n && rc == ERR_OK; i++)
		rc = plan_run(&p, i, err);
	if (rc == ERR_OK) {
		*empty = p.n_segs == 0;
		if (!*empty)
			rc = plan_write(&p, to, err);
	}
	if (rc == ERR_CORRUPT)
		blame(runs, n);
	for (size_t i = 0; i < n; i++) {
		if (p.segs != NULL)
			free(p.segs[i]);
		if (p.packs != NULL)
			free(p.packs[i]);
	}
	free(p.segs);
	free(p.packs);
	return rc;
}
