/* SPDX-License-Identifier: Apache-2.0 */
/* store_kinds: every store that has to keep the contract of store.h. */
#ifndef TESTS_CONFORMANCE_STORE_KINDS_H
#define TESTS_CONFORMANCE_STORE_KINDS_H

#include <stdbool.h>

#include "store/store.h"
#include "tests/lib/prng.h"

struct world {
	const struct kind *kind;
	struct store *st;
	char dir[64]; /* of a kind that keeps its objects below it */
	struct error err;
	struct prng rng; /* of the faults, seeded by the test */
};

struct kind {
	const char *name;
	/* Fill w->st; w->dir exists, and is empty the first time. */
	enum err (*open)(struct world *w);
	bool persists; /* closing and opening again keeps the objects */
	/* A reply that was lost makes del of what is not there succeed. */
	bool lossy;
};

extern const struct kind store_kinds[];
extern const size_t store_kinds_n;

/* Remove dir and all below it. */
void store_kinds_rm(const char *dir);

/* How many descriptors this process has open. */
unsigned store_kinds_fds(void);

#endif /* TESTS_CONFORMANCE_STORE_KINDS_H */
