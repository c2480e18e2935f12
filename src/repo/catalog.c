/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog: how a set of runs comes to be.
 *
 * Every change goes the same way, alone in this process and, where the cache
 * is shared, alone on this machine: gather the runs that there are, take up a
 * batch or compare with the store, fold tiers that are full, save, install.
 * A step that meets a damaged run starts over without it, one that fails in
 * the shared cache starts over in a private one.
 *
 * Whether a segment is gone is decided by a listing that is made after the
 * runs were gathered: a segment is in the store before any run has it, so
 * what is then not listed was removed.
 *
 * Crash argument: repo/cache.h.  The store is only read.
 */
#include "repo/catalog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/fsx.h"
#include "repo/cache.h"
#include "repo/listing.h"
#include "repo/run_merge.h"

enum {
	BATCH_RECORDS = 256 << 10, /* of segments that are loaded into a run */
	TIER_FIRST = 128 << 10, /* records; the next tiers: four times more */
	TIERS = 32,
	FAN = 4, /* runs of a tier that are folded into one */
	FAN_LOADING = 64, /* the same, while many more are to come */
	TRIES = 6,
	ROUNDS = 16
};

struct catalog {
	struct index_conf conf;
	struct cache *cache;
	pthread_mutex_t change; /* one at a time */
	pthread_rwlock_t lock; /* of set, for as long as it takes to copy it */
	struct run_set *set;
	_Atomic uint64_t gen;
};

/* A change under way. */
struct work {
	struct catalog *c;
	struct run **runs;
	size_t n, cap;
	struct listing listing;
	struct run_batch *batch; /* still to be taken up; or NULL */
	bool full; /* compare with the store */
	bool relist;
	bool cache_failed;
};

static enum err
set_new(struct run_set **out, struct run *const *runs, size_t n, uint64_t gen,
	struct error *err)
{
	struct run_set *set = malloc(sizeof(*set) + n * sizeof(set->runs[0]));

	if (set == NULL)
		return err_set(err, ERR_NOMEM, "no memory for %zu runs", n);
	atomic_init(&set->refs, 1);
	set->gen = gen;
	set->n = n;
	for (size_t i = 0; i < n; i++)
		set->runs[i] = run_ref(runs[i]);
	*out = set;
	return ERR_OK;
}

struct run_set *
catalog_get(struct catalog *c)
{
	struct run_set *set;

	(void)pthread_rwlock_rdlock(&c->lock);
	set = c->set;
	atomic_fetch_add(&set->refs, 1);
	(void)pthread_rwlock_unlock(&c->lock);
	return set;
}

void
catalog_put(struct run_set *set)
{
	if (set == NULL || atomic_fetch_sub(&set->refs, 1) != 1)
		return;
	for (size_t i = 0; i < set->n; i++)
		run_unref(set->runs[i]);
	free(set);
}

const _Atomic uint64_t *
catalog_gen(const struct catalog *c)
{
	return &c->gen;
}

static enum err
work_push(struct work *w, struct run *r, struct error *err)
{
	if (w->n == w->cap) {
		size_t cap = w->cap > 0 ? w->cap * 2 : 16;
		void *more = reallocarray(w->runs, cap, sizeof(*w->runs));

		if (more == NULL) {
			run_unref(r);
			return err_set(err, ERR_NOMEM, "no memory for %zu runs",
				cap);
		}
		w->runs = more;
		w->cap = cap;
	}
	w->runs[w->n++] = r;
	return ERR_OK;
}

/* Forget the runs for which drop is true; whether there were any. */
static bool
work_drop(struct work *w, bool (*drop)(const struct run *r, void *arg),
	void *arg)
{
	size_t kept = 0, before = w->n;

	for (size_t i = 0; i < w->n; i++) {
		if (drop(w->runs[i], arg))
			run_unref(w->runs[i]);
		else
			w->runs[kept++] = w->runs[i];
	}
	w->n = kept;
	return kept < before;
}

static bool
drop_bad(const struct run *r, void *arg)
{
	return run_is_bad(r);
}

static struct run *
find_run(struct run *const *runs, size_t n, const struct uid *uid)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(run_uid(runs[i])->b, uid->b, UID_LEN) == 0)
			return runs[i];
	return NULL;
}

/* Take over a run of the manifest; one that cannot be opened is not there. */
static enum err
gather_one(struct work *w, const struct uid *uid, struct error *err)
{
	struct run_set *set = w->c->set;
	struct run *r = find_run(set->runs, set->n, uid);
	struct error why = ERROR_INIT;
	int fd;

	if (r != NULL)
		return work_push(w, run_ref(r), err);
	if (cache_get(w->c->cache, uid, &fd, &why) != ERR_OK ||
		run_open(&r, fd, uid, w->c->conf.structure, &why) != ERR_OK)
		return ERR_OK;
	return work_push(w, r, err);
}

/*
 * The runs to begin with: those of a shared cache, else our own.  Where that
 * is less than we had, the store has to be asked what is missing.
 */
static enum err
gather(struct work *w, struct error *err)
{
	struct run_set *set = w->c->set;
	struct cache_list list = { NULL, 0 };
	enum err rc = ERR_OK;

	if (cache_is_shared(w->c->cache) || set->n == 0)
		rc = cache_load(w->c->cache, &list, err);
	for (size_t i = 0; i < list.n && rc == ERR_OK; i++)
		rc = gather_one(w, &list.uids[i], err);
	cache_list_fini(&list);
	if (!cache_is_shared(w->c->cache))
		for (size_t i = 0; i < set->n && rc == ERR_OK; i++)
			rc = work_push(w, run_ref(set->runs[i]), err);
	if (work_drop(w, drop_bad, NULL))
		w->full = true;
	for (size_t i = 0; i < set->n; i++)
		if (find_run(w->runs, w->n, run_uid(set->runs[i])) == NULL)
			w->full = true;
	return rc;
}

/* What a new run is made of: a batch, or other runs. */
struct source {
	struct run_batch *batch;
	struct run *const *runs;
	size_t n;
	struct run_choice choice;
};

/* *out is NULL where the new run would be empty. */
static enum err
make_run(struct work *w, const struct source *src, struct run **out,
	struct error *err)
{
	const struct secret *key = w->c->conf.structure;
	struct run_target to = { .fd = -1, .structure = key };
	struct uid uid;
	bool empty = false;
	enum err rc = cache_create(w->c->cache, &uid, &to.fd, err);

	*out = NULL;
	to.uid = &uid;
	if (rc == ERR_OK && src->batch != NULL)
		rc = run_batch_write(src->batch, &to, err);
	else if (rc == ERR_OK)
		rc = run_merge_write(src->runs, src->n, &src->choice, &to,
			&empty, err);
	if (rc == ERR_OK && !empty)
		rc = run_open(out, to.fd, &uid, key, err);
	else
		fsx_close(&to.fd);
	if (rc != ERR_OK)
		w->cache_failed = true;
	return rc;
}

static enum err
save(struct work *w, struct error *err)
{
	struct cache_list list = { .n = w->n };
	enum err rc;

	list.uids = calloc(w->n + 1, sizeof(*list.uids));
	if (list.uids == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a manifest");
	for (size_t i = 0; i < w->n; i++)
		list.uids[i] = *run_uid(w->runs[i]);
	rc = cache_save(w->c->cache, &list, err);
	cache_list_fini(&list);
	if (rc != ERR_OK)
		w->cache_failed = true;
	return rc;
}

/* Put the run that holds what those at the end, from first on, hold in their
 * place. */
static enum err
replace_tail(struct work *w, size_t first, const struct run_choice *choice,
	struct error *err)
{
	const struct source src = { NULL, w->runs + first, w->n - first,
		*choice };
	struct run *merged = NULL;
	enum err rc = make_run(w, &src, &merged, err);

	if (rc != ERR_OK)
		return rc;
	while (w->n > first)
		run_unref(w->runs[--w->n]);
	return merged != NULL ? work_push(w, merged, err) : ERR_OK;
}

static unsigned
tier_of(const struct run *r)
{
	uint64_t n = run_count(r, RUN_RECORDS);
	unsigned tier = 0;

	for (; n >= TIER_FIRST; n /= 4)
		tier++;
	return tier;
}

/* Move the runs of a tier to the end; the first of them. */
static size_t
tier_to_end(struct work *w, unsigned tier)
{
	size_t first = w->n;

	for (size_t i = w->n; i-- > 0;) {
		struct run *r = w->runs[i];

		if (tier_of(r) != tier)
			continue;
		w->runs[i] = w->runs[--first];
		w->runs[first] = r;
	}
	return first;
}

/* Merge tiers of fan runs or more, until there are none. */
static enum err
fold(struct work *w, size_t fan, struct error *err)
{
	const struct run_choice all = { NULL, NULL };
	unsigned tier = 0;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && tier < TIERS) {
		size_t first = tier_to_end(w, tier);

		if (w->n - first < fan)
			tier++;
		else
			rc = replace_tail(w, first, &all, err);
	}
	return rc;
}

static enum err
load_replaces(void *arg, unsigned level, const struct id *id, struct error *err)
{
	struct run_batch *b = arg;
	struct run_seg seg = { .id = *id,
		.level = (uint8_t)level,
		.replaced = true };

	/* The one that is being loaded was added first. */
	for (size_t i = b->n_segs; i-- > 0;)
		if (!b->segs[i].replaced) {
			seg.by = b->segs[i].id;
			seg.by_level = b->segs[i].level;
			break;
		}
	return run_batch_seg(b, &seg, err);
}

static enum err
load_pack(void *arg, const struct pack_info *pack, struct error *err)
{
	return run_batch_pack(arg, pack, err);
}

static enum err
load_record(void *arg, const struct location *loc, struct error *err)
{
	return run_batch_item(arg, &loc->rec, loc->off, err);
}

/* Load a segment into the batch. */
static enum err
load(struct work *w, struct listed *l, struct run_batch *b, struct error *err)
{
	const struct segment_visitor v = { load_pack, load_record,
		load_replaces, b };
	const struct index_conf *conf = &w->c->conf;
	const struct run_seg seg = { .id = l->id, .level = l->level };
	char name[SEGMENT_NAME_MAX];
	size_t before = b->n_segs;
	struct error why = ERROR_INIT;
	enum err rc = run_batch_seg(b, &seg, err);

	if (rc != ERR_OK)
		return rc;
	segment_name(l->level, &l->id, name);
	rc = segment_load(conf->store, name, conf->structure, &v, &why);
	if (rc == ERR_OK)
		return ERR_OK;
	b->n_segs = before;
	l->unread = true;
	if (rc == ERR_NOTFOUND) {
		/* Removed since it was listed, and perhaps replaced by one
		 * that was not there yet. */
		w->relist = true;
		return ERR_OK;
	}
	if ((rc == ERR_CORRUPT || rc == ERR_VERSION) && conf->bad != NULL)
		return conf->bad(conf->bad_arg, name, &why, err);
	*err = why;
	return rc;
}

/* Make a run of what was loaded, and save it: who is interrupted while
 * loading much does not start again from nothing. */
static enum err
flush(struct work *w, struct run_batch *b, struct error *err)
{
	const struct source src = { .batch = b };
	struct run *r;
	enum err rc;

	if (b->n_segs == 0)
		return ERR_OK;
	rc = make_run(w, &src, &r, err);
	run_batch_fini(b);
	if (rc == ERR_OK)
		rc = work_push(w, r, err);
	if (rc == ERR_OK)
		rc = fold(w, FAN_LOADING, err);
	return rc == ERR_OK ? save(w, err) : rc;
}

/* Load every segment that counts and that no run covers. */
static enum err
load_missing(struct work *w, bool *any, struct error *err)
{
	struct run_batch b = { 0 };
	enum err rc = ERR_OK;

	*any = false;
	for (size_t i = 0; i < w->listing.n && rc == ERR_OK; i++) {
		struct listed *l = &w->listing.segs[i];

		if (l->covered || l->replaced || l->unread)
			continue;
		*any = true;
		rc = load(w, l, &b, err);
		if (rc == ERR_OK && b.n_items >= BATCH_RECORDS)
			rc = flush(w, &b, err);
	}
	if (rc == ERR_OK)
		rc = flush(w, &b, err);
	run_batch_fini(&b);
	return rc;
}

static bool
keep_listed(void *arg, const struct run_seg *seg)
{
	const struct listing *l = arg;

	return listing_keeps(l, seg);
}

static enum err
has_gone(struct work *w, struct run *r, bool *gone, struct error *err)
{
	uint64_t n = run_count(r, RUN_SEGS);
	struct run_seg seg;
	enum err rc = ERR_OK;

	*gone = false;
	for (uint64_t i = 0; i < n && rc == ERR_OK && !*gone; i++) {
		rc = run_seg(r, i, &seg, err);
		*gone = rc == ERR_OK && !listing_keeps(&w->listing, &seg);
	}
	return rc;
}

/* Write the runs anew that hold something of a segment that does not count
 * any more. */
static enum err
leave_out_gone(struct work *w, struct error *err)
{
	const struct run_choice choice = { keep_listed, &w->listing };
	enum err rc = ERR_OK;

	for (size_t i = 0; i < w->n && rc == ERR_OK;) {
		struct run *r = w->runs[i];
		bool gone;

		rc = has_gone(w, r, &gone, err);
		if (rc != ERR_OK)
			break;
		if (!gone) {
			i++;
			continue;
		}
		w->runs[i] = w->runs[w->n - 1];
		w->runs[w->n - 1] = r;
		rc = replace_tail(w, w->n - 1, &choice, err);
	}
	return rc;
}

static enum err
mark(struct work *w, struct error *err)
{
	enum err rc = ERR_OK;

	listing_unmark(&w->listing);
	for (size_t i = 0; i < w->n && rc == ERR_OK; i++)
		rc = listing_mark(&w->listing, w->runs[i], err);
	return rc;
}

/*
 * Compare with the store.  What a loaded segment replaces is known only when
 * it was loaded, so this goes on until nothing is missing.
 */
static enum err
sync_store(struct work *w, struct error *err)
{
	enum err rc = ERR_OK;
	bool any;

	w->relist = true;
	for (unsigned round = 0; round < ROUNDS; round++) {
		if (w->relist) {
			listing_fini(&w->listing);
			rc = listing_read(&w->listing, w->c->conf.store, err);
			w->relist = false;
		}
		if (rc == ERR_OK)
			rc = mark(w, err);
		if (rc == ERR_OK)
			rc = load_missing(w, &any, err);
		if (rc != ERR_OK)
			return rc;
		if (!any)
			return leave_out_gone(w, err);
	}
	return err_set(err, ERR_AGAIN,
		"the index segments in the store keep changing");
}

/* Whether a run covers the segment of the batch already: another process was
 * quicker to load it. */
static enum err
is_taken_up(struct work *w, bool *yes, struct error *err)
{
	const struct run_seg *want = &w->batch->segs[0];
	struct run_seg seg;
	enum err rc = ERR_OK;

	*yes = false;
	for (size_t i = 0; i < w->n && !*yes; i++) {
		uint64_t n = run_count(w->runs[i], RUN_SEGS);

		for (uint64_t k = 0; k < n && !*yes; k++) {
			rc = run_seg(w->runs[i], k, &seg, err);
			if (rc != ERR_OK)
				return rc;
			*yes = !seg.replaced && id_eq(&seg.id, &want->id);
		}
	}
	return ERR_OK;
}

static enum err
take_up_batch(struct work *w, struct error *err)
{
	const struct source src = { .batch = w->batch };
	struct run *r;
	bool yes;
	enum err rc = is_taken_up(w, &yes, err);

	if (rc == ERR_OK && !yes)
		rc = make_run(w, &src, &r, err);
	if (rc == ERR_OK && !yes)
		rc = work_push(w, r, err);
	if (rc == ERR_OK)
		w->batch = NULL;
	return rc;
}

static enum err
work_do(struct work *w, struct error *err)
{
	enum err rc = ERR_OK;

	if (w->batch != NULL)
		rc = take_up_batch(w, err);
	if (rc == ERR_OK && w->full)
		rc = sync_store(w, err);
	if (rc == ERR_OK)
		rc = fold(w, FAN, err);
	return rc == ERR_OK ? save(w, err) : rc;
}

static enum err
install(struct work *w, struct error *err)
{
	struct catalog *c = w->c;
	struct run_set *set = NULL, *old;
	enum err rc = set_new(&set, w->runs, w->n, c->set->gen + 1, err);

	if (rc != ERR_OK)
		return rc;
	(void)pthread_rwlock_wrlock(&c->lock);
	old = c->set;
	c->set = set;
	atomic_store(&c->gen, set->gen);
	(void)pthread_rwlock_unlock(&c->lock);
	catalog_put(old);
	return ERR_OK;
}

/* Whether the work may succeed when it is done again. */
static bool
recover(struct work *w)
{
	bool failed = w->cache_failed;

	w->cache_failed = false;
	if (work_drop(w, drop_bad, NULL)) {
		w->full = true;
		return true;
	}
	if (!failed || !cache_is_shared(w->c->cache))
		return false;
	cache_detach(w->c->cache);
	return true;
}

/* The changing itself; the caller holds the lock of changes. */
static enum err
change(struct catalog *c, struct run_batch *batch, bool full, struct error *err)
{
	struct work w = { .c = c, .batch = batch, .full = full };
	bool done = false;
	enum err rc;

	cache_lock(c->cache);
	rc = gather(&w, err);
	for (unsigned i = 1; !done && rc == ERR_OK; i++) {
		rc = work_do(&w, err);
		done = rc == ERR_OK;
		if (!done && i < TRIES && recover(&w))
			rc = ERR_OK;
	}
	if (rc == ERR_OK)
		rc = install(&w, err);
	cache_unlock(c->cache);
	while (w.n > 0)
		run_unref(w.runs[--w.n]);
	free(w.runs);
	listing_fini(&w.listing);
	return rc;
}

enum err
catalog_refresh(struct catalog *c, struct error *err)
{
	enum err rc;

	(void)pthread_mutex_lock(&c->change);
	rc = change(c, NULL, true, err);
	(void)pthread_mutex_unlock(&c->change);
	return rc;
}

enum err
catalog_heal(struct catalog *c, uint64_t gen, struct error *err)
{
	enum err rc = ERR_OK;

	(void)pthread_mutex_lock(&c->change);
	if (c->set->gen == gen)
		rc = change(c, NULL, true, err);
	(void)pthread_mutex_unlock(&c->change);
	return rc;
}

enum err
catalog_add(struct catalog *c, struct run_batch *batch, struct error *err)
{
	enum err rc;

	(void)pthread_mutex_lock(&c->change);
	rc = change(c, batch, false, err);
	(void)pthread_mutex_unlock(&c->change);
	return rc;
}

enum err
catalog_open(struct catalog **out, const struct index_conf *conf,
	struct error *err)
{
	struct catalog *c = calloc(1, sizeof(*c));
	enum err rc;

	if (c == NULL)
		return err_set(err, ERR_NOMEM, "no memory for an index");
	c->conf = *conf;
	rc = set_new(&c->set, NULL, 0, 0, err);
	if (rc == ERR_OK)
		rc = cache_open(&c->cache, conf->cache_dir, conf->structure,
			err);
	if (rc != ERR_OK) {
		free(c->set);
		free(c);
		return rc;
	}
	(void)pthread_mutex_init(&c->change, NULL);
	(void)pthread_rwlock_init(&c->lock, NULL);
	*out = c;
	return ERR_OK;
}

void
catalog_close(struct catalog *c)
{
	if (c == NULL)
		return;
	catalog_put(c->set);
	cache_close(c->cache);
	(void)pthread_mutex_destroy(&c->change);
	(void)pthread_rwlock_destroy(&c->lock);
	free(c);
}
