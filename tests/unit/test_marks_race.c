/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Actors that hold, forget, undelete and prune one snapshot at once.  Each is
 * a thread with a faulty store of its own, and before each operation on it a
 * seed says who goes on, and what goes wrong: the request is lost, its reply
 * is lost, it comes twice, the actor dies.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/mark_object.h"
#include "repo/marks.h"
#include "store/store_fault.h"
#include "tests/lib/repo_tools.h"
#include "tests/lib/scale.h"

enum act { FORGET, HOLD, UNDELETE, RELEASE, PRUNE, ACTS };
enum { ACTORS_MAX = 5 };

static const struct snapshot_name name = { .ns = { { 1 } }, .sid = { { 2 } } };
#define OBJECT                                        \
	"snapshots/01000000000000000000000000000000/" \
	"02000000000000000000000000000000"

static char story[400];

#define must_hold(what)                                   \
	do {                                              \
		if (!(what))                              \
			fail_msg("%s: %s", story, #what); \
	} while (0)

struct actor {
	struct stage *stage;
	size_t number;
	enum act act;
	struct store *st;
	enum err rc;
	uint64_t die_at; /* operation; 0: never */
	bool done;
	pthread_t thread;
};

struct stage {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t seed;
	struct prng dice;
	uint64_t trouble; /* one operation of so many goes wrong; 0: none */
	size_t turn, n;
	struct actor actors[ACTORS_MAX];
	struct store *shared;
	struct keyset ks;
};

/* Under the lock: somebody who is not done goes on, if there is anybody. */
static void
pass_on(struct stage *s)
{
	size_t left = 0, pick;

	for (size_t i = 0; i < s->n; i++)
		left += !s->actors[i].done;
	if (left == 0)
		return;
	pick = prng_below(&s->dice, left);
	for (size_t i = 0; i < s->n; i++)
		if (!s->actors[i].done && pick-- == 0)
			s->turn = i;
	(void)pthread_cond_broadcast(&s->changed);
}

static void
wait_turn(struct actor *a)
{
	while (a->stage->turn != a->number)
		(void)pthread_cond_wait(&a->stage->changed, &a->stage->lock);
}

/* The actor has the turn; it may lose it before this operation. */
static enum fault
step(void *arg, uint64_t n, enum store_op op, const char *object)
{
	static const enum fault faults[] = { FAULT_BEFORE, FAULT_AFTER,
		FAULT_TWICE };
	struct actor *a = arg;
	struct stage *s = a->stage;
	enum fault f = FAULT_NONE;

	(void)pthread_mutex_lock(&s->lock);
	pass_on(s);
	wait_turn(a);
	if (n == a->die_at)
		f = FAULT_DEAD;
	else if (s->trouble > 0 && prng_below(&s->dice, s->trouble) == 0)
		f = faults[prng_below(&s->dice, ARRAY_LEN(faults))];
	(void)pthread_mutex_unlock(&s->lock);
	return f;
}

/* As far as it concerns marks: what is forgotten is swept, removed, and then
 * its marks. */
static enum err
prune(struct store *st, const struct keyset *ks, struct error *err)
{
	struct doomed d = { .name = name };
	struct error why = ERROR_INIT;
	const struct mark *m;
	struct marks marks;
	bool swept = false;
	enum err rc;

	rc = marks_read(&marks, st, ks, NULL, NULL, err);
	if (rc != ERR_OK)
		return rc;
	m = marks_find(&marks, &name);
	if (m != NULL && m->forgotten) {
		d.k = m->k;
		rc = marks_sweep(st, ks, &d, &swept, err);
	}
	marks_fini(&marks);
	if (rc != ERR_OK || !swept)
		return rc;
	rc = store_del(st, OBJECT, &why);
	if (rc != ERR_OK && rc != ERR_NOTFOUND) {
		*err = why;
		return rc;
	}
	return marks_remove(st, &name, err);
}

static enum err
perform(enum act act, struct store *st, const struct keyset *ks)
{
	struct error err = ERROR_INIT;

	switch (act) {
	case FORGET:
		return marks_forget(st, ks, &name, "old", &err);
	case HOLD:
		return marks_hold(st, ks, &name, "court", &err);
	case UNDELETE:
		return marks_undelete(st, ks, &name, &err);
	case RELEASE:
		return marks_release(st, ks, &name, &err);
	case PRUNE:
	case ACTS:
		break;
	}
	return prune(st, ks, &err);
}

static void *
run_actor(void *arg)
{
	struct actor *a = arg;
	struct stage *s = a->stage;

	(void)pthread_mutex_lock(&s->lock);
	wait_turn(a);
	(void)pthread_mutex_unlock(&s->lock);
	a->rc = perform(a->act, a->st, &s->ks);
	(void)pthread_mutex_lock(&s->lock);
	a->done = true;
	pass_on(s);
	(void)pthread_mutex_unlock(&s->lock);
	return NULL;
}

struct wrapper {
	struct store base;
	struct store *shared;
};

/* A view of the shared store that may be closed. */
static enum err
view_put(struct store *st, const char *object, const void *data, size_t len,
	struct error *err)
{
	return store_put(((struct wrapper *)(void *)st)->shared, object, data,
		len, err);
}

static enum err
view_get(struct store *st, const char *object, uint64_t off, size_t len,
	struct buf *out, struct error *err)
{
	return store_get(((struct wrapper *)(void *)st)->shared, object, off,
		len, out, err);
}

static enum err
view_size(struct store *st, const char *object, uint64_t *size,
	struct error *err)
{
	return store_size(((struct wrapper *)(void *)st)->shared, object, size,
		err);
}

static enum err
view_list(struct store *st, const char *prefix, store_list_fn *fn, void *arg,
	struct error *err)
{
	return store_list(((struct wrapper *)(void *)st)->shared, prefix, fn,
		arg, err);
}

static enum err
view_del(struct store *st, const char *object, struct error *err)
{
	return store_del(((struct wrapper *)(void *)st)->shared, object, err);
}

static void
view_close(struct store *st)
{
	free(st);
}

static struct store *
view_new(struct store *shared)
{
	static const struct store_ops ops = { .close = view_close,
		.put = view_put,
		.get = view_get,
		.size = view_size,
		.list = view_list,
		.del = view_del };
	struct wrapper *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->base.ops = &ops;
	w->shared = shared;
	return &w->base;
}

static void
add_actor(struct stage *s, enum act act, uint64_t die_at)
{
	struct actor *a = &s->actors[s->n];
	struct fault_plan plan = { step, a, ERR_IO };
	struct error err = ERROR_INIT;

	*a = (struct actor){ .stage = s,
		.number = s->n++,
		.act = act,
		.die_at = die_at };
	must(store_fault_new(&a->st, view_new(s->shared), &plan, &err), &err);
}

static void
play(struct stage *s)
{
	for (size_t i = 0; i < s->n; i++)
		assert_int_equal(pthread_create(&s->actors[i].thread, NULL,
					 run_actor, &s->actors[i]),
			0);
	for (size_t i = 0; i < s->n; i++)
		(void)pthread_join(s->actors[i].thread, NULL);
}

static void
stage_begin(struct stage *s, uint64_t seed)
{
	struct error err = ERROR_INIT;

	memset(s, 0, sizeof(*s));
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->changed, NULL);
	prng_init(&s->dice, seed);
	s->seed = seed;
	must(keyset_new(&s->ks, &err), &err);
	s->shared = tool_store();
	must(store_put(s->shared, OBJECT, "x", 1, &err), &err);
}

static void
stage_end(struct stage *s)
{
	for (size_t i = 0; i < s->n; i++)
		store_close(s->actors[i].st);
	store_close(s->shared);
	keyset_wipe(&s->ks);
	(void)pthread_cond_destroy(&s->changed);
	(void)pthread_mutex_destroy(&s->lock);
}

static bool
is_there(struct stage *s)
{
	struct error err = ERROR_INIT;
	uint64_t size;

	return store_size(s->shared, OBJECT, &size, &err) == ERR_OK;
}

static struct mark
read_mark(struct stage *s)
{
	struct error err = ERROR_INIT;
	struct mark m = { 0 };
	struct marks marks;

	must(marks_read(&marks, s->shared, &s->ks, NULL, NULL, &err), &err);
	if (marks_find(&marks, &name) != NULL)
		m = *marks_find(&marks, &name);
	marks_fini(&marks);
	return m;
}

/* How many of these acts there were, and how many succeeded. */
static unsigned
tried(const struct stage *s, enum act act)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->actors[i].act == act;
	return n;
}

static unsigned
succeeded(const struct stage *s, enum act act)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->actors[i].act == act && s->actors[i].rc == ERR_OK;
	return n;
}

static enum err
count_object(void *arg, const char *object, uint64_t size, struct error *err)
{
	++*(unsigned *)arg;
	return ERR_OK;
}

/* Whatever happened: an undisturbed prune finishes what was begun, or an
 * undisturbed hold saves what was not. */
static void
check_ways_on(struct stage *s)
{
	struct error err = ERROR_INIT;
	struct mark m = read_mark(s);
	unsigned left = 0;

	if (m.forgotten && !m.swept && is_there(s))
		must(marks_undelete(s->shared, &s->ks, &name, &err), &err);
	else if (is_there(s) && m.forgotten)
		assert_int_equal(marks_undelete(s->shared, &s->ks, &name, &err),
			ERR_EXISTS);
	else if (!is_there(s))
		assert_true(marks_undelete(s->shared, &s->ks, &name, &err) !=
			    ERR_OK);
	/* A mark that a hold has beaten does not count when it is released. */
	if (m.held && !m.swept && is_there(s) && s->seed % 2) {
		must(marks_release(s->shared, &s->ks, &name, &err), &err);
		m = read_mark(s);
		assert_false(m.held || m.forgotten);
	}
	if (is_there(s) && !m.swept) {
		must(marks_hold(s->shared, &s->ks, &name, "", &err), &err);
		must(prune(s->shared, &s->ks, &err), &err);
		assert_true(is_there(s));
		m = read_mark(s);
		assert_true(m.held && !m.forgotten);
		must(marks_release(s->shared, &s->ks, &name, &err), &err);
		m = read_mark(s);
		assert_false(m.held || m.forgotten);
		must(prune(s->shared, &s->ks, &err), &err);
		assert_true(is_there(s));
		must(marks_forget(s->shared, &s->ks, &name, "", &err), &err);
	} else if (is_there(s)) {
		assert_int_equal(marks_hold(s->shared, &s->ks, &name, "", &err),
			ERR_USAGE);
		assert_int_equal(marks_undelete(s->shared, &s->ks, &name, &err),
			ERR_EXISTS);
	}
	must(prune(s->shared, &s->ks, &err), &err);
	assert_false(is_there(s));
	/* As a prune does where it finds marks of what is gone. */
	for (unsigned n = 0; n < 2; n++)
		must(marks_remove(s->shared, &name, &err), &err);
	must(store_list(s->shared, "", count_object, &left, &err), &err);
	assert_int_equal(left, 0);
}

/* What a failed assertion is about. */
static void
tell(const struct stage *s, const struct mark *m, bool there)
{
	static const char *const acts[] = { "forget", "hold", "undelete",
		"release", "prune" };

	(void)snprintf(story, sizeof(story),
		"seed %llu, %s%s%s%s:", (unsigned long long)s->seed,
		there ? "there" : "gone", m->forgotten ? ", forgotten" : "",
		m->swept ? ", swept" : "", m->held ? ", held" : "");
	for (size_t i = 0; i < s->n; i++)
		(void)snprintf(story + strlen(story),
			sizeof(story) - strlen(story), " %s(%llu) %s",
			acts[s->actors[i].act],
			(unsigned long long)s->actors[i].die_at,
			err_name(s->actors[i].rc));
}

static void
check(struct stage *s)
{
	struct mark m = read_mark(s);
	bool there = is_there(s);

	tell(s, &m, there);

	/* Nobody undoes these here, unless he was told to. */
	if (succeeded(s, HOLD) > 0 && tried(s, RELEASE) == 0)
		must_hold(there && m.held && !m.forgotten);
	if (succeeded(s, UNDELETE) > 0 && tried(s, FORGET) == 1)
		must_hold(there && !m.forgotten);
	if (succeeded(s, FORGET) > 0 && tried(s, UNDELETE) == 0 &&
		tried(s, HOLD) == 0)
		must_hold(!there || m.forgotten);
	if (tried(s, FORGET) == 0 || tried(s, PRUNE) == 0)
		must_hold(there);
	if (tried(s, FORGET) == 0)
		must_hold(!m.forgotten);
	check_ways_on(s);
}

static void
run_seed(uint64_t seed, uint64_t trouble, bool deaths)
{
	struct stage s;
	size_t n;

	stage_begin(&s, seed);
	s.trouble = trouble;
	n = 2 + prng_below(&s.dice, ACTORS_MAX - 2);
	for (size_t i = 0; i < n; i++)
		add_actor(&s, (enum act)prng_below(&s.dice, ACTS),
			deaths && prng_below(&s.dice, 2)
				? 1 + prng_below(&s.dice, 14)
				: 0);
	if (prng_below(&s.dice, 2))
		add_actor(&s, FORGET, 0);
	play(&s);
	check(&s);
	stage_end(&s);
}

static void
test_calm(void **state)
{
	for (uint64_t seed = 1; seed <= test_scale(300); seed++)
		run_seed(seed, 0, false);
}

static void
test_trouble(void **state)
{
	for (uint64_t seed = 1; seed <= test_scale(500); seed++)
		run_seed(seed, 4 + seed % 30, seed % 2);
}

/* Every act dies at each of its operations, while another one goes on; each
 * pair in many orders. */
static void
test_each_death(void **state)
{
	enum { OPS_MAX = 24 };
	uint64_t seed = 0, turns = test_scale(2);
	struct stage s;

	for (unsigned pair = 0; pair < ACTS * ACTS; pair++)
		for (uint64_t at = 1; at <= OPS_MAX; at++)
			for (uint64_t n = 0; n < turns; n++) {
				stage_begin(&s, ++seed);
				add_actor(&s, FORGET, 0);
				add_actor(&s, (enum act)(pair % ACTS), at);
				add_actor(&s, (enum act)(pair / ACTS), 0);
				play(&s);
				check(&s);
				stage_end(&s);
			}
}

/* Of a hold and a forget at once, both undisturbed, the hold wins unless it
 * came when all was over; each order is met. */
static void
test_hold_wins(void **state)
{
	unsigned held = 0, refused = 0, yielded = 0;

	for (uint64_t seed = 1; seed <= test_scale(300); seed++) {
		struct stage s;
		struct mark m;

		stage_begin(&s, seed);
		add_actor(&s, FORGET, 0);
		add_actor(&s, HOLD, 0);
		play(&s);
		m = read_mark(&s);
		held += s.actors[1].rc == ERR_OK;
		refused += s.actors[1].rc == ERR_USAGE;
		yielded += s.actors[0].rc == ERR_USAGE && m.has_k;
		assert_true(m.held != m.forgotten);
		assert_int_equal(m.held, s.actors[1].rc == ERR_OK);
		if (m.held && s.actors[0].rc == ERR_OK)
			assert_true(m.has_k);
		check(&s);
		stage_end(&s);
	}
	print_message("held %u, refused %u, yielded %u\n", held, refused,
		yielded);
	assert_true(held > 0 && refused > 0 && yielded > 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calm),
		cmocka_unit_test(test_trouble),
		cmocka_unit_test(test_each_death),
		cmocka_unit_test(test_hold_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
