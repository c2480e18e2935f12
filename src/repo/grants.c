/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grants: the objects below grants/, and what rotations say of them.
 *
 * A grant counts by its number and public key together, and only where a
 * rotation says the same: others are what rotations left that were killed, or
 * were not the first of two.
 */
#include "repo/grants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "codec/aead.h"
#include "codec/hash.h"
#include "repo/keyset.h"
#include "repo/rooted.h"
#include "repo/rotation.h"

enum {
	GRANT_HEAD = 4 + KX_PUBLIC + KX_PUBLIC,
	NUMBER_MAX = 2 * ROOTED_NAMES,
	GRANT_MAX = GRANT_HEAD + SECRET_LEN + AEAD_TAG + SIGN_LEN
};

_Static_assert((int)GRANT_MAX <= (int)ROOTED_MAX, "a grant can be fetched");

static const char context[] = "coffer 1 grant";

static void
grants_dir(char out[STORE_NAME_MAX + 1], const char *ns_hex)
{
	(void)snprintf(out, STORE_NAME_MAX + 1, "grants/%s", ns_hex);
}

/* ---- one grant ---- */

static enum err
grant_key(struct secret *out, const struct secret *sec,
	const struct kx_public *peer, const struct kx_public *epk,
	const struct kx_public *box_pub, struct error *err)
{
	uint8_t both[2 * KX_PUBLIC];
	struct secret shared;
	enum err rc = kx_shared(&shared, sec, peer, err);

	if (rc != ERR_OK)
		return rc;
	memcpy(both, epk->b, KX_PUBLIC);
	memcpy(both + KX_PUBLIC, box_pub->b, KX_PUBLIC);
	hash_derive(out, context, shared.b, SECRET_LEN, both, sizeof(both));
	secret_wipe(&shared);
	return ERR_OK;
}

static enum err
put_sealed(struct buf *obj, const struct epoch *e, const struct grants_to *to,
	const char *name, struct error *err)
{
	size_t len = role_opens(to->role) ? SECRET_LEN : 0;
	struct aead *aead = NULL;
	struct kx_public epk;
	struct secret once, key;
	struct aead_args args = { &key, 0, name, strlen(name) };
	enum err rc = kx_keypair(&epk, &once, err);

	if (rc != ERR_OK)
		return rc;
	rc = grant_key(&key, &once, to->box_pub, &epk, to->box_pub, err);
	secret_wipe(&once);
	if (rc != ERR_OK)
		return rc;
	rc = buf_put(obj, epk.b, KX_PUBLIC, err);
	if (rc == ERR_OK)
		rc = buf_reserve(obj, len + AEAD_TAG, err);
	if (rc == ERR_OK)
		rc = aead_new(&aead, err);
	if (rc == ERR_OK)
		rc = aead_seal(aead, &args, e->sec.b, len, obj->data + obj->len,
			err);
	if (rc == ERR_OK)
		obj->len += len + AEAD_TAG;
	aead_free(aead);
	secret_wipe(&key);
	return rc;
}

/* Under the first free number from *next on. */
static enum err
put_grant(struct store *st, const struct keyset *ks, const struct epoch *e,
	const struct grants_to *to, uint64_t *next, struct error *err)
{
	char dir[STORE_NAME_MAX + 1], name[STORE_NAME_MAX + 1];
	struct buf obj = BUF_INIT(ROOTED_MAX);
	enum err rc;

	grants_dir(dir, to->ns_hex);
	do {
		rooted_name(name, dir, (*next)++);
		buf_clear(&obj);
		rc = buf_put_u32(&obj, e->number, err);
		if (rc == ERR_OK)
			rc = buf_put(&obj, e->pub.b, KX_PUBLIC, err);
		if (rc == ERR_OK)
			rc = put_sealed(&obj, e, to, name, err);
		if (rc == ERR_OK)
			rc = rooted_sign(&obj, ks, context, name, err);
		if (rc == ERR_OK)
			rc = store_put(st, name, obj.data, obj.len, err);
	} while (rc == ERR_EXISTS && *next < NUMBER_MAX);
	buf_fini(&obj);
	return rc;
}

/* What a signed grant says without being opened. */
struct grant {
	struct epoch epoch; /* its secret half not set */
	struct kx_public epk;
	const uint8_t *sealed;
	size_t len;
};

static enum err
parse_grant(struct grant *g, const struct buf *obj, const char *name,
	struct error *err)
{
	struct rd rd;

	*g = (struct grant){ 0 };
	rd_init(&rd, obj->data, obj->len);
	g->epoch.number = rd_u32(&rd);
	rd_copy(&rd, g->epoch.pub.b, KX_PUBLIC);
	rd_copy(&rd, g->epk.b, KX_PUBLIC);
	g->len = rd_left(&rd);
	g->sealed = rd_raw(&rd, g->len);
	if (!rd_ok(&rd) || g->len < AEAD_TAG || g->len > AEAD_TAG + SECRET_LEN)
		return err_set(err, ERR_CORRUPT, "%s: damaged grant", name);
	return ERR_OK;
}

/* The secret half, for a role that has it. */
static enum err
open_grant(struct grant *g, const struct keyset *ks, const char *name,
	struct error *err)
{
	size_t want = role_opens(ks->role) ? SECRET_LEN : 0;
	struct epoch *e = &g->epoch;
	struct aead *aead = NULL;
	struct kx_public check;
	struct secret key = { { 0 } };
	struct aead_args args = { &key, 0, name, strlen(name) };
	enum err rc = ERR_OK;

	if (g->len != want + AEAD_TAG)
		return err_set(err, ERR_CORRUPT, "not what a %s key gets",
			role_name(ks->role));
	rc = grant_key(&key, &ks->box_sec, &g->epk, &g->epk, &ks->box_pub, err);
	if (rc == ERR_OK)
		rc = aead_new(&aead, err);
	if (rc == ERR_OK)
		rc = aead_open(aead, &args, g->sealed, g->len, e->sec.b, err);
	aead_free(aead);
	secret_wipe(&key);
	if (rc != ERR_OK || want == 0)
		return rc;
	e->has_secret = true;
	rc = kx_public_of(&check, &e->sec, err);
	if (rc == ERR_OK && memcmp(check.b, e->pub.b, KX_PUBLIC) != 0)
		rc = err_set(err, ERR_CORRUPT,
			"its secret key is that of another public key");
	return rc;
}

/* ---- reading ---- */

static bool
among(const struct epoch *list, size_t n, const struct epoch *e)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].number == e->number &&
			memcmp(list[i].pub.b, e->pub.b, KX_PUBLIC) == 0)
			return true;
	return false;
}

/* One of the own grants: taken if it is of a data key that is wanted. */
static enum err
take(struct store *st, struct keyset *ks, const char *name,
	const struct epoch *wanted, size_t n_wanted, struct error *err)
{
	struct buf obj = BUF_INIT(ROOTED_MAX);
	struct grant g;
	bool ok;
	enum err rc =
		rooted_get(st, &ks->root_pub, context, name, &obj, &ok, err);

	if (rc == ERR_OK && ok)
		rc = parse_grant(&g, &obj, name, err);
	if (rc == ERR_OK && ok && among(wanted, n_wanted, &g.epoch) &&
		keyset_epoch(ks, g.epoch.number) == NULL) {
		rc = open_grant(&g, ks, name, err);
		if (rc != ERR_OK)
			rc = err_wrap(err, "%s", name);
		if (rc == ERR_OK)
			rc = keyset_put_epoch(ks, &g.epoch, err);
		secret_wipe(&g.epoch.sec);
	}
	buf_fini(&obj);
	return rc;
}

enum err
grants_read(struct store *st, struct keyset *ks, struct error *err)
{
	char dir[STORE_NAME_MAX + 1], name[STORE_NAME_MAX + 1];
	struct epoch *wanted;
	struct rooted_numbers *nums = NULL;
	size_t n = 0;
	enum err rc;

	if (!role_seals(ks->role))
		return ERR_OK;
	wanted = calloc(EPOCHS_MAX, sizeof(*wanted));
	if (wanted == NULL)
		return err_set(err, ERR_NOMEM, "no memory for data keys");
	rc = rotation_missing(st, ks, wanted, &n, err);
	if (rc != ERR_OK || n == 0)
		goto out;
	grants_dir(dir, ks->ns_hex);
	rc = rooted_numbers(st, dir, &nums, err);
	for (size_t i = 0; rc == ERR_OK && i < nums->n; i++) {
		rooted_name(name, dir, nums->v[i]);
		rc = take(st, ks, name, wanted, n, err);
	}
out:
	free(nums);
	free(wanted);
	return rc;
}

/* ---- granting ---- */

/* Mark what of the data keys of ks this grant holds. */
static enum err
note_granted(struct store *st, const struct keyset *ks, const char *name,
	bool granted[EPOCHS_MAX], struct error *err)
{
	struct buf obj = BUF_INIT(ROOTED_MAX);
	struct grant g;
	bool ok;
	enum err rc =
		rooted_get(st, &ks->root_pub, context, name, &obj, &ok, err);

	if (rc == ERR_OK && ok)
		rc = parse_grant(&g, &obj, name, err);
	for (size_t i = 0; rc == ERR_OK && ok && i < ks->n_epochs; i++)
		granted[i] |= among(&ks->epochs[i], 1, &g.epoch);
	buf_fini(&obj);
	return rc;
}

enum err
grants_hand_over(struct store *st, const struct keyset *ks,
	const struct grants_to *to, struct error *err)
{
	char dir[STORE_NAME_MAX + 1], name[STORE_NAME_MAX + 1];
	bool granted[EPOCHS_MAX] = { false };
	struct rooted_numbers *nums = NULL;
	uint64_t next;
	enum err rc;

	if (!role_seals(to->role) ||
		keyset_newest(ks)->number == ROTATION_FIRST)
		return ERR_OK;
	grants_dir(dir, to->ns_hex);
	rc = rooted_numbers(st, dir, &nums, err);
	if (rc != ERR_OK)
		return rc;
	for (size_t i = 0; i < nums->n && rc == ERR_OK; i++) {
		rooted_name(name, dir, nums->v[i]);
		rc = note_granted(st, ks, name, granted, err);
	}
	next = nums->n + 1;
	for (size_t i = 0; i < ks->n_epochs && rc == ERR_OK; i++)
		if (!granted[i] && ks->epochs[i].number != ROTATION_FIRST)
			rc = put_grant(st, ks, &ks->epochs[i], to, &next, err);
	free(nums);
	return rc;
}

enum err
grants_drop(struct store *st, const char *ns_hex, struct error *err)
{
	char dir[STORE_NAME_MAX + 1], name[STORE_NAME_MAX + 1];
	struct rooted_numbers *nums;
	enum err rc;

	grants_dir(dir, ns_hex);
	rc = rooted_numbers(st, dir, &nums, err);
	if (rc != ERR_OK)
		return rc;
	for (size_t i = 0; rc == ERR_OK && i < nums->n; i++) {
		rooted_name(name, dir, nums->v[i]);
		rc = store_del(st, name, err);
		if (rc == ERR_NOTFOUND)
			rc = ERR_OK;
	}
	free(nums);
	return rc;
}
