/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_retry: calls again after ERR_AGAIN, with growing, jittered pauses.
 *
 * A put whose reply was lost meets its own object at the second attempt.
 * The wrapper then reads the object back: the same bytes mean that the first
 * attempt won (ERR_OK), others that somebody else did (ERR_EXISTS).
 */
#ifndef STORE_STORE_RETRY_H
#define STORE_STORE_RETRY_H

#include "store/store.h"

struct retry_policy {
	unsigned attempts_max; /* >= 1 */
	unsigned first_pause_msec;
	unsigned pause_max_msec;
};

#define RETRY_DEFAULT ((struct retry_policy){ 8, 250, 30000 })

/* Takes over inner, which store_close closes too. */
enum err store_retry_new(struct store **out, struct store *inner,
	const struct retry_policy *policy, struct error *err) MUST_CHECK;

#endif /* STORE_STORE_RETRY_H */
