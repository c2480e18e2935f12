/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds which passphrase gets the secrets of his role, and no others. */
#include "tests/lib/repo_tools.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/hash.h"
#include "repo/keyobj.h"
#include "store/store_fault.h"

static const struct uid repo = { { 1, 2, 3 } };

static struct pass
pass_of(const char *text)
{
	return (struct pass){ text, strlen(text) };
}

static enum err
add(struct store *st, const struct keyset *ks, enum role role, const char *pass,
	char keyid[KEYID_HEX + 1], struct error *err)
{
	struct key_new conf = { .role = role,
		.label = "a label",
		.pass = pass_of(pass),
		.cost = TOOL_COST };

	return keys_add(st, &repo, ks, &conf, keyid, err);
}

static enum err
unlock(struct store *st, const char *text, struct keyset *ks, struct error *err)
{
	struct pass pass = pass_of(text);

	return keys_unlock(st, &repo, &pass, NULL, ks, err);
}

static void
check_role(const struct keyset *got, const struct keyset *admin, enum role role,
	const char *keyid)
{
	bool content = role == ROLE_ADMIN || role == ROLE_READER;

	assert_int_equal(got->role, role);
	assert_string_equal(got->keyid, keyid);
	assert_string_equal(got->label, "a label");
	assert_memory_equal(&got->repo, &repo, UID_LEN);
	assert_true(secret_eq(&got->structure, &admin->structure));
	assert_memory_equal(&got->root_pub, &admin->root_pub, SIGN_PUBLIC);
	assert_memory_equal(&got->maint_pub, &admin->maint_pub, SIGN_PUBLIC);
	assert_int_equal(got->has_root, role == ROLE_ADMIN);
	assert_int_equal(got->has_maint,
		role == ROLE_ADMIN || role == ROLE_MAINTAINER);
	assert_int_equal(secret_eq(&got->root_seed, &admin->root_seed),
		got->has_root);
	assert_int_equal(secret_eq(&got->maint_seed, &admin->maint_seed),
		got->has_maint);
	assert_int_equal(got->has_id, role != ROLE_MAINTAINER);
	assert_int_equal(got->n_epochs, role == ROLE_MAINTAINER ? 0 : 1);
	if (!got->has_id) {
		assert_false(secret_eq(&got->data_name, &admin->data_name));
		return;
	}
	assert_true(secret_eq(&got->data_name, &admin->data_name));
	assert_true(secret_eq(&got->node_name, &admin->node_name));
	assert_true(secret_eq(&got->gear, &admin->gear));
	assert_memory_equal(&got->boundary, &admin->boundary, 16);
	assert_memory_equal(&got->epochs[0].pub, &admin->epochs[0].pub, 32);
	assert_int_equal(got->epochs[0].has_secret, content);
	assert_int_equal(secret_eq(&got->epochs[0].sec, &admin->epochs[0].sec),
		content);
}

static void
test_roles(void **state)
{
	static const char *const pass[] = { NULL, "one", "two", "three",
		"four" };
	struct error err = ERROR_INIT;
	struct store *st = tool_store();
	char keyid[5][KEYID_HEX + 1];
	struct keyset admin, got;

	must(keyset_new(&admin, &err), &err);
	for (enum role r = ROLE_ADMIN; r <= ROLE_WRITER; r++)
		must(add(st, &admin, r, pass[r], keyid[r], &err), &err);
	for (enum role r = ROLE_ADMIN; r <= ROLE_WRITER; r++) {
		must(unlock(st, pass[r], &got, &err), &err);
		check_role(&got, &admin, r, keyid[r]);
		keyset_wipe(&got);
	}
	must_fail(unlock(st, "five", &got, &err), ERR_DENIED, &err,
		"wrong passphrase");
	keyset_wipe(&admin);
	store_close(st);
}

/* The hint spares the derivations for all the other keys. */
static void
test_hint(void **state)
{
	static const char *const pass[] = { "a", "b", "c", "d", "e" };
	struct error err = ERROR_INIT;
	struct store *st = tool_store();
	char keyid[5][KEYID_HEX + 1];
	struct keyset admin, got;
	uint64_t gets, before;

	must(keyset_new(&admin, &err), &err);
	must(add(st, &admin, ROLE_ADMIN, pass[0], keyid[0], &err), &err);
	before = st->n_get;
	must(unlock(st, pass[0], &got, &err), &err);
	keyset_wipe(&got);
	gets = st->n_get - before;
	for (unsigned i = 1; i < 5; i++)
		must(add(st, &admin, ROLE_ADMIN, pass[i], keyid[i], &err),
			&err);
	for (unsigned i = 0; i < 5; i++) {
		struct pass p = pass_of(pass[i]);

		before = st->n_get;
		must(keys_unlock(st, &repo, &p, keyid[i], &got, &err), &err);
		assert_int_equal(st->n_get - before, gets);
		assert_string_equal(got.keyid, keyid[i]);
		keyset_wipe(&got);
	}
	keyset_wipe(&admin);
	store_close(st);
}

/* Only an admin makes keys, for nobody else can certify them. */
static void
test_no_escalation(void **state)
{
	struct error err = ERROR_INIT;
	struct keyset admin, mine;
	char keyid[KEYID_HEX + 1];

	must(keyset_new(&admin, &err), &err);
	for (enum role a = ROLE_ADMIN; a <= ROLE_WRITER; a++) {
		struct store *st = tool_store();

		must(add(st, &admin, a, "mine", keyid, &err), &err);
		must(unlock(st, "mine", &mine, &err), &err);
		for (enum role b = ROLE_ADMIN; b <= ROLE_WRITER; b++) {
			enum err rc = add(st, &mine, b, "new", keyid, &err);

			assert_int_equal(rc,
				a == ROLE_ADMIN ? ERR_OK : ERR_DENIED);
		}
		keyset_wipe(&mine);
		store_close(st);
	}
	keyset_wipe(&admin);
}

/* Keys that cost much to try are tried last, whoever made them. */
static void
test_costly_ones_last(void **state)
{
	struct error err = ERROR_INIT;
	struct buf obj = BUF_INIT(KEYOBJ_MAX);
	struct store *st = tool_store();
	char keyid[KEYID_HEX + 1], mine[KEYID_HEX + 1];
	char name[STORE_NAME_MAX + 1];
	struct keyset admin, got;
	struct pass pass = pass_of("p");
	struct id h;

	must(keyset_new(&admin, &err), &err);
	must(add(st, &admin, ROLE_ADMIN, "p", mine, &err), &err);
	snprintf(name, sizeof(name), "keys/%s", mine);
	must(store_get_all(st, name, KEYOBJ_MAX, &obj, &err), &err);
	/* Trying one of them would take hours, or all memory. */
	for (unsigned i = 0; i < 50; i++) {
		memcpy(obj.data + 12, &(uint32_t){ 64 }, 4);
		memcpy(obj.data + 16, &(uint32_t){ UINT32_C(4) << 20 }, 4);
		obj.data[20]++;
		hash_plain(&h, obj.data, obj.len);
		hex_encode(h.b, KEYID_LEN, keyid);
		snprintf(name, sizeof(name), "keys/%s", keyid);
		must(store_put(st, name, obj.data, obj.len, &err), &err);
	}
	must(unlock(st, "p", &got, &err), &err);
	assert_string_equal(got.keyid, mine);
	keyset_wipe(&got);
	must(keys_unlock(st, &repo, &pass, mine, &got, &err), &err);
	keyset_wipe(&got);

	/* One that costs more than by default is tried all the same. */
	must(keys_add(st, &repo, &admin,
		     &(struct key_new){ .role = ROLE_WRITER,
			     .pass = pass_of("dear"),
			     .cost = { 64, 13 << 10 } },
		     keyid, &err),
		&err);
	pass = pass_of("dear");
	must(keys_unlock(st, &repo, &pass, keyid, &got, &err), &err);
	assert_string_equal(got.keyid, keyid);
	keyset_wipe(&got);
	buf_fini(&obj);
	keyset_wipe(&admin);
	store_close(st);
}

static void
test_every_bit(void **state)
{
	struct error err = ERROR_INIT;
	struct store *st = tool_store();
	char keyid[KEYID_HEX + 1], name[STORE_NAME_MAX + 1];
	struct keyset admin, got;
	uint64_t size;

	must(keyset_new(&admin, &err), &err);
	must(add(st, &admin, ROLE_ADMIN, "p", keyid, &err), &err);
	snprintf(name, sizeof(name), "keys/%s", keyid);
	must(store_size(st, name, &size, &err), &err);
	for (uint64_t bit = 0; bit < 8 * size; bit++) {
		must(store_mem_flip(st, name, bit, &err), &err);
		must_fail(unlock(st, "p", &got, &err), ERR_CORRUPT, &err, name);
		must(store_mem_flip(st, name, bit, &err), &err);
	}

	/* Another key is not held up by the damaged one. */
	must(store_mem_flip(st, name, 999, &err), &err);
	must(add(st, &admin, ROLE_ADMIN, "q", keyid, &err), &err);
	must(unlock(st, "q", &got, &err), &err);
	assert_string_equal(got.keyid, keyid);
	keyset_wipe(&got);
	must_fail(unlock(st, "p", &got, &err), ERR_DENIED, &err, name);
	keyset_wipe(&admin);
	store_close(st);
}

static void
test_none_and_foreign(void **state)
{
	const struct uid other = { { 3, 2, 1 } };
	struct pass pass = pass_of("p");
	struct error err = ERROR_INIT;
	struct store *st = tool_store();
	char keyid[KEYID_HEX + 1];
	struct keyset admin, got;

	must_fail(unlock(st, "p", &got, &err), ERR_NOTFOUND, &err, "no keys");
	must(keyset_new(&admin, &err), &err);
	must(add(st, &admin, ROLE_ADMIN, "p", keyid, &err), &err);
	must_fail(keys_unlock(st, &other, &pass, NULL, &got, &err), ERR_CORRUPT,
		&err, "another repository");
	must(store_put(st, "keys/readme", "hello", 5, &err), &err);
	must(store_put(st, "keys/0123456789abcdef", "hello", 5, &err), &err);
	must(unlock(st, "p", &got, &err), &err);
	keyset_wipe(&got);
	keyset_wipe(&admin);
	store_close(st);
}

static void
test_remove(void **state)
{
	struct error err = ERROR_INIT;
	struct store *st = tool_store();
	char one[KEYID_HEX + 1], two[KEYID_HEX + 1], writer[KEYID_HEX + 1];
	struct keyset admin, a, b;

	must(keyset_new(&admin, &err), &err);
	must(add(st, &admin, ROLE_ADMIN, "one", one, &err), &err);
	must(add(st, &admin, ROLE_WRITER, "w", writer, &err), &err);
	must(unlock(st, "one", &a, &err), &err);
	must(unlock(st, "w", &b, &err), &err);
	must_fail(keys_remove(st, &a, one, &err), ERR_USAGE, &err, "in use");
	must_fail(keys_remove(st, &b, one, &err), ERR_DENIED, &err, "admin");
	must_fail(keys_remove(st, &a, "", &err), ERR_USAGE, &err, "2 keys");
	must_fail(keys_remove(st, &a, "xyz", &err), ERR_NOTFOUND, &err, "xyz");
	keyset_wipe(&b);

	must(add(st, &a, ROLE_ADMIN, "two", two, &err), &err);
	must(unlock(st, "two", &b, &err), &err);
	must(keys_remove(st, &b, one, &err), &err);
	must(keys_remove(st, &b, writer, &err), &err);
	keyset_wipe(&a);
	must_fail(unlock(st, "one", &a, &err), ERR_DENIED, &err, "wrong");
	must_fail(unlock(st, "w", &a, &err), ERR_DENIED, &err, "wrong");
	keyset_wipe(&b);
	keyset_wipe(&admin);
	store_close(st);
}

struct seen {
	unsigned n[5], certified, labelled, damaged;
};

static enum err
count(void *arg, const struct key_info *info, struct error *err)
{
	struct seen *s = arg;

	s->damaged += info->damaged;
	if (info->damaged)
		return ERR_OK;
	assert_memory_equal(&info->repo, &repo, UID_LEN);
	assert_true(info->created_sec > 1500000000);
	assert_int_equal(strlen(info->ns_hex), UID_HEX);
	s->n[info->role]++;
	s->certified += info->certified;
	s->labelled += strcmp(info->label, "a label") == 0;
	return ERR_OK;
}

static struct seen
look(struct store *st, const struct keyset *ks)
{
	struct error err = ERROR_INIT;
	struct seen s = { { 0 }, 0, 0, 0 };

	must(keys_each(st, ks, count, &s, &err), &err);
	return s;
}

static void
test_each(void **state)
{
	struct error err = ERROR_INIT;
	struct store *st = tool_store();
	char keyid[KEYID_HEX + 1];
	struct keyset admin, other;
	struct seen s;

	must(keyset_new(&admin, &err), &err);
	must(keyset_new(&other, &err), &err);
	for (int i = 0; i < 3; i++)
		must(add(st, &admin, ROLE_WRITER, "p", keyid, &err), &err);
	must(add(st, &admin, ROLE_ADMIN, "p", keyid, &err), &err);
	s = look(st, NULL);
	assert_int_equal(s.n[ROLE_WRITER], 3);
	assert_int_equal(s.n[ROLE_ADMIN], 1);
	assert_int_equal(s.certified + s.labelled + s.damaged, 0);

	/* Somebody else's root key certifies nothing here. */
	must(add(st, &other, ROLE_ADMIN, "p", keyid, &err), &err);
	must(store_put(st, "keys/0123456789abcdef", "junk", 4, &err), &err);
	s = look(st, &admin);
	assert_int_equal(s.n[ROLE_ADMIN], 2);
	assert_int_equal(s.certified, 4);
	assert_int_equal(s.labelled, 4);
	assert_int_equal(s.damaged, 1);
	keyset_wipe(&other);
	keyset_wipe(&admin);
	store_close(st);
}

/* A change of the passphrase keeps everything else, in every role. */
static void
test_rewrap(void **state)
{
	struct error err = ERROR_INIT;
	struct keyset admin, old, got;
	char keyid[KEYID_HEX + 1];

	must(keyset_new(&admin, &err), &err);
	for (enum role r = ROLE_ADMIN; r <= ROLE_WRITER; r++) {
		struct key_new conf = { .pass = pass_of("new"),
			.cost = TOOL_COST };
		struct store *st = tool_store();

		must(add(st, &admin, r, "old", keyid, &err), &err);
		must(unlock(st, "old", &old, &err), &err);
		must(keys_rewrap(st, &old, &conf, keyid, &err), &err);
		must_fail(unlock(st, "old", &got, &err), ERR_DENIED, &err,
			"wrong");
		must(unlock(st, "new", &got, &err), &err);
		check_role(&got, &admin, r, keyid);
		assert_string_equal(got.ns_hex, old.ns_hex);
		assert_true(secret_eq(&got.sign_seed, &old.sign_seed));
		assert_true(secret_eq(&got.box_sec, &old.box_sec));
		assert_int_equal(look(st, &admin).certified, 1);
		keyset_wipe(&got);
		keyset_wipe(&old);
		store_close(st);
	}
	keyset_wipe(&admin);
}

/* The identity of every key is its own. */
static void
test_identities(void **state)
{
	struct error err = ERROR_INIT;
	struct store *st = tool_store();
	struct keyset admin, a, b;
	char keyid[KEYID_HEX + 1];

	must(keyset_new(&admin, &err), &err);
	must(add(st, &admin, ROLE_ADMIN, "a", keyid, &err), &err);
	must(add(st, &admin, ROLE_ADMIN, "b", keyid, &err), &err);
	must(unlock(st, "a", &a, &err), &err);
	must(unlock(st, "b", &b, &err), &err);
	assert_string_not_equal(a.ns_hex, b.ns_hex);
	assert_string_not_equal(a.ns_hex, admin.ns_hex);
	assert_false(secret_eq(&a.sign_seed, &b.sign_seed));
	assert_false(secret_eq(&a.box_sec, &b.box_sec));
	keyset_wipe(&a);
	keyset_wipe(&b);
	keyset_wipe(&admin);
	store_close(st);
}

/* Before the at-th operation of one admin, who removes the other's key, the
 * other removes his; or the store dies there. */
struct duel {
	struct store *inner;
	char one[KEYID_HEX + 1], two[KEYID_HEX + 1];
	uint64_t at;
	bool die, met;
	bool same; /* two objects of one identity */
};

/* Whether the key was there to do it with; what became of it does not
 * matter. */
static bool
remove_by(struct store *st, const char *pass, const char *keyid)
{
	struct error err = ERROR_INIT;
	struct keyset ks;
	enum err rc = unlock(st, pass, &ks, &err);

	if (rc != ERR_OK) {
		assert_int_equal(rc, ERR_DENIED);
		return false;
	}
	rc = keys_remove(st, &ks, keyid, &err);
	assert_true(rc == ERR_OK || rc == ERR_USAGE || rc == ERR_NOTFOUND);
	keyset_wipe(&ks);
	return true;
}

static enum fault
strike(void *arg, uint64_t n, enum store_op op, const char *name)
{
	struct duel *d = arg;

	if (n < d->at)
		return FAULT_NONE;
	if (!d->met && !d->die)
		remove_by(d->inner, "2", d->one);
	d->met = true;
	return d->die ? FAULT_DEAD : FAULT_NONE;
}

static bool
opens(struct store *st, const char *pass)
{
	struct error err = ERROR_INIT;
	struct keyset ks;
	enum err rc = unlock(st, pass, &ks, &err);

	if (rc == ERR_OK)
		keyset_wipe(&ks);
	else
		assert_int_equal(rc, ERR_DENIED);
	return rc == ERR_OK;
}

/* Give the identity of ks a second object, as a change of the passphrase does
 * that is killed before it deletes the first. */
static void
add_object(struct store *st, const struct keyset *ks, const char *pass,
	char keyid[KEYID_HEX + 1])
{
	struct key_new conf = { .pass = pass_of(pass), .cost = TOOL_COST };
	struct buf obj = BUF_INIT(KEYOBJ_MAX);
	char name[STORE_NAME_MAX + 1];
	struct error err = ERROR_INIT;

	snprintf(name, sizeof(name), "keys/%s", ks->keyid);
	must(store_get_all(st, name, KEYOBJ_MAX, &obj, &err), &err);
	must(keys_rewrap(st, ks, &conf, keyid, &err), &err);
	must(store_put(st, name, obj.data, obj.len, &err), &err);
	buf_fini(&obj);
}

/* A store with two admins, behind a fault store that duels. */
static struct store *
two_admins(struct duel *d, const struct keyset *admin, struct keyset *one)
{
	struct fault_plan plan = { strike, d, ERR_IO };
	struct error err = ERROR_INIT;
	struct store *st;

	d->inner = tool_store();
	must(add(d->inner, admin, ROLE_ADMIN, "1", d->one, &err), &err);
	must(unlock(d->inner, "1", one, &err), &err);
	if (d->same)
		add_object(d->inner, one, "2", d->two);
	else
		must(add(d->inner, admin, ROLE_ADMIN, "2", d->two, &err), &err);
	must(store_fault_new(&st, d->inner, &plan, &err), &err);
	return st;
}

/* Whoever of two admins is faster: one of them stays, as an admin in good
 * standing. */
static void
duels(bool same)
{
	struct error err = ERROR_INIT;
	unsigned removed = 0, stayed = 0;
	struct keyset admin, one;
	struct duel d = { .met = true };

	must(keyset_new(&admin, &err), &err);
	for (uint64_t at = 1; d.met; at++) {
		struct store *st;
		enum err rc;

		d = (struct duel){ .at = at, .same = same };
		st = two_admins(&d, &admin, &one);
		rc = keys_remove(st, &one, d.two, &err);
		assert_true(
			rc == ERR_OK || rc == ERR_USAGE || rc == ERR_NOTFOUND);
		assert_int_equal(rc == ERR_OK, !opens(d.inner, "2"));
		assert_true(opens(d.inner, "1") || opens(d.inner, "2"));
		assert_in_range(look(d.inner, &admin).certified, 1, 2);
		removed += rc == ERR_OK;
		stayed += rc != ERR_OK;
		keyset_wipe(&one);
		store_close(st);
	}
	assert_true(removed > 2);
	assert_true(stayed > 2);
	keyset_wipe(&admin);
}

static void
test_duel(void **state)
{
	duels(false);
	duels(true);
}

/* Killed anywhere, a removal can be done again, or the other way round. */
static void
test_killed_removal(void **state)
{
	struct error err = ERROR_INIT;
	struct keyset admin, one;
	struct duel d = { .met = true };

	must(keyset_new(&admin, &err), &err);
	for (uint64_t at = 1; d.met; at++) {
		for (int back = 0; back < 2; back++) {
			struct store *st;

			d = (struct duel){ .at = at, .die = true };
			st = two_admins(&d, &admin, &one);
			if (keys_remove(st, &one, d.two, &err) != ERR_OK)
				assert_true(d.met);
			assert_true(opens(d.inner, "1"));
			if (back == 0) {
				assert_true(remove_by(d.inner, "1", d.two));
				assert_false(opens(d.inner, "2"));
			} else {
				remove_by(d.inner, "2", d.one);
			}
			assert_true(opens(d.inner, "1") || opens(d.inner, "2"));
			keyset_wipe(&one);
			store_close(st);
		}
		assert_true(at < 100);
	}
	keyset_wipe(&admin);
}

/* An object whose parts do not belong together, although its owner made it:
 * what is sealed can be opened by nobody else, so nothing but its own
 * passphrase brings it here. */
static void
test_hostile(void **state)
{
	struct error err = ERROR_INIT;
	struct buf obj = BUF_INIT(KEYOBJ_MAX);
	char name[STORE_NAME_MAX + 1] = "keys/";
	struct keyset admin, ks, got;

	must(keyset_new(&admin, &err), &err);
	for (unsigned i = 0; i < 5; i++) {
		struct keyobj_conf conf = { &repo, ROLE_WRITER, pass_of("p"),
			TOOL_COST, NULL };
		static const char *const why[] = { NULL, "another identity",
			"another identity", "certificate", "certificate" };
		struct store *st = tool_store();

		ks = admin;
		must(keyset_fresh_identity(&ks, &err), &err);
		must(keyobj_certify(&ks, &repo,
			     i == 3 ? ROLE_READER : ROLE_WRITER, &err),
			&err);
		ks.sign_pub.b[3] ^= i == 1;
		ks.box_pub.b[3] ^= i == 2;
		ks.certificate[40] ^= i == 4;
		must(keyobj_make(&obj, &ks, &conf, &err), &err);
		keyobj_id(name + 5, obj.data, obj.len);
		must(store_put(st, name, obj.data, obj.len, &err), &err);
		if (why[i] == NULL) {
			must(unlock(st, "p", &got, &err), &err);
			keyset_wipe(&got);
		} else {
			must_fail(unlock(st, "p", &got, &err), ERR_CORRUPT,
				&err, why[i]);
		}
		buf_clear(&obj);
		store_close(st);
	}
	explicit_bzero(&ks, sizeof(ks));
	buf_fini(&obj);
	keyset_wipe(&admin);
}

/* A set that lacks one of its fields, or holds a seed of another key. */
static void
test_incomplete(void **state)
{
	struct error err = ERROR_INIT;
	struct buf set = BUF_INIT(KEYSET_MAX), cut = BUF_INIT(KEYSET_MAX);
	struct keyset admin, got;
	size_t off = 0;

	must(keyset_new(&admin, &err), &err);
	must(keyset_encode(&set, &admin, ROLE_ADMIN, &err), &err);
	while (off < set.len) {
		size_t field = 2 + (size_t)set.data[off + 1];

		buf_clear(&cut);
		must(buf_put(&cut, set.data, off, &err), &err);
		must(buf_put(&cut, set.data + off + field,
			     set.len - off - field, &err),
			&err);
		must_fail(keyset_decode(&got, ROLE_ADMIN, cut.data, cut.len,
				  &err),
			ERR_CORRUPT, &err, "incomplete");
		off += field;
	}
	assert_int_equal(off, set.len);
	for (size_t len = 0; len < set.len; len++)
		must_fail(keyset_decode(&got, ROLE_ADMIN, set.data, len, &err),
			ERR_CORRUPT, &err, "incomplete");
	admin.root_seed.b[0] ^= 1;
	buf_clear(&set);
	must(keyset_encode(&set, &admin, ROLE_ADMIN, &err), &err);
	must_fail(keyset_decode(&got, ROLE_ADMIN, set.data, set.len, &err),
		ERR_CORRUPT, &err, "damaged");
	buf_fini(&cut);
	buf_fini(&set);
	keyset_wipe(&admin);
}

/* Epochs come in any order and are kept in theirs; the last one seals. */
static void
test_epochs(void **state)
{
	struct error err = ERROR_INIT;
	struct buf bytes = BUF_INIT(KEYSET_MAX);
	struct epoch epochs[9];
	struct keyset ks, got;
	struct prng p;

	prng_init(&p, 5);
	must(keyset_new(&ks, &err), &err);
	for (uint32_t i = 0; i < ARRAY_LEN(epochs); i++) {
		epochs[i] = ks.epochs[0];
		epochs[i].number = i * 4 % 9 + 1;
		prng_fill(&p, epochs[i].pub.b, KX_PUBLIC);
	}
	free(ks.epochs);
	ks.epochs = epochs;
	ks.n_epochs = ARRAY_LEN(epochs);
	must(keyset_encode(&bytes, &ks, ROLE_READER, &err), &err);
	must(keyset_decode(&got, ROLE_READER, bytes.data, bytes.len, &err),
		&err);
	assert_int_equal(got.n_epochs, 9);
	assert_int_equal(keyset_newest(&got)->number, 9);
	for (size_t i = 0; i < ARRAY_LEN(epochs); i++)
		assert_memory_equal(&keyset_epoch(&got, epochs[i].number)->pub,
			&epochs[i].pub, KX_PUBLIC);
	assert_null(keyset_epoch(&got, 10));
	keyset_wipe(&got);

	buf_clear(&bytes);
	epochs[8].number = 1;
	must(keyset_encode(&bytes, &ks, ROLE_READER, &err), &err);
	must_fail(keyset_decode(&got, ROLE_READER, bytes.data, bytes.len, &err),
		ERR_CORRUPT, &err, "damaged");
	buf_fini(&bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_hint),
		cmocka_unit_test(test_no_escalation),
		cmocka_unit_test(test_costly_ones_last),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_none_and_foreign),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_rewrap),
		cmocka_unit_test(test_identities),
		cmocka_unit_test(test_duel),
		cmocka_unit_test(test_killed_removal),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_epochs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
