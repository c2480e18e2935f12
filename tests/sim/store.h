/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: what a simulated process sees of the shared store.
 *
 * Every operation is a step: others may go on before it, and it may fail, be
 * executed although its reply is lost, be executed much later, or twice; the
 * process may die before or after it, or sleep for a year.  After a death
 * nothing this process does reaches the store.
 *
 * A listing shows every object whose put returned before it began and that
 * is not deleted before it ends; of others that come, go or went lately it
 * shows what it likes.
 */
#ifndef TESTS_SIM_STORE_H
#define TESTS_SIM_STORE_H

#include "tests/sim/sim.h"

/* The store of a new process of a. */
struct store *sim_store_new(struct actor *a);

/* Requests that are on their way, and objects that were deleted lately. */
struct air *air_new(void);
void air_free(struct air *air);
size_t air_count(const struct air *air);
/* Execute one that is drawn; false where there is none. */
bool air_execute(struct sim *s);

#endif /* TESTS_SIM_STORE_H */
