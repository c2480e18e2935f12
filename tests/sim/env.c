/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env: what a simulated process gets from the kernel.  The linker puts these
 * in the place of the C library's (--wrap), for all of coffer.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/sim.h"

enum { NSEC = 1000000000, NAP_STEPS = 20 };

static _Thread_local struct actor *self;
/* Of setting up and of the oracle, which disturbs nobody's. */
static struct prng home;
static struct sim *world;

ssize_t __wrap_getrandom(void *data, size_t len, unsigned flags);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_nanosleep(const struct timespec *nap, struct timespec *left);
int __wrap_clock_nanosleep(clockid_t clock, int flags,
	const struct timespec *nap, struct timespec *left);
unsigned __wrap_sleep(unsigned sec);
pid_t __wrap_getpid(void);

struct actor *
sim_self(void)
{
	return self;
}

void
sim_set_self(struct actor *a)
{
	self = a;
}

void
sim_env_reset(struct sim *s)
{
	world = s;
	prng_init(&home, ~s->conf.seed);
}

ssize_t
__wrap_getrandom(void *data, size_t len, unsigned flags)
{
	prng_fill(self != NULL ? &self->dice : &home, data, len);
	return (ssize_t)len;
}

int
__wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	uint64_t now = world->clock_nsec;

	out->tv_sec = (time_t)(now / NSEC);
	out->tv_nsec = (long)(now % NSEC);
	return 0;
}

int
__wrap_nanosleep(const struct timespec *nap, struct timespec *left)
{
	if (self != NULL) {
		self->sim->clock_nsec +=
			(uint64_t)nap->tv_sec * NSEC + (uint64_t)nap->tv_nsec;
		sim_nap(self, NAP_STEPS);
	}
	return 0;
}

int
__wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *nap,
	struct timespec *left)
{
	return __wrap_nanosleep(nap, left);
}

unsigned
__wrap_sleep(unsigned sec)
{
	const struct timespec nap = { .tv_sec = sec };

	(void)__wrap_nanosleep(&nap, NULL);
	return 0;
}

pid_t
__wrap_getpid(void)
{
	return self != NULL ? (pid_t)self->pid : 1;
}
