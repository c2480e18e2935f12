/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change: the steps from one set of runs to the next.
 *
 * Whether a segment is gone, or void, is decided by a listing that is made
 * after the runs were gathered: a segment is in the store before any run has
 * it, so what is then not listed was removed.
 *
 * Crash argument: repo/cache.h.  The store is only read.
 */
#include "repo/change.h"

#include <stdlib.h>
#include <string.h>

#include "base/fsx.h"
#include "repo/run_merge.h"

enum {
	BATCH_RECORDS = 256 << 10, /* of segments that are loaded into a run */
	TIER_FIRST = 4 << 10, /* records; the next tiers: four times more */
	TIERS = 32,
	FAN = 4, /* runs of a tier that are folded into one */
	FAN_LOADING = 64, /* the same, while many more are to come */
	TRIES = 6,
	ROUNDS = 16
};

static enum err
push(struct change *ch, struct run *r, struct error *err)
{
	if (ch->n == ch->cap) {
		size_t cap = ch->cap > 0 ? ch->cap * 2 : 16;
		void *more = reallocarray(ch->runs, cap, sizeof(*ch->runs));

		if (more == NULL) {
			run_unref(r);
			return err_set(err, ERR_NOMEM, "no memory for %zu runs",
				cap);
		}
		ch->runs = more;
		ch->cap = cap;
	}
	ch->runs[ch->n++] = r;
	return ERR_OK;
}

/* Forget the runs for which drops is true; whether there were any. */
static bool
drop(struct change *ch, bool (*drops)(const struct run *r, void *arg),
	void *arg)
{
	size_t kept = 0, before = ch->n;

	for (size_t i = 0; i < ch->n; i++) {
		if (drops(ch->runs[i], arg))
			run_unref(ch->runs[i]);
		else
			ch->runs[kept++] = ch->runs[i];
	}
	ch->n = kept;
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
gather_one(struct change *ch, const struct uid *uid, struct error *err)
{
	struct run *r = find_run(ch->old, ch->n_old, uid);
	struct error why = ERROR_INIT;
	int fd;

	if (r != NULL)
		return push(ch, run_ref(r), err);
	if (cache_get(ch->cache, uid, &fd, &why) != ERR_OK ||
		run_open(&r, fd, uid, &ch->conf->keys->structure, &why) !=
			ERR_OK)
		return ERR_OK;
	return push(ch, r, err);
}

/* Whether what the run covers counts, as far as is known; another process that
 * shares the cache may have a session that was fenced. */
static bool
all_count(struct change *ch, struct run *r)
{
	uint64_t n = run_count(r, RUN_SEGS);
	struct error why = ERROR_INIT;
	struct segment_ref ref;

	if (find_run(ch->old, ch->n_old, run_uid(r)) != NULL)
		return true;
	for (uint64_t i = 0; i < n; i++)
		if (run_seg(r, i, &ref, &why) != ERR_OK ||
			!counting_segment(ch->counting, &ref))
			return false;
	return true;
}

/*
 * The runs to begin with: those of a shared cache, else our own.  Where that
 * is less than we had, the store has to be asked what is missing.
 */
static enum err
gather(struct change *ch, struct error *err)
{
	struct cache_list list = { NULL, 0 };
	enum err rc = ERR_OK;

	if (cache_is_shared(ch->cache) || ch->n_old == 0)
		rc = cache_load(ch->cache, &list, err);
	for (size_t i = 0; i < list.n && rc == ERR_OK; i++)
		rc = gather_one(ch, &list.uids[i], err);
	cache_list_fini(&list);
	if (!cache_is_shared(ch->cache))
		for (size_t i = 0; i < ch->n_old && rc == ERR_OK; i++)
			rc = push(ch, run_ref(ch->old[i]), err);
	for (size_t i = 0; i < ch->n && rc == ERR_OK && !ch->full; i++)
		ch->full = !all_count(ch, ch->runs[i]);
	if (drop(ch, drop_bad, NULL))
		ch->full = true;
	for (size_t i = 0; i < ch->n_old; i++)
		if (find_run(ch->runs, ch->n, run_uid(ch->old[i])) == NULL)
			ch->full = true;
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
make_run(struct change *ch, const struct source *src, struct run **out,
	struct error *err)
{
	const struct secret *key = &ch->conf->keys->structure;
	struct run_target to = { .fd = -1, .structure = key };
	struct uid uid;
	bool empty = false;
	enum err rc = cache_create(ch->cache, &uid, &to.fd, err);

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
		ch->cache_failed = true;
	return rc;
}

static enum err
save(struct change *ch, struct error *err)
{
	struct cache_list list = { .n = ch->n };
	enum err rc;

	list.uids = calloc(ch->n + 1, sizeof(*list.uids));
	if (list.uids == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a manifest");
	for (size_t i = 0; i < ch->n; i++)
		list.uids[i] = *run_uid(ch->runs[i]);
	rc = cache_save(ch->cache, &list, err);
	cache_list_fini(&list);
	if (rc != ERR_OK)
		ch->cache_failed = true;
	return rc;
}

/* Put the run that holds what those at the end, from first on, hold in their
 * place. */
static enum err
replace_tail(struct change *ch, size_t first, const struct run_choice *choice,
	struct error *err)
{
	const struct source src = { NULL, ch->runs + first, ch->n - first,
		*choice };
	struct run *merged = NULL;
	enum err rc = make_run(ch, &src, &merged, err);

	if (rc != ERR_OK)
		return rc;
	while (ch->n > first)
		run_unref(ch->runs[--ch->n]);
	return merged != NULL ? push(ch, merged, err) : ERR_OK;
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
tier_to_end(struct change *ch, unsigned tier)
{
	size_t first = ch->n;

	for (size_t i = ch->n; i-- > 0;) {
		struct run *r = ch->runs[i];

		if (tier_of(r) != tier)
			continue;
		ch->runs[i] = ch->runs[--first];
		ch->runs[first] = r;
	}
	return first;
}

/* Merge tiers of fan runs or more, until there are none. */
static enum err
fold(struct change *ch, size_t fan, struct error *err)
{
	const struct run_choice all = { NULL, NULL };
	unsigned tier = 0;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && tier < TIERS) {
		size_t first = tier_to_end(ch, tier);

		if (ch->n - first < fan)
			tier++;
		else
			rc = replace_tail(ch, first, &all, err);
	}
	return rc;
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
load(struct change *ch, struct listed *l, struct run_batch *b,
	struct error *err)
{
	const struct segment_visitor v = { load_pack, load_record, NULL, b };
	const struct index_conf *conf = ch->conf;
	char name[SEGMENT_NAME_MAX];
	size_t before = b->n_segs;
	struct error why = ERROR_INIT;
	enum err rc = run_batch_seg(b, &l->ref, err);

	if (rc != ERR_OK)
		return rc;
	segment_name(&l->ref, name);
	rc = segment_load(conf->store, name, &conf->keys->structure, &v, &why);
	if (rc == ERR_OK)
		return ERR_OK;
	b->n_segs = before;
	l->unread = true;
	if (rc == ERR_NOTFOUND) {
		/* Removed since it was listed. */
		ch->relist = true;
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
flush(struct change *ch, struct run_batch *b, struct error *err)
{
	const struct source src = { .batch = b };
	struct run *r;
	enum err rc;

	if (b->n_segs == 0)
		return ERR_OK;
	rc = make_run(ch, &src, &r, err);
	run_batch_fini(b);
	if (rc == ERR_OK)
		rc = push(ch, r, err);
	if (rc == ERR_OK)
		rc = fold(ch, FAN_LOADING, err);
	return rc == ERR_OK ? save(ch, err) : rc;
}

/* Load every segment that counts and that no run covers. */
static enum err
load_missing(struct change *ch, bool *any, struct error *err)
{
	struct run_batch b = { 0 };
	enum err rc = ERR_OK;

	*any = false;
	for (size_t i = 0; i < ch->listing.n && rc == ERR_OK; i++) {
		struct listed *l = &ch->listing.segs[i];

		if (l->covered || l->unread)
			continue;
		*any = true;
		rc = load(ch, l, &b, err);
		if (rc == ERR_OK && b.n_items >= BATCH_RECORDS)
			rc = flush(ch, &b, err);
	}
	if (rc == ERR_OK)
		rc = flush(ch, &b, err);
	run_batch_fini(&b);
	return rc;
}

static bool
keep_listed(void *arg, const struct segment_ref *ref)
{
	return listing_find(arg, ref) != NULL;
}

static enum err
has_gone(struct change *ch, struct run *r, bool *gone, struct error *err)
{
	uint64_t n = run_count(r, RUN_SEGS);
	struct segment_ref ref;
	enum err rc = ERR_OK;

	*gone = false;
	for (uint64_t i = 0; i < n && rc == ERR_OK && !*gone; i++) {
		rc = run_seg(r, i, &ref, err);
		*gone = rc == ERR_OK &&
			listing_find(&ch->listing, &ref) == NULL;
	}
	return rc;
}

/* Write the runs anew that hold something of a segment that does not count
 * any more. */
static enum err
leave_out_gone(struct change *ch, struct error *err)
{
	const struct run_choice choice = { keep_listed, &ch->listing };
	enum err rc = ERR_OK;

	for (size_t i = 0; i < ch->n && rc == ERR_OK;) {
		struct run *r = ch->runs[i];
		bool gone;

		rc = has_gone(ch, r, &gone, err);
		if (rc != ERR_OK)
			break;
		if (!gone) {
			i++;
			continue;
		}
		ch->runs[i] = ch->runs[ch->n - 1];
		ch->runs[ch->n - 1] = r;
		rc = replace_tail(ch, ch->n - 1, &choice, err);
	}
	return rc;
}

static enum err
mark(struct change *ch, struct error *err)
{
	enum err rc = ERR_OK;

	listing_unmark(&ch->listing);
	for (size_t i = 0; i < ch->n && rc == ERR_OK; i++)
		rc = listing_mark(&ch->listing, ch->runs[i], err);
	return rc;
}

/* What should be in the store and is not. */
static enum err
tell_missing(struct change *ch, struct error *err)
{
	const struct index_conf *conf = ch->conf;
	enum err rc = ERR_OK;

	for (size_t i = 0; i < ch->listing.n_missing && rc == ERR_OK; i++) {
		char name[SEGMENT_NAME_MAX];
		struct error why = ERROR_INIT;

		segment_name(&ch->listing.missing[i], name);
		(void)err_set(&why, ERR_CORRUPT, "%s: is missing", name);
		if (conf->bad != NULL) {
			rc = conf->bad(conf->bad_arg, name, &why, err);
		} else {
			*err = why;
			rc = why.code;
		}
	}
	return rc;
}

static enum err
relist(struct change *ch, struct error *err)
{
	listing_fini(&ch->listing);
	ch->relist = false;
	return listing_read(&ch->listing, ch->conf->store, ch->conf->keys, err);
}

/* Compare with the store, until nothing is missing. */
static enum err
sync_store(struct change *ch, struct error *err)
{
	enum err rc = ERR_OK;
	bool any = true;

	ch->relist = true;
	for (unsigned round = 0; any && round < ROUNDS; round++) {
		if (ch->relist)
			rc = relist(ch, err);
		if (rc == ERR_OK)
			rc = mark(ch, err);
		if (rc == ERR_OK)
			rc = load_missing(ch, &any, err);
		if (rc != ERR_OK)
			return rc;
	}
	if (any)
		return err_set(err, ERR_AGAIN,
			"the index segments in the store keep changing");
	rc = tell_missing(ch, err);
	if (rc == ERR_OK)
		rc = leave_out_gone(ch, err);
	if (rc != ERR_OK)
		return rc;
	counting_fini(ch->counting);
	*ch->counting = ch->listing.counting;
	ch->listing.counting = (struct counting){ .state = { 0 } };
	return ERR_OK;
}

/* Whether a run covers the segment of the batch already: another process was
 * quicker to load it. */
static enum err
is_taken_up(struct change *ch, bool *yes, struct error *err)
{
	const struct segment_ref *want = &ch->batch->segs[0];
	struct segment_ref ref;
	enum err rc = ERR_OK;

	*yes = false;
	for (size_t i = 0; i < ch->n && !*yes; i++) {
		uint64_t n = run_count(ch->runs[i], RUN_SEGS);

		for (uint64_t k = 0; k < n && !*yes; k++) {
			rc = run_seg(ch->runs[i], k, &ref, err);
			if (rc != ERR_OK)
				return rc;
			*yes = segment_cmp(&ref, want) == 0;
		}
	}
	return ERR_OK;
}

static enum err
take_up_batch(struct change *ch, struct error *err)
{
	const struct source src = { .batch = ch->batch };
	struct run *r;
	bool yes;
	enum err rc = is_taken_up(ch, &yes, err);

	if (rc == ERR_OK && !yes)
		rc = make_run(ch, &src, &r, err);
	if (rc == ERR_OK && !yes)
		rc = push(ch, r, err);
	if (rc == ERR_OK)
		ch->batch = NULL;
	return rc;
}

static enum err
attempt(struct change *ch, struct error *err)
{
	enum err rc = ERR_OK;

	if (ch->batch != NULL)
		rc = take_up_batch(ch, err);
	if (rc == ERR_OK && ch->full)
		rc = sync_store(ch, err);
	if (rc == ERR_OK)
		rc = fold(ch, FAN, err);
	return rc == ERR_OK ? save(ch, err) : rc;
}

/* Whether the work may succeed when it is done again. */
static bool
recover(struct change *ch)
{
	bool failed = ch->cache_failed;

	ch->cache_failed = false;
	if (drop(ch, drop_bad, NULL)) {
		ch->full = true;
		return true;
	}
	if (!failed || !cache_is_shared(ch->cache))
		return false;
	cache_detach(ch->cache);
	return true;
}

enum err
change_make(struct change *ch, struct error *err)
{
	bool done = false;
	enum err rc;

	cache_lock(ch->cache);
	rc = gather(ch, err);
	for (unsigned i = 1; !done && rc == ERR_OK; i++) {
		rc = attempt(ch, err);
		done = rc == ERR_OK;
		if (!done && i < TRIES && recover(ch))
			rc = ERR_OK;
	}
	cache_unlock(ch->cache);
	return rc;
}

void
change_fini(struct change *ch)
{
	while (ch->n > 0)
		run_unref(ch->runs[--ch->n]);
	free(ch->runs);
	ch->runs = NULL;
	listing_fini(&ch->listing);
}
