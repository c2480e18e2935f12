/* SPDX-License-Identifier: Apache-2.0 */
/* presence: session objects as others see them (docs/format.md, section 7). */
#ifndef REPO_PRESENCE_H
#define REPO_PRESENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "repo/keys.h"
#include "store/store.h"

enum { PRESENCE_HOST_MAX = 63 };

struct presence {
	struct uid ns;
	uint64_t view;
	char host[PRESENCE_HOST_MAX + 1]; /* as it says itself, made fit to be
					     shown; may be empty */
};

/* "sessions/SID.start", and back; false where name is another one. */
void presence_name(char out[STORE_NAME_MAX + 1], const struct uid *sid);
bool presence_parse(const char *name, struct uid *sid) MUST_CHECK;

/* ERR_NOTFOUND where the session is over; ERR_CORRUPT, ERR_VERSION. */
enum err presence_read(struct presence *out, struct store *st,
	const struct keyset *ks, const struct uid *sid,
	struct error *err) MUST_CHECK;

#endif /* REPO_PRESENCE_H */
