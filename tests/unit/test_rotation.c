/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever happens to a rotation, everybody can write, and what anybody
 * writes every admin and reader can open.
 */
#include "tests/lib/repo_tools.h"

#include <stdio.h>
#include <stdlib.h>

#include "repo/grants.h"
#include "repo/keyset.h"
#include "repo/rooted.h"
#include "repo/rotation.h"
#include "store/store_fault.h"

static const struct uid repo = { { 7, 7 } };

enum { MEMBERS_MAX = 8 };

/* Who has a key; the passphrase is the digit of its number. */
struct world {
	struct store *st;
	struct keyset admin; /* member 0, as it was at the beginning */
	enum role roles[MEMBERS_MAX];
	unsigned n;
};

static struct pass
pass_of(unsigned member)
{
	static const char digits[] = "0123456789";

	return (struct pass){ digits + member, 1 };
}

static enum err
unlock(struct store *st, unsigned member, struct keyset *ks, struct error *err)
{
	struct pass pass = pass_of(member);

	return keys_unlock(st, &repo, &pass, NULL, ks, err);
}

static enum err
join(struct store *st, const struct keyset *by, enum role role, unsigned member,
	char keyid[KEYID_HEX + 1], struct error *err)
{
	struct key_new conf = { .role = role,
		.pass = pass_of(member),
		.cost = TOOL_COST };

	return keys_add(st, &repo, by, &conf, keyid, err);
}

static void
world_init(struct world *w)
{
	static const enum role roles[] = { ROLE_ADMIN, ROLE_WRITER, ROLE_READER,
		ROLE_ADMIN, ROLE_MAINTAINER, ROLE_WRITER };
	struct error err = ERROR_INIT;
	char keyid[KEYID_HEX + 1];
	struct keyset first;

	*w = (struct world){ .st = tool_store(), .n = ARRAY_LEN(roles) };
	memcpy(w->roles, roles, sizeof(roles));
	must(keyset_new(&first, &err), &err);
	for (unsigned i = 0; i < w->n; i++)
		must(join(w->st, &first, roles[i], i, keyid, &err), &err);
	must(unlock(w->st, 0, &w->admin, &err), &err);
	keyset_wipe(&first);
}

static void
world_fini(struct world *w)
{
	keyset_wipe(&w->admin);
	store_close(w->st);
}

/* The lowest and highest number that somebody seals for. */
struct spread {
	uint32_t low, high;
};

/* The property at the head of this file, for what lies in st. */
static struct spread
check(const struct world *w, struct store *st)
{
	struct spread s = { UINT32_MAX, 0 };
	struct error err = ERROR_INIT;
	struct keyset ks[MEMBERS_MAX];

	for (unsigned i = 0; i < w->n; i++)
		must(unlock(st, i, &ks[i], &err), &err);
	for (unsigned i = 0; i < w->n; i++) {
		const struct epoch *seals = keyset_newest(&ks[i]);

		assert_int_equal(seals != NULL, role_seals(w->roles[i]));
		if (seals == NULL)
			continue;
		s.low = seals->number < s.low ? seals->number : s.low;
		s.high = seals->number > s.high ? seals->number : s.high;
		assert_int_equal(seals->has_secret, role_opens(w->roles[i]));
		for (unsigned k = 0; k < w->n; k++) {
			const struct epoch *opens =
				keyset_epoch(&ks[k], seals->number);

			if (!role_opens(w->roles[k]))
				continue;
			assert_non_null(opens);
			assert_true(opens->has_secret);
			assert_memory_equal(&opens->pub, &seals->pub,
				KX_PUBLIC);
		}
	}
	for (unsigned i = 0; i < w->n; i++)
		keyset_wipe(&ks[i]);
	return s;
}

static void
check_all_at(const struct world *w, struct store *st, uint32_t number)
{
	struct spread s = check(w, st);

	assert_int_equal(s.low, number);
	assert_int_equal(s.high, number);
}

/* By whoever has admin's passphrase, as the store is now. */
static uint32_t
rotate(struct store *st, unsigned member)
{
	struct error err = ERROR_INIT;
	struct keyset ks;
	uint32_t number;

	must(unlock(st, member, &ks, &err), &err);
	must(rotation_make(st, &ks, &number, &err), &err);
	keyset_wipe(&ks);
	return number;
}

static void
test_rotations(void **state)
{
	struct error err = ERROR_INIT;
	char keyid[KEYID_HEX + 1];
	struct keyset ks;
	struct world w;

	world_init(&w);
	check_all_at(&w, w.st, 1);
	for (uint32_t i = 2; i < 6; i++) {
		assert_int_equal(rotate(w.st, i % 2 == 0 ? 0 : 3), i);
		check_all_at(&w, w.st, i);
	}
	must(unlock(w.st, 3, &ks, &err), &err);
	assert_int_equal(ks.n_epochs, 5);

	/* A key that is added gets all of them, with its object. */
	must(join(w.st, &ks, ROLE_READER, w.n, keyid, &err), &err);
	w.roles[w.n++] = ROLE_READER;
	keyset_wipe(&ks);
	check_all_at(&w, w.st, 5);
	must(unlock(w.st, w.n - 1, &ks, &err), &err);
	assert_int_equal(ks.n_epochs, 5);
	keyset_wipe(&ks);
	assert_int_equal(rotate(w.st, 0), 6);
	check_all_at(&w, w.st, 6);

	for (enum role r = ROLE_READER; r <= ROLE_WRITER; r++) {
		uint32_t number;

		for (unsigned i = 0; i < w.n; i++) {
			if (w.roles[i] != r)
				continue;
			must(unlock(w.st, i, &ks, &err), &err);
			must_fail(rotation_make(w.st, &ks, &number, &err),
				ERR_DENIED, &err, "admin");
			keyset_wipe(&ks);
		}
	}
	world_fini(&w);
}

static unsigned
count_grants(struct store *st)
{
	struct error err = ERROR_INIT;
	struct rooted_numbers *nums;
	struct keyset ks;
	unsigned n = 0;

	for (unsigned i = 0; i < 6; i++) {
		char dir[64];

		must(unlock(st, i, &ks, &err), &err);
		snprintf(dir, sizeof(dir), "grants/%s", ks.ns_hex);
		must(rooted_numbers(st, dir, &nums, &err), &err);
		n += (unsigned)nums->n;
		free(nums);
		keyset_wipe(&ks);
	}
	return n;
}

/* Nothing is granted twice; nothing to those who seal nothing. */
static void
test_no_more_grants_than_needed(void **state)
{
	struct error err = ERROR_INIT;
	char keyid[KEYID_HEX + 1];
	struct keyset ks;
	struct world w;

	world_init(&w);
	assert_int_equal(count_grants(w.st), 0);
	rotate(w.st, 0);
	assert_int_equal(count_grants(w.st), 5);
	rotate(w.st, 3);
	assert_int_equal(count_grants(w.st), 10);
	must(unlock(w.st, 0, &ks, &err), &err);
	must(join(w.st, &ks, ROLE_WRITER, 6, keyid, &err), &err);
	keyset_wipe(&ks);
	assert_int_equal(count_grants(w.st), 10);
	world_fini(&w);
}

/* How a store fails: at operation at, and how; or something that happens
 * just before that operation. */
struct trouble {
	uint64_t at;
	enum fault last; /* then dead, unless happen is set */
	void (*happen)(void *arg);
	void *arg;
	bool met;
};

static enum fault
decide(void *arg, uint64_t n, enum store_op op, const char *name)
{
	struct trouble *t = arg;

	if (n < t->at)
		return FAULT_NONE;
	if (n == t->at) {
		t->met = true;
		if (t->happen != NULL)
			t->happen(t->arg);
		return t->happen != NULL ? FAULT_NONE : t->last;
	}
	return t->happen != NULL ? FAULT_NONE : FAULT_DEAD;
}

/* A copy of what is in w, behind trouble; *inner is the copy itself. */
static struct store *
troubled(const struct world *w, struct trouble *t, struct store **inner)
{
	struct fault_plan plan = { decide, t, ERR_IO };
	struct error err = ERROR_INIT;
	struct store *st;

	must(store_mem_clone(inner, w->st, &err), &err);
	must(store_fault_new(&st, *inner, &plan, &err), &err);
	return st;
}

static void
test_killed(void **state)
{
	static const enum fault last[] = { FAULT_DEAD, FAULT_AFTER };
	struct error err = ERROR_INIT;
	uint32_t number;
	struct world w;

	world_init(&w);
	rotate(w.st, 0);
	keyset_wipe(&w.admin);
	must(unlock(w.st, 0, &w.admin, &err), &err);
	for (size_t i = 0; i < ARRAY_LEN(last); i++) {
		struct trouble t = { .met = true };
		uint64_t at;

		for (at = 1; t.met; at++) {
			struct store *inner, *st;
			struct spread s;
			enum err rc;

			t = (struct trouble){ .at = at, .last = last[i] };
			st = troubled(&w, &t, &inner);
			rc = rotation_make(st, &w.admin, &number, &err);
			assert_int_equal(rc, t.met ? ERR_IO : ERR_OK);
			s = check(&w, inner);
			assert_int_equal(s.low, s.high);
			assert_in_range(s.low, 2, 3);
			number = rotate(inner, 3);
			assert_int_equal(number, s.low + 1);
			check_all_at(&w, inner, number);
			store_close(st);
		}
		assert_true(at > 40);
	}
	world_fini(&w);
}

static void
other_rotation(void *arg)
{
	rotate(arg, 3);
}

/* Of two rotations at once, the second begins and ends between any two steps
 * of the first. */
static void
test_two_rotations(void **state)
{
	struct trouble t = { .met = true };
	unsigned lost = 0, won = 0;
	struct world w;

	world_init(&w);
	for (uint64_t at = 1; t.met; at++) {
		struct error err = ERROR_INIT;
		struct store *inner, *st;
		uint32_t number = 0;
		enum err rc;

		t = (struct trouble){ .at = at, .happen = other_rotation };
		st = troubled(&w, &t, &inner);
		t.arg = inner;
		rc = rotation_make(st, &w.admin, &number, &err);
		if (rc != ERR_OK)
			must_fail(rc, ERR_EXISTS, &err, "at the same time");
		lost += rc != ERR_OK;
		won += rc == ERR_OK;
		check_all_at(&w, inner, rc == ERR_OK && t.met ? 3 : 2);
		number = rotate(inner, 0);
		check_all_at(&w, inner, number);
		store_close(st);
	}
	assert_true(lost > 10);
	assert_true(won > 2);
	world_fini(&w);
}

static void
other_join(void *arg)
{
	struct error err = ERROR_INIT;
	char keyid[KEYID_HEX + 1];
	struct keyset ks;

	must(unlock(arg, 3, &ks, &err), &err);
	must(join(arg, &ks, ROLE_READER, 6, keyid, &err), &err);
	keyset_wipe(&ks);
}

/* A key that is added between any two steps of a rotation, and a rotation
 * between any two steps of adding a key. */
static void
test_rotation_and_new_key(void **state)
{
	struct error err = ERROR_INIT;
	struct world w;

	world_init(&w);
	rotate(w.st, 0);
	keyset_wipe(&w.admin);
	must(unlock(w.st, 0, &w.admin, &err), &err);
	w.roles[w.n++] = ROLE_READER;
	for (int turn = 0; turn < 2; turn++) {
		struct trouble t = { .met = true };
		uint64_t at;

		for (at = 1; t.met; at++) {
			char keyid[KEYID_HEX + 1];
			struct store *inner, *st;
			uint32_t number;

			t = (struct trouble){ .at = at,
				.happen = turn == 0 ? other_join
						    : other_rotation };
			st = troubled(&w, &t, &inner);
			t.arg = inner;
			if (turn == 0)
				must(rotation_make(st, &w.admin, &number, &err),
					&err);
			else
				must(join(st, &w.admin, ROLE_READER, 6, keyid,
					     &err),
					&err);
			if (t.met)
				check_all_at(&w, inner, 3);
			store_close(st);
		}
		assert_true(at > 4);
	}
	world_fini(&w);
}

/* An add that is killed while a rotation went by leaves a key that seals for
 * the data key before; the next rotation takes care of it. */
static void
test_killed_key(void **state)
{
	struct error err = ERROR_INIT;
	char keyid[KEYID_HEX + 1];
	struct keyset ks;
	struct world w;

	world_init(&w);
	rotate(w.st, 3);
	must(join(w.st, &w.admin, ROLE_WRITER, 6, keyid, &err), &err);
	must(unlock(w.st, 6, &ks, &err), &err);
	assert_int_equal(keyset_newest(&ks)->number, 2);
	keyset_wipe(&ks);

	/* By hand: what it was granted is gone. */
	w.roles[w.n++] = ROLE_WRITER;
	must(unlock(w.st, 6, &ks, &err), &err);
	must(grants_drop(w.st, ks.ns_hex, &err), &err);
	keyset_wipe(&ks);
	must(unlock(w.st, 6, &ks, &err), &err);
	assert_int_equal(keyset_newest(&ks)->number, 1);
	keyset_wipe(&ks);
	assert_int_equal(rotate(w.st, 0), 3);
	check_all_at(&w, w.st, 3);
	must(unlock(w.st, 6, &ks, &err), &err);
	assert_int_equal(ks.n_epochs, 3);
	keyset_wipe(&ks);
	world_fini(&w);
}

static enum err
find_ns(void *arg, const struct key_info *info, struct error *err)
{
	struct key_info *found = arg;

	if (strcmp(info->keyid, found->keyid) == 0)
		*found = *info;
	return ERR_OK;
}

/* Who was removed and puts his object back gets nothing more. */
static void
test_removed(void **state)
{
	struct error err = ERROR_INIT;
	struct buf obj = BUF_INIT(1 << 20);
	struct key_info info = { 0 };
	char name[STORE_NAME_MAX + 1];
	struct keyset ks;
	struct world w;

	world_init(&w);
	rotate(w.st, 0);
	must(unlock(w.st, 1, &ks, &err), &err);
	snprintf(name, sizeof(name), "keys/%s", ks.keyid);
	memcpy(info.keyid, ks.keyid, sizeof(info.keyid));
	must(store_get_all(w.st, name, 1 << 20, &obj, &err), &err);
	must(keys_remove(w.st, &w.admin, ks.keyid, &err), &err);
	keyset_wipe(&ks);
	must(store_put(w.st, name, obj.data, obj.len, &err), &err);
	assert_int_equal(rotate(w.st, 0), 3);
	must(unlock(w.st, 1, &ks, &err), &err);
	assert_int_equal(keyset_newest(&ks)->number, 1);
	keyset_wipe(&ks);
	must(keys_each(w.st, &w.admin, find_ns, &info, &err), &err);
	assert_int_equal(info.role, ROLE_WRITER);
	assert_true(info.revoked);
	assert_false(info.certified);
	buf_fini(&obj);
	world_fini(&w);
}

/* Whoever may put objects, but lacks the root key, changes nothing. */
static void
test_forged(void **state)
{
	struct error err = ERROR_INIT;
	struct keyset other, ks;
	char name[STORE_NAME_MAX + 1];
	uint32_t number;
	struct world w;

	world_init(&w);
	must(keyset_new(&other, &err), &err);
	must(rotation_make(w.st, &other, &number, &err), &err);
	assert_int_equal(number, 2);
	must(store_put(w.st, "rotations/4", "", 0, &err), &err);
	must(store_put(w.st, "rotations/0", "x", 1, &err), &err);
	must(store_put(w.st, "rotations/99999999999", "x", 1, &err), &err);
	must(store_put(w.st, "rotations/none", "x", 1, &err), &err);
	for (unsigned i = 0; i < w.n; i++) {
		must(unlock(w.st, i, &ks, &err), &err);
		for (int k = 1; k < 4; k++) {
			uint8_t junk[600];

			memset(junk, k, sizeof(junk));
			snprintf(name, sizeof(name), "grants/%s/%d", ks.ns_hex,
				k * k);
			must(store_put(w.st, name, junk, 180 * (size_t)k, &err),
				&err);
		}
		snprintf(name, sizeof(name), "revoked/%s", ks.ns_hex);
		must(store_put(w.st, name, name, 64, &err), &err);
		keyset_wipe(&ks);
	}
	check_all_at(&w, w.st, 1);
	assert_int_equal(rotate(w.st, 0), 3);
	check_all_at(&w, w.st, 3);
	assert_int_equal(rotate(w.st, 0), 5);
	check_all_at(&w, w.st, 5);
	keyset_wipe(&other);
	world_fini(&w);
}

/* A grant that the root key signed is right, or the key set is not used. */
static void
test_damaged(void **state)
{
	struct error err = ERROR_INIT;
	struct buf obj = BUF_INIT(ROOTED_MAX);
	char name[STORE_NAME_MAX + 1];
	struct keyset ks, mine;
	struct world w;
	bool ok;

	world_init(&w);
	rotate(w.st, 0);
	for (unsigned member = 1; member < 3; member++) {
		must(unlock(w.st, member, &mine, &err), &err);
		snprintf(name, sizeof(name), "grants/%s/1", mine.ns_hex);
		must(rooted_get(w.st, &w.admin.root_pub, "coffer 1 grant", name,
			     &obj, &ok, &err),
			&err);
		assert_true(ok);
		for (size_t at = 0; at <= obj.len; at++) {
			struct buf bad = BUF_INIT(ROOTED_MAX);
			enum err rc;

			must(buf_put(&bad, obj.data, obj.len, &err), &err);
			bad.len -= at == obj.len;
			bad.data[at % obj.len] ^= at < obj.len;
			must(rooted_sign(&bad, &w.admin, "coffer 1 grant", name,
				     &err),
				&err);
			must(store_del(w.st, name, &err), &err);
			must(store_put(w.st, name, bad.data, bad.len, &err),
				&err);
			rc = unlock(w.st, member, &ks, &err);
			/* The number or public key of another data key. */
			if (at < 4 + KX_PUBLIC) {
				must(rc, &err);
				assert_int_equal(ks.n_epochs, 1);
				keyset_wipe(&ks);
			} else {
				must_fail(rc, ERR_CORRUPT, &err, name);
			}
			buf_fini(&bad);
		}
		keyset_wipe(&mine);
	}
	buf_fini(&obj);
	world_fini(&w);
}

/* A secret half that does not belong to the public one would be noticed only
 * when what it should open is lost. */
static void
test_wrong_half(void **state)
{
	struct error err = ERROR_INIT;
	struct keyset ks, reader;
	struct grants_to to;
	struct world w;

	world_init(&w);
	rotate(w.st, 0);
	must(unlock(w.st, 0, &ks, &err), &err);
	must(unlock(w.st, 2, &reader, &err), &err);
	to = (struct grants_to){ reader.ns_hex, ROLE_READER, &reader.box_pub };
	must(grants_drop(w.st, reader.ns_hex, &err), &err);
	ks.epochs[1].sec.b[7] ^= 1;
	must(grants_hand_over(w.st, &ks, &to, &err), &err);
	keyset_wipe(&ks);
	must_fail(unlock(w.st, 2, &ks, &err), ERR_CORRUPT, &err,
		"another public key");
	keyset_wipe(&reader);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rotations),
		cmocka_unit_test(test_no_more_grants_than_needed),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_two_rotations),
		cmocka_unit_test(test_rotation_and_new_key),
		cmocka_unit_test(test_killed_key),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_wrong_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
