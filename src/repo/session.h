/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: that a writer is at work, and its commit (docs/format.md,
 * section 7).
 *
 *   session_begin -> session_commit at most once -> session_end
 *
 * A session is over with the first of these: its commit, its end without a
 * commit, and the fence that a prune puts in the place of its snapshot.
 */
#ifndef REPO_SESSION_H
#define REPO_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "base/time.h"
#include "repo/keys.h"
#include "store/store.h"

enum { SESSION_HOST_MAX = 255 };

struct session {
	struct store *st; /* borrowed */
	const struct keyset *ks; /* borrowed */
	struct uid uid;
	uint64_t view; /* the newest epoch when it began */
	bool present; /* its object is there */
	bool doubtful; /* a request of it may still be under way */
};

/* Create the session object, with the newest epoch as its view; host may be
 * NULL. */
enum err session_begin(struct session *s, struct store *st,
	const struct keyset *ks, const char *host,
	struct error *err) MUST_CHECK;
/* A session without an object, that will write nothing. */
enum err session_dry(struct session *s, struct store *st,
	const struct keyset *ks, struct error *err) MUST_CHECK;

/*
 * Sign the record and create the snapshot object, the point of no return.
 * ERR_EXISTS: fenced, or somebody else's object is there.  Any other failure
 * may mean that the snapshot is there and the store could not say so.
 */
enum err session_commit(struct session *s, const void *record, size_t len,
	struct error *err) MUST_CHECK;

/* Some request ended without a definite answer: the object stays. */
void session_doubt(struct session *s);

/* Remove the session object, unless a request may still be under way; where
 * that fails it stays, as after a crash. */
void session_end(struct session *s);

/* "snapshots/NS/SID". */
void session_snapshot_name(char out[STORE_NAME_MAX + 1], const char *ns_hex,
	const struct uid *uid);

#endif /* REPO_SESSION_H */
