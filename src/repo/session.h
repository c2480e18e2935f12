/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: that a writer is at work, and its commit (docs/format.md,
 * section 7).
 *
 *   session_begin -> session_commit at most once -> session_end
 */
#ifndef REPO_SESSION_H
#define REPO_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "repo/keys.h"
#include "store/store.h"

enum { SNAPSHOT_MAX = 16 << 20 }; /* of a snapshot object */

struct session {
	struct store *st; /* borrowed */
	const struct keyset *ks; /* borrowed */
	struct uid uid;
	bool present; /* its object is there */
};

/* Create the session object; host may be NULL. */
enum err session_begin(struct session *s, struct store *st,
	const struct keyset *ks, const char *host,
	struct error *err) MUST_CHECK;

/*
 * Create the snapshot object, the point of no return.  ERR_EXISTS: fenced.
 * Any other failure may mean that the snapshot is there and the store could
 * not say so.
 */
enum err session_commit(struct session *s, const void *record, size_t len,
	struct error *err) MUST_CHECK;

/* Remove the session object; where that fails it stays, as after a crash. */
void session_end(struct session *s);

/* "snapshots/NS/SID". */
void session_snapshot_name(char out[STORE_NAME_MAX + 1], const char *keyid,
	const struct uid *uid);

#endif /* REPO_SESSION_H */
