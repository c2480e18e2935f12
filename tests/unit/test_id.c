/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "tests/lib/prng.h"

enum { ROUNDS = 20000 };

static void
hex_comes_back(void **state)
{
	struct prng p;

	(void)state;
	prng_init(&p, 1);
	for (int i = 0; i < ROUNDS; i++) {
		struct id id, back;
		char text[ID_HEX + 1];

		prng_fill(&p, id.b, ID_LEN);
		hex_encode(id.b, ID_LEN, text);
		assert_int_equal(strlen(text), ID_HEX);
		assert_int_equal(strspn(text, "0123456789abcdef"), ID_HEX);
		assert_true(hex_decode(text, back.b, ID_LEN));
		assert_true(id_eq(&id, &back));
	}
}

/* Every other byte in every place is refused, an early end among them. */
static void
hex_takes_lower_case_digits_only(void **state)
{
	char text[UID_HEX + 1];
	struct uid uid = { 0 };

	(void)state;
	for (size_t at = 0; at < UID_HEX; at++) {
		for (int c = 0; c < 256; c++) {
			bool is_digit =
				c != 0 && strchr("0123456789abcdef", c) != NULL;

			memset(text, '0', UID_HEX);
			text[UID_HEX] = '\0';
			text[at] = (char)c;
			assert_int_equal(hex_decode(text, uid.b, UID_LEN),
				is_digit);
		}
	}
}

static void
prefix_orders_as_ids_do(void **state)
{
	struct prng p;

	(void)state;
	prng_init(&p, 2);
	for (int i = 0; i < ROUNDS; i++) {
		struct id a, b;
		size_t same = prng_below(&p, 12);

		prng_fill(&p, a.b, ID_LEN);
		prng_fill(&p, b.b, ID_LEN);
		memcpy(b.b, a.b, same);
		if (id_prefix(&a) != id_prefix(&b))
			assert_int_equal(id_prefix(&a) < id_prefix(&b),
				id_cmp(&a, &b) < 0);
		else
			assert_memory_equal(a.b, b.b, 8);
	}
}

static int
by_bytes(const void *a, const void *b)
{
	return id_cmp(a, b);
}

static void
found_as_by_looking_at_each(void **state)
{
	struct id v[40], wanted = { { 0 } };
	struct prng p;

	prng_init(&p, 3);
	for (size_t n = 0; n <= 40; n++) {
		memset(v, 0, sizeof(v));
		for (size_t i = 0; i < n; i++)
			v[i].b[31] = (uint8_t)(6 * i + prng_below(&p, 6));
		qsort(v, n, sizeof(*v), by_bytes);
		for (unsigned last = 0; last < 256; last++) {
			size_t at = SIZE_MAX;

			wanted.b[31] = (uint8_t)last;
			for (size_t i = 0; i < n; i++)
				if (id_eq(&v[i], &wanted))
					at = i;
			assert_true(id_find(v, n, &wanted) == at);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_as_by_looking_at_each),
		cmocka_unit_test(hex_comes_back),
		cmocka_unit_test(hex_takes_lower_case_digits_only),
		cmocka_unit_test(prefix_orders_as_ids_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
