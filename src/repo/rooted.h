/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rooted: small objects that end with a signature, by the root key, of their
 * name and all bytes before it (docs/format.md, section 4).
 */
#ifndef REPO_ROOTED_H
#define REPO_ROOTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "codec/sign.h"
#include "repo/keys.h"
#include "store/store.h"

enum {
	ROOTED_NAMES = 4096, /* objects below one prefix */
	ROOTED_MAX = 512 /* of an object */
};

/* Append the signature of name and of all bytes so far.  ERR_DENIED unless ks
 * is an admin's. */
enum err rooted_sign(struct buf *obj, const struct keyset *ks,
	const char *context, const char *name, struct error *err) MUST_CHECK;

/*
 * Fetch name into obj, which is emptied before; *ok tells whether it is there
 * and signed, and obj then holds what was signed.  Something else under that
 * name is no error: it means nothing.
 */
enum err rooted_get(struct store *st, const struct sign_public *root,
	const char *context, const char *name, struct buf *obj, bool *ok,
	struct error *err) MUST_CHECK;

/* The numbers that are names below a directory; free() ends it. */
struct rooted_numbers {
	const char *prefix;
	uint64_t v[ROOTED_NAMES];
	size_t n;
};
enum err rooted_numbers(struct store *st, const char *dir,
	struct rooted_numbers **out, struct error *err) MUST_CHECK;
void rooted_name(char out[STORE_NAME_MAX + 1], const char *dir,
	uint64_t number);

#endif /* REPO_ROOTED_H */
