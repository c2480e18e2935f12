/* SPDX-License-Identifier: Apache-2.0 */
/* What a stolen writer's or maintainer's key does not open, grant or sign,
 * however the program is changed: docs/threat-model.md, sections 4 and 5. */
#include <stdio.h>

#include "codec/sign.h"
#include "repo/box.h"
#include "repo/epoch.h"
#include "repo/maintenance.h"
#include "repo/rotation.h"
#include "tests/lib/repo_tools.h"

struct scene {
	struct store *st;
	struct repo *admin, *thief;
};

static struct scene
steal(enum role role)
{
	const struct pass pass = { "stolen", 6 };
	struct scene s = { .st = tool_repo_store() };

	s.admin = tool_open(s.st, TOOL_PASS);
	tool_add_key(s.st, s.admin, role, pass);
	s.thief = tool_open(s.st, pass);
	return s;
}

static void
leave(struct scene *s)
{
	repo_close(s->thief);
	repo_close(s->admin);
	store_close(s->st);
}

/* The secrets themselves are not in the key set. */
static void
test_what_a_key_holds(void **state)
{
	for (enum role role = ROLE_MAINTAINER; role <= ROLE_WRITER; role++) {
		struct scene s = steal(role);
		const struct keyset *ks = repo_keys(s.thief);

		for (size_t i = 0; i < ks->n_epochs; i++)
			assert_false(ks->epochs[i].has_secret);
		assert_false(ks->has_root);
		assert_int_equal(ks->has_maint, role == ROLE_MAINTAINER);
		assert_int_equal(ks->has_id, role == ROLE_WRITER);
		leave(&s);
	}
}

/* A list that the thief seals, signed with seed. */
static void
forge(struct scene *s, enum box_kind kind, const char *name,
	const struct secret *seed, const void *list, size_t len)
{
	const struct keyset *ks = repo_keys(s->thief);
	const struct sign_part parts[] = { { name, strlen(name) },
		{ list, len } };
	struct buf plain = BUF_INIT(4096), box = BUF_INIT(4096);
	struct error err = ERROR_INIT;
	uint8_t sig[SIGN_LEN];

	must(sign_make(sig, seed, "coffer 1 maintenance", parts, 2, &err),
		&err);
	must(buf_put(&plain, sig, sizeof(sig), &err), &err);
	must(buf_put(&plain, list, len, &err), &err);
	must(box_seal(&box, kind, name, &ks->structure, plain.data, plain.len,
		     &err),
		&err);
	must(store_put(s->st, name, box.data, box.len, &err), &err);
	buf_fini(&box);
	buf_fini(&plain);
}

/* Lists by a writer are refused, and void nothing: who reads what counts
 * stops, instead of believing that nothing does.  The same lists are believed
 * where the maintenance key signed them. */
static void
test_forged_lists(void **state)
{
	for (int honest = 0; honest < 2; honest++) {
		struct scene s = steal(ROLE_WRITER);
		const struct keyset *thief = repo_keys(s.thief);
		const struct keyset *admin = repo_keys(s.admin);
		const struct secret *seed =
			honest ? &admin->maint_seed : &thief->sign_seed;
		const enum err want = honest ? ERR_OK : ERR_CORRUPT;
		const uint8_t empty[8] = { 0 };
		struct error err = ERROR_INIT;
		struct condemned c = { .n_packs = 0 };
		struct counting counting = { .state.newest = 0 };

		assert_int_equal(epoch_done_put(s.st, thief, 1, &err),
			ERR_DENIED);
		forge(&s, BOX_CONDEMNED, "prune/1/condemned", seed, empty, 8);
		forge(&s, BOX_FINAL, "prune/1/final", seed, empty, 5);
		assert_int_equal(epoch_condemned_get(s.st, admin, 1, &c, &err),
			want);
		assert_int_equal(counting_read(s.st, admin, &counting, &err),
			want);
		if (honest) {
			condemned_fini(&c);
			counting_fini(&counting);
		}
		leave(&s);
	}
}

/* Neither can have others seal for a data key of the thief's. */
static void
test_no_rotation(void **state)
{
	for (enum role role = ROLE_READER; role <= ROLE_WRITER; role++) {
		struct scene s = steal(role);
		struct error err = ERROR_INIT;
		uint32_t number;

		assert_int_equal(rotation_make(s.st, repo_keys(s.thief),
					 &number, &err),
			ERR_DENIED);
		leave(&s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_key_holds),
		cmocka_unit_test(test_forged_lists),
		cmocka_unit_test(test_no_rotation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
