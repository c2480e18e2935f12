/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions that commit, are fenced, are forgotten and become void: what the
 * walk over snapshots hands out; and what forged ones look like.
 */
#include <stdio.h>
#include <stdlib.h>

#include "repo/box.h"
#include "repo/lane.h"
#include "repo/marks.h"
#include "repo/session.h"
#include "repo/snapshot_object.h"
#include "store/store_fault.h"
#include "tests/lib/repo_tools.h"

enum { N = 300 };

struct made {
	struct uid uid;
	uint64_t view;
	bool forgotten, named;
};

struct seen {
	const struct made *made;
	size_t n;
	unsigned hits[N];
	unsigned n_void, n_forgotten, n_bad;
	uint64_t final;
};

static enum err
see(void *arg, const struct snapshot_ref *ref, struct error *err)
{
	struct seen *s = arg;

	for (size_t i = 0; i < s->n; i++) {
		const struct made *m = &s->made[i];

		if (memcmp(m->uid.b, ref->uid.b, UID_LEN) != 0)
			continue;
		s->hits[i]++;
		assert_int_equal(ref->view, m->view);
		assert_int_equal(ref->forgotten, m->forgotten);
		assert_int_equal(ref->void_, m->view < s->final && !m->named);
		assert_int_equal(ref->len, UID_LEN);
		assert_memory_equal(ref->data, m->uid.b, UID_LEN);
		s->n_void += ref->void_;
		s->n_forgotten += ref->forgotten;
		return ERR_OK;
	}
	fail_msg("nobody made this snapshot");
	return ERR_OK;
}

static enum err
see_bad(void *arg, const char *name, const struct error *why, struct error *err)
{
	((struct seen *)arg)->n_bad++;
	return why->code == ERR_CORRUPT ? ERR_OK : why->code;
}

static void
commit(struct repo *r, struct made *m)
{
	struct error err = ERROR_INIT;
	struct session s;

	must(session_begin(&s, repo_store(r), repo_keys(r), "h", &err), &err);
	*m = (struct made){ .uid = s.uid, .view = s.view };
	must(session_commit(&s, s.uid.b, UID_LEN, &err), &err);
	session_end(&s);
	must_fail(session_commit(&s, "other", 5, &err), ERR_EXISTS, &err,
		"somebody else");
}

static int
cmp_names(const void *a, const void *b)
{
	return epoch_snapshot_cmp(a, b);
}

static void
prune(struct repo *r, struct made *made, size_t n, struct prng *p,
	uint64_t epoch)
{
	struct store *st = repo_store(r);
	const struct condemned none = { .n_packs = 0 };
	struct final f = { .n_spared = 0 };
	struct error err = ERROR_INIT;

	f.snapshots = calloc(N, sizeof(*f.snapshots));
	assert_non_null(f.snapshots);
	for (size_t i = 0; i < n; i++) {
		made[i].named = prng_below(p, 2) == 0;
		if (made[i].named)
			f.snapshots[f.n_snapshots++] =
				(struct snapshot_name){ repo_keys(r)->ns,
					made[i].uid };
	}
	qsort(f.snapshots, f.n_snapshots, sizeof(*f.snapshots), cmp_names);
	must(epoch_condemned_put(st, repo_keys(r), epoch, &none, &err), &err);
	must(epoch_final_put(st, repo_keys(r), epoch, &f, &err), &err);
	must(epoch_done_put(st, repo_keys(r), epoch, &err), &err);
	final_fini(&f);
}

static void
expect(struct repo *r, const struct made *made, size_t n, uint64_t final)
{
	for (unsigned flags = 0; flags < 4; flags++) {
		struct seen s = { .made = made, .n = n, .final = final };
		struct error err = ERROR_INIT;

		must(repo_each_snapshot_of(r, flags, see, NULL, &s, &err),
			&err);
		for (size_t i = 0; i < n; i++) {
			const struct made *m = &made[i];
			bool is_void = m->view < final && !m->named;

			assert_int_equal(s.hits[i],
				(!m->forgotten ||
					(flags & SNAPSHOTS_FORGOTTEN) != 0) &&
					(!is_void ||
						(flags & SNAPSHOTS_VOID) != 0));
		}
		if (final > 0 && flags == 3)
			assert_true(s.n_void > 0 && s.n_forgotten > 0);
	}
}

static void
test_what_is_handed_out(void **state)
{
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);
	struct error err = ERROR_INIT;
	static struct made made[N];
	struct prng p;

	prng_init(&p, 5);
	for (size_t n = 0, epoch = 0; n < N; n++) {
		commit(r, &made[n]);
		assert_int_equal(made[n].view, epoch);
		if (prng_below(&p, 5) == 0) {
			struct snapshot_name name = { repo_keys(r)->ns,
				made[n].uid };

			made[n].forgotten = true;
			must(marks_forget(st, repo_keys(r), &name, "test",
				     &err),
				&err);
		}
		if (n % 100 == 50)
			expect(r, made, n + 1, epoch);
		if (n % 100 == 99)
			prune(r, made, n + 1, &p, ++epoch);
	}
	expect(r, made, N, 3);
	repo_close(r);
	store_close(st);
}

/* A final that names nothing comes as a snapshot is read: what is read then,
 * or later, is void; what was handed out before was not. */
struct arriving {
	struct repo *r;
	unsigned at, gets;
};

static enum fault
arrive(void *arg, uint64_t n, enum store_op op, const char *name)
{
	struct arriving *a = arg;
	struct prng p;

	if (op != STORE_GET || strncmp(name, "snapshots/", 10) != 0 ||
		++a->gets != a->at)
		return FAULT_NONE;
	prng_init(&p, 1);
	prune(a->r, NULL, 0, &p, 1);
	return FAULT_NONE;
}

static void
test_a_final_meanwhile(void **state)
{
	static struct made made[N];
	static const unsigned at[] = { 1, 100, 256, 257, N, N + 1 };
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);
	struct error err = ERROR_INIT;

	for (size_t n = 0; n < N; n++)
		commit(r, &made[n]);
	repo_close(r);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		struct seen s = { .made = made, .n = N };
		struct arriving a = { .at = at[i] };
		const struct fault_plan plan = { arrive, &a, ERR_IO };
		struct store *inner, *faulty;
		unsigned hits = 0;

		must(store_mem_clone(&inner, st, &err), &err);
		must(store_fault_new(&faulty, inner, &plan, &err), &err);
		a.r = tool_open(inner, TOOL_PASS);
		r = tool_open(faulty, TOOL_PASS);
		must(repo_each_snapshot(r, see, NULL, &s, &err), &err);
		for (size_t n = 0; n < N; n++)
			hits += s.hits[n];
		assert_in_range(hits, 0, at[i] - 1);
		assert_int_equal(hits == N, at[i] > N);
		repo_close(r);
		repo_close(a.r);
		store_close(faulty);
	}
	store_close(st);
}

/* ---- a session between a prune and a store that loses replies ---- */

struct script {
	struct store *inner;
	const struct keyset *ks;
	uint64_t condemn_at; /* operation before which an epoch begins */
	uint64_t lose_at; /* operation whose reply is lost */
	uint64_t epoch;
	enum fault how;
};

static enum fault
follow(void *arg, uint64_t n, enum store_op op, const char *name)
{
	const struct condemned none = { .n_packs = 0 };
	struct script *s = arg;
	struct error err = ERROR_INIT;

	if (n == s->condemn_at)
		must(epoch_condemned_put(s->inner, s->ks, ++s->epoch, &none,
			     &err),
			&err);
	return n == s->lose_at ? s->how : FAULT_NONE;
}

static enum err
count(void *arg, const char *name, uint64_t size, struct error *err)
{
	++*(unsigned *)arg;
	return ERR_OK;
}

static unsigned
objects(struct store *st, const char *prefix)
{
	struct error err = ERROR_INIT;
	unsigned n = 0;

	must(store_list(st, prefix, count, &n, &err), &err);
	return n;
}

/* An epoch that begins at any moment of a session's beginning is either its
 * view, or began after the session object was there. */
static void
test_the_view(void **state)
{
	bool late = false;

	for (uint64_t at = 1; !late; at++) {
		struct store *inner = tool_repo_store(), *st;
		struct repo *r = tool_open(inner, TOOL_PASS);
		struct script script = { inner, repo_keys(r), at, 0, 0,
			FAULT_NONE };
		const struct fault_plan plan = { follow, &script, ERR_IO };
		struct error err = ERROR_INIT;
		struct session s;

		must(store_fault_new(&st, inner, &plan, &err), &err);
		must(session_begin(&s, st, repo_keys(r), "h", &err), &err);
		late = script.epoch == 0;
		assert_int_equal(s.view, script.epoch);
		assert_int_equal(objects(inner, "sessions"), 1);
		session_end(&s);
		assert_int_equal(objects(inner, "sessions"), 0);
		repo_close(r);
		store_close(st);
		assert_in_range(at, 1, 20);
	}
}

/* A reply that is lost, and a request that is made twice: the session object
 * stays where its commit may be under way, and the session's own bytes are
 * known as such. */
static void
test_lost_replies(void **state)
{
	static const enum fault how[] = { FAULT_BEFORE, FAULT_AFTER,
		FAULT_TWICE };

	for (size_t k = 0; k < ARRAY_LEN(how); k++) {
		bool late = false;

		for (uint64_t at = 1; !late; at++) {
			struct store *inner = tool_repo_store(), *st;
			struct repo *r = tool_open(inner, TOOL_PASS);
			struct script script = { inner, repo_keys(r), 0, at, 0,
				how[k] };
			const struct fault_plan plan = { follow, &script,
				ERR_IO };
			struct error err = ERROR_INIT;
			struct session s;
			unsigned there;
			enum err rc;

			must(store_fault_new(&st, inner, &plan, &err), &err);
			rc = session_begin(&s, st, repo_keys(r), "h", &err);
			if (rc == ERR_OK)
				rc = session_commit(&s, "x", 1, &err);
			session_end(&s);
			there = objects(inner, "snapshots");
			if (rc == ERR_OK)
				assert_int_equal(there, 1);
			if (how[k] == FAULT_TWICE)
				must(rc, &err);
			else if (rc != ERR_OK && (s.doubtful || there > 0))
				assert_int_equal(objects(inner, "sessions"), 1);
			late = store_fault_count(st) < at;
			repo_close(r);
			store_close(st);
		}
	}
}

/* The fence was swept before the commit came, and the final was made. */
static void
test_a_commit_that_is_too_late(void **state)
{
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);
	struct error err = ERROR_INIT;
	struct session s;
	struct seen seen = { .n = 0 };
	struct prng p;

	prng_init(&p, 1);
	must(session_begin(&s, st, repo_keys(r), NULL, &err), &err);
	prune(r, NULL, 0, &p, 1);
	must_fail(session_commit(&s, "x", 1, &err), ERR_EXISTS, &err, "fenced");
	assert_int_equal(objects(st, "snapshots"), 1);
	must(repo_each_snapshot(r, see, NULL, &seen, &err), &err);
	session_end(&s);
	assert_int_equal(objects(st, "sessions"), 0);
	repo_close(r);
	store_close(st);
}

/* ---- signatures ---- */

static void
put(struct store *st, const struct keyset *ks, const char *name,
	const char *signed_name, bool foreign_pub)
{
	struct buf box = BUF_INIT(1 << 20), plain = BUF_INIT(1 << 20);
	struct buf other = BUF_INIT(1 << 20);
	struct error err = ERROR_INIT;
	struct keyset thief;

	/* Sealed twice: the inside of one box under the name of another. */
	must(keyset_new(&thief, &err), &err);
	thief.structure = ks->structure;
	must(snapshot_object_seal(&box, foreign_pub ? &thief : ks, signed_name,
		     0, "record", 6, &err),
		&err);
	must(box_open(&plain, BOX_SNAPSHOT, signed_name, &ks->structure,
		     box.data, box.len, &err),
		&err);
	must(box_seal(&other, BOX_SNAPSHOT, name, &ks->structure, plain.data,
		     plain.len, &err),
		&err);
	must(store_put(st, name, other.data, other.len, &err), &err);
	keyset_wipe(&thief);
	buf_fini(&box);
	buf_fini(&plain);
	buf_fini(&other);
}

static void
test_forged_ones_are_told(void **state)
{
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);
	const struct keyset *ks = repo_keys(r);
	struct error err = ERROR_INIT;
	struct seen seen = { .n = 0 };
	char mine[STORE_NAME_MAX + 1], copy[STORE_NAME_MAX + 1];
	const struct uid a = { { 1 } }, b = { { 2 } };

	session_snapshot_name(mine, ks->ns_hex, &a);
	session_snapshot_name(copy, ks->ns_hex, &b);
	put(st, ks, copy, mine, false); /* under another name */
	put(st, ks, mine, mine, true); /* by another identity */
	must(repo_each_snapshot_of(r, 3, see, see_bad, &seen, &err), &err);
	assert_int_equal(seen.n_bad, 2);
	assert_int_equal(repo_each_snapshot(r, see, NULL, &seen, &err),
		ERR_CORRUPT);
	repo_close(r);
	store_close(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_handed_out),
		cmocka_unit_test(test_a_final_meanwhile),
		cmocka_unit_test(test_the_view),
		cmocka_unit_test(test_lost_replies),
		cmocka_unit_test(test_a_commit_that_is_too_late),
		cmocka_unit_test(test_forged_ones_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
