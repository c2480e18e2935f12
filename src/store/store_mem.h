/* SPDX-License-Identifier: Apache-2.0 */
/* store_mem: objects in memory, for tests and simulations. */
#ifndef STORE_STORE_MEM_H
#define STORE_STORE_MEM_H

#include "store/store.h"

/* An empty store of its own; store_close frees it with all its objects. */
enum err store_mem_new(struct store **out, struct error *err) MUST_CHECK;

/* A copy of all that is in st (a store_mem) now: what a crash leaves. */
enum err store_mem_clone(struct store **out, const struct store *st,
	struct error *err) MUST_CHECK;

/* What tells the time of puts from now on; it is called under the store's
 * lock, and a clone takes it over.  Without it, the real time. */
typedef struct when store_clock_fn(void *arg);
void store_mem_set_clock(struct store *st, store_clock_fn *fn, void *arg);

/* Flip one bit of an object in place, for tests of damage. */
enum err store_mem_flip(struct store *st, const char *name, uint64_t bit,
	struct error *err) MUST_CHECK;

#endif /* STORE_STORE_MEM_H */
