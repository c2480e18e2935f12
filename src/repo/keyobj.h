/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyobj: the bytes of one key object (docs/format.md, section 4): a header
 * that anybody can read, with the certificate of the identity; the key set,
 * which the passphrase opens; what it is for, which every role can read.
 */
#ifndef REPO_KEYOBJ_H
#define REPO_KEYOBJ_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "codec/aead.h"
#include "repo/keys.h"
#include "repo/keyset.h"

enum {
	KEYOBJ_HEADER = 192,
	KEYOBJ_ABOUT_MAX = 3 * (2 + 2 + LABEL_MAX), /* label, host, user */
	KEYOBJ_MAX =
		KEYOBJ_HEADER + KEYSET_MAX + KEYOBJ_ABOUT_MAX + 2 * AEAD_TAG
};

struct keyobj {
	struct key_info info;
	struct kdf_cost cost;
	uint8_t salt[KDF_SALT];
	uint8_t certificate[SIGN_LEN];
	const uint8_t *bytes; /* borrowed */
	size_t len, set_len; /* of all; of the sealed set */
};

struct keyobj_conf {
	const struct uid *repo;
	enum role role;
	struct pass pass;
	struct kdf_cost cost;
	const char *label; /* may be NULL */
};

/* The root key's signature of the identity, role and repository. */
enum err keyobj_certify(struct keyset *ks, const struct uid *repo,
	enum role role, struct error *err) MUST_CHECK;

/* A whole object with what the role may hold of ks, appended to the empty
 * out. */
enum err keyobj_make(struct buf *out, const struct keyset *ks,
	const struct keyobj_conf *conf, struct error *err) MUST_CHECK;

/* The KEYID that these bytes have. */
void keyobj_id(char out[KEYID_HEX + 1], const void *data, size_t len);

/* k->info.keyid is that of its name; the rest is set.  ERR_CORRUPT,
 * ERR_VERSION. */
enum err keyobj_parse(struct keyobj *k, const uint8_t *data, size_t len,
	struct error *err) MUST_CHECK;

/* Label, host and user, where they open, and whether it is certified. */
void keyobj_describe(struct keyobj *k, const struct keyset *ks);

/* ERR_DENIED: wrong passphrase.  ERR_CORRUPT. */
enum err keyobj_open(struct keyobj *k, const struct pass *pass,
	struct keyset *ks, struct error *err) MUST_CHECK;

#endif /* REPO_KEYOBJ_H */
