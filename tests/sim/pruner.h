/* SPDX-License-Identifier: Apache-2.0 */
/* pruner: one prune, of an actor or of the epilogue. */
#ifndef TESTS_SIM_PRUNER_H
#define TESTS_SIM_PRUNER_H

#include "engine/prune.h"
#include "tests/sim/sim.h"

enum err pruner_run(struct sim *s, struct repo *r, struct prune_conf *conf,
	struct prune_figures *f, struct error *err) MUST_CHECK;

#endif /* TESTS_SIM_PRUNER_H */
