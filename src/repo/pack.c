/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack: header, keys and records of a pack.
 *
 * Why no nonce repeats: each key belongs to one epk, made fresh for one pack;
 * the content key and the refs key count the records of that pack, the table
 * key seals one table.  A record that is moved keeps its bytes and its number.
 */
#include "repo/pack.h"

#include <stdio.h>
#include <string.h>

#include "codec/hash.h"
#include "repo/config.h"

enum { MAGIC_LEN = 8 };

static const char magic[] = "cofferPK";

void
pack_name(char out[PACK_NAME], const struct id *id)
{
	char hex[ID_HEX + 1];

	hex_encode(id->b, ID_LEN, hex);
	(void)snprintf(out, PACK_NAME, "packs/%.2s/%s", hex, hex);
}

void
pack_header_encode(const struct pack_header *h, uint8_t out[PACK_HEADER])
{
	memset(out, 0, PACK_HEADER);
	memcpy(out, magic, MAGIC_LEN);
	out[8] = FORMAT_VERSION;
	out[10] = (uint8_t)h->kind;
	for (unsigned i = 0; i < 4; i++)
		out[12 + i] = (uint8_t)(h->env.epoch >> (8 * i));
	memcpy(out + 16, h->env.epk.b, KX_PUBLIC);
}

enum err
pack_header_decode(struct pack_header *h, const uint8_t data[PACK_HEADER],
	struct error *err)
{
	unsigned version, kind;
	struct rd rd;

	if (memcmp(data, magic, MAGIC_LEN) != 0)
		return err_set(err, ERR_CORRUPT, "does not begin as a pack");
	rd_init(&rd, data + MAGIC_LEN, PACK_HEADER - MAGIC_LEN);
	version = rd_u16(&rd);
	kind = rd_u8(&rd);
	rd_u8(&rd);
	if (version > FORMAT_VERSION)
		return err_set(err, ERR_VERSION,
			"format version %u: a newer program is needed",
			version);
	if (version == 0 || (kind != PACK_DATA && kind != PACK_NODES))
		return err_set(err, ERR_CORRUPT, "damaged header");
	h->kind = kind;
	h->env.epoch = rd_u32(&rd);
	rd_copy(&rd, h->env.epk.b, KX_PUBLIC);
	return ERR_OK;
}

static void
refs_key(struct secret *out, const struct keyset *ks,
	const struct kx_public *epk)
{
	hash_derive(out, "coffer 1 pack refs", ks->structure.b, SECRET_LEN,
		epk->b, KX_PUBLIC);
}

static void
content_key(struct secret *out, const struct secret *shared,
	const struct kx_public *epk, const struct kx_public *pub)
{
	uint8_t both[2 * KX_PUBLIC];

	memcpy(both, epk->b, KX_PUBLIC);
	memcpy(both + KX_PUBLIC, pub->b, KX_PUBLIC);
	hash_derive(out, "coffer 1 pack data", shared->b, SECRET_LEN, both,
		sizeof(both));
}

enum err
pack_keys_make(struct pack_keys *keys, struct envelope *env,
	const struct keyset *ks, struct error *err)
{
	const struct epoch *e = keyset_newest(ks);
	struct secret once, shared;
	enum err rc;

	if (e == NULL)
		return err_set(err, ERR_DENIED,
			"a %s key cannot add to the repository",
			role_name(ks->role));
	env->epoch = e->number;
	rc = kx_keypair(&env->epk, &once, err);
	if (rc != ERR_OK)
		return rc;
	rc = kx_shared(&shared, &once, &e->pub, err);
	secret_wipe(&once);
	if (rc != ERR_OK)
		return rc;
	content_key(&keys->content, &shared, &env->epk, &e->pub);
	secret_wipe(&shared);
	keys->has_content = true;
	refs_key(&keys->refs, ks, &env->epk);
	return ERR_OK;
}

enum err
pack_keys_derive(struct pack_keys *keys, const struct envelope *env,
	const struct keyset *ks, struct error *err)
{
	const struct epoch *e = keyset_epoch(ks, env->epoch);
	struct secret shared;
	enum err rc;

	*keys = (struct pack_keys){ 0 };
	if (e != NULL && e->has_secret) {
		rc = kx_shared(&shared, &e->sec, &env->epk, err);
		if (rc != ERR_OK)
			return rc;
		content_key(&keys->content, &shared, &env->epk, &e->pub);
		secret_wipe(&shared);
		keys->has_content = true;
	}
	refs_key(&keys->refs, ks, &env->epk);
	return ERR_OK;
}

void
pack_keys_wipe(struct pack_keys *keys)
{
	secret_wipe(&keys->content);
	secret_wipe(&keys->refs);
	keys->has_content = false;
}

size_t
pack_sealed_head(const struct record *r)
{
	return r->type == CHUNK_NODE ? (size_t)r->head_len + AEAD_TAG : 0;
}

size_t
pack_body_len(const struct record *r)
{
	return r->stored_len - pack_sealed_head(r) - AEAD_TAG;
}

enum err
pack_seal(struct aead *aead, const struct pack_keys *keys,
	const struct record *r, const struct pack_parts *parts, uint8_t *out,
	struct error *err)
{
	uint8_t aad[RECORD_AAD];
	struct aead_args args = { &keys->refs, r->number, aad, RECORD_AAD };
	enum err rc;

	record_aad(r, aad);
	if (r->type == CHUNK_NODE) {
		rc = aead_seal(aead, &args, parts->head, parts->head_len, out,
			err);
		if (rc != ERR_OK)
			return rc;
		out += parts->head_len + AEAD_TAG;
	}
	args.key = &keys->content;
	return aead_seal(aead, &args, parts->body, parts->body_len, out, err);
}

enum err
pack_open_head(struct aead *aead, const struct pack_keys *keys,
	const struct record *r, const uint8_t *sealed, uint8_t *out,
	struct error *err)
{
	uint8_t aad[RECORD_AAD];
	struct aead_args args = { &keys->refs, r->number, aad, RECORD_AAD };

	record_aad(r, aad);
	return aead_open(aead, &args, sealed, pack_sealed_head(r), out, err);
}

enum err
pack_open_body(struct aead *aead, const struct pack_keys *keys,
	const struct record *r, const uint8_t *sealed, uint8_t *out,
	struct error *err)
{
	uint8_t aad[RECORD_AAD];
	struct aead_args args = { &keys->content, r->number, aad, RECORD_AAD };
	size_t head = pack_sealed_head(r);

	if (!keys->has_content)
		return err_set(err, ERR_DENIED,
			"this key cannot read content: its role lacks the "
			"secret");
	record_aad(r, aad);
	return aead_open(aead, &args, sealed + head, r->stored_len - head, out,
		err);
}
