/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune_plan: the packs, and what lives in them.
 *
 * A live chunk that is in several packs lives in each of them: whoever may add
 * to the repository can add a copy that lies, and who prunes has no content
 * keys to tell.  Only of copies that are the same as they are sealed, which a
 * prune leaves that was killed between moving and condemning, one is enough.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "engine/pruning.h"
#include "repo/pack.h"

enum { FIRST = 1 << 16, PACKS_FIRST = 256, COMPARE = 64 << 10 };

void
prune_plan_fini(struct plan *plan)
{
	free(plan->v);
	free(plan->first);
	free(plan->moves);
	*plan = (struct plan){ 0 };
}

static enum err
add_pack(struct plan *plan, const struct plan_pack *pack, struct error *err)
{
	size_t cap = plan->cap > 0 ? plan->cap + plan->cap / 2 : PACKS_FIRST;
	struct plan_pack *v;

	if (plan->n == plan->cap) {
		v = reallocarray(plan->v, cap, sizeof(*v));
		if (v == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory for %zu packs", cap);
		plan->v = v;
		plan->cap = cap;
	}
	plan->v[plan->n++] = *pack;
	return ERR_OK;
}

static int
cmp_packs(const void *a, const void *b)
{
	const struct plan_pack *x = a, *y = b;

	return id_cmp(&x->id, &y->id);
}

static size_t
head_of(const struct id *id)
{
	return (size_t)id->b[0] << 8 | id->b[1];
}

/* Put each pack among those with the same beginning of its id, where it lies
 * (American flag sort, McIlroy et al. 1993): next is where the next of each
 * beginning goes. */
static void
distribute(struct plan *plan, uint32_t *next)
{
	for (size_t head = 0; head < FIRST; head++)
		while (next[head] < plan->first[head + 1]) {
			struct plan_pack *here = &plan->v[next[head]];
			size_t to = head_of(&here->id);
			struct plan_pack *there = &plan->v[next[to]];
			struct plan_pack pack = *here;

			*here = *there;
			*there = pack;
			next[to]++;
		}
}

/* Sort without memory for a copy, and note where each beginning of ids is. */
static enum err
arrange(struct plan *plan, struct error *err)
{
	uint32_t *next = calloc(FIRST + 1, sizeof(*next));

	if (plan->first == NULL)
		plan->first = calloc(FIRST + 1, sizeof(*plan->first));
	if (plan->first == NULL || next == NULL || plan->n >= UINT32_MAX) {
		free(next);
		return err_set(err, ERR_NOMEM, "no memory for %zu packs",
			plan->n);
	}
	memset(plan->first, 0, (FIRST + 1) * sizeof(*plan->first));
	for (size_t i = 0; i < plan->n; i++)
		plan->first[head_of(&plan->v[i].id) + 1]++;
	for (size_t i = 0; i < FIRST; i++)
		plan->first[i + 1] += plan->first[i];
	memcpy(next, plan->first, FIRST * sizeof(*next));
	distribute(plan, next);
	for (size_t i = 0; i < FIRST; i++)
		if (plan->first[i + 1] - plan->first[i] > 1)
			qsort(&plan->v[plan->first[i]],
				plan->first[i + 1] - plan->first[i],
				sizeof(*plan->v), cmp_packs);
	free(next);
	return ERR_OK;
}

struct plan_pack *
prune_plan_find(const struct plan *plan, const struct id *id)
{
	uint32_t from = plan->first[head_of(id)];
	uint32_t to = plan->first[head_of(id) + 1];

	while (from < to) {
		uint32_t mid = from + (to - from) / 2;
		int cmp = id_cmp(id, &plan->v[mid].id);

		if (cmp == 0)
			return &plan->v[mid];
		if (cmp < 0)
			to = mid;
		else
			from = mid + 1;
	}
	return NULL;
}

static uint32_t
clamp(uint64_t n)
{
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static uint32_t
sum(uint32_t a, uint32_t b)
{
	return clamp((uint64_t)a + b);
}

/* ---- the packs ---- */

static enum err
on_listed(void *arg, const char *name, uint64_t size, struct error *err)
{
	static const char form[] = "packs/xx/";
	struct plan_pack pack = { .size = clamp(size), .flags = PLAN_LISTED };

	/* Other names may mean something to a later version. */
	if (strlen(name) != sizeof(form) - 1 + ID_HEX ||
		!hex_decode(name + sizeof(form) - 1, pack.id.b, ID_LEN))
		return ERR_OK;
	return add_pack(arg, &pack, err);
}

enum err
prune_plan_list(struct plan *plan, struct pruning *p, struct error *err)
{
	enum err rc;

	*plan = (struct plan){ .p = p };
	rc = store_list(p->store, "packs", on_listed, plan, err);
	return rc == ERR_OK ? arrange(plan, err) : rc;
}

static enum err
on_named(void *arg, const struct pack_info *info, struct error *err)
{
	struct plan *plan = arg;
	struct plan_pack *there = prune_plan_find(plan, &info->id);
	struct plan_pack pack = { .id = info->id,
		.size = clamp(info->size),
		.flags = PLAN_NAMED };

	if (there != NULL)
		there->flags |= PLAN_NAMED;
	/* Each is named once, so what is added is not looked for. */
	return there != NULL ? ERR_OK : add_pack(plan, &pack, err);
}

enum err
prune_plan_name(struct plan *plan, struct error *err)
{
	enum err rc = index_each_pack(plan->p->index, on_named, plan, err);

	return rc == ERR_OK ? arrange(plan, err) : rc;
}

/* ---- chunks ---- */

static enum err
pack_get(const struct plan *plan, const struct location *loc, uint32_t at,
	uint32_t n, struct buf *out, struct error *err)
{
	char name[PACK_NAME];

	buf_clear(out);
	pack_name(name, &loc->pack);
	return store_get(plan->p->store, name, (uint64_t)loc->off + at, n, out,
		err);
}

struct chunk_walk {
	const struct plan *plan;
	plan_chunk_fn *fn;
	void *arg;
	struct plan_place *v; /* of the chunk at hand */
	size_t n, cap;
	uint64_t seen;
};

static enum err
end_chunk(struct chunk_walk *w, struct error *err)
{
	enum err rc = ERR_OK;

	if (w->n > 0)
		rc = w->fn(w->arg, w->v, w->n, err);
	w->n = 0;
	if (rc == ERR_OK && (++w->seen & 0xffff) == 0)
		rc = pruning_going(w->plan->p, err);
	return rc;
}

static enum err
on_place(void *arg, const struct location *loc, struct error *err)
{
	struct chunk_walk *w = arg;
	struct plan_pack *pack = prune_plan_find(w->plan, &loc->pack);
	struct plan_place *v;
	enum err rc = ERR_OK;

	if (w->n > 0 && !id_eq(&w->v[0].loc.rec.id, &loc->rec.id))
		rc = end_chunk(w, err);
	/* It came into the index after its packs were looked at. */
	if (rc != ERR_OK || pack == NULL)
		return rc;
	v = array_grow(w->v, w->n, &w->cap, sizeof(*v), err);
	if (v == NULL)
		return err->code;
	w->v = v;
	w->v[w->n++] = (struct plan_place){ *loc, (size_t)(pack - w->plan->v) };
	return ERR_OK;
}

enum err
prune_plan_each_chunk(const struct plan *plan, plan_chunk_fn *fn, void *arg,
	struct error *err)
{
	struct chunk_walk w = { .plan = plan, .fn = fn, .arg = arg };
	enum err rc = index_each(plan->p->index, on_place, &w, err);

	if (rc == ERR_OK)
		rc = end_chunk(&w, err);
	free(w.v);
	return rc;
}

/* Whether two records are the same bytes. */
static enum err
same_bytes(const struct plan *plan, const struct location *a,
	const struct location *b, bool *same, struct error *err)
{
	struct buf x = BUF_INIT(COMPARE), y = BUF_INIT(COMPARE);
	const struct record *r = &a->rec, *s = &b->rec;
	enum err rc = ERR_OK;

	*same = r->type == s->type && r->codec == s->codec &&
		r->number == s->number && r->stored_len == s->stored_len &&
		r->plain_len == s->plain_len && r->head_len == s->head_len;
	for (uint32_t at = 0; at < r->stored_len && *same; at += COMPARE) {
		uint32_t left = r->stored_len - at;
		uint32_t n = left < COMPARE ? left : COMPARE;

		rc = pack_get(plan, a, at, n, &x, err);
		if (rc == ERR_OK)
			rc = pack_get(plan, b, at, n, &y, err);
		*same = rc == ERR_OK && memcmp(x.data, y.data, n) == 0;
		if (rc != ERR_OK)
			break;
	}
	buf_fini(&x);
	buf_fini(&y);
	/* Then each has to be kept. */
	return rc == ERR_NOTFOUND || rc == ERR_CORRUPT ? ERR_OK : rc;
}

/* Of two that are the same, the one whose pack has more to keep stays. */
static bool
stays_before(const struct plan *plan, const struct plan_place *a,
	const struct plan_place *b)
{
	const struct plan_pack *x = &plan->v[a->pack], *y = &plan->v[b->pack];

	if (x->weight != y->weight)
		return x->weight > y->weight;
	if (a->pack != b->pack)
		return a->pack < b->pack;
	return a->loc.off < b->loc.off;
}

enum err
prune_plan_lives(const struct plan *plan, const struct plan_place *places,
	size_t n, size_t i, bool *lives, struct error *err)
{
	enum err rc = ERR_OK;
	bool same;

	*lives = true;
	for (size_t k = 0; k < n && *lives && rc == ERR_OK; k++) {
		if (k == i || !stays_before(plan, &places[k], &places[i]))
			continue;
		rc = same_bytes(plan, &places[k].loc, &places[i].loc, &same,
			err);
		*lives = !same;
	}
	return rc;
}

struct weighing {
	struct plan *plan;
	struct live *live;
};

static void
count_live(struct plan_pack *pack, uint32_t len)
{
	pack->live = sum(pack->live, len);
	pack->n_live++;
}

static enum err
weigh_chunk(void *arg, const struct plan_place *places, size_t n,
	struct error *err)
{
	struct weighing *w = arg;
	struct prune_figures *f = w->plan->p->figures;
	bool has;
	enum err rc = live_has(w->live, &places[0].loc.rec.id, &has, err);

	if (rc != ERR_OK)
		return rc;
	f->chunks_live += has;
	f->chunks_dead += has ? 0 : n;
	w->plan->has_copies = w->plan->has_copies || (has && n > 1);
	for (size_t i = 0; i < n; i++) {
		struct plan_pack *pack = &w->plan->v[places[i].pack];
		uint32_t len = places[i].loc.rec.stored_len;

		if (has)
			pack->weight = sum(pack->weight, len);
		else
			pack->dead = sum(pack->dead, len);
		if (has && n == 1)
			count_live(pack, len);
	}
	return ERR_OK;
}

/* The second walk: chunks that are in several packs. */
static enum err
settle_chunk(void *arg, const struct plan_place *places, size_t n,
	struct error *err)
{
	struct weighing *w = arg;
	bool has, lives;
	enum err rc;

	if (n == 1)
		return ERR_OK;
	rc = live_has(w->live, &places[0].loc.rec.id, &has, err);
	if (rc != ERR_OK || !has)
		return rc;
	for (size_t i = 0; i < n; i++) {
		struct plan_pack *pack = &w->plan->v[places[i].pack];
		uint32_t len = places[i].loc.rec.stored_len;

		rc = prune_plan_lives(w->plan, places, n, i, &lives, err);
		if (rc != ERR_OK)
			return rc;
		if (lives)
			count_live(pack, len);
		else
			pack->dead = sum(pack->dead, len);
		w->plan->p->figures->chunks_dead += !lives;
	}
	return ERR_OK;
}

enum err
prune_plan_weigh(struct plan *plan, struct live *live, struct error *err)
{
	struct weighing w = { plan, live };
	enum err rc;

	live_rewind(live);
	rc = prune_plan_each_chunk(plan, weigh_chunk, &w, err);
	if (rc == ERR_OK)
		rc = live_end(live, &plan->missed, err);
	if (rc != ERR_OK || !plan->has_copies)
		return rc;
	live_rewind(live);
	return prune_plan_each_chunk(plan, settle_chunk, &w, err);
}
