/* SPDX-License-Identifier: Apache-2.0 */
/* pruner: a prune, with any configuration. */
#include "tests/sim/sim.h"

void
prune_job(struct actor *a)
{
	sim_yield(a);
}
