/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rotation: which data key is the one to seal for (docs/format.md, section 4).
 *
 *   rotation_make -> grants, one for each identity; then rotations/V
 *
 * Only the root key, which admins hold, makes any of these objects; whatever
 * else lies under their names means nothing.
 */
#ifndef REPO_ROTATION_H
#define REPO_ROTATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "repo/grants.h"
#include "repo/keys.h"
#include "store/store.h"

enum { ROTATION_FIRST = 1 }; /* the data key that comes with a repository */

/*
 * A new data key, its number to *number, for every certified identity.  What
 * an earlier rotation or keys_add that was killed left undone is done too.
 * ERR_DENIED unless ks is an admin's; ERR_EXISTS where another rotation was
 * faster.
 */
enum err rotation_make(struct store *st, const struct keyset *ks,
	uint32_t *number, struct error *err) MUST_CHECK;

/* As grants_hand_over, where there was a rotation since ks was read: for an
 * identity whose key object appeared meanwhile. */
enum err rotation_catch_up(struct store *st, const struct keyset *ks,
	const struct grants_to *to, struct error *err) MUST_CHECK;

/* The data keys that rotations speak of and ks lacks: number and public
 * half. */
enum err rotation_missing(struct store *st, const struct keyset *ks,
	struct epoch out[EPOCHS_MAX], size_t *n, struct error *err) MUST_CHECK;

#endif /* REPO_ROTATION_H */
