/* SPDX-License-Identifier: Apache-2.0 */
/* epilogue: when nobody is at work any more. */
#include "tests/sim/oracle.h"
#include "tests/sim/store.h"

void
sim_epilogue(struct sim *s)
{
	oracle_check(s->oracle);
	while (air_execute(s))
		oracle_check(s->oracle);
}
