/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model: what snapshots hold, from a universe so small that every writer
 * meets chunks and nodes of all the others, alive, dead and condemned.
 *
 * A snapshot has some of MODEL_KEYS entries, each in one of a few versions;
 * key and version say which bytes it has and which chunks it refers to.
 */
#ifndef TESTS_SIM_MODEL_H
#define TESTS_SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "repo/repo.h"
#include "tests/lib/prng.h"
#include "tree/io.h"

enum {
	MODEL_KEYS = 40,
	MODEL_VERSIONS = 3,
	MODEL_PROFILES = 10,
	MODEL_CHUNKS = 100,
	MODEL_REFS = 2,
	MODEL_VALUE_MAX = 5000,
	MODEL_CHUNK_MAX = 1200
};

struct model {
	uint8_t version[MODEL_KEYS]; /* 0: there is no such entry */
};

/* One of a few. */
void model_random(struct model *m, struct prng *dice);
/* A few entries come, change and go. */
void model_change(struct model *m, struct prng *dice);

/* Bytes of chunk n, the same for as long as the program runs. */
const uint8_t *model_chunk(unsigned n, size_t *len);

/*
 * Build the tree of m through io; where old is not NULL, as changes to the
 * tree of old that lies at old_root, whose unchanged parts are taken over and
 * not stored again.
 */
struct model_parent {
	struct model m;
	struct id root;
};
enum err model_build(const struct model *m, struct tree_io *io,
	const struct model_parent *old, struct id *root,
	struct error *err) MUST_CHECK;

/*
 * Read the tree at root and compare.  ERR_OK with *right false, and why,
 * where it holds something else; an error where it cannot be read.
 * seen (may be NULL) has a place for each chunk: true where its bytes were
 * found right before, and need not be read.
 */
struct model_verdict {
	bool right;
	char why[200];
};
enum err model_compare(const struct model *m, struct tree_io *io,
	const struct id *root, bool *seen, struct model_verdict *verdict,
	struct error *err) MUST_CHECK;

#endif /* TESTS_SIM_MODEL_H */
