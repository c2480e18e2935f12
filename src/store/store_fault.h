/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_fault: a store that fails as told.
 *
 * Every operation on it is counted, and the plan's function says what becomes
 * of each.  Deterministic as long as the calls come in the same order.
 */
#ifndef STORE_STORE_FAULT_H
#define STORE_STORE_FAULT_H

#include "store/store.h"

enum store_op {
	STORE_PUT,
	STORE_GET,
	STORE_SIZE,
	STORE_LIST,
	STORE_DEL,
	STORE_TIME
};

enum fault {
	FAULT_NONE,
	FAULT_BEFORE, /* nothing happens; the code of the plan is returned */
	FAULT_AFTER, /* it happens, and yet the code is returned: lost reply */
	FAULT_TWICE, /* it happens twice: a duplicate request */
	FAULT_TORN, /* put only: half of the bytes appear, then as AFTER */
	FAULT_DEAD /* this and every later operation: as BEFORE */
};

struct fault_plan {
	/* n counts from 1 over all operations of this store. */
	enum fault (*decide)(void *arg, uint64_t n, enum store_op op,
		const char *name);
	void *arg;
	enum err code; /* ERR_IO, ERR_AGAIN, ERR_NOSPACE, ... */
};

/* Takes over inner, which store_close closes too. */
enum err store_fault_new(struct store **out, struct store *inner,
	const struct fault_plan *plan, struct error *err) MUST_CHECK;

/* Operations seen so far. */
uint64_t store_fault_count(const struct store *st);

#endif /* STORE_STORE_FAULT_H */
