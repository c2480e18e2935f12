/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an index finds and what a session may claim, against a plain list of
 * all segments and the words of docs/format.md, sections 7 and 12.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "repo/index.h"
#include "tests/lib/packs.h"
#include "tests/lib/repo_tools.h"

enum { SEGS = 14, CHUNKS = 40, PER_PACK = 12, EPOCHS = 3 };

struct made {
	struct segment_ref ref;
	struct pack_info pack; /* each segment names one */
	struct record recs[PER_PACK];
	bool missing;
};

struct world {
	struct prng p;
	struct store *st;
	struct keyset ks;
	struct id chunks[CHUNKS];
	struct made made[SEGS];
	uint64_t view, final; /* the newest epoch; the newest with a final */
	struct condemned condemned; /* of the view */
	struct final list; /* of the newest final */
	unsigned n_bad;
};

static void
make_segments(struct world *w)
{
	struct error err = ERROR_INIT;

	for (unsigned i = 0; i < SEGS; i++) {
		struct made *m = &w->made[i];
		struct segment_owner owner = { .epoch = prng_below(&w->p,
						       EPOCHS + 1) };
		struct segment seg;

		owner.base = owner.epoch > 0 && prng_below(&w->p, 3) == 0;
		segment_init(&seg);
		packs_make(&w->p, &m->pack, m->recs, PER_PACK);
		for (unsigned k = 0; k < PER_PACK; k++)
			m->recs[k].id = w->chunks[prng_below(&w->p, CHUNKS)];
		must(segment_add(&seg, &m->pack, m->recs, &err), &err);
		must(segment_publish(&seg, w->st, &w->ks.structure, &owner,
			     &m->ref, &err),
			&err);
		segment_fini(&seg);
	}
}

static int
cmp_ids(const void *a, const void *b)
{
	return id_cmp(a, b);
}

static int
cmp_segs(const void *a, const void *b)
{
	return segment_cmp(a, b);
}

/* Some of the packs, and of the segments, in order. */
static struct id *
some_packs(struct world *w, size_t *n)
{
	struct id *v = calloc(SEGS, sizeof(*v));

	assert_non_null(v);
	*n = 0;
	for (unsigned i = 0; i < SEGS; i++)
		if (prng_below(&w->p, 3) == 0)
			v[(*n)++] = w->made[i].pack.id;
	qsort(v, *n, sizeof(*v), cmp_ids);
	return v;
}

static struct segment_ref *
some_segments(struct world *w, size_t *n)
{
	struct segment_ref *v = calloc(SEGS, sizeof(*v));

	assert_non_null(v);
	*n = 0;
	for (unsigned i = 0; i < SEGS; i++)
		if (prng_below(&w->p, 2) == 0)
			v[(*n)++] = w->made[i].ref;
	qsort(v, *n, sizeof(*v), cmp_segs);
	return v;
}

static void
put_epochs(struct world *w)
{
	struct error err = ERROR_INIT;
	unsigned steps = (unsigned)prng_below(&w->p, 3 * EPOCHS + 1);

	for (unsigned i = 0; i < steps; i++) {
		uint64_t epoch = 1 + i / 3;

		if (i % 3 == 0) {
			condemned_fini(&w->condemned);
			w->condemned.packs =
				some_packs(w, &w->condemned.n_packs);
			w->condemned.counted =
				some_segments(w, &w->condemned.n_counted);
			must(epoch_condemned_put(w->st, &w->ks, epoch,
				     &w->condemned, &err),
				&err);
			w->view = epoch;
		} else if (i % 3 == 1) {
			final_fini(&w->list);
			w->list.spared = some_packs(w, &w->list.n_spared);
			w->list.segments =
				some_segments(w, &w->list.n_segments);
			must(epoch_final_put(w->st, &w->ks, epoch, &w->list,
				     &err),
				&err);
			w->final = epoch;
		} else {
			must(epoch_done_put(w->st, &w->ks, epoch, &err), &err);
		}
	}
}

static bool
has_id(const struct id *v, size_t n, const struct id *id)
{
	for (size_t i = 0; i < n; i++)
		if (id_eq(&v[i], id))
			return true;
	return false;
}

static bool
has_ref(const struct segment_ref *v, size_t n, const struct segment_ref *ref)
{
	for (size_t i = 0; i < n; i++)
		if (segment_cmp(&v[i], ref) == 0)
			return true;
	return false;
}

static bool
counts(const struct world *w, const struct made *m)
{
	return !m->missing &&
	       ((!m->ref.base && m->ref.epoch >= w->final) ||
		       has_ref(w->list.segments, w->list.n_segments, &m->ref));
}

static bool
is_condemned(const struct world *w, const struct made *m)
{
	return has_id(w->condemned.packs, w->condemned.n_packs, &m->pack.id) &&
	       !(w->final == w->view &&
		       has_id(w->list.spared, w->list.n_spared, &m->pack.id));
}

static bool
may_claim(const struct world *w, const struct made *m)
{
	if (!counts(w, m) || is_condemned(w, m))
		return false;
	return w->final == w->view ||
	       (!m->ref.base && m->ref.epoch == w->view) ||
	       has_ref(w->condemned.counted, w->condemned.n_counted, &m->ref);
}

static unsigned
count_in(const struct made *m, const struct id *id)
{
	unsigned n = 0;

	for (unsigned k = 0; k < PER_PACK; k++)
		n += (unsigned)id_eq(&m->recs[k].id, id);
	return n;
}

static const struct made *
made_of(const struct world *w, const struct id *pack)
{
	for (unsigned i = 0; i < SEGS; i++)
		if (id_eq(&w->made[i].pack.id, pack))
			return &w->made[i];
	fail_msg("nobody made this pack");
	return NULL;
}

/* All places of id, one after the other: those that count, each once, first
 * those that are not condemned. */
static void
expect_places(struct world *w, struct index *idx, const struct id *id,
	bool viewed)
{
	struct location tried[SEGS * PER_PACK];
	struct error err = ERROR_INIT;
	unsigned want = 0, n = 0;
	bool found = true, worse = false;

	for (unsigned i = 0; i < SEGS; i++)
		if (counts(w, &w->made[i]))
			want += count_in(&w->made[i], id);
	for (;;) {
		const struct made *m;

		must(index_find_other(idx, id, tried, n, &tried[n], &found,
			     &err),
			&err);
		if (!found)
			break;
		m = made_of(w, &tried[n].pack);
		assert_true(counts(w, m));
		assert_true(id_eq(&tried[n].rec.id, id));
		for (unsigned k = 0; k < n; k++)
			assert_false(id_eq(&tried[k].pack, &tried[n].pack) &&
				     tried[k].off == tried[n].off);
		if (viewed) {
			assert_false(worse && !is_condemned(w, m));
			worse = is_condemned(w, m);
		}
		n++;
		assert_in_range(n, 1, want);
	}
	assert_int_equal(n, want);
}

static void
expect(struct world *w, struct index *idx)
{
	struct error err = ERROR_INIT;

	for (unsigned i = 0; i < CHUNKS; i++) {
		bool claimable = false;
		enum claim got;

		expect_places(w, idx, &w->chunks[i], true);
		for (unsigned k = 0; k < SEGS; k++)
			claimable = claimable ||
				    (may_claim(w, &w->made[k]) &&
					    count_in(&w->made[k],
						    &w->chunks[i]) > 0);
		must(index_claim(idx, &w->chunks[i], &got, &err), &err);
		assert_int_equal(got, claimable ? CLAIM_HAVE : CLAIM_MINE);
		/* By now it is this session's. */
		must(index_claim(idx, &w->chunks[i], &got, &err), &err);
		assert_int_equal(got, CLAIM_HAVE);
	}
}

static enum err
note_bad(void *arg, const char *name, const struct error *why,
	struct error *err)
{
	struct world *w = arg;

	assert_int_equal(why->code, ERR_CORRUPT);
	assert_non_null(strstr(why->msg, "is missing"));
	w->n_bad++;
	return ERR_OK;
}

/* Remove some segments behind everybody's back. */
static unsigned
lose_segments(struct world *w)
{
	struct error err = ERROR_INIT;
	char name[SEGMENT_NAME_MAX];
	unsigned told = 0;

	for (unsigned i = 0; i < SEGS; i++) {
		struct made *m = &w->made[i];

		if (prng_below(&w->p, 4) != 0)
			continue;
		m->missing = true;
		told += has_ref(w->list.segments, w->list.n_segments, &m->ref);
		segment_name(&m->ref, name);
		must(store_del(w->st, name, &err), &err);
	}
	return told;
}

static void
world_init(struct world *w, uint64_t seed)
{
	struct error err = ERROR_INIT;

	memset(w, 0, sizeof(*w));
	prng_init(&w->p, seed);
	w->st = tool_store();
	must(keyset_new(&w->ks, &err), &err);
	for (unsigned i = 0; i < CHUNKS; i++)
		prng_fill(&w->p, w->chunks[i].b, ID_LEN);
	make_segments(w);
	put_epochs(w);
}

static void
world_fini(struct world *w)
{
	condemned_fini(&w->condemned);
	final_fini(&w->list);
	keyset_wipe(&w->ks);
	store_close(w->st);
}

static void
test_against_the_words(void **state)
{
	unsigned n_open = 0, n_told = 0;

	for (uint64_t seed = 1; seed <= 80; seed++) {
		struct error err = ERROR_INIT;
		const struct uid session = { { 9 } };
		struct index_conf conf = { .bad = note_bad };
		struct index *idx = NULL;
		struct view *view = NULL;
		unsigned told;
		struct world w;

		world_init(&w, seed);
		conf.store = w.st;
		conf.keys = &w.ks;
		conf.bad_arg = &w;
		must(view_load(&view, w.st, &w.ks, w.view, &session, &err),
			&err);
		assert_int_equal(view->open, w.view > w.final);
		n_open += view->open;
		if (seed % 2 == 0)
			conf.view = view;
		must(index_open(&idx, &conf, &err), &err);
		assert_int_equal(w.n_bad, 0);
		for (unsigned i = 0; i < CHUNKS && conf.view == NULL; i++)
			expect_places(&w, idx, &w.chunks[i], false);
		if (conf.view == NULL)
			must(index_begin(idx, view, &err), &err);
		told = lose_segments(&w);
		n_told += told;
		must(index_refresh(idx, &err), &err);
		assert_int_equal(w.n_bad, told);
		expect(&w, idx);
		index_close(idx);
		view_unref(view);
		conf.bad = NULL;
		conf.view = NULL;
		assert_int_equal(index_open(&idx, &conf, &err),
			told > 0 ? ERR_CORRUPT : ERR_OK);
		if (told == 0)
			index_close(idx);
		world_fini(&w);
	}
	assert_in_range(n_open, 5, 75);
	assert_in_range(n_told, 5, 1000);
}

/* What a session publishes is named by its view and uid. */
static enum err
see_session(void *arg, const struct uid *session, struct error *err)
{
	*(struct uid *)arg = *session;
	return ERR_OK;
}

static enum err
see_name(void *arg, const char *name, uint64_t size, struct error *err)
{
	(void)snprintf(arg, SEGMENT_NAME_MAX, "%s", name);
	return ERR_OK;
}

static void
test_segments_carry_the_view(void **state)
{
	const struct uid session = { { 1, 2, 3 } };
	struct store *st = tool_store();
	struct error err = ERROR_INIT;
	struct condemned none = { .n_packs = 0 };
	struct index_conf conf = { .store = st };
	struct index *idx = NULL;
	struct view *view = NULL;
	struct record recs[PER_PACK];
	struct pack_info pack;
	struct segment_visitor v = { .session = see_session };
	char name[SEGMENT_NAME_MAX] = "";
	struct uid wrote = { { 0 } };
	struct keyset ks;
	struct prng p;

	prng_init(&p, 4);
	must(keyset_new(&ks, &err), &err);
	must(epoch_condemned_put(st, &ks, 1, &none, &err), &err);
	must_fail(view_load(&view, st, &ks, 2, &session, &err), ERR_NOTFOUND,
		&err, "");
	must(view_load(&view, st, &ks, 1, &session, &err), &err);
	conf.keys = &ks;
	conf.view = view;
	must(index_open(&idx, &conf, &err), &err);
	packs_make(&p, &pack, recs, PER_PACK);
	must(index_add(idx, &pack, recs, &err), &err);
	assert_int_equal(index_begin(idx, view, &err), ERR_USAGE);
	must(index_publish(idx, &err), &err);
	must(index_begin(idx, view, &err), &err);
	must(store_list(st, "index", see_name, name, &err), &err);
	assert_memory_equal(name, "index/1/", 8);
	v.arg = &wrote;
	must(segment_load(st, name, &ks.structure, &v, &err), &err);
	assert_memory_equal(wrote.b, session.b, UID_LEN);
	index_close(idx);
	view_unref(view);
	keyset_wipe(&ks);
	store_close(st);
}

/* ---- two processes with one cache ---- */

static void
remove_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			assert_int_equal(unlinkat(dirfd(dir), e->d_name, 0), 0);
	(void)closedir(dir);
	assert_int_equal(rmdir(path), 0);
}

static struct index *
open_session(const struct index_conf *conf, uint64_t epoch, uint8_t sid)
{
	const struct uid session = { { sid } };
	struct index_conf own = *conf;
	struct error err = ERROR_INIT;
	struct index *idx = NULL;

	must(view_load(&own.view, conf->store, conf->keys, epoch, &session,
		     &err),
		&err);
	must(index_open(&idx, &own, &err), &err);
	view_unref(own.view);
	return idx;
}

static void
publish_pack(struct prng *p, struct index *idx, struct record *recs)
{
	struct error err = ERROR_INIT;
	struct pack_info pack;

	packs_make(p, &pack, recs, PER_PACK);
	must(index_add(idx, &pack, recs, &err), &err);
	must(index_publish(idx, &err), &err);
}

static void
expect_claims(struct index *idx, const struct record *recs, enum claim want)
{
	struct error err = ERROR_INIT;
	enum claim got;

	for (unsigned i = 0; i < PER_PACK; i++) {
		must(index_claim(idx, &recs[i].id, &got, &err), &err);
		assert_int_equal(got, want);
	}
}

/*
 * A session that was fenced goes on to publish, and puts runs of what is void
 * into the cache that it shares with a session that began afterwards.
 */
static void
test_runs_of_a_fenced_neighbour(void **state)
{
	for (unsigned final = 0; final < 2; final++) {
		char dir[] = "/tmp/test-view-XXXXXX";
		struct store *st = tool_store();
		const struct condemned none = { .n_packs = 0 };
		const struct final nothing = { .n_spared = 0 };
		struct record late[PER_PACK], own[PER_PACK];
		struct index_conf conf = { .store = st };
		struct error err = ERROR_INIT;
		struct index *fenced, *idx;
		struct keyset ks;
		struct prng p;

		assert_non_null(mkdtemp(dir));
		prng_init(&p, 7);
		must(keyset_new(&ks, &err), &err);
		conf.keys = &ks;
		conf.cache_dir = dir;
		fenced = open_session(&conf, 0, 1);
		must(epoch_condemned_put(st, &ks, 1, &none, &err), &err);
		if (final == 1)
			must(epoch_final_put(st, &ks, 1, &nothing, &err), &err);
		idx = open_session(&conf, 1, 2);
		publish_pack(&p, fenced, late);
		publish_pack(&p, idx, own);
		expect_claims(idx, late, CLAIM_MINE);
		expect_claims(idx, own, CLAIM_HAVE);
		index_close(fenced);
		index_close(idx);
		keyset_wipe(&ks);
		store_close(st);
		remove_dir(dir);
	}
}

/* Looking again helps where a prune got on, however often it was in vain. */
static void
test_looking_again_ends(void **state)
{
	struct store *st = tool_store();
	struct error err = ERROR_INIT;
	struct condemned none = { .n_packs = 0 };
	struct index_conf conf = { .store = st };
	struct index *idx = NULL;
	struct keyset ks;
	unsigned looks = 0;
	bool looked = true;

	must(keyset_new(&ks, &err), &err);
	conf.keys = &ks;
	must(index_open(&idx, &conf, &err), &err);
	for (unsigned i = 0; i < 100; i++) {
		must(index_look_again(idx, &looked, &err), &err);
		looks += looked;
	}
	assert_in_range(looks, 1, 50);
	assert_false(looked);
	must(epoch_condemned_put(st, &ks, 1, &none, &err), &err);
	must(index_look_again(idx, &looked, &err), &err);
	assert_true(looked);
	index_close(idx);
	keyset_wipe(&ks);
	store_close(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_the_words),
		cmocka_unit_test(test_segments_carry_the_view),
		cmocka_unit_test(test_runs_of_a_fenced_neighbour),
		cmocka_unit_test(test_looking_again_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
