/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds which passphrase gets the secrets of his role, and no others. */
#include "tests/lib/repo_tools.h"

#include <stdio.h>
#include <stdlib.h>

#include "repo/keyset.h"

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

/* Nobody makes a key that can do more than his own. */
static void
test_no_escalation(void **state)
{
	static const bool may[5][5] = {
		[ROLE_ADMIN] = { 0, 1, 1, 1, 1 },
		[ROLE_READER] = { 0, 1, 1, 1, 1 },
		[ROLE_MAINTAINER] = { 0, 0, 0, 1, 0 },
		[ROLE_WRITER] = { 0, 0, 0, 1, 1 },
	};
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

			assert_int_equal(rc, may[a][b] ? ERR_OK : ERR_DENIED);
		}
		keyset_wipe(&mine);
		store_close(st);
	}
	keyset_wipe(&admin);
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
	must_fail(keys_remove(st, &b, one, &err), ERR_USAGE, &err, "last");
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

static enum err
count(void *arg, const struct key_info *info, struct error *err)
{
	unsigned *seen = arg;

	assert_memory_equal(&info->repo, &repo, UID_LEN);
	assert_true(info->created_sec > 1500000000);
	seen[info->role]++;
	return ERR_OK;
}

static void
test_each(void **state)
{
	unsigned seen[5] = { 0 };
	struct error err = ERROR_INIT;
	struct store *st = tool_store();
	char keyid[KEYID_HEX + 1];
	struct keyset admin;

	must(keyset_new(&admin, &err), &err);
	for (int i = 0; i < 3; i++)
		must(add(st, &admin, ROLE_WRITER, "p", keyid, &err), &err);
	must(add(st, &admin, ROLE_ADMIN, "p", keyid, &err), &err);
	must(keys_each(st, count, seen, &err), &err);
	assert_int_equal(seen[ROLE_WRITER], 3);
	assert_int_equal(seen[ROLE_ADMIN], 1);
	keyset_wipe(&admin);
	store_close(st);
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
	must(keyset_encode(&bytes, &ks, ROLE_READER, NULL, &err), &err);
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
	must(keyset_encode(&bytes, &ks, ROLE_READER, NULL, &err), &err);
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
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_none_and_foreign),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_epochs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
