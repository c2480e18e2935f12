/* SPDX-License-Identifier: Apache-2.0 */
/* keeper: forgets snapshots, takes that back, holds them. */
#include "tests/sim/sim.h"

void
keeper_job(struct actor *a)
{
	sim_yield(a);
}
