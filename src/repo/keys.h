/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys: key sets by role, and the objects that keep them, each wrapped by a
 * passphrase (docs/format.md, section 4).
 *
 * Every key that is added is an identity: it has a namespace, NS, for what it
 * signs, and the root key, which only admins hold, certifies its role.  A
 * change of its passphrase keeps the identity.
 *
 * A struct keyset holds secrets: keyset_wipe ends it.  After it was made it
 * is only read, by any number of threads.
 */
#ifndef REPO_KEYS_H
#define REPO_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "base/secret.h"
#include "codec/kdf.h"
#include "codec/kx.h"
#include "codec/shorthash.h"
#include "codec/sign.h"
#include "store/store.h"

enum role { ROLE_ADMIN = 1, ROLE_READER, ROLE_MAINTAINER, ROLE_WRITER };

enum { KEYID_LEN = 8, KEYID_HEX = 16, EPOCHS_MAX = 256, LABEL_MAX = 200 };

struct epoch {
	uint32_t number;
	struct kx_public pub;
	bool has_secret;
	struct secret sec;
};

struct keyset {
	enum role role;
	char keyid[KEYID_HEX + 1]; /* empty, and repo zero, until unlocked */
	struct uid repo;
	struct secret structure;
	bool has_id; /* the id key, and what is derived from it */
	struct secret id;
	struct epoch *epochs; /* ascending by number */
	size_t n_epochs;

	/* the identity; its certificate is of this role and repository */
	struct uid ns;
	char ns_hex[UID_HEX + 1];
	struct secret sign_seed;
	struct sign_public sign_pub;
	struct secret box_sec;
	struct kx_public box_pub;
	uint8_t certificate[SIGN_LEN];

	struct sign_public root_pub;
	bool has_root;
	struct secret root_seed;
	struct sign_public maint_pub;
	bool has_maint;
	struct secret maint_seed;

	/* told to people, trusted by nobody */
	char label[LABEL_MAX + 1], host[LABEL_MAX + 1], user[LABEL_MAX + 1];

	/* derived */
	struct secret data_name, node_name, gear;
	struct shorthash_key boundary;
};

/* Fresh secrets for a new repository: role admin, one epoch, an identity
 * without a certificate. */
enum err keyset_new(struct keyset *ks, struct error *err) MUST_CHECK;
void keyset_wipe(struct keyset *ks);

/* What roles may do: each is a secret that others lack, but for WRITE, which
 * readers are denied although they hold all that it takes. */
enum right { RIGHT_READ, RIGHT_WRITE, RIGHT_MAINTAIN, RIGHT_ADMINISTER };
bool keyset_may(const struct keyset *ks, enum right right);
/* ERR_DENIED, with a sentence that begins with what. */
enum err keyset_need(const struct keyset *ks, enum right right,
	const char *what, struct error *err) MUST_CHECK;

/* NULL where there is none of that number. */
const struct epoch *keyset_epoch(const struct keyset *ks, uint32_t number);
/* The one that packs are sealed for now. */
const struct epoch *keyset_newest(const struct keyset *ks);

struct pass {
	const char *text; /* bytes of the passphrase, no NUL needed */
	size_t len;
};

struct key_new {
	enum role role;
	const char *label; /* may be NULL */
	struct pass pass;
	struct kdf_cost cost;
};

/* A key for a new identity: wrap what the role may hold of ks, and create
 * keys/KEYID; its KEYID goes to keyid.  Durable on return.  ERR_DENIED unless
 * ks is an admin's. */
enum err keys_add(struct store *st, const struct uid *repo,
	const struct keyset *ks, const struct key_new *conf,
	char keyid[KEYID_HEX + 1], struct error *err) MUST_CHECK;

/* The same identity under another passphrase (and, where it is not NULL,
 * another label; conf->role does not count): create its object, then delete
 * the one that ks was unlocked by. */
enum err keys_rewrap(struct store *st, const struct keyset *ks,
	const struct key_new *conf, char keyid[KEYID_HEX + 1],
	struct error *err) MUST_CHECK;

/*
 * Try pass on every key object (on hint first, where it is not NULL).
 * ERR_DENIED "wrong passphrase, or ..." where it opens none of them;
 * ERR_NOTFOUND where there are none.
 */
enum err keys_unlock(struct store *st, const struct uid *repo,
	const struct pass *pass, const char *hint, struct keyset *ks,
	struct error *err) MUST_CHECK;

struct key_info {
	char keyid[KEYID_HEX + 1];
	bool damaged; /* nothing else is known of it */
	struct uid repo; /* another one: left by an init that was killed */
	enum role role;
	int64_t created_sec;
	struct uid ns;
	char ns_hex[UID_HEX + 1];
	struct sign_public sign_pub;
	struct kx_public box_pub;
	/* The root key certifies that this identity has this role in this
	 * repository, and did not revoke it. */
	bool certified, revoked;
	/* Empty where they do not open; nobody vouches for them. */
	char label[LABEL_MAX + 1], host[LABEL_MAX + 1], user[LABEL_MAX + 1];
};

typedef enum err key_info_fn(void *arg, const struct key_info *info,
	struct error *err);
/* Without ks (NULL) nothing is certified or labelled. */
enum err keys_each(struct store *st, const struct keyset *ks, key_info_fn *fn,
	void *arg, struct error *err) MUST_CHECK;

/* ERR_DENIED unless in_use is an admin's; ERR_USAGE for the last admin key,
 * and the one in use. */
enum err keys_remove(struct store *st, const struct keyset *in_use,
	const char *keyid_prefix, struct error *err) MUST_CHECK;

const char *role_name(enum role role);

#endif /* REPO_KEYS_H */
