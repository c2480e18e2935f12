/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/fdcache.h"
#include "tests/lib/prng.h"

enum { N_FILES = 2 * FDCACHE_SLOTS, HOLDS_MAX = FDCACHE_SLOTS + 20 };

static unsigned
count_fds(void)
{
	unsigned n = 0;
	DIR *dir = opendir("/proc/self/fd");

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n;
}

static void
name_of(unsigned i, char name[20])
{
	(void)snprintf(name, 20, "packs/%u", i);
}

/* A file that says which one it is. */
static int
open_file(unsigned i)
{
	int fd = memfd_create("x", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, &i, sizeof(i)) != sizeof(i))
		abort();
	return fd;
}

static bool
is_file(int fd, unsigned i)
{
	unsigned have = ~i;

	return pread(fd, &have, sizeof(have), 0) == sizeof(have) && have == i;
}

/* Returns whether it was in the cache. */
static bool
hold_file(struct fdcache *c, unsigned i, struct fdcache_hold *hold)
{
	char name[20];
	bool hit;

	name_of(i, name);
	hit = fdcache_take(c, name, hold);
	if (!hit) {
		int fd = open_file(i);

		if (fd < 0)
			abort();
		fdcache_add(c, name, fd, hold);
	}
	return hit;
}

/* Property: a hold is of the file asked for until it is released, whatever is
 * taken, dropped and evicted meanwhile, and no descriptor is left over. */
static void
test_holds(void **state)
{
	static struct fdcache c;
	struct fdcache_hold held[HOLDS_MAX];
	unsigned of[HOLDS_MAX], n = 0, fds = count_fds(), hits = 0;
	struct prng p;
	char name[20];

	fdcache_init(&c);
	prng_init(&p, 3);
	for (unsigned step = 0; step < 40000; step++) {
		unsigned files = step % 2000 < 1000 ? 30 : N_FILES;
		unsigned i = (unsigned)prng_below(&p, files);
		unsigned phase = step % 4000 < 2000 ? 2 : 4;
		uint64_t what = prng_below(&p, 7);

		if (what == 0) {
			name_of(i, name);
			fdcache_drop(&c, name);
		} else if (what <= phase && n < HOLDS_MAX) {
			of[n] = i;
			hits += hold_file(&c, i, &held[n]);
			n++;
		} else if (n > 0) {
			unsigned k = (unsigned)prng_below(&p, n);

			assert_true(is_file(held[k].fd, of[k]));
			fdcache_release(&c, &held[k]);
			held[k] = held[--n];
			of[k] = of[n];
		}
		if (step % 100 == 0)
			assert_in_range(count_fds(), fds,
				fds + FDCACHE_SLOTS + n);
	}
	for (; n > 0; n--) {
		assert_true(is_file(held[n - 1].fd, of[n - 1]));
		fdcache_release(&c, &held[n - 1]);
	}
	assert_true(hits > 1000);
	fdcache_fini(&c);
	assert_int_equal(count_fds(), fds);
}

/* The least recently used one makes room; what was dropped is not found. */
static void
test_eviction(void **state)
{
	static struct fdcache c;
	struct fdcache_hold hold = FDCACHE_HOLD_NONE, twin;
	unsigned fds;
	char name[20];

	fdcache_init(&c);
	for (unsigned i = 0; i < FDCACHE_SLOTS; i++) {
		assert_false(hold_file(&c, i, &hold));
		fdcache_release(&c, &hold);
	}
	assert_true(hold_file(&c, 0, &hold));
	fdcache_release(&c, &hold);
	assert_false(hold_file(&c, FDCACHE_SLOTS, &hold));
	fdcache_release(&c, &hold);
	name_of(1, name);
	assert_false(fdcache_take(&c, name, &hold));
	assert_true(hold_file(&c, 0, &hold));
	name_of(0, name);
	fdcache_drop(&c, name);
	assert_true(is_file(hold.fd, 0));
	fds = count_fds();
	fdcache_release(&c, &hold);
	assert_int_equal(count_fds(), fds - 1);
	assert_false(fdcache_take(&c, name, &hold));
	/* Opened twice at once, dropped both. */
	fdcache_add(&c, name, open_file(0), &hold);
	fdcache_add(&c, name, open_file(0), &twin);
	fdcache_release(&c, &hold);
	fdcache_release(&c, &twin);
	fdcache_drop(&c, name);
	assert_false(fdcache_take(&c, name, &hold));
	fdcache_fini(&c);
}

struct worker {
	struct fdcache *c;
	uint64_t seed;
	bool failed;
};

static void *
worker(void *arg)
{
	struct worker *w = arg;
	struct fdcache_hold hold;
	struct prng p;
	char name[20];

	prng_init(&p, w->seed);
	for (unsigned n = 0; n < 5000; n++) {
		unsigned i = (unsigned)prng_below(&p, n % 2 ? 10 : N_FILES);

		(void)hold_file(w->c, i, &hold);
		w->failed |= !is_file(hold.fd, i);
		if (prng_below(&p, 10) == 0) {
			name_of(i, name);
			fdcache_drop(w->c, name);
		}
		w->failed |= !is_file(hold.fd, i);
		fdcache_release(w->c, &hold);
	}
	return NULL;
}

static void
test_threads(void **state)
{
	static struct fdcache c;
	struct worker w[4];
	pthread_t t[4];
	unsigned fds = count_fds();

	fdcache_init(&c);
	for (unsigned i = 0; i < 4; i++) {
		w[i] = (struct worker){ &c, i, false };
		assert_int_equal(pthread_create(&t[i], NULL, worker, &w[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_false(w[i].failed);
	}
	fdcache_fini(&c);
	assert_int_equal(count_fds(), fds);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holds),
		cmocka_unit_test(test_eviction),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
