/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every single bit of a small repository, flipped in turn: detected, and
 * never a wrong answer.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/engine/world.h"
#include "tests/lib/scale.h"

enum { NAMES_MAX = 64 };

struct names {
	char v[NAMES_MAX][STORE_NAME_MAX + 1];
	uint64_t size[NAMES_MAX];
	unsigned n;
};

static enum err
note_name(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct names *names = arg;

	assert_true(names->n < NAMES_MAX);
	(void)snprintf(names->v[names->n], sizeof(names->v[0]), "%s", name);
	names->size[names->n++] = size;
	return ERR_OK;
}

/* The damage is found, by a failure to open or as a finding of the check. */
static bool
is_detected(struct world *w, struct store *st)
{
	struct error err = ERROR_INIT;
	struct check_result result;

	return world_check(w, st, &result, &err) != ERR_OK || result.errors > 0;
}

/* What can still be read is right. */
static bool
is_never_wrong(struct world *w, struct store *st)
{
	struct error err = ERROR_INIT;
	bool equal;

	return world_compare(w, st, &equal, &err) != ERR_OK || equal;
}

static void
test_every_bit(void **state)
{
	struct error err = ERROR_INIT;
	struct names names = { .n = 0 };
	struct store *st = tool_store();
	/* Odd: each bit of a byte has its turn. */
	uint64_t step = test_stride() | 1, flipped = 0;
	struct world w;

	world_init(&w, 4, 3, 300);
	must(world_repo_init(st, &err), &err);
	must(world_backup(&w, st, NULL, &err), &err);
	must(store_list(st, "", note_name, &names, &err), &err);
	assert_false(is_detected(&w, st));
	for (unsigned i = 0; i < names.n; i++) {
		for (uint64_t bit = 0; bit < 8 * names.size[i]; bit += step) {
			must(store_mem_flip(st, names.v[i], bit, &err), &err);
			if (!is_detected(&w, st))
				fail_msg("bit %llu of %s goes unnoticed",
					(unsigned long long)bit, names.v[i]);
			if (bit % 64 == 0 && !is_never_wrong(&w, st))
				fail_msg("bit %llu of %s: a wrong answer",
					(unsigned long long)bit, names.v[i]);
			must(store_mem_flip(st, names.v[i], bit, &err), &err);
			flipped++;
		}
	}
	print_message("%llu bits flipped\n", (unsigned long long)flipped);
	assert_false(is_detected(&w, st));
	store_close(st);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
