/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool: one mutex guards the queue and the numbers; it is never held while a
 * job runs.
 *
 * Jobs are numbered in the order of submission.  Each worker shows the number
 * of the job it runs, so a drain waits for exactly those before it: those in
 * the queue have larger numbers than those taken from it.
 *
 * gate: see gate_open for why the waiter may free it at once.
 */
#include "base/pool.h"

#include <assert.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static const uint64_t idle = UINT64_MAX;

struct worker {
	struct pool *pool;
	pthread_t thread;
	uint64_t running; /* number of the job, or idle */
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t filled; /* a job came, or closing */
	pthread_cond_t taken; /* a place in the queue is free */
	pthread_cond_t ran; /* a job returned while someone drains */
	struct job *head, **tail;
	unsigned n_queued, queue_max;
	uint64_t n_submitted, n_taken;
	unsigned n_draining;
	bool closing;
	unsigned n_workers;
	struct worker workers[];
};

/* These calls fail only on misuse. */
static void
must(int rc)
{
	assert(rc == 0);
}

/* With the lock held; the next job, NULL at the end. */
static struct job *
take(struct pool *pool, struct worker *self)
{
	struct job *job;

	while (pool->head == NULL && !pool->closing)
		must(pthread_cond_wait(&pool->filled, &pool->lock));
	job = pool->head;
	if (job == NULL)
		return NULL;
	pool->head = job->next;
	if (pool->head == NULL)
		pool->tail = &pool->head;
	pool->n_queued--;
	self->running = pool->n_taken++;
	must(pthread_cond_signal(&pool->taken));
	return job;
}

static void *
work(void *arg)
{
	struct worker *self = arg;
	struct pool *pool = self->pool;
	unsigned number = (unsigned)(self - pool->workers);
	struct job *job;

	must(pthread_mutex_lock(&pool->lock));
	while ((job = take(pool, self)) != NULL) {
		must(pthread_mutex_unlock(&pool->lock));
		job->run(job, number);
		must(pthread_mutex_lock(&pool->lock));
		self->running = idle;
		if (pool->n_draining > 0)
			must(pthread_cond_broadcast(&pool->ran));
	}
	must(pthread_mutex_unlock(&pool->lock));
	return NULL;
}

/* Signals are for the thread that has set up handlers, not for workers. */
static int
start_worker(struct worker *w)
{
	sigset_t all, before;
	int rc;

	must(sigfillset(&all));
	must(pthread_sigmask(SIG_SETMASK, &all, &before));
	rc = pthread_create(&w->thread, NULL, work, w);
	must(pthread_sigmask(SIG_SETMASK, &before, NULL));
	return rc;
}

enum err
pool_new(struct pool **out, unsigned n_workers, unsigned queue_max,
	struct error *err)
{
	struct pool *pool;

	assert(n_workers > 0 && queue_max > 0);
	pool = calloc(1, sizeof(*pool) + n_workers * sizeof(pool->workers[0]));
	if (pool == NULL)
		return err_set(err, ERR_NOMEM, "no memory for %u threads",
			n_workers);
	must(pthread_mutex_init(&pool->lock, NULL));
	must(pthread_cond_init(&pool->filled, NULL));
	must(pthread_cond_init(&pool->taken, NULL));
	must(pthread_cond_init(&pool->ran, NULL));
	pool->tail = &pool->head;
	pool->queue_max = queue_max;
	for (unsigned i = 0; i < n_workers; i++) {
		struct worker *w = &pool->workers[i];
		int rc;

		w->pool = pool;
		w->running = idle;
		rc = start_worker(w);
		if (rc != 0) {
			pool_free(pool);
			return err_sys(err, rc, "start thread %u of %u", i + 1,
				n_workers);
		}
		pool->n_workers++;
	}
	*out = pool;
	return ERR_OK;
}

void
pool_free(struct pool *pool)
{
	if (pool == NULL)
		return;
	must(pthread_mutex_lock(&pool->lock));
	pool->closing = true;
	must(pthread_cond_broadcast(&pool->filled));
	must(pthread_mutex_unlock(&pool->lock));
	for (unsigned i = 0; i < pool->n_workers; i++)
		must(pthread_join(pool->workers[i].thread, NULL));
	must(pthread_cond_destroy(&pool->ran));
	must(pthread_cond_destroy(&pool->taken));
	must(pthread_cond_destroy(&pool->filled));
	must(pthread_mutex_destroy(&pool->lock));
	free(pool);
}

unsigned
pool_workers(const struct pool *pool)
{
	return pool->n_workers;
}

void
pool_submit(struct pool *pool, struct job *job)
{
	job->next = NULL;
	must(pthread_mutex_lock(&pool->lock));
	assert(!pool->closing);
	while (pool->n_queued >= pool->queue_max)
		must(pthread_cond_wait(&pool->taken, &pool->lock));
	*pool->tail = job;
	pool->tail = &job->next;
	pool->n_queued++;
	pool->n_submitted++;
	must(pthread_cond_signal(&pool->filled));
	must(pthread_mutex_unlock(&pool->lock));
}

/* With the lock held: has every job with a number below end returned? */
static bool
all_ran(const struct pool *pool, uint64_t end)
{
	if (pool->n_taken < end)
		return false;
	for (unsigned i = 0; i < pool->n_workers; i++) {
		if (pool->workers[i].running < end)
			return false;
	}
	return true;
}

void
pool_drain(struct pool *pool)
{
	uint64_t end;

	must(pthread_mutex_lock(&pool->lock));
	end = pool->n_submitted;
	pool->n_draining++;
	while (!all_ran(pool, end))
		must(pthread_cond_wait(&pool->ran, &pool->lock));
	pool->n_draining--;
	must(pthread_mutex_unlock(&pool->lock));
}

unsigned
pool_cpus(void)
{
	cpu_set_t set;
	long n;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	else
		/* More processors than a cpu_set_t can name. */
		n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (unsigned)n : 1;
}

enum { GATE_CLOSED, GATE_AWAITED, GATE_OPEN };

_Static_assert(sizeof(_Atomic unsigned) == 4, "a futex is four bytes");

void
gate_init(struct gate *g)
{
	atomic_init(&g->state, GATE_CLOSED);
}

/*
 * The exchange is the last access to the gate: once it is done the waiter may
 * return and free the memory.  Waking takes the address only as a name: the
 * kernel looks for sleepers under it and reads nothing there (futex(2),
 * FUTEX_WAKE).  Should the memory serve another futex by then, that one sees
 * a wake-up without cause, which every user of a futex must expect.
 */
void
gate_open(struct gate *g)
{
	_Atomic unsigned *name = &g->state;
	unsigned before;

	before =
		atomic_exchange_explicit(name, GATE_OPEN, memory_order_acq_rel);
	if (before == GATE_AWAITED)
		(void)syscall(SYS_futex, name, FUTEX_WAKE_PRIVATE, INT_MAX,
			NULL, NULL, 0);
}

bool
gate_is_open(const struct gate *g)
{
	return atomic_load_explicit(&g->state, memory_order_acquire) ==
	       GATE_OPEN;
}

void
gate_wait(struct gate *g)
{
	unsigned seen = atomic_load_explicit(&g->state, memory_order_acquire);

	while (seen != GATE_OPEN) {
		if (seen == GATE_CLOSED &&
			!atomic_compare_exchange_strong_explicit(&g->state,
				&seen, GATE_AWAITED, memory_order_acquire,
				memory_order_acquire))
			continue;
		(void)syscall(SYS_futex, &g->state, FUTEX_WAIT_PRIVATE,
			GATE_AWAITED, NULL, NULL, 0);
		seen = atomic_load_explicit(&g->state, memory_order_acquire);
	}
}
