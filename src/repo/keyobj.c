/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyobj: one key object.
 *
 * An object's name is the beginning of the hash of its bytes, so damage is
 * told from a wrong passphrase, before a damaged cost makes Argon2id run for
 * an hour.
 */
#include "repo/keyobj.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/rd.h"
#include "base/time.h"
#include "codec/hash.h"
#include "repo/config.h"

enum {
	MAGIC_LEN = 8,
	KDF_ARGON2ID = 1,
	SALT_OFF = 20,
	TAG_LABEL = 4,
	TAG_HOST = 5,
	TAG_USER = 6
};

static const char magic[] = "cofferKY";
static const char certificate_context[] = "coffer 1 identity";

/* What a certificate is a signature of. */
struct claim {
	uint8_t role;
	struct sign_part parts[4];
};

static void
claim_init(struct claim *c, const struct uid *repo, enum role role,
	const struct sign_public *sign_pub, const struct kx_public *box_pub)
{
	c->role = (uint8_t)role;
	c->parts[0] = (struct sign_part){ repo->b, UID_LEN };
	c->parts[1] = (struct sign_part){ &c->role, 1 };
	c->parts[2] = (struct sign_part){ sign_pub->b, SIGN_PUBLIC };
	c->parts[3] = (struct sign_part){ box_pub->b, KX_PUBLIC };
}

enum err
keyobj_certify(struct keyset *ks, const struct uid *repo, enum role role,
	struct error *err)
{
	struct claim c;
	enum err rc = keyset_need(ks, RIGHT_ADMINISTER, "a new key", err);

	if (rc != ERR_OK)
		return rc;
	claim_init(&c, repo, role, &ks->sign_pub, &ks->box_pub);
	return sign_make(ks->certificate, &ks->root_seed, certificate_context,
		c.parts, ARRAY_LEN(c.parts), err);
}

static bool
certified(const struct keyobj *k, const struct sign_public *root)
{
	const struct key_info *i = &k->info;
	struct error err;
	struct claim c;

	claim_init(&c, &i->repo, i->role, &i->sign_pub, &i->box_pub);
	return sign_check(k->certificate, root, certificate_context, c.parts,
		       ARRAY_LEN(c.parts), &err) == ERR_OK;
}

void
keyobj_id(char out[KEYID_HEX + 1], const void *data, size_t len)
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

static void
about_key(struct secret *out, const struct keyset *ks,
	const uint8_t salt[KDF_SALT])
{
	hash_derive(out, "coffer 1 key about", ks->structure.b, SECRET_LEN,
		salt, KDF_SALT);
}

static enum err
put_header(struct buf *out, const struct keyset *ks,
	const struct keyobj_conf *conf, size_t sealed_len, struct error *err)
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
		rc = buf_put(out, conf->repo->b, UID_LEN, err);
	if (rc == ERR_OK)
		rc = buf_put_u64(out, (uint64_t)when_now().sec, err);
	if (rc == ERR_OK)
		rc = buf_put_u32(out, (uint32_t)sealed_len, err);
	if (rc == ERR_OK)
		rc = buf_put(out, ks->sign_pub.b, SIGN_PUBLIC, err);
	if (rc == ERR_OK)
		rc = buf_put(out, ks->box_pub.b, KX_PUBLIC, err);
	if (rc == ERR_OK)
		rc = buf_put(out, ks->certificate, SIGN_LEN, err);
	return rc;
}

/* plain, sealed behind what is in out, whose header it is bound to. */
static enum err
put_sealed(struct buf *out, const struct secret *key, const struct buf *plain,
	struct error *err)
{
	struct aead_args args = { key, 0, NULL, KEYOBJ_HEADER };
	struct aead *aead = NULL;
	enum err rc = buf_reserve(out, plain->len + AEAD_TAG, err);

	if (rc == ERR_OK)
		rc = aead_new(&aead, err);
	if (rc == ERR_OK) {
		args.aad = out->data;
		rc = aead_seal(aead, &args, plain->data, plain->len,
			out->data + out->len, err);
	}
	if (rc == ERR_OK)
		out->len += plain->len + AEAD_TAG;
	aead_free(aead);
	return rc;
}

static enum err
put_text(struct buf *out, uint8_t tag, const char *text, struct error *err)
{
	enum err rc;

	if (text == NULL || text[0] == '\0')
		return ERR_OK;
	rc = buf_put_u8(out, tag, err);
	if (rc == ERR_OK)
		rc = buf_put_bytes(out, text, strnlen(text, LABEL_MAX), err);
	return rc;
}

/* What the key is for, and who makes it. */
static enum err
put_about(struct buf *out, const char *label, struct error *err)
{
	char host[LABEL_MAX + 1] = "", memory[1024];
	struct passwd pw, *found = NULL;
	enum err rc;

	if (gethostname(host, sizeof(host) - 1) != 0)
		host[0] = '\0';
	if (getpwuid_r(geteuid(), &pw, memory, sizeof(memory), &found) != 0)
		found = NULL;
	/* Memory to point at, for nothing too. */
	rc = buf_reserve(out, KEYOBJ_ABOUT_MAX, err);
	if (rc == ERR_OK)
		rc = put_text(out, TAG_LABEL, label, err);
	if (rc == ERR_OK)
		rc = put_text(out, TAG_HOST, host, err);
	if (rc == ERR_OK)
		rc = put_text(out, TAG_USER, found != NULL ? pw.pw_name : NULL,
			err);
	return rc;
}

enum err
keyobj_make(struct buf *out, const struct keyset *ks,
	const struct keyobj_conf *conf, struct error *err)
{
	struct buf set = BUF_INIT(KEYSET_MAX),
		   about = BUF_INIT(KEYOBJ_ABOUT_MAX);
	struct secret key = { { 0 } };
	enum err rc;

	if (conf->label != NULL && strlen(conf->label) > LABEL_MAX)
		return err_set(err, ERR_USAGE,
			"label of a key is longer than %d bytes", LABEL_MAX);
	/* At once: growing would leave copies of secrets behind. */
	rc = buf_reserve(&set, KEYSET_MAX, err);
	if (rc == ERR_OK)
		rc = keyset_encode(&set, ks, conf->role, err);
	if (rc == ERR_OK)
		rc = put_about(&about, conf->label, err);
	if (rc == ERR_OK)
		rc = put_header(out, ks, conf, set.len + AEAD_TAG, err);
	if (rc == ERR_OK)
		rc = wrap_key(&key, &conf->pass, out->data + SALT_OFF,
			&conf->cost, err);
	if (rc == ERR_OK)
		rc = put_sealed(out, &key, &set, err);
	if (rc == ERR_OK) {
		about_key(&key, ks, out->data + SALT_OFF);
		rc = put_sealed(out, &key, &about, err);
	}
	secret_wipe(&key);
	buf_fini(&about);
	buf_wipe(&set);
	return rc;
}

enum err
keyobj_parse(struct keyobj *k, const uint8_t *data, size_t len,
	struct error *err)
{
	struct key_info *info = &k->info;
	char keyid[KEYID_HEX + 1];
	unsigned version, kdf;
	struct rd rd;

	rd_init(&rd, data, len);
	if (len < MAGIC_LEN + 2 || memcmp(data, magic, MAGIC_LEN) != 0)
		return err_set(err, ERR_CORRUPT,
			"not a coffer key, or damaged");
	keyobj_id(keyid, data, len);
	if (strcmp(keyid, info->keyid) != 0)
		return err_set(err, ERR_CORRUPT,
			"damaged: its bytes do not match its name");
	rd_raw(&rd, MAGIC_LEN);
	version = rd_u16(&rd);
	info->role = rd_u8(&rd);
	kdf = rd_u8(&rd);
	k->cost.passes = rd_u32(&rd);
	k->cost.mem_kib = rd_u32(&rd);
	rd_copy(&rd, k->salt, KDF_SALT);
	rd_copy(&rd, info->repo.b, UID_LEN);
	info->created_sec = (int64_t)rd_u64(&rd);
	k->set_len = rd_u32(&rd);
	rd_copy(&rd, info->sign_pub.b, SIGN_PUBLIC);
	rd_copy(&rd, info->box_pub.b, KX_PUBLIC);
	rd_copy(&rd, k->certificate, SIGN_LEN);
	if (version > FORMAT_VERSION)
		return err_set(err, ERR_VERSION,
			"key of format version %u: a newer program is needed",
			version);
	if (!rd_ok(&rd) || version == 0 || !role_ok(info->role) ||
		kdf != KDF_ARGON2ID || k->set_len < AEAD_TAG ||
		k->set_len > rd_left(&rd) ||
		rd_left(&rd) - k->set_len < AEAD_TAG)
		return err_set(err, ERR_CORRUPT, "damaged key");
	keyset_name(&info->sign_pub, &info->ns, info->ns_hex);
	k->bytes = data;
	k->len = len;
	return ERR_OK;
}

/* sealed bytes of the object, opened into out. */
static enum err
open_part(struct buf *out, const struct keyobj *k, const struct secret *key,
	size_t off, size_t len, struct error *err)
{
	const struct aead_args args = { key, 0, k->bytes, KEYOBJ_HEADER };
	struct aead *aead = NULL;
	/* Memory to point at, for nothing too. */
	enum err rc = buf_reserve(out, len, err);

	if (rc == ERR_OK)
		rc = aead_new(&aead, err);
	if (rc == ERR_OK)
		rc = aead_open(aead, &args, k->bytes + off, len, out->data,
			err);
	if (rc == ERR_OK)
		out->len = len - AEAD_TAG;
	aead_free(aead);
	return rc;
}

static void
take_text(char out[LABEL_MAX + 1], const uint8_t *data, size_t len)
{
	if (len > LABEL_MAX || memchr(data, '\0', len) != NULL)
		return;
	memcpy(out, data, len);
	out[len] = '\0';
}

static void
take_about(struct key_info *info, const struct buf *about)
{
	struct rd rd;

	rd_init(&rd, about->data, about->len);
	while (rd_left(&rd) > 0) {
		uint8_t tag = rd_u8(&rd);
		size_t n;
		const uint8_t *text = rd_bytes(&rd, KEYOBJ_MAX, &n);

		if (text == NULL)
			return;
		if (tag == TAG_LABEL)
			take_text(info->label, text, n);
		else if (tag == TAG_HOST)
			take_text(info->host, text, n);
		else if (tag == TAG_USER)
			take_text(info->user, text, n);
	}
}

void
keyobj_describe(struct keyobj *k, const struct keyset *ks)
{
	size_t off = KEYOBJ_HEADER + k->set_len;
	struct buf about = BUF_INIT(KEYOBJ_MAX);
	struct secret key;
	struct error err;

	about_key(&key, ks, k->salt);
	if (open_part(&about, k, &key, off, k->len - off, &err) == ERR_OK)
		take_about(&k->info, &about);
	secret_wipe(&key);
	buf_fini(&about);
	k->info.certified = certified(k, &ks->root_pub);
}

/* Header, certificate and set tell of the same identity. */
static enum err
check_identity(const struct keyobj *k, const struct keyset *ks,
	struct error *err)
{
	const struct key_info *i = &k->info;

	if (memcmp(ks->sign_pub.b, i->sign_pub.b, SIGN_PUBLIC) != 0 ||
		memcmp(ks->box_pub.b, i->box_pub.b, KX_PUBLIC) != 0)
		return err_set(err, ERR_CORRUPT,
			"its secrets are those of another identity");
	if (!certified(k, &ks->root_pub))
		return err_set(err, ERR_CORRUPT,
			"the certificate of its identity is not valid");
	return ERR_OK;
}

enum err
keyobj_open(struct keyobj *k, const struct pass *pass, struct keyset *ks,
	struct error *err)
{
	struct buf set = BUF_INIT(KEYOBJ_MAX);
	struct keyset got;
	struct secret key;
	enum err rc = wrap_key(&key, pass, k->salt, &k->cost, err);

	if (rc != ERR_OK)
		return rc;
	rc = open_part(&set, k, &key, KEYOBJ_HEADER, k->set_len, err);
	if (rc == ERR_CORRUPT)
		rc = err_set(err, ERR_DENIED, "wrong passphrase");
	if (rc == ERR_OK)
		rc = keyset_decode(&got, k->info.role, set.data, set.len, err);
	secret_wipe(&key);
	buf_wipe(&set);
	if (rc != ERR_OK)
		return rc;
	rc = check_identity(k, &got, err);
	if (rc == ERR_OK) {
		keyobj_describe(k, &got);
		memcpy(got.keyid, k->info.keyid, sizeof(got.keyid));
		memcpy(got.certificate, k->certificate, SIGN_LEN);
		memcpy(got.label, k->info.label, sizeof(got.label));
		memcpy(got.host, k->info.host, sizeof(got.host));
		memcpy(got.user, k->info.user, sizeof(got.user));
		got.repo = k->info.repo;
		*ks = got;
	} else {
		keyset_wipe(&got);
	}
	explicit_bzero(&got, sizeof(got));
	return rc;
}
