/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys: the objects below keys/.
 *
 * Crash argument.  An object is created whole or not at all, and a key is
 * never removed before the one that is to replace it is durable.  An identity
 * is revoked before its object is deleted, so that it cannot come back; and
 * between the two its remover looks again: of two admins who remove each
 * other's key at the same time, the later one finds no admin left, takes the
 * revocation back and fails.  Killed there, both keys still open the
 * repository, and removing again goes on or takes back.
 */
#include "repo/keys.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "repo/grants.h"
#include "repo/keyobj.h"
#include "repo/rooted.h"
#include "repo/rotation.h"

enum {
	OBJECTS_MAX = 4096,
	KEYIDS_MAX = OBJECTS_MAX * KEYID_HEX,
	COST_MAX = 4 * 3 * (64 << 10) /* passes * KiB */
};

static const char prefix[] = "keys/";
static const char revoked_context[] = "coffer 1 revoked";

static void
object_name(char out[STORE_NAME_MAX + 1], const char *keyid)
{
	(void)snprintf(out, STORE_NAME_MAX + 1, "%s%s", prefix, keyid);
}

/* Make an object of ks, whose identity is certified, and create it. */
static enum err
create(struct store *st, const struct keyset *ks,
	const struct keyobj_conf *conf, char keyid[KEYID_HEX + 1],
	struct error *err)
{
	struct buf obj = BUF_INIT(KEYOBJ_MAX);
	char name[STORE_NAME_MAX + 1], id[KEYID_HEX + 1];
	enum err rc = keyobj_make(&obj, ks, conf, err);

	if (rc == ERR_OK) {
		keyobj_id(id, obj.data, obj.len);
		object_name(name, id);
		rc = store_put(st, name, obj.data, obj.len, err);
	}
	if (rc == ERR_OK)
		memcpy(keyid, id, sizeof(id));
	buf_fini(&obj);
	return rc;
}

enum err
keys_add(struct store *st, const struct uid *repo, const struct keyset *ks,
	const struct key_new *conf, char keyid[KEYID_HEX + 1],
	struct error *err)
{
	const struct keyobj_conf obj = { repo, conf->role, conf->pass,
		conf->cost, conf->label };
	struct keyset fresh = *ks;
	const struct grants_to to = { fresh.ns_hex, conf->role,
		&fresh.box_pub };
	enum err rc = keyset_fresh_identity(&fresh, err);

	if (rc == ERR_OK)
		rc = keyobj_certify(&fresh, repo, conf->role, err);
	if (rc == ERR_OK)
		rc = grants_hand_over(st, ks, &to, err);
	if (rc == ERR_OK)
		rc = create(st, &fresh, &obj, keyid, err);
	if (rc == ERR_OK)
		rc = rotation_catch_up(st, ks, &to, err);
	explicit_bzero(&fresh, sizeof(fresh));
	return rc;
}

enum err
keys_rewrap(struct store *st, const struct keyset *ks,
	const struct key_new *conf, char keyid[KEYID_HEX + 1],
	struct error *err)
{
	const struct keyobj_conf obj = { &ks->repo, ks->role, conf->pass,
		conf->cost, conf->label != NULL ? conf->label : ks->label };
	char name[STORE_NAME_MAX + 1];
	enum err rc = create(st, ks, &obj, keyid, err);

	if (rc != ERR_OK)
		return rc;
	object_name(name, ks->keyid);
	return store_del(st, name, err);
}

/* Fetch and parse one; buf holds its bytes. */
static enum err
load(struct keyobj *k, struct store *st, const char *keyid, struct buf *buf,
	struct error *err)
{
	char name[STORE_NAME_MAX + 1];
	enum err rc;

	*k = (struct keyobj){ 0 };
	memcpy(k->info.keyid, keyid, KEYID_HEX);
	object_name(name, keyid);
	buf_clear(buf);
	rc = store_get_all(st, name, KEYOBJ_MAX, buf, err);
	if (rc != ERR_OK)
		return rc;
	rc = keyobj_parse(k, buf->data, buf->len, err);
	return rc == ERR_OK ? rc : err_wrap(err, "%s", name);
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

/* The one that begins with hint goes first; false where there is none. */
static bool
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
		return true;
	}
	return false;
}

struct attempt {
	struct store *st;
	const struct uid *repo;
	const struct pass *pass;
	struct keyset *ks;
	struct buf obj;
	struct error broken; /* why the first unusable one was that */
	bool denied; /* a usable one did not open */
};

/* Whether Argon2id takes much more than by default. */
static bool
costly(const struct kdf_cost *cost)
{
	return (uint64_t)cost->passes * cost->mem_kib > COST_MAX;
}

/* *later where it is costly, unless that may be. */
static enum err
try_one(struct attempt *a, const char *keyid, bool may_cost, bool *later,
	struct error *err)
{
	struct keyobj k;
	enum err rc = load(&k, a->st, keyid, &a->obj, err);

	if (rc != ERR_OK)
		return rc;
	if (memcmp(k.info.repo.b, a->repo->b, UID_LEN) != 0)
		return err_set(err, ERR_CORRUPT,
			"%s%s: key of another repository than config tells of",
			prefix, keyid);
	*later = !may_cost && costly(&k.cost);
	if (*later)
		return err_set(err, ERR_DENIED, "to be tried later");
	rc = keyobj_open(&k, a->pass, a->ks, err);
	return rc == ERR_OK ? rc : err_wrap(err, "%s%s", prefix, keyid);
}

/* The ids of costly ones stay in ids; they are tried when may_cost is set. */
static bool
try_each(struct attempt *a, struct buf *ids, bool may_cost)
{
	size_t kept = 0;

	for (size_t i = 0; i < ids->len; i += KEYID_HEX) {
		char keyid[KEYID_HEX + 1] = "";
		bool later = false;
		struct error why;
		enum err rc;

		memcpy(keyid, ids->data + i, KEYID_HEX);
		rc = try_one(a, keyid, may_cost, &later, &why);
		if (rc == ERR_OK)
			return true;
		if (later) {
			memcpy(ids->data + kept, keyid, KEYID_HEX);
			kept += KEYID_HEX;
		} else if (rc == ERR_DENIED) {
			a->denied = true;
		} else if (a->broken.code == ERR_OK) {
			a->broken = why;
		}
	}
	ids->len = kept;
	return false;
}

/*
 * One key that cannot be used does not keep the others from being tried.  Nor
 * does one whose maker wanted every attempt to cost gigabytes and minutes,
 * which whoever can put objects can be: those come last.
 */
static enum err
try_all(struct attempt *a, struct buf *ids, bool hinted, struct error *err)
{
	struct buf first = { .data = ids->data, .len = KEYID_HEX };

	if (hinted) {
		if (try_each(a, &first, true))
			return ERR_OK;
		ids->len -= KEYID_HEX;
		memmove(ids->data, ids->data + KEYID_HEX, ids->len);
	}
	if (try_each(a, ids, false) || try_each(a, ids, true))
		return ERR_OK;
	if (!a->denied) {
		*err = a->broken;
		return a->broken.code;
	}
	if (a->broken.code != ERR_OK)
		return err_set(err, ERR_DENIED,
			"wrong passphrase, or that of an unusable key (%.300s)",
			a->broken.msg);
	return err_set(err, ERR_DENIED,
		"wrong passphrase, or its key was removed");
}

enum err
keys_unlock(struct store *st, const struct uid *repo, const struct pass *pass,
	const char *hint, struct keyset *ks, struct error *err)
{
	struct buf ids = BUF_INIT(KEYIDS_MAX);
	struct attempt a = { .st = st,
		.repo = repo,
		.pass = pass,
		.ks = ks,
		.obj = BUF_INIT(KEYOBJ_MAX) };
	enum err rc;

	rc = store_list(st, "keys", collect, &ids, err);
	if (rc == ERR_OK && ids.len == 0)
		rc = err_set(err, ERR_NOTFOUND,
			"the repository has no keys: nothing can open it");
	if (rc == ERR_OK)
		rc = try_all(&a, &ids, prefer(&ids, hint), err);
	if (rc == ERR_OK) {
		rc = grants_read(st, ks, err);
		if (rc != ERR_OK)
			keyset_wipe(ks);
	}
	buf_fini(&a.obj);
	buf_fini(&ids);
	return rc;
}

static void
revoked_name(char out[STORE_NAME_MAX + 1], const char *ns_hex)
{
	(void)snprintf(out, STORE_NAME_MAX + 1, "revoked/%s", ns_hex);
}

static enum err
is_revoked(struct store *st, const struct sign_public *root, const char *ns_hex,
	bool *out, struct error *err)
{
	char name[STORE_NAME_MAX + 1];
	struct buf obj = BUF_INIT(ROOTED_MAX);
	enum err rc;

	revoked_name(name, ns_hex);
	rc = rooted_get(st, root, revoked_context, name, &obj, out, err);
	buf_fini(&obj);
	return rc;
}

/* The identity gets no more grants, even if its object comes back. */
static enum err
revoke(struct store *st, const struct keyset *ks, const char *ns_hex,
	struct error *err)
{
	char name[STORE_NAME_MAX + 1];
	struct buf obj = BUF_INIT(ROOTED_MAX);
	enum err rc;

	revoked_name(name, ns_hex);
	rc = rooted_sign(&obj, ks, revoked_context, name, err);
	if (rc == ERR_OK)
		rc = store_put(st, name, obj.data, obj.len, err);
	buf_fini(&obj);
	return rc == ERR_EXISTS ? ERR_OK : rc;
}

/* One key of a listing; one that was removed meanwhile is passed over. */
static enum err
give(struct store *st, const struct keyset *ks, const char *keyid,
	struct buf *obj, struct keyobj *k, struct error *err)
{
	enum err rc = load(k, st, keyid, obj, err);

	if (rc == ERR_CORRUPT || rc == ERR_VERSION) {
		*k = (struct keyobj){ .info.damaged = true };
		memcpy(k->info.keyid, keyid, KEYID_HEX);
		return ERR_OK;
	}
	if (rc != ERR_OK || ks == NULL)
		return rc;
	keyobj_describe(k, ks);
	if (!k->info.certified)
		return ERR_OK;
	rc = is_revoked(st, &ks->root_pub, k->info.ns_hex, &k->info.revoked,
		err);
	k->info.certified = !k->info.revoked;
	return rc;
}

enum err
keys_each(struct store *st, const struct keyset *ks, key_info_fn *fn, void *arg,
	struct error *err)
{
	struct buf ids = BUF_INIT(KEYIDS_MAX);
	struct buf obj = BUF_INIT(KEYOBJ_MAX);
	enum err rc;

	rc = store_list(st, "keys", collect, &ids, err);
	for (size_t i = 0; i < ids.len && rc == ERR_OK; i += KEYID_HEX) {
		char keyid[KEYID_HEX + 1] = "";
		struct keyobj k;

		memcpy(keyid, ids.data + i, KEYID_HEX);
		rc = give(st, ks, keyid, &obj, &k, err);
		if (rc == ERR_NOTFOUND)
			rc = ERR_OK;
		else if (rc == ERR_OK)
			rc = fn(arg, &k.info, err);
	}
	buf_fini(&obj);
	buf_fini(&ids);
	return rc;
}

struct removal {
	const struct keyset *in_use;
	const char *prefix;
	const char *ns_hex; /* counted, where not NULL */
	unsigned n_admins, n_found, n_same;
	struct key_info found;
};

static enum err
consider(void *arg, const struct key_info *info, struct error *err)
{
	struct removal *r = arg;

	assert(r->in_use != NULL);
	/* Left by an init that was killed: opens nothing here. */
	if (!info->damaged &&
		memcmp(info->repo.b, r->in_use->repo.b, UID_LEN) != 0)
		return ERR_OK;
	r->n_admins += info->role == ROLE_ADMIN && info->certified;
	r->n_same += r->ns_hex != NULL && strcmp(info->ns_hex, r->ns_hex) == 0;
	if (strncmp(info->keyid, r->prefix, strlen(r->prefix)) != 0)
		return ERR_OK;
	r->n_found++;
	r->found = *info;
	return ERR_OK;
}

static enum err
last_admin(const struct key_info *info, struct error *err)
{
	return err_set(err, ERR_USAGE,
		"key %s is the last admin key of the repository", info->keyid);
}

/* The one key that is meant, if it may be removed. */
static enum err
choose(struct store *st, struct removal *r, struct error *err)
{
	enum err rc = keys_each(st, r->in_use, consider, r, err);

	if (rc != ERR_OK)
		return rc;
	if (r->n_found == 0)
		return err_set(err, ERR_NOTFOUND,
			"no key begins with \"%.40s\"", r->prefix);
	if (r->n_found > 1)
		return err_set(err, ERR_USAGE,
			"%u keys begin with \"%.40s\": more digits are needed",
			r->n_found, r->prefix);
	if (strcmp(r->found.keyid, r->in_use->keyid) == 0)
		return err_set(err, ERR_USAGE,
			"key %s is the one in use; it is removed with another "
			"key",
			r->found.keyid);
	if (r->found.role == ROLE_ADMIN && r->found.certified &&
		r->n_admins == 1)
		return last_admin(&r->found, err);
	return ERR_OK;
}

/* Count once more, with the objects of the chosen identity. */
static enum err
count(struct store *st, const struct removal *chosen, struct removal *out,
	struct error *err)
{
	*out = (struct removal){ .in_use = chosen->in_use,
		.prefix = "",
		.ns_hex = chosen->found.ns_hex };
	return keys_each(st, chosen->in_use, consider, out, err);
}

/* One of two objects of an identity, which goes on with the other: what a
 * change of a passphrase left that was killed. */
static enum err
remove_object(struct store *st, const struct removal *chosen, struct error *err)
{
	struct removal left;
	struct buf obj = BUF_INIT(KEYOBJ_MAX);
	char name[STORE_NAME_MAX + 1];
	enum err rc;

	object_name(name, chosen->found.keyid);
	rc = store_get_all(st, name, KEYOBJ_MAX, &obj, err);
	if (rc == ERR_OK)
		rc = store_del(st, name, err);
	if (rc == ERR_OK)
		rc = count(st, chosen, &left, err);
	/* Somebody removed the other one at the same time. */
	if (rc == ERR_OK && left.n_admins == 0) {
		rc = store_put(st, name, obj.data, obj.len, err);
		if (rc == ERR_OK)
			rc = last_admin(&chosen->found, err);
	}
	buf_fini(&obj);
	return rc;
}

static enum err
remove_identity(struct store *st, const struct removal *chosen,
	struct error *err)
{
	const char *ns_hex = chosen->found.ns_hex;
	char name[STORE_NAME_MAX + 1];
	struct removal left;
	enum err rc = revoke(st, chosen->in_use, ns_hex, err);

	if (rc == ERR_OK)
		rc = count(st, chosen, &left, err);
	if (rc != ERR_OK)
		return rc;
	if (chosen->found.role == ROLE_ADMIN && left.n_admins == 0) {
		revoked_name(name, ns_hex);
		rc = store_del(st, name, err);
		return rc == ERR_OK || rc == ERR_NOTFOUND
			       ? last_admin(&chosen->found, err)
			       : rc;
	}
	object_name(name, chosen->found.keyid);
	rc = store_del(st, name, err);
	return rc == ERR_OK ? grants_drop(st, ns_hex, err) : rc;
}

enum err
keys_remove(struct store *st, const struct keyset *in_use,
	const char *keyid_prefix, struct error *err)
{
	struct removal r = { .in_use = in_use, .prefix = keyid_prefix }, same;
	char name[STORE_NAME_MAX + 1];
	enum err rc;

	rc = keyset_need(in_use, RIGHT_ADMINISTER, "removal of keys", err);
	if (rc == ERR_OK)
		rc = choose(st, &r, err);
	if (rc == ERR_OK)
		rc = count(st, &r, &same, err);
	if (rc != ERR_OK)
		return rc;
	if (!r.found.certified && !r.found.revoked) {
		object_name(name, r.found.keyid);
		return store_del(st, name, err);
	}
	return same.n_same > 1 ? remove_object(st, &r, err)
			       : remove_identity(st, &r, err);
}
