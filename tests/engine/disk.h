/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk: a target in memory that keeps the promises of target/target.h, checks
 * that its caller keeps his, fails and dies when it is told to.
 *
 * There is one disk at a time, since a target is opened by its name.
 */
#ifndef TESTS_ENGINE_DISK_H
#define TESTS_ENGINE_DISK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "target/target.h"
#include "tests/lib/prng.h"

enum { DISK_MAX = 16 << 20, DISK_POINTS = 16 };

/* What the disk held when such a record was made. */
struct disk_point {
	uint8_t *bytes;
	uint8_t record[512];
	size_t record_len;
};

struct disk {
	/* What the next restore meets. */
	bool ordered, no_each_data, no_mark, no_read, layers;
	bool grainy; /* ranges that are told have something around them */
	bool late; /* a failed write is told by the next call */
	unsigned fail_at; /* that call of write, zero, read or mark; 0: none */
	unsigned die_at; /* soon after that mark it is gone */
	unsigned dies_at; /* that call, then */
	unsigned stop_at; /* that call sets *stop */
	_Atomic bool *stop;
	uint64_t rot_at; /* a byte that is not what was written; 0: none */

	/* What it holds. */
	bool is_there, restoring, is_new;
	uint8_t *bytes, *durable;
	uint64_t size;
	char key[512];
	uint64_t done;
	struct disk_point points[DISK_POINTS];
	size_t n_points;
	struct prng dice;

	/* What it saw, since disk_reset. */
	_Atomic unsigned n_calls;
	unsigned n_marks, n_finish, n_open;
	_Atomic uint64_t written, zeroed, read;
	bool dead;
	uint64_t last_end; /* ordered */
	_Atomic int within; /* calls at work */
	pthread_mutex_t lock;
	struct error owed;
	bool dry_run;
};

extern struct disk disk;
extern struct target_ops disk_ops;

void disk_init(uint64_t seed);
void disk_fini(void);
/* Forget what happened and what was to happen, not what it holds. */
void disk_reset(void);
/* It is there, and holds this; NULL: it is not there. */
void disk_set(const void *bytes, uint64_t size);
/* Remember what it holds under that record. */
void disk_point(const void *record, size_t len);

#endif /* TESTS_ENGINE_DISK_H */
