/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_object: signature, public key, view, record; all in a box.
 *
 * The signature covers the name too, and the name holds the hash of the public
 * key: who has only the structure key cannot put a snapshot into the namespace
 * of another identity, nor bring one back under another name.
 */
#include "repo/snapshot_object.h"

#include <endian.h>
#include <string.h>

#include "codec/hash.h"
#include "codec/sign.h"
#include "repo/box.h"
#include "repo/names.h"

static const char context[] = "coffer 1 snapshot";

enum { SIGNED = SIGN_PUBLIC + 8, HEAD = SIGN_LEN + SIGNED };

bool
snapshot_object_is_fence(const void *data, size_t len)
{
	return len == sizeof(SNAPSHOT_FENCE) - 1 &&
	       memcmp(data, SNAPSHOT_FENCE, len) == 0;
}

bool
snapshot_object_parse(const char *name, struct snapshot_name *out)
{
	struct snapshot_name found = { .ns = { { 0 } } };
	const char *at = name;

	if (!names_text(&at, "snapshots/") ||
		!names_hex(&at, found.ns.b, UID_LEN) || !names_text(&at, "/") ||
		!names_hex(&at, found.sid.b, UID_LEN) || *at != '\0')
		return false;
	*out = found;
	return true;
}

enum err
snapshot_object_seal(struct buf *out, const struct keyset *ks, const char *name,
	uint64_t view, const void *record, size_t len, struct error *err)
{
	struct buf plain = BUF_INIT(SNAPSHOT_MAX);
	uint64_t le = htole64(view);
	const struct sign_part parts[] = {
		{ name, strlen(name) },
		{ ks->sign_pub.b, SIGN_PUBLIC },
		{ &le, sizeof(le) },
		{ record, len },
	};
	uint8_t sig[SIGN_LEN];
	enum err rc = sign_make(sig, &ks->sign_seed, context, parts,
		ARRAY_LEN(parts), err);

	if (rc == ERR_OK)
		rc = buf_put(&plain, sig, SIGN_LEN, err);
	for (size_t i = 1; i < ARRAY_LEN(parts) && rc == ERR_OK; i++)
		rc = buf_put(&plain, parts[i].data, parts[i].len, err);
	if (rc == ERR_OK)
		rc = box_seal(out, BOX_SNAPSHOT, name, &ks->structure,
			plain.data, plain.len, err);
	buf_fini(&plain);
	return rc;
}

static enum err
verify(const struct buf *plain, const char *name, struct error *err)
{
	const uint8_t *at = plain->data + SIGN_LEN;
	const struct sign_part parts[] = { { name, strlen(name) },
		{ at, plain->len - SIGN_LEN } };
	struct snapshot_name parsed;
	struct sign_public pub;
	struct id hash;
	enum err rc;

	if (!snapshot_object_parse(name, &parsed))
		return err_set(err, ERR_CORRUPT,
			"%.200s: no snapshot has such a name", name);
	memcpy(pub.b, at, SIGN_PUBLIC);
	hash_plain(&hash, pub.b, SIGN_PUBLIC);
	rc = sign_check(plain->data, &pub, context, parts, ARRAY_LEN(parts),
		err);
	if (rc == ERR_OK && memcmp(hash.b, parsed.ns.b, UID_LEN) != 0)
		rc = err_set(err, ERR_CORRUPT, "another identity's signature");
	return rc == ERR_OK ? rc : err_wrap(err, "%s", name);
}

enum err
snapshot_object_open(struct snapshot_opened *out, struct buf *plain,
	const struct secret *structure, const char *name, const void *data,
	size_t len, struct error *err)
{
	uint64_t le;
	enum err rc;

	buf_clear(plain);
	rc = box_open(plain, BOX_SNAPSHOT, name, structure, data, len, err);
	if (rc == ERR_OK && plain->len < HEAD)
		rc = err_set(err, ERR_CORRUPT, "%s: cut off", name);
	if (rc == ERR_OK)
		rc = verify(plain, name, err);
	if (rc != ERR_OK)
		return rc;
	memcpy(&le, plain->data + SIGN_LEN + SIGN_PUBLIC, sizeof(le));
	out->view = le64toh(le);
	out->record = plain->data + HEAD;
	out->len = plain->len - HEAD;
	return ERR_OK;
}
