/* SPDX-License-Identifier: Apache-2.0 */
/* access: from the flags and the environment to a store and a repository. */
#ifndef CLI_ACCESS_H
#define CLI_ACCESS_H

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "cli/cli.h"
#include "repo/repo.h"
#include "store/store.h"

struct access {
	struct store *store;
	struct repo *repo;
};

/* Store and repository, unlocked.  access_close ends it, also zeroed.  A
 * failure leaves its exit status in c. */
enum err access_open(struct access *a, struct cli *c,
	struct error *err) MUST_CHECK;
/* The same, for a command that needs this right. */
enum err access_open_for(struct access *a, struct cli *c, enum right right,
	struct error *err) MUST_CHECK;
void access_close(struct access *a);

/*
 * The same in two steps, for who needs the passphrase once more: what the
 * flags, the environment or the terminal say it is (out is wiped by the
 * caller), and access with it.
 */
enum err access_password(struct buf *out, const struct cli *c,
	struct error *err) MUST_CHECK;
enum err access_open_with(struct access *a, struct cli *c, enum right right,
	const struct buf *pass, struct error *err) MUST_CHECK;

/* Where flags and environment say the repository and the local index are.
 * The latter is "" where there is to be none but a temporary one. */
enum err access_url(const char **out, const struct cli *c,
	struct error *err) MUST_CHECK;
enum { CACHE_ROOT_MAX = 4096 };
enum err access_cache_root(char out[CACHE_ROOT_MAX], const struct cli *c,
	struct error *err) MUST_CHECK;

/* The store alone, behind the retry wrapper. */
enum err access_store(struct store **out, const struct cli *c, bool create,
	struct error *err) MUST_CHECK;

/*
 * The passphrase of a new repository, by flag, environment or terminal
 * (twice), and what trying it is to cost: KDF_FLAGS, or nothing to speak of
 * for a key file, which nobody guesses.  out is wiped by the caller.
 */
enum err access_first_password(struct buf *out, struct kdf_cost *cost,
	const struct cli *c, struct error *err) MUST_CHECK;

/* The same for a new key: --new-password-file, --new-key-file or the
 * terminal. */
enum err access_new_password(struct buf *out, struct kdf_cost *cost,
	const struct cli *c, struct error *err) MUST_CHECK;

#endif /* CLI_ACCESS_H */
