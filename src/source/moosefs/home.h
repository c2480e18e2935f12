/* SPDX-License-Identifier: Apache-2.0 */
/*
 * home: the directory of one master, with a directory of each generation that
 * was seen of it: ID in hexadecimal, or ID.N where a history branched.  One
 * process at a time has it.
 */
#ifndef SOURCE_MOOSEFS_HOME_H
#define SOURCE_MOOSEFS_HOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/time.h"

enum { HOME_GEN_MAX = 32 };

struct home {
	char *dir;
	int lock_fd;
};

/* ERR_DENIED where another process has it.  home_close also after a failure,
 * and for a zeroed one with lock_fd -1. */
enum err home_open(struct home *h, const char *dir,
	struct error *err) MUST_CHECK;
void home_close(struct home *h);

/* The newest generation of this file system; *known false: its first, which
 * has no directory yet. */
enum err home_find(const struct home *h, uint64_t id, char out[HOME_GEN_MAX],
	bool *known, struct error *err) MUST_CHECK;
/* The one that comes after it. */
enum err home_branch(const struct home *h, uint64_t id, char out[HOME_GEN_MAX],
	struct error *err) MUST_CHECK;

/* The generation that was followed last; "" where there is none. */
enum err home_current(const struct home *h, char out[HOME_GEN_MAX],
	struct error *err) MUST_CHECK;
enum err home_set_current(const struct home *h, const char *gen,
	struct error *err) MUST_CHECK;

struct home_generation {
	char name[HOME_GEN_MAX];
	struct when changed; /* its directory was */
};

struct home_generations {
	struct home_generation *v; /* by that time; free it */
	size_t n, cap;
};

/* All that have a directory. */
enum err home_generations(const struct home *h, struct home_generations *out,
	struct error *err) MUST_CHECK;

/* DIR/NAME, to be freed. */
char *home_path(const struct home *h, const char *name);

#endif /* SOURCE_MOOSEFS_HOME_H */
