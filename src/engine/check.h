/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: whether everything that the snapshots need is there and right.
 *
 * Structure: every snapshot record opens; every node reachable from a root
 * opens and is well-formed (each once, however many snapshots share it); every
 * chunk that is referred to is in the index; every pack of the index is there,
 * with its size and its table.  With data, packs are read whole, sampled by
 * percentage.  Findings go to report->problem; the check goes on after each.
 *
 * Memory: one bit per chunk of the index, and one node per level.
 */
#ifndef ENGINE_CHECK_H
#define ENGINE_CHECK_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "engine/report.h"
#include "repo/repo.h"

struct check_conf {
	double read_data_percent; /* 0: structure only; 100: everything */
	unsigned workers;
};

struct check_result {
	uint64_t snapshots, nodes, chunks_used, packs, packs_read;
	uint64_t bytes_read;
	uint64_t chunks_unused; /* garbage: no finding */
	uint64_t errors;
};

/* ERR_OK also where result->errors is not 0. */
enum err check_run(struct repo *r, const struct check_conf *conf,
	const struct report *report, struct check_result *result,
	struct error *err) MUST_CHECK;

#endif /* ENGINE_CHECK_H */
