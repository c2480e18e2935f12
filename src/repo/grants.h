/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grants: data keys for identities that are there already (docs/format.md,
 * section 4): who may use which; repo/rotation.h says which is used.
 */
#ifndef REPO_GRANTS_H
#define REPO_GRANTS_H

#include "base/compiler.h"
#include "base/err.h"
#include "repo/keys.h"
#include "store/store.h"

/* Who is to get a data key. */
struct grants_to {
	const char *ns_hex;
	enum role role;
	const struct kx_public *box_pub;
};

/* Add to ks, fresh from its object, the data keys of rotations since then.
 * A rotation of which there is no grant yet is passed over.  ERR_CORRUPT for
 * a grant that the root key signed and that does not open. */
enum err grants_read(struct store *st, struct keyset *ks,
	struct error *err) MUST_CHECK;

/* Grant what ks holds and this identity was not granted yet. */
enum err grants_hand_over(struct store *st, const struct keyset *ks,
	const struct grants_to *to, struct error *err) MUST_CHECK;

/* Delete all grants of an identity that has ended. */
enum err grants_drop(struct store *st, const char *ns_hex,
	struct error *err) MUST_CHECK;

#endif /* REPO_GRANTS_H */
