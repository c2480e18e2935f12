/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyset: secrets by role.
 *
 * A role is what its key set lacks: the encoder leaves out what the role may
 * not hold, and the decoder refuses a set that lacks what its role needs, so
 * the floors above ask for the secret and not for the role.
 */
#include "repo/keyset.h"

#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "codec/hash.h"

enum {
	TAG_STRUCTURE = 1,
	TAG_ID = 2,
	TAG_EPOCH = 3,
	TAG_IDENTITY = 7,
	TAG_ROOT_PUBLIC = 8,
	TAG_ROOT_SEED = 9,
	TAG_MAINT_PUBLIC = 10,
	TAG_MAINT_SEED = 11
};

/* Tags that every set has, as a mask. */
enum {
	TAGS_OF_ALL = 1 << TAG_STRUCTURE | 1 << TAG_IDENTITY |
		      1 << TAG_ROOT_PUBLIC | 1 << TAG_MAINT_PUBLIC
};

enum { IDENTITY = 2 * SECRET_LEN };

enum { EPOCH_PUBLIC = 4 + KX_PUBLIC, EPOCH_SECRET = EPOCH_PUBLIC + SECRET_LEN };

struct role_holds {
	const char *name;
	bool id, epochs, secrets, root, maint;
};

static const struct role_holds rights[] = {
	[ROLE_ADMIN] = { "admin", true, true, true, true, true },
	[ROLE_READER] = { "reader", true, true, true, false, false },
	[ROLE_MAINTAINER] = { "maintainer", false, false, false, false, true },
	[ROLE_WRITER] = { "writer", true, true, false, false, false },
};

bool
role_ok(unsigned role)
{
	return role >= ROLE_ADMIN && role <= ROLE_WRITER;
}

bool
role_seals(enum role role)
{
	return rights[role].epochs;
}

bool
role_opens(enum role role)
{
	return rights[role].secrets;
}

const char *
role_name(enum role role)
{
	return role_ok(role) ? rights[role].name : "unknown";
}

static void
derive(struct keyset *ks)
{
	struct secret boundary;

	hash_derive(&ks->data_name, "coffer 1 data id", ks->id.b, SECRET_LEN,
		NULL, 0);
	hash_derive(&ks->node_name, "coffer 1 node id", ks->id.b, SECRET_LEN,
		NULL, 0);
	hash_derive(&ks->gear, "coffer 1 gear", ks->id.b, SECRET_LEN, NULL, 0);
	hash_derive(&boundary, "coffer 1 boundary", ks->id.b, SECRET_LEN, NULL,
		0);
	memcpy(ks->boundary.b, boundary.b, sizeof(ks->boundary.b));
	secret_wipe(&boundary);
}

void
keyset_name(const struct sign_public *pub, struct uid *ns,
	char ns_hex[UID_HEX + 1])
{
	struct id h;

	hash_plain(&h, pub->b, SIGN_PUBLIC);
	memcpy(ns->b, h.b, UID_LEN);
	hex_encode(ns->b, UID_LEN, ns_hex);
}

enum err
keyset_fresh_identity(struct keyset *ks, struct error *err)
{
	enum err rc = sign_keypair(&ks->sign_pub, &ks->sign_seed, err);

	if (rc == ERR_OK)
		rc = kx_keypair(&ks->box_pub, &ks->box_sec, err);
	if (rc != ERR_OK)
		return rc;
	keyset_name(&ks->sign_pub, &ks->ns, ks->ns_hex);
	memset(ks->certificate, 0, sizeof(ks->certificate));
	return ERR_OK;
}

enum err
keyset_new(struct keyset *ks, struct error *err)
{
	struct keyset made = { .role = ROLE_ADMIN,
		.has_id = true,
		.has_root = true,
		.has_maint = true,
		.n_epochs = 1 };
	enum err rc;

	made.epochs = calloc(1, sizeof(*made.epochs));
	if (made.epochs == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a key set");
	made.epochs->number = 1;
	made.epochs->has_secret = true;
	rc = kx_keypair(&made.epochs->pub, &made.epochs->sec, err);
	if (rc == ERR_OK)
		rc = keyset_fresh_identity(&made, err);
	if (rc == ERR_OK)
		rc = sign_keypair(&made.root_pub, &made.root_seed, err);
	if (rc == ERR_OK)
		rc = sign_keypair(&made.maint_pub, &made.maint_seed, err);
	if (rc != ERR_OK) {
		keyset_wipe(&made);
		return rc;
	}
	random_bytes(made.structure.b, SECRET_LEN);
	random_bytes(made.id.b, SECRET_LEN);
	derive(&made);
	*ks = made;
	explicit_bzero(&made, sizeof(made));
	return ERR_OK;
}

void
keyset_wipe(struct keyset *ks)
{
	if (ks->epochs != NULL)
		explicit_bzero(ks->epochs,
			ks->n_epochs * sizeof(ks->epochs[0]));
	free(ks->epochs);
	explicit_bzero(ks, sizeof(*ks));
}

bool
keyset_may(const struct keyset *ks, enum right right)
{
	const struct epoch *e = keyset_newest(ks);

	switch (right) {
	case RIGHT_READ:
		return ks->has_id && e != NULL && e->has_secret;
	case RIGHT_WRITE:
		return ks->has_id && e != NULL && ks->role != ROLE_READER;
	case RIGHT_MAINTAIN:
		return ks->has_maint;
	case RIGHT_ADMINISTER:
		return ks->has_root;
	}
	return false;
}

enum err
keyset_need(const struct keyset *ks, enum right right, const char *what,
	struct error *err)
{
	static const char *const holders[] = {
		[RIGHT_READ] = "an admin or reader key",
		[RIGHT_WRITE] = "an admin or writer key",
		[RIGHT_MAINTAIN] = "an admin or maintainer key",
		[RIGHT_ADMINISTER] = "an admin key",
	};

	if (keyset_may(ks, right))
		return ERR_OK;
	return err_set(err, ERR_DENIED, "%s: this needs %s, not a %s key", what,
		holders[right], role_name(ks->role));
}

const struct epoch *
keyset_epoch(const struct keyset *ks, uint32_t number)
{
	for (size_t i = 0; i < ks->n_epochs; i++)
		if (ks->epochs[i].number == number)
			return &ks->epochs[i];
	return NULL;
}

const struct epoch *
keyset_newest(const struct keyset *ks)
{
	return ks->n_epochs > 0 ? &ks->epochs[ks->n_epochs - 1] : NULL;
}

/* Whether ks holds what role needs. */
static bool
suffices(const struct keyset *ks, enum role role)
{
	const struct role_holds *r = &rights[role];

	if ((r->id && !ks->has_id) || (r->epochs && ks->n_epochs == 0) ||
		(r->root && !ks->has_root) || (r->maint && !ks->has_maint))
		return false;
	for (size_t i = 0; r->secrets && i < ks->n_epochs; i++)
		if (!ks->epochs[i].has_secret)
			return false;
	return true;
}

static enum err
put_field(struct buf *out, uint8_t tag, const void *data, size_t len,
	struct error *err)
{
	enum err rc = buf_put_u8(out, tag, err);

	if (rc == ERR_OK)
		rc = buf_put_bytes(out, data, len, err);
	return rc;
}

static enum err
put_epoch(struct buf *out, const struct epoch *e, bool with_secret,
	struct error *err)
{
	enum err rc = buf_put_u8(out, TAG_EPOCH, err);

	if (rc == ERR_OK)
		rc = buf_put_varint(out,
			with_secret ? EPOCH_SECRET : EPOCH_PUBLIC, err);
	if (rc == ERR_OK)
		rc = buf_put_u32(out, e->number, err);
	if (rc == ERR_OK)
		rc = buf_put(out, e->pub.b, KX_PUBLIC, err);
	if (rc == ERR_OK && with_secret)
		rc = buf_put(out, e->sec.b, SECRET_LEN, err);
	return rc;
}

static enum err
put_identity(struct buf *out, const struct keyset *ks, struct error *err)
{
	enum err rc = buf_put_u8(out, TAG_IDENTITY, err);

	if (rc == ERR_OK)
		rc = buf_put_varint(out, IDENTITY, err);
	if (rc == ERR_OK)
		rc = buf_put(out, ks->sign_seed.b, SECRET_LEN, err);
	if (rc == ERR_OK)
		rc = buf_put(out, ks->box_sec.b, SECRET_LEN, err);
	return rc;
}

static enum err
put_authorities(struct buf *out, const struct keyset *ks,
	const struct role_holds *r, struct error *err)
{
	enum err rc = put_field(out, TAG_ROOT_PUBLIC, ks->root_pub.b,
		SIGN_PUBLIC, err);

	if (rc == ERR_OK && r->root)
		rc = put_field(out, TAG_ROOT_SEED, ks->root_seed.b, SECRET_LEN,
			err);
	if (rc == ERR_OK)
		rc = put_field(out, TAG_MAINT_PUBLIC, ks->maint_pub.b,
			SIGN_PUBLIC, err);
	if (rc == ERR_OK && r->maint)
		rc = put_field(out, TAG_MAINT_SEED, ks->maint_seed.b,
			SECRET_LEN, err);
	return rc;
}

enum err
keyset_encode(struct buf *out, const struct keyset *ks, enum role role,
	struct error *err)
{
	const struct role_holds *r = &rights[role];
	enum err rc;

	if (!suffices(ks, role))
		return err_set(err, ERR_DENIED,
			"a %s key lacks secrets that a new %s key needs",
			role_name(ks->role), role_name(role));
	rc = put_field(out, TAG_STRUCTURE, ks->structure.b, SECRET_LEN, err);
	if (rc == ERR_OK && r->id)
		rc = put_field(out, TAG_ID, ks->id.b, SECRET_LEN, err);
	for (size_t i = 0; r->epochs && i < ks->n_epochs && rc == ERR_OK; i++)
		rc = put_epoch(out, &ks->epochs[i], r->secrets, err);
	if (rc == ERR_OK)
		rc = put_identity(out, ks, err);
	if (rc == ERR_OK)
		rc = put_authorities(out, ks, r, err);
	return rc;
}

/* In its place; there is room. */
static void
insert_epoch(struct keyset *ks, const struct epoch *e)
{
	size_t at = ks->n_epochs;

	for (; at > 0 && ks->epochs[at - 1].number > e->number; at--)
		ks->epochs[at] = ks->epochs[at - 1];
	ks->epochs[at] = *e;
	ks->n_epochs++;
}

enum err
keyset_put_epoch(struct keyset *ks, const struct epoch *e, struct error *err)
{
	struct epoch *epochs;

	if (ks->n_epochs >= EPOCHS_MAX)
		return err_set(err, ERR_CORRUPT, "more than %d data keys",
			EPOCHS_MAX);
	epochs = calloc(EPOCHS_MAX, sizeof(*epochs));
	if (epochs == NULL)
		return err_set(err, ERR_NOMEM, "no memory for data keys");
	memcpy(epochs, ks->epochs, ks->n_epochs * sizeof(*epochs));
	explicit_bzero(ks->epochs, ks->n_epochs * sizeof(*epochs));
	free(ks->epochs);
	ks->epochs = epochs;
	insert_epoch(ks, e);
	return ERR_OK;
}

/* False where it cannot be. */
static bool
take_epoch(struct keyset *ks, const uint8_t *data, size_t len)
{
	struct epoch e = { .has_secret = len == EPOCH_SECRET };
	struct rd rd;

	if ((len != EPOCH_PUBLIC && len != EPOCH_SECRET) ||
		ks->n_epochs == EPOCHS_MAX)
		return false;
	rd_init(&rd, data, len);
	e.number = rd_u32(&rd);
	if (keyset_epoch(ks, e.number) != NULL)
		return false;
	rd_copy(&rd, e.pub.b, KX_PUBLIC);
	if (e.has_secret)
		rd_copy(&rd, e.sec.b, SECRET_LEN);
	insert_epoch(ks, &e);
	secret_wipe(&e.sec);
	return true;
}

static bool
take_secret(struct secret *out, const uint8_t *data, size_t len)
{
	if (len != SECRET_LEN)
		return false;
	memcpy(out->b, data, SECRET_LEN);
	return true;
}

static bool
take_public(struct sign_public *out, const uint8_t *data, size_t len)
{
	if (len != SIGN_PUBLIC)
		return false;
	memcpy(out->b, data, SIGN_PUBLIC);
	return true;
}

static bool
take_field(struct keyset *ks, uint8_t tag, const uint8_t *data, size_t len)
{
	switch (tag) {
	case TAG_STRUCTURE:
		return take_secret(&ks->structure, data, len);
	case TAG_ID:
		ks->has_id = true;
		return take_secret(&ks->id, data, len);
	case TAG_EPOCH:
		return take_epoch(ks, data, len);
	case TAG_IDENTITY:
		return len == IDENTITY &&
		       take_secret(&ks->sign_seed, data, SECRET_LEN) &&
		       take_secret(&ks->box_sec, data + SECRET_LEN, SECRET_LEN);
	case TAG_ROOT_PUBLIC:
		return take_public(&ks->root_pub, data, len);
	case TAG_ROOT_SEED:
		ks->has_root = true;
		return take_secret(&ks->root_seed, data, len);
	case TAG_MAINT_PUBLIC:
		return take_public(&ks->maint_pub, data, len);
	case TAG_MAINT_SEED:
		ks->has_maint = true;
		return take_secret(&ks->maint_seed, data, len);
	default:
		return true;
	}
}

/* Each field by itself; whether the tags that every set has are there. */
static bool
take_all(struct keyset *ks, const void *data, size_t len)
{
	unsigned seen = 0;
	struct rd rd;

	rd_init(&rd, data, len);
	while (rd_left(&rd) > 0) {
		uint8_t tag = rd_u8(&rd);
		size_t n;
		const uint8_t *field = rd_bytes(&rd, KEYSET_MAX, &n);

		if (field == NULL || !take_field(ks, tag, field, n))
			return false;
		if (tag <= TAG_MAINT_SEED)
			seen |= 1u << tag;
	}
	return rd_done(&rd) && (seen & TAGS_OF_ALL) == TAGS_OF_ALL;
}

/* Whether pub is the public half of seed, where there is one. */
static bool
fits(const struct sign_public *pub, bool has_seed, const struct secret *seed)
{
	struct sign_public made;
	struct error err;

	return !has_seed || (sign_public_of(&made, seed, &err) == ERR_OK &&
				    memcmp(made.b, pub->b, SIGN_PUBLIC) == 0);
}

/* The public halves that the set does not hold. */
static enum err
complete(struct keyset *ks, struct error *err)
{
	enum err rc = sign_public_of(&ks->sign_pub, &ks->sign_seed, err);

	if (rc == ERR_OK)
		rc = kx_public_of(&ks->box_pub, &ks->box_sec, err);
	if (rc != ERR_OK)
		return rc;
	keyset_name(&ks->sign_pub, &ks->ns, ks->ns_hex);
	if (ks->has_id)
		derive(ks);
	return ERR_OK;
}

enum err
keyset_decode(struct keyset *ks, enum role role, const void *data, size_t len,
	struct error *err)
{
	struct keyset got = { .role = role };
	enum err rc = ERR_OK;

	got.epochs = calloc(EPOCHS_MAX, sizeof(got.epochs[0]));
	if (got.epochs == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a key set");
	if (!take_all(&got, data, len) || !suffices(&got, role) ||
		!fits(&got.root_pub, got.has_root, &got.root_seed) ||
		!fits(&got.maint_pub, got.has_maint, &got.maint_seed))
		rc = err_set(err, ERR_CORRUPT,
			"its secrets are damaged or incomplete");
	if (rc == ERR_OK)
		rc = complete(&got, err);
	if (rc != ERR_OK) {
		keyset_wipe(&got);
		return rc;
	}
	*ks = got;
	explicit_bzero(&got, sizeof(got));
	return ERR_OK;
}
