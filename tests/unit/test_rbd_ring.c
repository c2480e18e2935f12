/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring of writes, over operations that this file makes up: each completes
 * when it is waited for, some fail.  Whatever is written arrives once; the
 * first failure is told to every thread, and nobody waits for ever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target/rbd.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"

enum { BLOCK = 512, BLOCKS = 3000, THREADS = 5 };

static uint8_t disk[BLOCKS * BLOCK];
static _Atomic unsigned n_begun, n_ended, n_now, n_most;
static unsigned fail_begin, fail_end; /* that operation; 0: none */

/* A completion is its number and the bytes, still the caller's. */
struct made_up {
	unsigned number;
	const uint8_t *data;
};

static enum err
begin(struct ceph_op *op, uint64_t off, const void *data, uint64_t len,
	struct error *err)
{
	struct made_up *m;
	unsigned number = ++n_begun;

	if (number == fail_begin)
		return err_set(err, ERR_NOMEM, "cannot begin");
	m = malloc(sizeof(*m));
	assert_non_null(m);
	*m = (struct made_up){ number, data };
	op->completion = m;
	op->off = off;
	op->len = (size_t)len;
	if (++n_now > n_most)
		n_most = n_now;
	return ERR_OK;
}

enum err
ceph_write(struct ceph_op *op, struct ceph_image *img, uint64_t off,
	const void *data, size_t len, struct error *err)
{
	return begin(op, off, data, len, err);
}

enum err
ceph_zero(struct ceph_op *op, struct ceph_image *img, uint64_t off,
	uint64_t len, struct error *err)
{
	return begin(op, off, NULL, len, err);
}

enum err
ceph_op_wait(struct ceph_op *op, struct error *err)
{
	struct made_up *m = op->completion;
	enum err rc = ERR_OK;

	if (m->number % 7 == 0)
		(void)usleep(50);
	if (m->data != NULL)
		memcpy(disk + op->off, m->data, op->len);
	else
		memset(disk + op->off, 0, op->len);
	if (m->number == fail_end)
		rc = err_set(err, ERR_NOSPACE, "operation %u", m->number);
	free(m);
	op->completion = NULL;
	n_now--;
	n_ended++;
	return rc;
}

static void
fill(uint8_t out[BLOCK], uint64_t block)
{
	struct prng dice;

	prng_init(&dice, block + 1);
	prng_fill(&dice, out, BLOCK);
}

struct thread {
	pthread_t id;
	unsigned number;
	struct rbd_ring *ring;
	enum err rc;
};

static void *
write_some(void *arg)
{
	struct thread *t = arg;
	struct error err = ERROR_INIT;
	uint8_t room[BLOCK];

	for (uint64_t b = t->number; b < BLOCKS && t->rc == ERR_OK;
		b += THREADS) {
		fill(room, b);
		t->rc = rbd_ring_write(t->ring, b * BLOCK,
			b % 10 == 3 ? NULL : room, BLOCK, &err);
		memset(room, 'x', sizeof(room));
	}
	return NULL;
}

static void
run(struct rbd_ring *ring, struct thread threads[THREADS], unsigned depth)
{
	struct error err = ERROR_INIT;

	memset(disk, 'd', sizeof(disk));
	n_begun = n_ended = n_now = n_most = 0;
	must(rbd_ring_init(ring, NULL, depth, &err), &err);
	for (unsigned i = 0; i < THREADS; i++) {
		threads[i] = (struct thread){ .number = i, .ring = ring };
		assert_int_equal(pthread_create(&threads[i].id, NULL,
					 write_some, &threads[i]),
			0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i].id, NULL), 0);
}

static void
test_all_arrives(void **state)
{
	static const unsigned depths[] = { 1, 2, 3, 16 };

	for (unsigned d = 0; d < ARRAY_LEN(depths); d++) {
		struct thread threads[THREADS];
		struct error err = ERROR_INIT;
		static const uint8_t zeroes[BLOCK];
		uint8_t want[BLOCK];
		struct rbd_ring ring;

		fail_begin = fail_end = 0;
		run(&ring, threads, depths[d]);
		must(rbd_ring_drain(&ring, &err), &err);
		assert_int_equal(n_begun, BLOCKS);
		assert_int_equal(n_ended, BLOCKS);
		assert_true(n_most <= depths[d]);
		for (uint64_t b = 0; b < BLOCKS; b++) {
			fill(want, b);
			assert_memory_equal(disk + b * BLOCK,
				b % 10 == 3 ? zeroes : want, BLOCK);
		}
		rbd_ring_fini(&ring);
	}
}

static void
test_failures(void **state)
{
	for (unsigned n = 1; n < 200; n += 3) {
		struct thread threads[THREADS];
		struct error err = ERROR_INIT;
		struct rbd_ring ring;

		fail_end = n;
		run(&ring, threads, 1 + n % 4);
		for (unsigned i = 0; i < THREADS; i++)
			assert_int_equal(threads[i].rc, ERR_NOSPACE);
		assert_int_equal(rbd_ring_drain(&ring, &err), ERR_NOSPACE);
		assert_non_null(strstr(err.msg, "operation"));
		rbd_ring_fini(&ring);
		assert_int_equal(n_ended, n_begun);
		assert_int_equal(n_now, 0);
		assert_true(n_begun < BLOCKS);
	}
}

static void
test_cannot_begin(void **state)
{
	struct error err = ERROR_INIT;
	struct rbd_ring ring;
	uint8_t room[BLOCK] = { 0 };

	n_begun = n_ended = n_now = 0;
	fail_end = 0;
	fail_begin = 2;
	must(rbd_ring_init(&ring, NULL, 1, &err), &err);
	must(rbd_ring_write(&ring, 0, room, BLOCK, &err), &err);
	assert_int_equal(rbd_ring_write(&ring, BLOCK, room, BLOCK, &err),
		ERR_NOMEM);
	must(rbd_ring_write(&ring, BLOCK, room, BLOCK, &err), &err);
	rbd_ring_fini(&ring);
	assert_int_equal(n_ended, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_arrives),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_cannot_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
