/* SPDX-License-Identifier: Apache-2.0 */
/* Who lacks the maintenance key reads what it signed, and forges nothing. */
#include "tests/lib/repo_tools.h"

#include "repo/maintenance.h"

static const char name[] = "prune/1/final";

static struct keyset
fresh(void)
{
	struct error err = ERROR_INIT;
	struct keyset ks;

	must(keyset_new(&ks, &err), &err);
	return ks;
}

static void
test_round_trip(void **state)
{
	struct keyset ks = fresh();
	struct error err = ERROR_INIT;
	struct prng p;

	prng_init(&p, 3);
	for (int i = 0; i < 200; i++) {
		struct store *st = tool_store();
		struct buf out = BUF_INIT(1 << 20);
		uint8_t data[3000];
		size_t len = i == 0 ? 0 : prng_below(&p, sizeof(data));

		prng_fill(&p, data, len);
		must(buf_put(&out, "before", 6, &err), &err);
		must(maintenance_put(st, &ks, BOX_FINAL, name, data, len, &err),
			&err);
		must(maintenance_get(st, &ks, BOX_FINAL, name, &out, &err),
			&err);
		assert_int_equal(out.len, 6 + len);
		assert_memory_equal(out.data + 6, data, len);
		must_fail(maintenance_put(st, &ks, BOX_FINAL, name, data, len,
				  &err),
			ERR_EXISTS, &err, "");
		buf_fini(&out);
		store_close(st);
	}
	keyset_wipe(&ks);
}

/* box, sealed under the structure key of ks, does not get through. */
static void
refused(const struct keyset *ks, const void *plain, size_t len)
{
	struct error err = ERROR_INIT;
	struct store *st = tool_store();
	struct buf box = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);

	must(box_seal(&box, BOX_FINAL, name, &ks->structure, plain, len, &err),
		&err);
	must(store_put(st, name, box.data, box.len, &err), &err);
	must_fail(maintenance_get(st, ks, BOX_FINAL, name, &out, &err),
		ERR_CORRUPT, &err, name);
	assert_int_equal(out.len, 0);
	buf_fini(&out);
	buf_fini(&box);
	store_close(st);
}

/* All that a thief of another role's key has: the structure key, and a
 * signature that was made for another name or by another key. */
static void
test_forged(void **state)
{
	struct keyset ks = fresh(), other = fresh();
	struct error err = ERROR_INIT;
	struct store *st = tool_store();
	struct buf box = BUF_INIT(1 << 20), plain = BUF_INIT(1 << 20);

	must(maintenance_put(st, &ks, BOX_FINAL, "prune/2/final", "x", 1, &err),
		&err);
	must(store_get_all(st, "prune/2/final", 1 << 20, &box, &err), &err);
	must(box_open(&plain, BOX_FINAL, "prune/2/final", &ks.structure,
		     box.data, box.len, &err),
		&err);
	refused(&ks, plain.data, plain.len);
	refused(&ks, "", 0);
	refused(&ks, plain.data, SIGN_LEN - 1);
	refused(&ks, plain.data, SIGN_LEN);

	other.structure = ks.structure;
	must(maintenance_put(st, &other, BOX_FINAL, name, "x", 1, &err), &err);
	buf_clear(&plain);
	must_fail(maintenance_get(st, &ks, BOX_FINAL, name, &plain, &err),
		ERR_CORRUPT, &err, "signature");
	must_fail(maintenance_get(st, &ks, BOX_FINAL, "prune/3/final", &plain,
			  &err),
		ERR_NOTFOUND, &err, "");
	buf_fini(&plain);
	buf_fini(&box);
	keyset_wipe(&other);
	keyset_wipe(&ks);
	store_close(st);
}

static void
test_roles(void **state)
{
	struct store *st = tool_repo_store();
	struct error err = ERROR_INIT;
	struct repo *admin = tool_open(st, TOOL_PASS);

	for (enum role role = ROLE_READER; role <= ROLE_WRITER; role++) {
		struct buf out = BUF_INIT(1 << 20);
		struct pass pass = { "abcdef", (size_t)role };
		struct repo *r;
		char mine[] = "holds/0";
		enum err rc;

		tool_add_key(st, admin, role, pass);
		r = tool_open(st, pass);
		mine[6] = (char)('0' + role);
		rc = maintenance_put(st, repo_keys(r), BOX_HOLD, mine, "x", 1,
			&err);
		if (role == ROLE_MAINTAINER)
			must(rc, &err);
		else
			must_fail(rc, ERR_DENIED, &err, role_name(role));
		mine[6] = '9';
		if (role == ROLE_READER)
			must(maintenance_put(st, repo_keys(admin), BOX_HOLD,
				     mine, "y", 1, &err),
				&err);
		must(maintenance_get(st, repo_keys(r), BOX_HOLD, mine, &out,
			     &err),
			&err);
		assert_int_equal(out.len, 1);
		buf_fini(&out);
		repo_close(r);
	}
	repo_close(admin);
	store_close(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_roles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
