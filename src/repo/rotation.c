/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rotation: the objects below rotations/.
 *
 * Crash argument.  A data key is used by nobody before its rotation is there,
 * and the rotation is created, exclusively, when every identity has its
 * grant.  So a rotation that is killed has either changed nothing or is over:
 * whoever writes with the new key, every admin and reader can open it.  Of
 * two rotations at once one creates the object; the grants of the other are
 * never used, for a grant counts by its number and public key together.
 *
 * A key that is added at the same time: rotate creates the rotation and then
 * looks for identities that lack a grant; keys_add creates the key object and
 * then looks for rotations that it did not know.  One of them sees the other.
 * If that one is killed, the identity goes on with the data key before, and
 * the next rotation hands it what it lacks.
 */
#include "repo/rotation.h"

#include <stdlib.h>
#include <string.h>

#include "repo/keyset.h"
#include "repo/rooted.h"

static const char context[] = "coffer 1 rotation";

enum err
rotation_missing(struct store *st, const struct keyset *ks,
	struct epoch out[EPOCHS_MAX], size_t *n, struct error *err)
{
	struct buf obj = BUF_INIT(ROOTED_MAX);
	struct rooted_numbers *nums;
	enum err rc = rooted_numbers(st, "rotations", &nums, err);

	*n = 0;
	if (rc != ERR_OK)
		return rc;
	for (size_t i = 0; i < nums->n && rc == ERR_OK; i++) {
		char name[STORE_NAME_MAX + 1];
		bool ok;

		if (nums->v[i] <= ROTATION_FIRST || nums->v[i] > UINT32_MAX ||
			keyset_epoch(ks, (uint32_t)nums->v[i]) != NULL)
			continue;
		rooted_name(name, "rotations", nums->v[i]);
		rc = rooted_get(st, &ks->root_pub, context, name, &obj, &ok,
			err);
		if (rc != ERR_OK || !ok || obj.len != KX_PUBLIC)
			continue;
		if (ks->n_epochs + *n == EPOCHS_MAX) {
			rc = err_set(err, ERR_CORRUPT, "more than %d data keys",
				EPOCHS_MAX);
			break;
		}
		out[*n].number = (uint32_t)nums->v[i];
		memcpy(out[(*n)++].pub.b, obj.data, KX_PUBLIC);
	}
	buf_fini(&obj);
	free(nums);
	return rc;
}

struct everybody {
	struct store *st;
	const struct keyset *ks;
};

static enum err
hand_over_one(void *arg, const struct key_info *info, struct error *err)
{
	const struct everybody *e = arg;
	const struct grants_to to = { info->ns_hex, info->role,
		&info->box_pub };

	if (!info->certified)
		return ERR_OK;
	return grants_hand_over(e->st, e->ks, &to, err);
}

/* Oneself too, if somebody has just revoked that. */
static enum err
hand_over_all(struct store *st, const struct keyset *ks, struct error *err)
{
	const struct grants_to self = { ks->ns_hex, ks->role, &ks->box_pub };
	struct everybody e = { st, ks };
	enum err rc = grants_hand_over(st, ks, &self, err);

	return rc == ERR_OK ? keys_each(st, ks, hand_over_one, &e, err) : rc;
}

/* As ks, with memory of its own for data keys. */
static enum err
copy_keyset(struct keyset *out, const struct keyset *ks, struct error *err)
{
	struct epoch *epochs = calloc(EPOCHS_MAX, sizeof(*epochs));

	if (epochs == NULL)
		return err_set(err, ERR_NOMEM, "no memory for data keys");
	memcpy(epochs, ks->epochs, ks->n_epochs * sizeof(*epochs));
	*out = *ks;
	out->epochs = epochs;
	return ERR_OK;
}

enum err
rotation_catch_up(struct store *st, const struct keyset *ks,
	const struct grants_to *to, struct error *err)
{
	struct keyset now;
	enum err rc = copy_keyset(&now, ks, err);

	if (rc != ERR_OK)
		return rc;
	rc = grants_read(st, &now, err);
	if (rc == ERR_OK && now.n_epochs > ks->n_epochs)
		rc = grants_hand_over(st, &now, to, err);
	keyset_wipe(&now);
	return rc;
}

/* The lowest number above all that ks knows which no object has. */
static enum err
free_number(struct store *st, const struct keyset *ks, uint32_t *out,
	struct error *err)
{
	uint64_t number = keyset_newest(ks)->number, size;
	char name[STORE_NAME_MAX + 1];
	enum err rc;

	for (unsigned i = 0; i < ROOTED_NAMES && number < UINT32_MAX; i++) {
		rooted_name(name, "rotations", ++number);
		rc = store_size(st, name, &size, err);
		if (rc == ERR_OK)
			continue;
		if (rc != ERR_NOTFOUND)
			return rc;
		*out = (uint32_t)number;
		return ERR_OK;
	}
	return err_set(err, ERR_CORRUPT, "no number is left below rotations/");
}

/* next is ks with a new data key. */
static enum err
add_fresh(struct store *st, struct keyset *next, uint32_t *number,
	struct error *err)
{
	struct epoch e = { .has_secret = true };
	enum err rc;

	if (next->n_epochs == EPOCHS_MAX)
		return err_set(err, ERR_USAGE,
			"a repository can have no more than %d data keys",
			EPOCHS_MAX);
	rc = free_number(st, next, &e.number, err);
	if (rc == ERR_OK)
		rc = kx_keypair(&e.pub, &e.sec, err);
	if (rc == ERR_OK)
		rc = keyset_put_epoch(next, &e, err);
	secret_wipe(&e.sec);
	*number = e.number;
	return rc;
}

static enum err
put_rotation(struct store *st, const struct keyset *ks, uint32_t number,
	struct error *err)
{
	char name[STORE_NAME_MAX + 1];
	struct buf obj = BUF_INIT(ROOTED_MAX);
	enum err rc =
		buf_put(&obj, keyset_epoch(ks, number)->pub.b, KX_PUBLIC, err);

	rooted_name(name, "rotations", number);
	if (rc == ERR_OK)
		rc = rooted_sign(&obj, ks, context, name, err);
	if (rc == ERR_OK)
		rc = store_put(st, name, obj.data, obj.len, err);
	if (rc == ERR_EXISTS)
		rc = err_set(err, ERR_EXISTS,
			"another rotation was made at the same time");
	buf_fini(&obj);
	return rc;
}

enum err
rotation_make(struct store *st, const struct keyset *ks, uint32_t *number,
	struct error *err)
{
	struct keyset next;
	uint32_t fresh = 0;
	enum err rc = keyset_need(ks, RIGHT_ADMINISTER, "a new data key", err);

	if (rc == ERR_OK)
		rc = copy_keyset(&next, ks, err);
	if (rc != ERR_OK)
		return rc;
	rc = add_fresh(st, &next, &fresh, err);
	if (rc == ERR_OK)
		rc = hand_over_all(st, &next, err);
	if (rc == ERR_OK)
		rc = put_rotation(st, &next, fresh, err);
	if (rc == ERR_OK)
		rc = hand_over_all(st, &next, err);
	if (rc == ERR_OK)
		*number = fresh;
	keyset_wipe(&next);
	return rc;
}
