/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/pool.h"
#include "tests/lib/prng.h"
#include "tests/lib/scale.h"

enum { WORKERS_MAX = 8, SUBMITTERS = 4 };

/* What the jobs of one test share. */
struct shared {
	atomic_uint next; /* order in which jobs started */
	atomic_bool busy[WORKERS_MAX];
	unsigned n_workers;
	/* One each, without atomics: a worker has its scratch for itself. */
	unsigned long ran_by[WORKERS_MAX];
};

struct counted {
	struct job job;
	struct shared *shared;
	atomic_uint ran;
	unsigned order;
	unsigned spin;
};

/* cmocka's assertions jump, which only the main thread may do. */
static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
run_counted(struct job *job, unsigned worker)
{
	struct counted *c = container_of(job, struct counted, job);
	struct shared *s = c->shared;
	volatile unsigned waste = 0;

	must(worker < s->n_workers);
	must(!atomic_exchange(&s->busy[worker], true));
	c->order = atomic_fetch_add(&s->next, 1);
	s->ran_by[worker]++;
	for (unsigned i = 0; i < c->spin; i++)
		waste = waste + i;
	atomic_fetch_add(&c->ran, 1);
	atomic_store(&s->busy[worker], false);
}

static struct counted *
new_jobs(struct shared *s, size_t n, struct prng *p)
{
	struct counted *jobs = calloc(n, sizeof(*jobs));

	assert_non_null(jobs);
	for (size_t i = 0; i < n; i++) {
		jobs[i].job.run = run_counted;
		jobs[i].shared = s;
		jobs[i].spin = (unsigned)prng_below(p, 2000);
	}
	return jobs;
}

struct submitter {
	pthread_t thread;
	struct pool *pool;
	struct counted *jobs;
	size_t n;
};

/* Jobs of its own, drained now and then: those so far must have run. */
static void *
submit_all(void *arg)
{
	struct submitter *me = arg;

	for (size_t i = 0; i < me->n; i++) {
		pool_submit(me->pool, &me->jobs[i].job);
		if (i % 97 != 0)
			continue;
		pool_drain(me->pool);
		for (size_t k = 0; k <= i; k++)
			must(atomic_load(&me->jobs[k].ran) == 1);
	}
	return NULL;
}

static void
contend(unsigned n_workers, unsigned queue_max, struct prng *p)
{
	struct submitter sub[SUBMITTERS];
	struct shared s = { .n_workers = n_workers };
	struct error err = ERROR_INIT;
	unsigned long total = 0;
	struct pool *pool;

	assert_int_equal(pool_new(&pool, n_workers, queue_max, &err), ERR_OK);
	assert_int_equal(pool_workers(pool), n_workers);
	for (size_t i = 0; i < SUBMITTERS; i++) {
		sub[i] = (struct submitter){ .pool = pool, .n = 500 };
		sub[i].jobs = new_jobs(&s, sub[i].n, p);
		assert_int_equal(pthread_create(&sub[i].thread, NULL,
					 submit_all, &sub[i]),
			0);
	}
	for (size_t i = 0; i < SUBMITTERS; i++)
		assert_int_equal(pthread_join(sub[i].thread, NULL), 0);
	pool_free(pool);
	for (size_t i = 0; i < SUBMITTERS; i++) {
		for (size_t k = 0; k < sub[i].n; k++)
			assert_int_equal(atomic_load(&sub[i].jobs[k].ran), 1);
		free(sub[i].jobs);
	}
	for (unsigned i = 0; i < n_workers; i++)
		total += s.ran_by[i];
	assert_int_equal(total, SUBMITTERS * 500);
}

static void
every_job_runs_once_under_contention(void **state)
{
	uint64_t rounds = test_scale(20);

	(void)state;
	for (uint64_t seed = 1; seed <= rounds; seed++) {
		struct prng p;

		prng_init(&p, seed);
		contend((unsigned)(1 + prng_below(&p, WORKERS_MAX)),
			(unsigned)(1 + prng_below(&p, 16)), &p);
	}
}

static void
jobs_start_in_order(void **state)
{
	enum { N = 1000 };
	struct shared s = { .n_workers = 1 };
	struct error err = ERROR_INIT;
	struct counted *jobs;
	struct pool *pool;
	struct prng p;

	(void)state;
	prng_init(&p, 1);
	jobs = new_jobs(&s, N, &p);
	assert_int_equal(pool_new(&pool, 1, 7, &err), ERR_OK);
	for (size_t i = 0; i < N; i++)
		pool_submit(pool, &jobs[i].job);
	pool_free(pool);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(jobs[i].order, i);
	free(jobs);
}

/* A job that holds its worker until the test lets it go. */
struct held {
	struct job job;
	struct gate started, go;
};

static void
run_held(struct job *job, unsigned worker)
{
	struct held *h = container_of(job, struct held, job);

	(void)worker;
	gate_open(&h->started);
	gate_wait(&h->go);
}

struct filler {
	struct pool *pool;
	struct counted *jobs;
	size_t n;
	atomic_size_t submitted;
};

static void *
fill(void *arg)
{
	struct filler *f = arg;

	for (size_t i = 0; i < f->n; i++) {
		pool_submit(f->pool, &f->jobs[i].job);
		atomic_fetch_add(&f->submitted, 1);
	}
	return NULL;
}

static void
submit_blocks_while_the_queue_is_full(void **state)
{
	enum { QUEUE = 5, N = 20 };
	struct held h = { .job.run = run_held };
	struct shared s = { .n_workers = 1 };
	struct error err = ERROR_INIT;
	struct filler f = { .n = N };
	pthread_t thread;
	struct prng p;

	(void)state;
	prng_init(&p, 1);
	gate_init(&h.started);
	gate_init(&h.go);
	f.jobs = new_jobs(&s, N, &p);
	assert_int_equal(pool_new(&f.pool, 1, QUEUE, &err), ERR_OK);
	pool_submit(f.pool, &h.job);
	gate_wait(&h.started);
	assert_int_equal(pthread_create(&thread, NULL, fill, &f), 0);
	while (atomic_load(&f.submitted) < QUEUE)
		sched_yield();
	/* Time in which one job too many could get in. */
	assert_int_equal(nanosleep(&(struct timespec){ .tv_nsec = 20000000 },
				 NULL),
		0);
	assert_int_equal(atomic_load(&f.submitted), QUEUE);
	assert_int_equal(atomic_load(&s.next), 0);
	gate_open(&h.go);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pool_drain(f.pool);
	assert_int_equal(atomic_load(&s.next), N);
	pool_free(f.pool);
	free(f.jobs);
}

struct drainer {
	struct pool *pool;
	atomic_bool done;
};

static void *
drain(void *arg)
{
	struct drainer *d = arg;

	pool_drain(d->pool);
	atomic_store(&d->done, true);
	return NULL;
}

static void
pause_ms(long ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	assert_int_equal(nanosleep(&t, NULL), 0);
}

/* Whether a drain ended while a job was at work that came so much later than
 * the thread that drains. */
static bool
drain_ends_before(long later_ms)
{
	struct held early = { .job.run = run_held };
	struct held late = { .job.run = run_held };
	struct drainer d = { .done = false };
	struct error err = ERROR_INIT;
	struct pool *pool;
	pthread_t thread;
	bool ended;

	gate_init(&early.started);
	gate_init(&early.go);
	gate_init(&late.started);
	gate_init(&late.go);
	assert_int_equal(pool_new(&pool, 2, 4, &err), ERR_OK);
	pool_submit(pool, &early.job);
	gate_wait(&early.started);
	d.pool = pool;
	assert_int_equal(pthread_create(&thread, NULL, drain, &d), 0);
	pause_ms(later_ms);
	assert_false(atomic_load(&d.done));
	pool_submit(pool, &late.job);
	gate_wait(&late.started);
	gate_open(&early.go);
	for (int i = 0; i < 300 && !atomic_load(&d.done); i++)
		pause_ms(10);
	ended = atomic_load(&d.done);
	gate_open(&late.go);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pool_free(pool);
	return ended;
}

/* A drain waits for what came before it, not for what comes after: which it
 * also was where its thread was so slow that it looked only then. */
static void
drain_waits_for_earlier_jobs_only(void **state)
{
	long later_ms = 20;

	(void)state;
	while (!drain_ends_before(later_ms)) {
		assert_true(later_ms < 20000);
		later_ms *= 2;
	}
}

struct owned {
	struct job job;
	struct gate gate;
	unsigned answer;
};

static void
run_owned(struct job *job, unsigned worker)
{
	struct owned *o = container_of(job, struct owned, job);

	(void)worker;
	o->answer = 42;
	gate_open(&o->gate);
}

/* The sanitizers see an access after the free, and a race on answer. */
static void
owner_may_free_after_gate_wait(void **state)
{
	uint64_t rounds = test_scale(50000);
	struct error err = ERROR_INIT;
	struct pool *pool;

	(void)state;
	assert_int_equal(pool_new(&pool, 3, 2, &err), ERR_OK);
	for (uint64_t i = 0; i < rounds; i++) {
		struct owned *o = calloc(1, sizeof(*o));

		assert_non_null(o);
		o->job.run = run_owned;
		gate_init(&o->gate);
		pool_submit(pool, &o->job);
		if (i % 3 == 0)
			while (!gate_is_open(&o->gate))
				sched_yield();
		gate_wait(&o->gate);
		assert_int_equal(o->answer, 42);
		free(o);
	}
	pool_free(pool);
}

static void
a_pool_without_work_ends(void **state)
{
	struct error err = ERROR_INIT;
	struct pool *pool;

	(void)state;
	assert_true(pool_cpus() >= 1);
	assert_int_equal(pool_new(&pool, pool_cpus(), 1, &err), ERR_OK);
	pool_drain(pool);
	pool_free(pool);
	pool_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_job_runs_once_under_contention),
		cmocka_unit_test(jobs_start_in_order),
		cmocka_unit_test(submit_blocks_while_the_queue_is_full),
		cmocka_unit_test(drain_waits_for_earlier_jobs_only),
		cmocka_unit_test(owner_may_free_after_gate_wait),
		cmocka_unit_test(a_pool_without_work_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
