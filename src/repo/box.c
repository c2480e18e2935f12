/* SPDX-License-Identifier: Apache-2.0 */
/*
 * box: header, then the sealed bytes.
 *
 * Each box has a key of its own, from 32 random bytes, so its nonce is 0.
 * The header and the name are authenticated with the bytes: a box that was
 * renamed, or put where another kind is expected, does not open.
 */
#include "repo/box.h"

#include <string.h>

#include "base/rd.h"
#include "codec/aead.h"
#include "codec/hash.h"
#include "repo/config.h"
#include "store/store.h"

enum { MAGIC_LEN = 8, SALT_LEN = 32, SALT_OFF = 16 };

struct kind {
	char magic[MAGIC_LEN + 1];
	const char *context;
	const char *what; /* in messages */
};

static const struct kind kinds[] = {
	[BOX_INDEX] = { "cofferIX", "coffer 1 box index", "index segment" },
	[BOX_SESSION] = { "cofferSS", "coffer 1 box session", "session" },
	[BOX_SNAPSHOT] = { "cofferSN", "coffer 1 box snapshot", "snapshot" },
	[BOX_CONDEMNED] = { "cofferPC", "coffer 1 box condemned",
		"list of what a prune condemned" },
	[BOX_FINAL] = { "cofferPF", "coffer 1 box final",
		"list of what a prune left" },
	[BOX_DONE] = { "cofferPD", "coffer 1 box done",
		"mark of a prune that is done" },
	[BOX_FORGOTTEN] = { "cofferFG", "coffer 1 box forgotten",
		"mark of a forgotten snapshot" },
	[BOX_FORGOTTEN_END] = { "cofferFE", "coffer 1 box forgotten end",
		"mark of a snapshot that was undeleted or swept" },
	[BOX_HOLD] = { "cofferHD", "coffer 1 box hold", "hold" },
};

/* What the sealed bytes are bound to. */
struct bound {
	struct secret key;
	uint8_t aad[BOX_HEADER + STORE_NAME_MAX];
	size_t aad_len;
};

static enum err
bind(struct bound *b, const struct kind *k, const uint8_t header[BOX_HEADER],
	const char *name, const struct secret *structure, struct error *err)
{
	size_t name_len = strlen(name);

	if (name_len > STORE_NAME_MAX)
		return err_set(err, ERR_USAGE, "name is too long");
	memcpy(b->aad, header, BOX_HEADER);
	memcpy(b->aad + BOX_HEADER, name, name_len);
	b->aad_len = BOX_HEADER + name_len;
	hash_derive(&b->key, k->context, structure->b, SECRET_LEN,
		header + SALT_OFF, SALT_LEN);
	return ERR_OK;
}

enum err
box_seal(struct buf *out, enum box_kind kind, const char *name,
	const struct secret *structure, const void *data, size_t len,
	struct error *err)
{
	const struct kind *k = &kinds[kind];
	uint8_t header[BOX_HEADER] = { 0 };
	struct aead *aead = NULL;
	struct bound b;
	struct aead_args args;
	enum err rc;

	memcpy(header, k->magic, MAGIC_LEN);
	header[MAGIC_LEN] = FORMAT_VERSION;
	random_bytes(header + SALT_OFF, SALT_LEN);
	rc = bind(&b, k, header, name, structure, err);
	if (rc != ERR_OK)
		return rc;
	if (len > SIZE_MAX - BOX_HEADER - AEAD_TAG)
		rc = err_set(err, ERR_NOMEM, "%s is too large", k->what);
	if (rc == ERR_OK)
		rc = buf_reserve(out, BOX_HEADER + len + AEAD_TAG, err);
	if (rc == ERR_OK)
		rc = aead_new(&aead, err);
	if (rc != ERR_OK)
		goto out;
	args = (struct aead_args){ &b.key, 0, b.aad, b.aad_len };
	rc = aead_seal(aead, &args, data, len,
		out->data + out->len + BOX_HEADER, err);
	if (rc != ERR_OK)
		goto out;
	memcpy(out->data + out->len, header, BOX_HEADER);
	out->len += BOX_HEADER + len + AEAD_TAG;
out:
	aead_free(aead);
	secret_wipe(&b.key);
	return rc;
}

static enum err
check_header(const struct kind *k, const uint8_t *data, size_t len,
	struct error *err)
{
	unsigned version;

	if (len < MAGIC_LEN + 2 || memcmp(data, k->magic, MAGIC_LEN) != 0)
		return err_set(err, ERR_CORRUPT, "not a coffer %s", k->what);
	version = data[MAGIC_LEN] | (unsigned)data[MAGIC_LEN + 1] << 8;
	if (version > FORMAT_VERSION)
		return err_set(err, ERR_VERSION,
			"%s of format version %u, written by a newer program",
			k->what, version);
	if (version != FORMAT_VERSION)
		return err_set(err, ERR_CORRUPT, "damaged %s", k->what);
	if (len < BOX_HEADER + AEAD_TAG)
		return err_set(err, ERR_CORRUPT, "%s is cut off", k->what);
	return ERR_OK;
}

static enum err
open_checked(struct buf *out, const struct kind *k, const char *name,
	const struct secret *structure, const uint8_t *data, size_t len,
	struct error *err)
{
	size_t plain = len - BOX_HEADER - AEAD_TAG;
	struct aead *aead = NULL;
	struct bound b;
	struct aead_args args;
	enum err rc;

	rc = bind(&b, k, data, name, structure, err);
	if (rc != ERR_OK)
		return rc;
	/* Memory to point at, for nothing too. */
	rc = buf_reserve(out, plain > 0 ? plain : 1, err);
	if (rc == ERR_OK)
		rc = aead_new(&aead, err);
	if (rc != ERR_OK)
		goto out;
	args = (struct aead_args){ &b.key, 0, b.aad, b.aad_len };
	rc = aead_open(aead, &args, data + BOX_HEADER, len - BOX_HEADER,
		out->data + out->len, err);
	if (rc == ERR_OK)
		out->len += plain;
	else if (rc == ERR_CORRUPT)
		rc = err_set(err, ERR_CORRUPT,
			"damaged %s, or one of another repository", k->what);
out:
	aead_free(aead);
	secret_wipe(&b.key);
	return rc;
}

enum err
box_open(struct buf *out, enum box_kind kind, const char *name,
	const struct secret *structure, const void *data, size_t len,
	struct error *err)
{
	const struct kind *k = &kinds[kind];
	enum err rc;

	rc = check_header(k, data, len, err);
	if (rc == ERR_OK)
		rc = open_checked(out, k, name, structure, data, len, err);
	if (rc != ERR_OK && name[0] != '\0')
		rc = err_wrap(err, "%s", name);
	return rc;
}
