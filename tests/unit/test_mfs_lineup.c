/* SPDX-License-Identifier: Apache-2.0 */
/* One thread receives into generations that come and come again, another one
 * lets go of those that others come after. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "source/moosefs/lineup.h"
#include "tests/lib/must.h"

enum { ROUNDS = 400, GENERATIONS = 3 };

static const char *const names[GENERATIONS] = { "000000000000000a",
	"000000000000000a.1", "000000000000000b" };

struct world {
	char dir[64];
	struct home home;
	struct lineup line;
	_Atomic bool over;
};

static void *
let_go(void *arg)
{
	struct world *w = arg;
	struct journal_figures f;
	char gen[HOME_GEN_MAX];

	while (!w->over) {
		struct error why = ERROR_INIT;
		struct journal *j;

		if (lineup_first(&w->line, gen, &j, &why) == ERR_OK &&
			j != NULL)
			journal_figures(j, &f);
		if (lineup_has_next(&w->line))
			lineup_next(&w->line);
	}
	return NULL;
}

static void
test_comes_again(void **state)
{
	struct world w = { .over = false };
	struct error err = ERROR_INIT;
	struct journal_figures f;
	char gen[HOME_GEN_MAX], command[96];
	pthread_t thread;

	(void)state;
	(void)snprintf(w.dir, sizeof(w.dir), "/tmp/coffer-lineup-XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	must(home_open(&w.home, w.dir, &err), &err);
	lineup_init(&w.line, &w.home, NULL, NULL);
	must(lineup_load(&w.line, &err), &err);
	assert_int_equal(pthread_create(&thread, NULL, let_go, &w), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		enum err rc;

		do {
			err = ERROR_INIT;
			rc = lineup_use(&w.line, names[i % GENERATIONS], &err);
		} while (rc == ERR_AGAIN);
		must(rc, &err);
		assert_non_null(lineup_target(&w.line));
		assert_true(lineup_figures(&w.line, gen, &f));
		assert_string_equal(gen, names[i % GENERATIONS]);
	}
	w.over = true;
	(void)pthread_join(thread, NULL);
	lineup_fini(&w.line);
	home_close(&w.home);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", w.dir);
	assert_int_equal(system(command), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comes_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
