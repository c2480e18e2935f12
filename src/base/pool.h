/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool: N threads that run jobs from one bounded queue.
 *
 *   pool_new -> pool_submit ... -> pool_drain -> pool_free
 *
 * Jobs start in the order of submission.  A job is embedded in the caller's
 * own struct, which must live until run returned or, where the owner waits
 * for it, until job_wait returned; the pool does not touch a job after run.
 * run gets the number of its worker (0 .. n-1), with which it finds scratch
 * memory that no other thread uses at the same time.
 *
 * Any thread may submit, except a job of the same pool (it could wait for
 * itself).
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"

struct pool;

struct job {
	void (*run)(struct job *job, unsigned worker);
	struct job *next; /* the pool's */
};

/* queue_max: jobs that may wait; submit blocks while so many do. */
enum err pool_new(struct pool **out, unsigned n_workers, unsigned queue_max,
	struct error *err) MUST_CHECK;

/* Runs what was submitted, then ends the threads.  NULL is allowed. */
void pool_free(struct pool *pool);

unsigned pool_workers(const struct pool *pool);

void pool_submit(struct pool *pool, struct job *job);

/* Until every job submitted so far has run. */
void pool_drain(struct pool *pool);

/* Online processors this process may use, at least 1. */
unsigned pool_cpus(void);

/*
 * gate: set once by a job, waited for by its owner.  The owner may free the
 * memory of both as soon as gate_wait returned.
 */
struct gate {
	_Atomic unsigned state;
};

void gate_init(struct gate *g);
void gate_open(struct gate *g);
bool gate_is_open(const struct gate *g);
void gate_wait(struct gate *g);

#endif /* BASE_POOL_H */
