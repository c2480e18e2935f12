/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of an image and of lines, in pieces of any size; garbage does no
 * harm.
 */
#include <stdio.h>
#include <string.h>

#include "engine/mfs_sessions.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"

enum { STATS = 16, SESSIONS = 40, FIXED = 61 + 8 * STATS, ROUNDS = 200 };

static uint8_t section[8192];
static size_t section_len;

static void
put32(uint8_t *out, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		out[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* As mfsmaster 3.0.117 writes them; session i is of 10.0.0.i, "/mnt/i". */
static void
make_section(struct prng *dice)
{
	memset(section, 0, sizeof(section));
	put32(section, SESSIONS + 1);
	section[5] = STATS;
	section_len = 6;
	for (uint32_t i = 1; i <= SESSIONS; i++) {
		uint8_t *p = section + section_len;
		int len = snprintf((char *)p + FIXED, 20, "/mnt/%u", i);

		prng_fill(dice, p, FIXED);
		put32(p, i);
		put32(p + 12, (uint32_t)len);
		put32(p + 16, 10u << 24 | i);
		section_len += (size_t)(FIXED + len);
	}
	memset(section + section_len, 0, FIXED);
	section_len += FIXED;
}

static void
feed(struct mfs_sessions *s, struct prng *dice, const char *name,
	unsigned minor)
{
	struct mfs_section head = { .major = 1, .minor = minor };
	struct error err = ERROR_INIT;

	memcpy(head.name, name, 5);
	must(mfs_sessions_section(s, &head, &err), &err);
	for (size_t at = 0; at < section_len;) {
		size_t n = 1 + prng_below(dice, 300);

		if (n > section_len - at)
			n = section_len - at;
		must(mfs_sessions_data(s, &head, at, section + at, n, &err),
			&err);
		at += n;
	}
}

static void
take(struct mfs_sessions *s, const char *line)
{
	struct error err = ERROR_INIT;
	struct mfs_change c;

	must(mfs_change_parse(&c, line, strlen(line), &err), &err);
	must(mfs_sessions_take(s, &c, &err), &err);
}

static void
sessions_of_an_image_are_found_in_any_pieces(void **state)
{
	struct mfs_sessions s;
	struct prng dice;

	(void)state;
	prng_init(&dice, 1);
	for (unsigned round = 0; round < ROUNDS; round++) {
		mfs_sessions_init(&s, SESSIONS * 2);
		make_section(&dice);
		feed(&s, &dice, "SESS", 5);
		assert_int_equal(s.n, SESSIONS);
		for (uint32_t i = 1; i <= SESSIONS; i++) {
			const struct mfs_session *one =
				mfs_sessions_find(&s, i);
			char mount[20];

			(void)snprintf(mount, sizeof(mount), "/mnt/%u", i);
			assert_non_null(one);
			assert_int_equal(one->client, 10u << 24 | i);
			assert_int_equal(one->mount_len, strlen(mount));
			assert_memory_equal(one->mount, mount, one->mount_len);
		}
		assert_null(mfs_sessions_find(&s, SESSIONS + 1));
		mfs_sessions_fini(&s);
	}
}

static void
lines_add_to_them_and_other_sections_do_not(void **state)
{
	const struct mfs_session *one;
	struct mfs_sessions s;
	struct prng dice;

	(void)state;
	prng_init(&dice, 2);
	mfs_sessions_init(&s, 3);
	make_section(&dice);
	feed(&s, &dice, "NODE", 5);
	feed(&s, &dice, "SESS", 6);
	assert_int_equal(s.n, 0);
	take(&s, "2: 17|SESADD(#1,1,0,0000,0,0,999,999,1,9,0,4294967295,"
		 "0x00000000,2130706433,/mnt%2Ca):7");
	/* 2.0.91, with the NUL of the client's string. */
	take(&s, "3: 17|SESADD(1,0,0,0,999,999,1,9,0,4294967295,2130706434,"
		 "/fixture%00):2");
	take(&s, "4: 17|SESDEL(7)");
	assert_int_equal(s.n, 2);
	one = mfs_sessions_find(&s, 7);
	assert_non_null(one);
	assert_int_equal(one->client, 0x7f000001);
	assert_int_equal(one->mount_len, 6);
	assert_memory_equal(one->mount, "/mnt,a", 6);
	one = mfs_sessions_find(&s, 2);
	assert_non_null(one);
	assert_int_equal(one->client, 0x7f000002);
	assert_int_equal(one->mount_len, 8);
	/* No more than are allowed. */
	take(&s, "5: 17|SESADD(1,1,/a):9");
	take(&s, "6: 17|SESADD(1,1,/b):10");
	assert_int_equal(s.n, 3);
	assert_null(mfs_sessions_find(&s, 10));
	mfs_sessions_fini(&s);
}

static void
garbage_does_no_harm(void **state)
{
	struct mfs_sessions s;
	struct prng dice;

	(void)state;
	prng_init(&dice, 3);
	for (unsigned round = 0; round < ROUNDS * 10; round++) {
		mfs_sessions_init(&s, 100);
		make_section(&dice);
		for (unsigned i = 0; i < 1 + round % 20; i++)
			section[prng_below(&dice, section_len)] =
				(uint8_t)prng_next(&dice);
		section_len = 1 + prng_below(&dice, section_len);
		feed(&s, &dice, "SESS", 5);
		assert_true(s.n <= 100);
		for (size_t i = 1; i < s.n; i++)
			assert_true(s.v[i - 1].id < s.v[i].id);
		mfs_sessions_fini(&s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions_of_an_image_are_found_in_any_pieces),
		cmocka_unit_test(lines_add_to_them_and_other_sections_do_not),
		cmocka_unit_test(garbage_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
