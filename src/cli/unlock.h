/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unlock: from values to a store and the repository in it: what access.h does
 * from flags.  The nbdkit plugin, which has no command line of ours, links
 * this and nothing else of the floor.
 */
#ifndef CLI_UNLOCK_H
#define CLI_UNLOCK_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"
#include "repo/repo.h"
#include "store/store.h"

enum { PASSWORD_MAX = 4096 };

/* The store alone, behind the retry wrapper. */
enum err unlock_store(struct store **out, const char *url, bool create,
	struct error *err) MUST_CHECK;

/* Both, as repo_open; the caller closes the repository, then the store. */
enum err unlock_open(struct store **st, struct repo **r, const char *url,
	const struct repo_conf *conf, struct error *err) MUST_CHECK;

#endif /* CLI_UNLOCK_H */
