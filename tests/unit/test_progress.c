/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "tests/lib/prng.h"
#include "tests/lib/scale.h"

enum { NAME_MAX_LEN = 600, SHOWN = 256, WRITERS = 3 };

/* Property: what is shown is the end of the name, and where the name is text
 * it starts with a whole character. */
static void
the_end_of_a_name_is_shown(void **state)
{
	static const char *const chars[] = { "a", "/", "\xc3\xa9",
		"\xe2\x82\xac", "\xf0\x9f\x92\xbe", "\xa9" };
	struct progress prog;
	struct prng p;

	(void)state;
	progress_init(&prog);
	prng_init(&p, 1);
	for (int i = 0; i < 20000; i++) {
		char name[NAME_MAX_LEN], out[SHOWN];
		size_t len = 0, want = prng_below(&p, sizeof(name) - 4), n;
		bool text = i % 2 == 0;

		while (len < want) {
			const char *c = chars[prng_below(&p, text ? 5 : 6)];

			memcpy(name + len, c, strlen(c));
			len += strlen(c);
		}
		progress_current(&prog, name, len);
		progress_get_current(&prog, out);
		n = strnlen(out, sizeof(out));
		assert_true(n < sizeof(out) && n <= len);
		assert_memory_equal(out, name + len - n, n);
		assert_true(len < SHOWN ? n == len : n >= SHOWN - 1 - 3);
		if (text && n > 0)
			assert_true(((uint8_t)out[0] & 0xc0) != 0x80);
	}
	progress_fini(&prog);
}

struct writer {
	pthread_t thread;
	struct progress *prog;
	char name[200];
	uint64_t rounds;
};

static void *
write_names(void *arg)
{
	struct writer *w = arg;

	for (uint64_t i = 0; i < w->rounds; i++) {
		progress_current(w->prog, w->name, sizeof(w->name));
		atomic_fetch_add(&w->prog->items_done, 1);
	}
	return NULL;
}

/* Each writer's name is of one letter: a mixture would be a torn one. */
static void
a_name_is_never_half_of_another(void **state)
{
	struct writer w[WRITERS];
	uint64_t rounds = test_scale(20000);
	struct progress prog;
	char out[SHOWN];

	(void)state;
	progress_init(&prog);
	for (int i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){ .prog = &prog, .rounds = rounds };
		memset(w[i].name, 'a' + i, sizeof(w[i].name));
		assert_int_equal(pthread_create(&w[i].thread, NULL, write_names,
					 &w[i]),
			0);
	}
	while (atomic_load(&prog.items_done) < WRITERS * rounds) {
		progress_get_current(&prog, out);
		for (size_t k = 1; out[0] != '\0' && k < 200; k++)
			assert_int_equal(out[k], out[0]);
	}
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
	progress_fini(&prog);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_of_a_name_is_shown),
		cmocka_unit_test(a_name_is_never_half_of_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
