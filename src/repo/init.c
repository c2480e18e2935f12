/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init: a new repository in an empty store.
 *
 * Crash argument.  config is created last and exclusively: before it there is
 * no repository, only a key object that opens nothing, which a later init
 * ignores (it makes another repository id).  Of several inits at once the one
 * whose config is there first has made the repository; the others remove
 * their keys.
 */
#include "repo/repo.h"

#include <stdio.h>
#include <string.h>

/* What an init that was killed may have left. */
static enum err
only_remains(void *arg, const char *name, uint64_t size, struct error *err)
{
	if (strncmp(name, "keys/", 5) == 0 ||
		strncmp(name, "sessions/", 9) == 0)
		return ERR_OK;
	return err_set(err, ERR_USAGE,
		"this place is not empty (%.200s): a repository is made in an "
		"empty one",
		name);
}

static enum err
check_empty(struct store *st, struct error *err)
{
	uint64_t size;
	enum err rc = store_size(st, "config", &size, err);

	if (rc == ERR_OK)
		return err_set(err, ERR_EXISTS,
			"there is a repository here already");
	return rc == ERR_NOTFOUND ? store_list(st, "", only_remains, NULL, err)
				  : rc;
}

/* Commits depend on it: of two objects of one name the second must fail. */
static enum err
probe(struct store *st, struct error *err)
{
	char name[STORE_NAME_MAX + 1], hex[UID_HEX + 1];
	struct error second = ERROR_INIT;
	struct uid uid;
	enum err rc;

	random_bytes(uid.b, UID_LEN);
	hex_encode(uid.b, UID_LEN, hex);
	(void)snprintf(name, sizeof(name), "sessions/%s.probe", hex);
	rc = store_put(st, name, "first", 5, err);
	if (rc != ERR_OK)
		return rc;
	rc = store_put(st, name, "second", 6, &second);
	if (rc == ERR_EXISTS)
		return store_del(st, name, err);
	if (rc == ERR_OK)
		rc = err_set(err, ERR_IO,
			"this place lets an object be overwritten; a "
			"repository here would not be safe");
	else
		*err = second;
	(void)!store_del(st, name, &second);
	return rc;
}

static enum err
put_config(struct store *st, const struct config *config,
	const struct keyset *ks, struct error *err)
{
	uint8_t bytes[CONFIG_LEN];
	enum err rc;

	config_encode(bytes, config, &ks->structure);
	rc = store_put(st, "config", bytes, CONFIG_LEN, err);
	if (rc == ERR_EXISTS)
		rc = err_set(err, ERR_EXISTS,
			"there is a repository here already");
	return rc;
}

static enum err
make(struct store *st, const struct repo_init_conf *conf,
	const struct keyset *ks, struct error *err)
{
	const struct key_new key = { .role = ROLE_ADMIN,
		.pass = conf->pass,
		.cost = conf->cost };
	struct config config = { .chunker = conf->chunker,
		.pack_target = conf->pack_target };
	char keyid[KEYID_HEX + 1], name[STORE_NAME_MAX + 1];
	uint8_t check[CONFIG_LEN];
	struct error ignored;
	enum err rc;

	random_bytes(config.repo.b, UID_LEN);
	config_encode(check, &config, &ks->structure);
	if (config_decode(&config, check, CONFIG_LEN, &ignored) != ERR_OK)
		return err_set(err, ERR_USAGE,
			"chunk sizes or pack target are outside their limits");
	rc = keys_add(st, &config.repo, ks, &key, keyid, err);
	if (rc != ERR_OK)
		return rc;
	rc = put_config(st, &config, ks, err);
	if (rc == ERR_EXISTS) {
		(void)snprintf(name, sizeof(name), "keys/%s", keyid);
		(void)!store_del(st, name, &ignored);
	}
	return rc;
}

enum err
repo_init(struct store *st, const struct repo_init_conf *conf,
	struct error *err)
{
	struct keyset ks;
	enum err rc = check_empty(st, err);

	if (rc == ERR_OK)
		rc = probe(st, err);
	if (rc == ERR_OK)
		rc = keyset_new(&ks, err);
	if (rc != ERR_OK)
		return rc;
	rc = make(st, conf, &ks, err);
	keyset_wipe(&ks);
	return rc;
}
