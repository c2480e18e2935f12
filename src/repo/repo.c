/* SPDX-License-Identifier: Apache-2.0 */
/* repo: unlocking, and what hangs on an unlocked repository. */
#include "repo/repo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/hash.h"
#include "repo/lane.h"

enum { CONFIG_MAX = 4096 };

static enum err
load_config(struct repo *r, struct buf *bytes, struct error *err)
{
	enum err rc = store_get_all(r->st, "config", CONFIG_MAX, bytes, err);

	if (rc == ERR_NOTFOUND)
		return err_set(err, ERR_NOTFOUND,
			"there is no coffer repository here (no config)");
	return rc == ERR_OK
		       ? config_decode(&r->config, bytes->data, bytes->len, err)
		       : rc;
}

static enum err
unlock(struct repo *r, const struct repo_conf *conf, struct error *err)
{
	struct buf bytes = BUF_INIT(CONFIG_MAX);
	enum err rc = load_config(r, &bytes, err);

	if (rc == ERR_OK)
		rc = keys_unlock(r->st, &r->config.repo, &conf->pass,
			conf->key_hint, &r->keys, err);
	if (rc == ERR_OK)
		rc = config_verify(bytes.data, bytes.len, &r->keys.structure,
			err);
	buf_fini(&bytes);
	return rc;
}

static enum err
set_cache_dir(struct repo *r, const char *root, struct error *err)
{
	char hex[UID_HEX + 1];

	if (root == NULL)
		return ERR_OK;
	hex_encode(r->config.repo.b, UID_LEN, hex);
	if (asprintf(&r->cache_dir, "%s/%s", root, hex) >= 0)
		return ERR_OK;
	r->cache_dir = NULL;
	return err_set(err, ERR_NOMEM, "no memory for a path");
}

enum err
repo_open(struct repo **out, struct store *st, const struct repo_conf *conf,
	struct error *err)
{
	struct repo *r = calloc(1, sizeof(*r));
	enum err rc;

	if (r == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a repository");
	r->st = st;
	pthread_mutex_init(&r->lock, NULL);
	rc = unlock(r, conf, err);
	if (rc == ERR_OK)
		rc = keycache_new(&r->keycache, st, &r->keys, err);
	if (rc == ERR_OK)
		rc = set_cache_dir(r, conf->cache_root, err);
	if (rc != ERR_OK) {
		repo_close(r);
		return rc;
	}
	if (r->keys.has_id)
		gear_init(&r->gear, &r->keys.gear);
	*out = r;
	return ERR_OK;
}

void
repo_close(struct repo *r)
{
	if (r == NULL)
		return;
	if (r->index != NULL)
		index_close(r->index);
	keycache_free(r->keycache);
	keyset_wipe(&r->keys);
	explicit_bzero(&r->gear, sizeof(r->gear));
	pthread_mutex_destroy(&r->lock);
	free(r->cache_dir);
	free(r);
}

struct store *
repo_store(struct repo *r)
{
	return r->st;
}

const struct config *
repo_config(const struct repo *r)
{
	return &r->config;
}

const struct keyset *
repo_keys(const struct repo *r)
{
	return &r->keys;
}

const struct gear *
repo_gear(const struct repo *r)
{
	return r->keys.has_id ? &r->gear : NULL;
}

/* The index, opened where it is not, and then with this view. */
static enum err
index_with(struct repo *r, struct view *view, struct index **out, bool *opened,
	struct error *err)
{
	const struct index_conf conf = { .store = r->st,
		.keys = &r->keys,
		.cache_dir = r->cache_dir,
		.view = view };
	enum err rc = ERR_OK;

	pthread_mutex_lock(&r->lock);
	*opened = r->index == NULL;
	if (r->index == NULL)
		rc = index_open(&r->index, &conf, err);
	*out = r->index;
	pthread_mutex_unlock(&r->lock);
	return rc;
}

enum err
repo_index(struct repo *r, struct index **out, struct error *err)
{
	bool opened;

	return index_with(r, NULL, out, &opened, err);
}

enum err
repo_begin(struct repo *r, const struct session *s, struct index **out,
	struct error *err)
{
	struct view *view = NULL;
	bool opened = false;
	enum err rc = view_load(&view, r->st, &r->keys, s->view, &s->uid, err);

	if (rc == ERR_NOTFOUND)
		return err_set(err, ERR_EXISTS,
			"this session was fenced by a prune as it began; run "
			"it again");
	if (rc == ERR_OK)
		rc = index_with(r, view, out, &opened, err);
	if (rc == ERR_OK && !opened)
		rc = index_begin(*out, view, err);
	view_unref(view);
	return rc;
}

void
repo_data_id(const struct repo *r, const void *data, size_t len, struct id *out)
{
	hash_keyed(out, &r->keys.data_name, data, len);
}

void
repo_node_id(const struct repo *r, const void *head, size_t head_len,
	const void *body, size_t body_len, struct id *out)
{
	hash_keyed2(out, &r->keys.node_name, head, head_len, body, body_len);
}
