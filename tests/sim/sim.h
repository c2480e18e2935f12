/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim: several programs at work on one repository, deterministically.
 *
 *   sim_run: world_new -> actors run by turns -> epilogue -> world_free
 *
 * Each actor is a thread, and exactly one thread runs at any time: whoever
 * has the baton.  Before each operation on the store (sim/store.h) an actor
 * gives the choice of who goes on to the scheduler, which it runs itself, and
 * which passes the baton.  All that is random, and the clock, derive from the
 * seed; so does what the programs under test get from the kernel (sim/env.c).
 *
 * A violation of what the oracle watches ends the process.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "repo/repo.h"
#include "store/store.h"
#include "tests/lib/prng.h"

struct sim_conf {
	uint64_t seed;
	uint64_t steps; /* after so many no new work begins */
	uint64_t check_every; /* steps between two looks of the oracle */
	bool trace;
	const char *late, *sleep; /* instead of places that are drawn */
	const char *dir; /* for caches and temporary files */
};

/* How often, of a million operations, each trouble comes. */
struct sim_rates {
	uint32_t fail, lost, late, twice, die, sleep;
	/* Puts of names with this in them come late, or wait for long, much
	 * more often; NULL is none. */
	const char *late_place, *sleep_place;
	uint32_t wake; /* a late request is executed, for each step */
	uint32_t lag; /* a listing shows one that was deleted */
};

enum sim_key { KEY_ADMIN, KEY_MAINTAINER, KEY_WRITER_1, KEY_WRITER_2, KEYS };

/* What happened, and whether it should at least once in a long run. */
/* clang-format off */
#define SIM_COUNTS(X)                                                         \
	X(steps, 1) X(sessions, 1) X(commits, 1) X(acks, 1) X(parents, 1)     \
	X(failures, 1) X(unexplained, 0) X(deaths, 1) X(sleeps, 1) X(late, 1) \
	X(late_done, 1) X(forgotten, 1) X(undeleted, 1) X(held, 1)            \
	X(prunes, 1) X(problems, 0) X(epochs, 1) X(condemned, 1) X(spared, 1) \
	X(deleted, 1) X(swept, 1) X(fenced, 1) X(moved, 1) X(reads, 1)        \
	X(reads_failed, 1) X(checks, 1) X(restores, 1)
/* clang-format on */

struct sim_counts {
#define X(name, wanted) uint64_t name;
	SIM_COUNTS(X)
#undef X
};

struct sim;
struct air;
struct oracle;

enum actor_kind { ACTOR_WRITER, ACTOR_READER, ACTOR_KEEPER, ACTOR_PRUNE };

struct actor {
	struct sim *sim;
	enum actor_kind kind;
	char name[16];
	unsigned pid; /* of its present incarnation */
	struct prng dice; /* what its processes do and draw */
	char cache[200]; /* empty: none */
	enum sim_key key;
	uint64_t wake; /* it does not go on before this step */
	uint64_t job_steps; /* since its job began */
	bool disturbed; /* something went wrong, or slept, in this job */
	bool alone; /* it never waits for its turn, and nothing goes wrong */
	bool done;
	sem_t go;
	pthread_t thread;
};

enum { ACTORS_MAX = 12 };

struct sim {
	struct sim_conf conf;
	struct store *mem; /* the truth */
	struct prng dice; /* the scheduler's */
	struct sim_rates rates;
	uint64_t step;
	uint64_t clock_nsec; /* since 1970 */
	uint64_t hash; /* of the trace */
	bool closing; /* no new work */
	bool healthy; /* nothing goes wrong any more */
	uint32_t sticky; /* percent: the same actor goes on */
	struct actor actors[ACTORS_MAX];
	unsigned n_actors;
	struct actor *last;
	sem_t home; /* the baton of the thread that called sim_run */
	struct air *air;
	struct oracle *oracle;
	struct sim_counts n;
	char keyid[KEYS][KEYID_HEX + 1];
};

/* One run; whatever is wrong ends the process.  The hash of the trace. */
uint64_t sim_run(const struct sim_conf *conf, struct sim_counts *counts);

/* Of the actor that has the baton; NULL: nobody's, the oracle's. */
struct actor *sim_self(void);
void sim_set_self(struct actor *a);

/* Begin anew: what the kernel gives derives from the seed of s. */
void sim_env_reset(struct sim *s);

/* Choose who goes on, and come back when it is a's turn again. */
void sim_yield(struct actor *a);
/* The same, but not before steps more. */
void sim_nap(struct actor *a, uint64_t steps);

/* The next thing a does is this, which is hashed, and printed if wanted. */
void sim_trace(struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Print what is wrong and how to replay it, and end the process. */
void sim_violation(struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3)
	__attribute__((noreturn));

/* of in a million */
bool sim_chance(struct prng *dice, uint32_t of);

/* The repository through st, as whoever has that key; cache may be NULL. */
enum err sim_open(struct sim *s, struct store *st, enum sim_key key,
	const char *cache, struct repo **out, struct error *err) MUST_CHECK;

/* When the last actor is done: late requests, the last prunes, and what is
 * left then. */
void sim_epilogue(struct sim *s);

/* How a job ended; a failure although nothing went wrong is counted. */
void sim_outcome(struct actor *a, enum err rc, const struct error *err);

/* One job of an actor, from a new process to its end. */
void writer_job(struct actor *a);
void reader_job(struct actor *a);
void keeper_job(struct actor *a);
void prune_job(struct actor *a);

#endif /* TESTS_SIM_SIM_H */
