/* SPDX-License-Identifier: Apache-2.0 */
/*
 * following: a master is received from until it is to end, and what came is
 * sealed.
 *
 * Three threads: one receives (source/moosefs/receive.h), the one that calls
 * seals, one tells how things are, also while a sealing takes its time.
 */
#ifndef SOURCE_MOOSEFS_FOLLOWING_H
#define SOURCE_MOOSEFS_FOLLOWING_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"
#include "source/moosefs/receive.h"
#include "source/source.h"

struct following_conf {
	struct receive *receive; /* loaded, not started */
	const char *label; /* of the source, without a generation */
	const char *dir; /* for struct follow_state */
	const struct follow *f;
	/* This one is to be captured when f->seal is called next. */
	void (*choose)(void *arg, struct journal *j, const char *gen);
	void *arg;
};

enum err following_run(const struct following_conf *conf,
	const _Atomic bool *stop, struct error *err) MUST_CHECK;

#endif /* SOURCE_MOOSEFS_FOLLOWING_H */
