/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a policy would forget: groups against an oracle that compares every
 * snapshot with every other one, and the policy applied to each group.
 */
#include "engine/forget.h"

#include <stdio.h>
#include <stdlib.h>

#include "repo/session.h"
#include "tests/lib/repo_tools.h"
#include "tests/lib/scale.h"

enum { N = 24, KEYS = 2, DAY = 86400 };

/* What was made of a snapshot, in the order of making. */
struct made {
	struct snapshot snap;
	struct when received;
	bool held, forgotten, damaged;
};

struct scene {
	struct prng dice;
	struct store *st;
	struct repo *repo[KEYS]; /* of different identities */
	struct when now;
	struct made made[N];
};

static struct when
tell_time(void *arg)
{
	return *(const struct when *)arg;
}

static void
add_some(struct strings *s, struct prng *dice, const char *const *names)
{
	struct error err = ERROR_INIT;
	size_t first = prng_below(dice, 2), n = prng_below(dice, 3);

	/* Two orders of the same two are the same. */
	for (size_t i = 0; i < n; i++)
		must(strings_add(s, names[(first + i) % 2], &err), &err);
}

static void
make_one(struct scene *sc, struct made *m)
{
	static const char *const sources[] = { "files:/a", "files:/b" };
	static const char *const tags[] = { "x", "y" };
	static const char *const hosts[] = { "h1", "h2" };
	struct repo *r = sc->repo[prng_below(&sc->dice, KEYS)];
	struct buf record = BUF_INIT(1 << 16);
	struct error err = ERROR_INIT;
	struct session s;

	*m = (struct made){ .received = sc->now };
	snapshot_init(&m->snap);
	add_some(&m->snap.sources, &sc->dice, sources);
	add_some(&m->snap.tags, &sc->dice, tags);
	m->snap.host = strdup(hosts[prng_below(&sc->dice, 2)]);
	m->snap.begin.sec =
		sc->now.sec - 7200 + (int64_t)prng_below(&sc->dice, 9000);
	m->snap.end = m->snap.begin;
	if (prng_below(&sc->dice, 4) == 0)
		m->snap.flags = SNAPSHOT_INCOMPLETE;
	must(snapshot_encode(&m->snap, &record, &err), &err);
	must(session_begin(&s, sc->st, repo_keys(r), NULL, &err), &err);
	m->snap.uid = s.uid;
	m->snap.ns = repo_keys(r)->ns;
	must(session_commit(&s, record.data, record.len, &err), &err);
	session_end(&s);
	buf_fini(&record);
}

static void
mark_one(struct scene *sc, struct made *m)
{
	const struct keyset *ks = repo_keys(sc->repo[0]);
	struct snapshot_name name = { m->snap.ns, m->snap.uid };
	struct error err = ERROR_INIT;
	char object[STORE_NAME_MAX + 1], ns[UID_HEX + 1];

	switch (prng_below(&sc->dice, 12)) {
	case 0:
		must(marks_hold(sc->st, ks, &name, "", &err), &err);
		m->held = true;
		break;
	case 1:
		must(marks_forget(sc->st, ks, &name, "", &err), &err);
		m->forgotten = true;
		break;
	case 2:
		hex_encode(name.ns.b, UID_LEN, ns);
		session_snapshot_name(object, ns, &name.sid);
		must(store_mem_flip(sc->st, object, 1000, &err), &err);
		m->damaged = true;
		break;
	default:
		break;
	}
}

static void
scene_begin(struct scene *sc, uint64_t seed)
{
	struct pass other = { "other", 5 };

	memset(sc, 0, sizeof(*sc));
	prng_init(&sc->dice, seed);
	sc->now = (struct when){ 1600000000, 0 };
	sc->st = tool_repo_store();
	store_mem_set_clock(sc->st, tell_time, &sc->now);
	sc->repo[0] = tool_open(sc->st, TOOL_PASS);
	tool_add_key(sc->st, sc->repo[0], ROLE_WRITER, other);
	sc->repo[1] = tool_open(sc->st, other);
	for (size_t i = 0; i < N; i++) {
		sc->now.sec += (int64_t)prng_below(&sc->dice, DAY);
		make_one(sc, &sc->made[i]);
	}
	for (size_t i = 0; i < N; i++)
		mark_one(sc, &sc->made[i]);
}

static void
scene_end(struct scene *sc)
{
	for (size_t i = 0; i < N; i++)
		snapshot_fini(&sc->made[i].snap);
	for (size_t i = 0; i < KEYS; i++)
		repo_close(sc->repo[i]);
	store_close(sc->st);
}

/* Lists are short and their members differ: the same are in both. */
static bool
same_set(const struct strings *a, const struct strings *b)
{
	for (size_t i = 0; i < a->n; i++)
		if (!strings_have(b, a->v[i]))
			return false;
	return a->n == b->n;
}

static bool
same_group(const struct snapshot *a, const struct snapshot *b, unsigned by)
{
	return (!(by & GROUP_HOST) || strcmp(a->host, b->host) == 0) &&
	       (!(by & GROUP_PATHS) || same_set(&a->sources, &b->sources)) &&
	       (!(by & GROUP_TAGS) || same_set(&a->tags, &b->tags)) &&
	       (!(by & GROUP_IDENTITY) || memcmp(&a->ns, &b->ns, UID_LEN) == 0);
}

static bool
is_judged(const struct made *m)
{
	return !m->forgotten && !m->damaged;
}

static const struct verdict *
verdict_of(const struct forget_plan *p, const struct made *m)
{
	for (size_t i = 0; i < p->n; i++)
		if (memcmp(&p->v[i].snap->uid, &m->snap.uid, UID_LEN) == 0)
			return &p->v[i];
	return NULL;
}

/* The group of made[at], judged; receipts are ascending as made. */
static void
check_group(const struct scene *sc, const struct forget_plan *p,
	const struct forget_conf *conf, size_t at)
{
	struct retained want[N];
	const struct verdict *v[N], *mine = verdict_of(p, &sc->made[at]);
	size_t n = 0;

	for (size_t i = 0; i < N; i++) {
		const struct made *m = &sc->made[i];

		if (!is_judged(m))
			continue;
		v[n] = verdict_of(p, m);
		assert_non_null(v[n]);
		if (!same_group(&sc->made[at].snap, &m->snap, conf->group_by)) {
			assert_true(v[n]->group != mine->group);
			continue;
		}
		assert_true(v[n]->group == mine->group);
		want[n] = (struct retained){
			.received = m->received,
			.pinned = m->held ||
				  (conf->keep_tags.n > 0 &&
					  strings_have(&m->snap.tags, "x")),
			.good = m->snap.flags == 0,
		};
		n++;
	}
	retention_apply(&conf->policy, want, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(v[i]->r.keep, want[i].keep);
		assert_int_equal(v[i]->r.why, want[i].why);
		assert_int_equal(v[i]->r.why_within, want[i].why_within);
		assert_int_equal(v[i]->r.last_good, want[i].last_good);
		assert_int_equal(forget_goes(p, v[i]), !want[i].keep);
	}
}

static void
check_damaged(const struct scene *sc, const struct forget_plan *p)
{
	size_t n = 0;

	for (size_t i = 0; i < N; i++) {
		const struct made *m = &sc->made[i];
		bool told = false;

		n += m->damaged;
		for (size_t k = 0; k < p->n_damaged; k++)
			told = told || memcmp(&p->damaged[k].name.sid,
					       &m->snap.uid, UID_LEN) == 0;
		assert_int_equal(told, m->damaged);
	}
	assert_int_equal(n, p->n_damaged);
}

/* forget_takes_last, by looking at each group anew. */
static void
check_last(struct scene *sc, const struct forget_plan *p)
{
	bool going[N] = { false };
	bool takes = false;
	size_t which = 0;

	for (size_t i = 0; i < p->n; i++)
		going[i] = prng_below(&sc->dice, 3) != 0;
	for (size_t i = 0; i < p->n; i++) {
		bool left = false;

		for (size_t k = 0; k < p->n; k++)
			left = left || (p->v[k].group == p->v[i].group &&
					       p->v[k].r.good && !going[k]);
		takes = takes || (p->v[i].r.good && !left);
	}
	assert_int_equal(forget_takes_last(p, going, &which), takes);
	if (takes)
		assert_true(going[which] && p->v[which].r.good);
}

static void
test_plan(void **state)
{
	for (uint64_t seed = 1; seed <= test_scale(60); seed++) {
		struct forget_conf conf = { 0 };
		struct snapshot_filter filter = { 0 };
		struct error err = ERROR_INIT;
		struct forget_plan plan;
		struct scene sc;
		size_t n = 0;

		print_message("seed %llu\n", (unsigned long long)seed);
		scene_begin(&sc, seed);
		conf.group_by = (unsigned)prng_below(&sc.dice, 16);
		conf.policy.keep[PERIOD_DAILY] =
			1 + (uint32_t)prng_below(&sc.dice, 5);
		if (prng_below(&sc.dice, 2))
			conf.policy.keep[PERIOD_WEEKLY] = 2;
		if (prng_below(&sc.dice, 3) == 0)
			must(strings_add(&conf.keep_tags, "x", &err), &err);
		must(forget_plan(&plan, sc.repo[0], &filter, &conf, &err),
			&err);
		for (size_t i = 0; i < N; i++) {
			if (!is_judged(&sc.made[i])) {
				assert_null(verdict_of(&plan, &sc.made[i]));
				continue;
			}
			check_group(&sc, &plan, &conf, i);
			n++;
		}
		assert_int_equal(plan.n, n);
		check_damaged(&sc, &plan);
		check_last(&sc, &plan);
		forget_plan_fini(&plan);
		strings_fini(&conf.keep_tags);
		scene_end(&sc);
	}
}

/* Property: the record's time is believed only where it is before the
 * receipt. */
static void
test_record_time(void **state)
{
	struct forget_conf conf = { .group_by = 0, .time_from_record = true };
	struct snapshot_filter filter = { 0 };
	struct error err = ERROR_INIT;
	struct forget_plan plan;
	struct scene sc;

	scene_begin(&sc, 7);
	must(forget_plan(&plan, sc.repo[0], &filter, &conf, &err), &err);
	assert_int_equal(plan.n_groups, 1);
	for (size_t i = 0; i < N; i++) {
		const struct made *m = &sc.made[i];
		const struct verdict *v = verdict_of(&plan, m);
		bool earlier = when_cmp(&m->snap.begin, &m->received) < 0;

		if (v != NULL)
			assert_int_equal(v->r.received.sec,
				earlier ? m->snap.begin.sec : m->received.sec);
	}
	for (size_t i = 1; i < plan.n; i++)
		assert_true(when_cmp(&plan.v[i - 1].r.received,
				    &plan.v[i].r.received) <= 0);
	forget_plan_fini(&plan);
	scene_end(&sc);
}

static void
count_bad(void *arg, const struct error *why)
{
	++*(size_t *)arg;
}

/* With forgotten set a list has just those that are. */
static void
test_forgotten_apart(void **state)
{
	for (uint64_t seed = 1; seed <= test_scale(10); seed++) {
		size_t n_bad = 0, n[2] = { 0 }, n_forgotten = 0, n_damaged = 0;
		struct error err = ERROR_INIT;
		struct scene sc;

		scene_begin(&sc, seed);
		for (size_t i = 0; i < N; i++) {
			n_forgotten += sc.made[i].forgotten;
			n_damaged += sc.made[i].damaged;
		}
		for (unsigned which = 0; which < 2; which++) {
			struct snapshot_filter filter = { .bad = count_bad,
				.bad_arg = &n_bad,
				.forgotten = which == 1 };
			struct snapshot_list list;

			must(snapshot_list_load(&list, sc.repo[1], &filter,
				     &err),
				&err);
			for (size_t i = 0; i < list.n; i++)
				assert_int_equal(list.v[i].forgotten, which);
			n[which] = list.n;
			snapshot_list_fini(&list);
		}
		assert_int_equal(n[1], n_forgotten);
		assert_int_equal(n[0], N - n_forgotten - n_damaged);
		assert_int_equal(n_bad, 2 * n_damaged);
		scene_end(&sc);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_record_time),
		cmocka_unit_test(test_forgotten_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
