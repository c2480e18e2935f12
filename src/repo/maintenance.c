/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maintenance: a box, and in it the signature before what it signs.
 *
 * The signature covers the name too: the structure key, which every role
 * holds, is enough to seal a box anew under another name.
 */
#include "repo/maintenance.h"

#include <string.h>

#include "codec/aead.h"
#include "codec/sign.h"

static const char context[] = "coffer 1 maintenance";

enum {
	PLAIN_MAX = MAINTENANCE_MAX - BOX_HEADER - AEAD_TAG,
	DATA_MAX = PLAIN_MAX - SIGN_LEN
};

_Static_assert(PLAIN_MAX < SIGN_TEXT_MAX - 1024, "any object can be signed");

static enum err
put_signed(struct buf *plain, const struct keyset *ks, const char *name,
	const void *data, size_t len, struct error *err)
{
	const struct sign_part parts[] = { { name, strlen(name) },
		{ data, len } };
	uint8_t sig[SIGN_LEN];
	enum err rc = keyset_need(ks, RIGHT_MAINTAIN, name, err);

	if (rc != ERR_OK)
		return rc;
	if (len > DATA_MAX)
		return err_set(err, ERR_USAGE, "%s: larger than %d bytes", name,
			DATA_MAX);
	rc = sign_make(sig, &ks->maint_seed, context, parts, ARRAY_LEN(parts),
		err);
	if (rc == ERR_OK)
		rc = buf_reserve(plain, SIGN_LEN + len, err);
	if (rc == ERR_OK)
		rc = buf_put(plain, sig, SIGN_LEN, err);
	if (rc == ERR_OK)
		rc = buf_put(plain, data, len, err);
	return rc;
}

enum err
maintenance_put(struct store *st, const struct keyset *ks, enum box_kind kind,
	const char *name, const void *data, size_t len, struct error *err)
{
	struct buf plain = BUF_INIT(PLAIN_MAX), box = BUF_INIT(MAINTENANCE_MAX);
	enum err rc = put_signed(&plain, ks, name, data, len, err);

	if (rc == ERR_OK)
		rc = box_seal(&box, kind, name, &ks->structure, plain.data,
			plain.len, err);
	buf_fini(&plain);
	if (rc == ERR_OK)
		rc = store_put(st, name, box.data, box.len, err);
	buf_fini(&box);
	return rc;
}

static enum err
check(const struct buf *plain, const struct keyset *ks, const char *name,
	struct error *err)
{
	struct sign_part parts[2] = { { name, strlen(name) } };
	enum err rc;

	if (plain->len < SIGN_LEN)
		return err_set(err, ERR_CORRUPT, "%s: holds no signature",
			name);
	parts[1].data = plain->data + SIGN_LEN;
	parts[1].len = plain->len - SIGN_LEN;
	rc = sign_check(plain->data, &ks->maint_pub, context, parts,
		ARRAY_LEN(parts), err);
	return rc == ERR_OK ? rc : err_wrap(err, "%s", name);
}

enum err
maintenance_get(struct store *st, const struct keyset *ks, enum box_kind kind,
	const char *name, struct buf *out, struct error *err)
{
	struct buf plain = BUF_INIT(PLAIN_MAX), box = BUF_INIT(MAINTENANCE_MAX);
	enum err rc = store_get_all(st, name, MAINTENANCE_MAX, &box, err);

	if (rc == ERR_OK)
		rc = box_open(&plain, kind, name, &ks->structure, box.data,
			box.len, err);
	buf_fini(&box);
	if (rc == ERR_OK)
		rc = check(&plain, ks, name, err);
	if (rc == ERR_OK)
		rc = buf_put(out, plain.data + SIGN_LEN, plain.len - SIGN_LEN,
			err);
	buf_fini(&plain);
	return rc;
}
