/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config: 96 bytes, the last 32 of which prove the others once the structure
 * key is known.  Until then they only choose which keys are tried.
 */
#include "repo/config.h"

#include <string.h>

#include "base/rd.h"
#include "codec/hash.h"

enum {
	MAGIC_LEN = 8,
	MAC_OFF = 64,
	PACK_TARGET_MIN = 1 << 20,
	PACK_TARGET_MAX = 64 << 20
};

static const char magic[] = "cofferCF";

static void
put_le(uint8_t *at, uint32_t v, size_t len)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

static void
mac(struct id *out, const uint8_t *data, const struct secret *structure)
{
	struct secret key;

	hash_derive(&key, "coffer 1 config", structure->b, SECRET_LEN, NULL, 0);
	hash_keyed(out, &key, data, MAC_OFF);
	secret_wipe(&key);
}

void
config_encode(uint8_t out[CONFIG_LEN], const struct config *c,
	const struct secret *structure)
{
	struct id m;

	memset(out, 0, CONFIG_LEN);
	memcpy(out, magic, MAGIC_LEN);
	put_le(out + 8, FORMAT_VERSION, 2);
	put_le(out + 10, SUITE_1, 2);
	memcpy(out + 20, c->repo.b, UID_LEN);
	put_le(out + 36, c->chunker.min, 4);
	put_le(out + 40, c->chunker.target, 4);
	put_le(out + 44, c->chunker.max, 4);
	put_le(out + 48, c->pack_target, 4);
	mac(&m, out, structure);
	memcpy(out + MAC_OFF, m.b, ID_LEN);
}

/* Version, suite and features: what a newer program may have changed. */
static enum err
check_age(struct rd *rd, struct error *err)
{
	unsigned version = rd_u16(rd);
	unsigned suite = rd_u16(rd);
	uint32_t required = rd_u32(rd);

	if (!rd_ok(rd) || version == 0)
		return err_set(err, ERR_CORRUPT, "config: damaged");
	if (version > FORMAT_VERSION)
		return err_set(err, ERR_VERSION,
			"config: repository of format version %u; this program "
			"reads version %d: a newer one is needed",
			version, FORMAT_VERSION);
	if (suite != SUITE_1 || required != 0)
		return err_set(err, ERR_VERSION,
			"config: repository with suite %u, features %#x, which "
			"this program does not know: a newer one is needed",
			suite, required);
	return ERR_OK;
}

enum err
config_decode(struct config *c, const uint8_t *data, size_t len,
	struct error *err)
{
	struct config got;
	struct rd rd;
	enum err rc;

	if (len < MAGIC_LEN || memcmp(data, magic, MAGIC_LEN) != 0)
		return err_set(err, ERR_CORRUPT,
			"config: not that of a coffer repository, or damaged");
	rd_init(&rd, data + MAGIC_LEN, len - MAGIC_LEN);
	rc = check_age(&rd, err);
	if (rc != ERR_OK)
		return rc;
	if (len != CONFIG_LEN)
		return err_set(err, ERR_CORRUPT,
			"config: %zu bytes instead of %d: damaged", len,
			CONFIG_LEN);
	rd_u32(&rd); /* optional features */
	rd_copy(&rd, got.repo.b, UID_LEN);
	got.chunker.min = rd_u32(&rd);
	got.chunker.target = rd_u32(&rd);
	got.chunker.max = rd_u32(&rd);
	got.pack_target = rd_u32(&rd);
	if (!rd_ok(&rd) || !chunker_params_ok(&got.chunker) ||
		got.pack_target < PACK_TARGET_MIN ||
		got.pack_target > PACK_TARGET_MAX)
		return err_set(err, ERR_CORRUPT, "config: damaged");
	*c = got;
	return ERR_OK;
}

enum err
config_verify(const uint8_t *data, size_t len, const struct secret *structure,
	struct error *err)
{
	struct id m;

	if (len == CONFIG_LEN) {
		mac(&m, data, structure);
		if (memcmp(m.b, data + MAC_OFF, ID_LEN) == 0)
			return ERR_OK;
	}
	return err_set(err, ERR_CORRUPT,
		"config: damaged, or not the one that belongs to the key");
}
