/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: one byte; 1 to 4: a key set of that role, otherwise a key object,
 * named as its bytes demand.  A set that is accepted holds what its role
 * needs, so it can be encoded for that role and is accepted again.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "codec/hash.h"
#include "repo/keyset.h"
#include "store/store_mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
set(enum role role, const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(2 * KEYSET_MAX);
	struct keyset ks, again;

	if (keyset_decode(&ks, role, data, len, &err) != ERR_OK)
		return;
	assert(keyset_encode(&out, &ks, role, &err) == ERR_OK);
	assert(keyset_decode(&again, role, out.data, out.len, &err) == ERR_OK);
	assert(secret_eq(&again.structure, &ks.structure));
	assert(again.has_id == (role != ROLE_MAINTAINER));
	assert(again.has_root == (role == ROLE_ADMIN));
	assert(secret_eq(&again.sign_seed, &ks.sign_seed));
	assert(strcmp(again.ns_hex, ks.ns_hex) == 0);
	for (size_t i = 1; i < ks.n_epochs; i++)
		assert(ks.epochs[i - 1].number < ks.epochs[i].number);
	keyset_wipe(&again);
	keyset_wipe(&ks);
	buf_fini(&out);
}

static enum err
seen(void *arg, const struct key_info *info, struct error *err)
{
	assert(info->damaged || role_ok(info->role));
	assert(!info->certified);
	return ERR_OK;
}

static void
object(const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;
	char name[5 + KEYID_HEX + 1] = "keys/";
	struct keyset ks;
	struct store *st;
	struct id h;

	hash_plain(&h, data, len);
	hex_encode(h.b, KEYID_LEN, name + 5);
	assert(store_mem_new(&st, &err) == ERR_OK);
	assert(store_put(st, name, data, len, &err) == ERR_OK);
	assert(keyset_new(&ks, &err) == ERR_OK);
	assert(keys_each(st, &ks, seen, NULL, &err) == ERR_OK);
	keyset_wipe(&ks);
	store_close(st);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	if (role_ok(data[0]))
		set((enum role)data[0], data + 1, len - 1);
	else
		object(data + 1, len - 1);
	return 0;
}
