/* SPDX-License-Identifier: Apache-2.0 */
/* garbage: whether the last prune left anything that no snapshot needs. */
#ifndef TESTS_SIM_GARBAGE_H
#define TESTS_SIM_GARBAGE_H

#include "tests/sim/sim.h"

/* After it, and while nobody is at work. */
void garbage_check(struct sim *s);

#endif /* TESTS_SIM_GARBAGE_H */
