/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys: the objects below keys/.
 *
 * An object's name is the beginning of the hash of its bytes, so damage is
 * told from a wrong passphrase, before a damaged cost makes Argon2id run for
 * an hour.
 */
#include "repo/keys.h"

#include <stdio.h>
#include <string.h>

#include "base/rd.h"
#include "base/time.h"
#include "codec/aead.h"
#include "codec/hash.h"
#include "repo/config.h"
#include "repo/keyset.h"

enum {
	MAGIC_LEN = 8,
	KEY_HEADER = 64,
	KDF_ARGON2ID = 1,
	OBJECT_MAX = KEY_HEADER + KEYSET_MAX + AEAD_TAG,
	OBJECTS_MAX = 4096,
	KEYIDS_MAX = OBJECTS_MAX * KEYID_HEX
};

static const char magic[] = "cofferKY";
static const char prefix[] = "keys/";

struct key_object {
	struct key_info info;
	struct kdf_cost cost;
	uint8_t salt[KDF_SALT];
	const uint8_t *bytes;
	size_t len;
};

static void
object_name(char out[STORE_NAME_MAX + 1], const char *keyid)
{
	(void)snprintf(out, STORE_NAME_MAX + 1, "%s%s", prefix, keyid);
}

static void
object_keyid(char out[KEYID_HEX + 1], const void *data, size_t len)
{
	struct id h;

	hash_plain(&h, data, len);
	hex_encode(h.b, KEYID_LEN, out);
}

static enum err
wrap_key(struct secret *out, const struct pass *pass,
	const uint8_t salt[KDF_SALT], const struct kdf_cost *cost,
	struct error *err)
{
	struct secret stretched;
	enum err rc;

	rc = kdf_argon2id(&stretched, pass->text, pass->len, salt, cost, err);
	if (rc != ERR_OK)
		return rc;
	hash_derive(out, "coffer 1 key wrap", stretched.b, SECRET_LEN, NULL, 0);
	secret_wipe(&stretched);
	return ERR_OK;
}

static enum err
put_header(struct buf *out, const struct uid *repo, const struct key_new *conf,
	size_t sealed_len, struct error *err)
{
	uint8_t salt[KDF_SALT];
	enum err rc;

	random_bytes(salt, sizeof(salt));
	rc = buf_put(out, magic, MAGIC_LEN, err);
	if (rc == ERR_OK)
		rc = buf_put_u16(out, FORMAT_VERSION, err);
	if (rc == ERR_OK)
		rc = buf_put_u8(out, (uint8_t)conf->role, err);
	if (rc == ERR_OK)
		rc = buf_put_u8(out, KDF_ARGON2ID, err);
	if (rc == ERR_OK)
		rc = buf_put_u32(out, conf->cost.passes, err);
	if (rc == ERR_OK)
		rc = buf_put_u32(out, conf->cost.mem_kib, err);
	if (rc == ERR_OK)
		rc = buf_put(out, salt, sizeof(salt), err);
	if (rc == ERR_OK)
		rc = buf_put(out, repo->b, UID_LEN, err);
	if (rc == ERR_OK)
		rc = buf_put_u64(out, (uint64_t)when_now().sec, err);
	if (rc == ERR_OK)
		rc = buf_put_u32(out, (uint32_t)sealed_len, err);
	return rc;
}

/* Header and set, the set sealed where it lies. */
static enum err
put_object(struct buf *out, const struct uid *repo, const struct buf *set,
	const struct key_new *conf, struct error *err)
{
	struct aead *aead = NULL;
	struct secret key;
	struct aead_args args = { &key, 0, NULL, KEY_HEADER };
	enum err rc;

	rc = put_header(out, repo, conf, set->len + AEAD_TAG, err);
	if (rc != ERR_OK)
		return rc;
	rc = wrap_key(&key, &conf->pass, out->data + 20, &conf->cost, err);
	if (rc != ERR_OK)
		return rc;
	rc = buf_reserve(out, set->len + AEAD_TAG, err);
	if (rc == ERR_OK)
		rc = aead_new(&aead, err);
	if (rc == ERR_OK) {
		args.aad = out->data;
		rc = aead_seal(aead, &args, set->data, set->len,
			out->data + out->len, err);
	}
	if (rc == ERR_OK)
		out->len += set->len + AEAD_TAG;
	aead_free(aead);
	secret_wipe(&key);
	return rc;
}

enum err
keys_add(struct store *st, const struct uid *repo, const struct keyset *ks,
	const struct key_new *conf, char keyid[KEYID_HEX + 1],
	struct error *err)
{
	struct buf set = BUF_INIT(KEYSET_MAX), obj = BUF_INIT(OBJECT_MAX);
	char name[STORE_NAME_MAX + 1], id[KEYID_HEX + 1];
	enum err rc;

	if (conf->label != NULL && strlen(conf->label) > LABEL_MAX)
		return err_set(err, ERR_USAGE,
			"label of a key is longer than %d bytes", LABEL_MAX);
	/* At once: growing would leave copies of secrets behind. */
	rc = buf_reserve(&set, KEYSET_MAX, err);
	if (rc == ERR_OK)
		rc = keyset_encode(&set, ks, conf->role, conf->label, err);
	if (rc == ERR_OK)
		rc = put_object(&obj, repo, &set, conf, err);
	if (rc != ERR_OK)
		goto out;
	object_keyid(id, obj.data, obj.len);
	object_name(name, id);
	rc = store_put(st, name, obj.data, obj.len, err);
	if (rc == ERR_OK)
		memcpy(keyid, id, sizeof(id));
out:
	buf_fini(&obj);
	buf_wipe(&set);
	return rc;
}

static enum err
parse(struct key_object *k, const uint8_t *data, size_t len, struct error *err)
{
	char keyid[KEYID_HEX + 1];
	unsigned version, kdf;
	uint32_t sealed;
	struct rd rd;

	rd_init(&rd, data, len);
	if (len < MAGIC_LEN + 2 || memcmp(data, magic, MAGIC_LEN) != 0)
		return err_set(err, ERR_CORRUPT,
			"not a coffer key, or damaged");
	object_keyid(keyid, data, len);
	if (strcmp(keyid, k->info.keyid) != 0)
		return err_set(err, ERR_CORRUPT,
			"damaged: its bytes do not match its name");
	rd_raw(&rd, MAGIC_LEN);
	version = rd_u16(&rd);
	k->info.role = rd_u8(&rd);
	kdf = rd_u8(&rd);
	k->cost.passes = rd_u32(&rd);
	k->cost.mem_kib = rd_u32(&rd);
	rd_copy(&rd, k->salt, KDF_SALT);
	rd_copy(&rd, k->info.repo.b, UID_LEN);
	k->info.created_sec = (int64_t)rd_u64(&rd);
	sealed = rd_u32(&rd);
	if (version > FORMAT_VERSION)
		return err_set(err, ERR_VERSION,
			"key of format version %u: a newer program is needed",
			version);
	if (!rd_ok(&rd) || version == 0 || !role_ok(k->info.role) ||
		kdf != KDF_ARGON2ID || sealed != rd_left(&rd))
		return err_set(err, ERR_CORRUPT, "damaged key");
	k->bytes = data;
	k->len = len;
	return ERR_OK;
}

/* Fetch and parse one; buf holds its bytes. */
static enum err
load(struct key_object *k, struct store *st, const char *keyid, struct buf *buf,
	struct error *err)
{
	char name[STORE_NAME_MAX + 1];
	enum err rc;

	*k = (struct key_object){ 0 };
	memcpy(k->info.keyid, keyid, KEYID_HEX);
	object_name(name, keyid);
	buf_clear(buf);
	rc = store_get_all(st, name, OBJECT_MAX, buf, err);
	if (rc != ERR_OK)
		return rc;
	rc = parse(k, buf->data, buf->len, err);
	return rc == ERR_OK ? rc : err_wrap(err, "%s", name);
}

static enum err
unlock(const struct key_object *k, const struct pass *pass, struct keyset *ks,
	struct error *err)
{
	struct buf set = BUF_INIT(OBJECT_MAX);
	struct aead *aead = NULL;
	struct secret key;
	struct aead_args args = { &key, 0, k->bytes, KEY_HEADER };
	size_t sealed = k->len - KEY_HEADER;
	enum err rc;

	rc = wrap_key(&key, pass, k->salt, &k->cost, err);
	if (rc != ERR_OK)
		return rc;
	rc = buf_reserve(&set, sealed + 1, err);
	if (rc == ERR_OK)
		rc = aead_new(&aead, err);
	if (rc == ERR_OK)
		rc = aead_open(aead, &args, k->bytes + KEY_HEADER, sealed,
			set.data, err);
	if (rc == ERR_CORRUPT)
		rc = err_set(err, ERR_DENIED, "wrong passphrase");
	if (rc != ERR_OK)
		goto out;
	rc = keyset_decode(ks, k->info.role, set.data, sealed - AEAD_TAG, err);
	if (rc == ERR_OK) {
		memcpy(ks->keyid, k->info.keyid, sizeof(ks->keyid));
		ks->repo = k->info.repo;
	}
out:
	aead_free(aead);
	secret_wipe(&key);
	buf_wipe(&set);
	return rc;
}

/* KEYIDs, KEYID_HEX characters each; other names are not keys. */
static enum err
collect(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct buf *ids = arg;
	const char *keyid = name + sizeof(prefix) - 1;
	uint8_t raw[KEYID_LEN];

	if (strncmp(name, prefix, sizeof(prefix) - 1) != 0 ||
		strlen(keyid) != KEYID_HEX ||
		!hex_decode(keyid, raw, KEYID_LEN))
		return ERR_OK;
	if (ids->len == ids->max)
		return err_set(err, ERR_CORRUPT, "more than %d keys",
			OBJECTS_MAX);
	return buf_put(ids, keyid, KEYID_HEX, err);
}

/* The one that begins with hint goes first. */
static void
prefer(struct buf *ids, const char *hint)
{
	size_t len = hint != NULL ? strnlen(hint, KEYID_HEX) : 0;
	char first[KEYID_HEX];

	for (size_t i = 0; len > 0 && i < ids->len; i += KEYID_HEX) {
		if (memcmp(ids->data + i, hint, len) != 0)
			continue;
		memcpy(first, ids->data, KEYID_HEX);
		memcpy(ids->data, ids->data + i, KEYID_HEX);
		memcpy(ids->data + i, first, KEYID_HEX);
		return;
	}
}

struct attempt {
	struct store *st;
	const struct uid *repo;
	const struct pass *pass;
	struct keyset *ks;
	struct buf obj;
};

static enum err
try_one(struct attempt *a, const char *keyid, struct error *err)
{
	struct key_object k;
	enum err rc = load(&k, a->st, keyid, &a->obj, err);

	if (rc != ERR_OK)
		return rc;
	if (memcmp(k.info.repo.b, a->repo->b, UID_LEN) != 0)
		return err_set(err, ERR_CORRUPT,
			"%s%s: key of another repository than config tells of",
			prefix, keyid);
	rc = unlock(&k, a->pass, a->ks, err);
	return rc == ERR_OK ? rc : err_wrap(err, "%s%s", prefix, keyid);
}

/* One key that cannot be used does not keep the others from being tried. */
static enum err
try_all(struct attempt *a, const struct buf *ids, struct error *err)
{
	struct error broken = ERROR_INIT;
	bool denied = false;

	for (size_t i = 0; i < ids->len; i += KEYID_HEX) {
		char keyid[KEYID_HEX + 1] = "";
		struct error why;
		enum err rc;

		memcpy(keyid, ids->data + i, KEYID_HEX);
		rc = try_one(a, keyid, &why);
		if (rc == ERR_OK)
			return ERR_OK;
		if (rc == ERR_DENIED)
			denied = true;
		else if (broken.code == ERR_OK)
			broken = why;
	}
	if (!denied) {
		*err = broken;
		return broken.code;
	}
	if (broken.code != ERR_OK)
		return err_set(err, ERR_DENIED,
			"wrong passphrase, or that of an unusable key (%.300s)",
			broken.msg);
	return err_set(err, ERR_DENIED,
		"wrong passphrase, or its key was removed");
}

enum err
keys_unlock(struct store *st, const struct uid *repo, const struct pass *pass,
	const char *hint, struct keyset *ks, struct error *err)
{
	struct buf ids = BUF_INIT(KEYIDS_MAX);
	struct attempt a = { st, repo, pass, ks, BUF_INIT(OBJECT_MAX) };
	enum err rc;

	rc = store_list(st, "keys", collect, &ids, err);
	if (rc == ERR_OK && ids.len == 0)
		rc = err_set(err, ERR_NOTFOUND,
			"the repository has no keys: nothing can open it");
	if (rc == ERR_OK) {
		prefer(&ids, hint);
		rc = try_all(&a, &ids, err);
	}
	buf_fini(&a.obj);
	buf_fini(&ids);
	return rc;
}

enum err
keys_each(struct store *st, key_info_fn *fn, void *arg, struct error *err)
{
	struct buf ids = BUF_INIT(KEYIDS_MAX);
	struct buf obj = BUF_INIT(OBJECT_MAX);
	enum err rc;

	rc = store_list(st, "keys", collect, &ids, err);
	for (size_t i = 0; i < ids.len && rc == ERR_OK; i += KEYID_HEX) {
		char keyid[KEYID_HEX + 1] = "";
		struct key_object k;

		memcpy(keyid, ids.data + i, KEYID_HEX);
		rc = load(&k, st, keyid, &obj, err);
		if (rc == ERR_OK)
			rc = fn(arg, &k.info, err);
	}
	buf_fini(&obj);
	buf_fini(&ids);
	return rc;
}

struct removal {
	const struct keyset *in_use;
	const char *prefix;
	unsigned n_admins, n_found;
	struct key_info found;
};

static enum err
consider(void *arg, const struct key_info *info, struct error *err)
{
	struct removal *r = arg;

	/* Left by an init that was killed: opens nothing here. */
	if (memcmp(info->repo.b, r->in_use->repo.b, UID_LEN) != 0)
		return ERR_OK;
	r->n_admins += info->role == ROLE_ADMIN;
	if (strncmp(info->keyid, r->prefix, strlen(r->prefix)) != 0)
		return ERR_OK;
	r->n_found++;
	r->found = *info;
	return ERR_OK;
}

enum err
keys_remove(struct store *st, const struct keyset *in_use,
	const char *keyid_prefix, struct error *err)
{
	struct removal r = { .in_use = in_use, .prefix = keyid_prefix };
	char name[STORE_NAME_MAX + 1];
	enum err rc = keys_each(st, consider, &r, err);

	if (rc != ERR_OK)
		return rc;
	if (r.n_found == 0)
		return err_set(err, ERR_NOTFOUND,
			"no key begins with \"%.40s\"", keyid_prefix);
	if (r.n_found > 1)
		return err_set(err, ERR_USAGE,
			"%u keys begin with \"%.40s\": more digits are needed",
			r.n_found, keyid_prefix);
	if (strcmp(r.found.keyid, in_use->keyid) == 0)
		return err_set(err, ERR_USAGE,
			"key %s is the one in use; it is removed with another "
			"key",
			r.found.keyid);
	if (r.found.role == ROLE_ADMIN && r.n_admins == 1)
		return err_set(err, ERR_USAGE,
			"key %s is the last admin key of the repository",
			r.found.keyid);
	object_name(name, r.found.keyid);
	return store_del(st, name, err);
}
