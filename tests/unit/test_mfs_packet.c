/* SPDX-License-Identifier: Apache-2.0 */
/* Packets as they were recorded, and such as no master sends. */
#include "tests/lib/mfs_pair.h"

static size_t
from_hex(uint8_t *out, const char *hex)
{
	size_t n = 0;
	unsigned v;
	int used;

	while (sscanf(hex, " %2x%n", &v, &used) == 1) {
		out[n++] = (uint8_t)v;
		hex += used;
	}
	return n;
}

enum asked { NOTHING, LINES, IMAGE };

static const struct {
	enum asked asked;
	const char *hex, *text;
} bad[] = {
	{ LINES, "00000063 00000000", "type 99" },
	{ LINES, "00010033 00000001 55", "type 65587" }, /* a "light" build */
	{ LINES, "00000000 00000001 00", "type 0, 1 bytes" },
	{ LINES, "00000001 0016e361", "1500001 bytes" },
	{ LINES, "00000001 ffffffff", "4294967295 bytes" },
	{ LINES, "00000033 00000000", "type 51, 0 bytes" },
	{ LINES, "00000033 00030d4a", "type 51, 200010 bytes" },
	{ LINES, "00000033 00000001 ff", "a change of 1 bytes" },
	{ LINES, "00000033 00000002 5500", "a change of 2 bytes" },
	{ LINES, "00000033 00000009 ff0000000000000001",
		"a change of 9 bytes" },
	{ LINES, "00000033 0000000a ff000000000000000141",
		"a change of 10 bytes" },
	{ LINES, "00000033 0000000a aa000000000000000100", "PRO" },
	{ LINES, "00000035 00000000", "type 53" },
	/* As 4.59.2 answers a supervisor, which we are not; and what only such
	 * a one sends (save the image now). */
	{ LINES,
		"00000035 00000028 ffffffff 00000000 00000000 0000000000000003"
		"6b013fa884b1c072 000660c3cf868ad6 00000000",
		"type 53" },
	{ LINES, "00000041 00000000", "type 65" },
	{ LINES, "00000034 00000000", "type 52, 0 bytes" },
	{ LINES, "00000005 00000001 05", "type 5, 1 bytes" },
	{ LINES, "0000000b 00000004 000300ea", "a version that was not" },
	{ LINES, "00000051 00000005 0000000000", "type 81" },
	{ LINES, "0000003d 00000008 0000000000000001", "not asked for" },
	{ LINES, "0000003f 00000010 00000000000000000000000000000000",
		"not asked for" },
	{ NOTHING, "00000033 00000001 55", "changes that were not asked" },
	{ NOTHING, "0000003d 00000001 ff", "not asked for" },
	{ IMAGE, "0000003d 00000001 01", "an answer of 1 bytes" },
	{ IMAGE, "0000003d 00000007 00000000000000", "an answer of 7 bytes" },
	{ IMAGE, "0000003d 00000009 00", "type 61, 9 bytes" },
	{ IMAGE, "0000003f 00000010 00000000000000000000000000000000",
		"not asked for" },
	{ IMAGE,
		"0000003d 00000008 0000000000000001"
		"0000003d 00000008 0000000000000001",
		"not asked for" },
	{ IMAGE,
		"0000003d 00000008 0000000000000001"
		"0000003f 00000011 0000000000000000 00000001 e8b7be42 61",
		"have the checksum e8b7be43, not e8b7be42" },
	{ IMAGE,
		"0000003d 00000008 0000000000000001"
		"0000003f 00000011 0000000000000001 00000001 e8b7be43 61",
		"1 bytes at 0 asked for, 1 at 1 came" },
	{ IMAGE,
		"0000003d 00000008 0000000000000001"
		"0000003f 00000012 0000000000000000 00000002 e8b7be43 6162",
		"1 bytes at 0 asked for, 2 at 0 came" },
	{ IMAGE,
		"0000003d 00000008 0000000000000001"
		"0000003f 00000010 0000000000000000 00000000 00000000",
		"1 bytes at 0 asked for, 0 at 0 came" },
	{ IMAGE,
		"0000003d 00000008 0000000000000001"
		"0000003f 00000011 0000000000000000 00000002 e8b7be43 61",
		"says it has 2 bytes and has 1" },
	{ IMAGE, "0000003d 00000008 ffffffffffffffff 0000003f 000f4251",
		"type 63, 1000017 bytes" },
	{ IMAGE, "0000003f 0000000f", "type 63, 15 bytes" },
};

static void
bad_packets(void **state)
{
	uint8_t bytes[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		size_t len = from_hex(bytes, bad[i].hex);
		struct pair p;
		enum err rc;

		pair_init(&p);
		if (bad[i].asked == LINES)
			must(mfs_register(p.m, 0, &p.err), &p.err);
		if (bad[i].asked == IMAGE)
			must(mfs_fetch(p.m, MFS_IMAGE, &p.err), &p.err);
		rc = feed(&p, bytes, len);
		for (int k = 0; k < 6000 && rc == ERR_OK; k++)
			rc = mfs_step(p.m, 10, &p.err);
		must_fail(rc, ERR_CORRUPT, &p.err, bad[i].text);
		assert_non_null(strstr(p.err.msg, "master 127.0.0.1:"));
		p.err = ERROR_INIT;
		must_fail(mfs_step(p.m, 0, &p.err), ERR_CORRUPT, &p.err,
			bad[i].text);
		must_fail(mfs_register(p.m, 0, &p.err), ERR_CORRUPT, &p.err,
			bad[i].text);
		pair_fini(&p);
	}
}

/* As recorded of a 4.59.2 master by one that claimed to be such, too; it says
 * NOP each second, and nothing else for half a minute. */
static void
recorded_4x(void **state)
{
	static const char hex[] =
		"00 00 00 34 00 00 00 05 00 00 04 3b 04"
		"00 00 00 33 00 00 00 1b ff 00 00 00 00 00 00 00 02 31 37 39 "
		"35 32 34 33 39 37 35 7c 49 44 4c 45 28 29 00"
		"00 00 00 05 00 00 00 02 00 14"
		"00 00 00 00 00 00 00 00 00 00 00 34 00 00 00 05 01 00 04 3b "
		"04";
	static const uint8_t nop[8] = { 0 };
	struct buf want = BUF_INIT(MFS_STREAM_MAX);
	uint8_t bytes[200];
	size_t len = from_hex(bytes, hex);
	struct pair p;
	enum err rc;

	(void)state;
	pair_start(&p);
	must(feed(&p, bytes, len), &p.err);
	say_change(&want, 2, "1795243975|IDLE()", 17);
	for (int second = 0; second < 30; second++)
		must(feed(&p, nop, sizeof(nop)), &p.err);
	must(settle(&p, &want), &p.err);
	same_told(&p, &want);
	len = from_hex(bytes, "00 00 00 34 00 00 00 05 02 00 04 3b 04");
	rc = feed(&p, bytes, len);
	for (int i = 0; i < 6000 && rc == ERR_OK; i++)
		rc = mfs_step(p.m, 10, &p.err);
	must_fail(rc, ERR_AGAIN, &p.err, "refuses us (answer 2)");
	pair_fini(&p);
	buf_fini(&want);
}

/* As recorded between mfsmetalogger and mfsmaster 3.0.117. */
static void
recorded_3x(void **state)
{
	static const char them[] =
		"00 00 00 3d 00 00 00 08 00 00 00 00 00 00 00 00"
		"00 00 00 3d 00 00 00 01 ff"
		"00 00 00 00 00 00 00 00"
		"00 00 00 33 00 00 00 37 ff 00 00 00 00 00 00 00 3a 31 37 39 "
		"35 32 34 33 34 31 31 7c 43 52 45 41 54 45 28 32 2c 61 66 74 "
		"65 72 31 2c 32 2c 35 31 31 2c 31 38 2c 30 2c 30 2c 30 29 3a "
		"31 34 00"
		"00 00 00 33 00 00 00 1e ff 00 00 00 00 00 00 00 05 31 37 39 "
		"35 32 34 32 37 38 34 7c 41 43 43 45 53 53 28 31 29 00"
		"00 00 00 33 00 00 00 01 55";
	static const char us[] = "00 00 00 32 00 00 00 07 01 00 03 00 ea 00 0a"
				 "00 00 00 3c 00 00 00 01 01"
				 "00 00 00 40 00 00 00 00"
				 "00 00 00 3c 00 00 00 01 0c"
				 "00 00 00 3c 00 00 00 01 0b";
	static const char line[] =
		"1795243411|CREATE(2,after1,2,511,18,0,0,0):14";
	struct buf want = BUF_INIT(MFS_STREAM_MAX),
		   asked = BUF_INIT(MFS_STREAM_MAX);
	uint8_t bytes[400];
	struct pair p;

	(void)state;
	pair_init(&p);
	must(mfs_register(p.m, 0, &p.err), &p.err);
	must(fetch_next(&p, &p.err), &p.err);
	must(feed(&p, bytes, from_hex(bytes, them)), &p.err);
	say(&want, "begin 1 1 0\nend 1\nbegin 12 0 0\n");
	say_change(&want, 58, line, strlen(line));
	say_change(&want, 5, "1795242784|ACCESS(1)", 20);
	say(&want, "rotate\n");
	must(settle(&p, &want), &p.err);
	same_told(&p, &want);
	put(&asked, bytes, from_hex(bytes, us));
	same_asked(&p, &asked);
	assert_true(mfs_is_fetching(p.m));
	must_fail(mfs_fetch(p.m, MFS_IMAGE, &p.err), ERR_USAGE, &p.err,
		"file 11 is being fetched");
	must_fail(mfs_register(p.m, 1, &p.err), ERR_USAGE, &p.err, "already");
	pair_fini(&p);
	buf_fini(&want);
	buf_fini(&asked);
}

/* A master that makes us ask and does not read is left, at some point. */
static enum err
fetch_again(void *arg, enum mfs_file file, struct error *err)
{
	struct pair *p = arg;

	p->events++;
	return mfs_fetch(p->m, file, err);
}

static void
never_reads(void **state)
{
	uint8_t empty[16], many[1600];
	struct mfs_connect_conf conf = { .host = "127.0.0.1" };
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	struct pair p;
	enum err rc = ERR_OK;

	(void)state;
	pair_init(&p);
	mfs_close(p.m);
	(void)close(p.fd);
	assert_int_equal(getsockname(p.listen_fd, (struct sockaddr *)&a, &len),
		0);
	conf.port = ntohs(a.sin_port);
	conf.events = (struct mfs_events){ .arg = &p, .end = fetch_again };
	must(mfs_connect(&p.m, &conf, &p.err), &p.err);
	p.fd = accept(p.listen_fd, NULL, NULL);
	must(mfs_fetch(p.m, MFS_LOG_CURRENT, &p.err), &p.err);
	assert_int_equal(from_hex(empty, "0000003d 00000008 0000000000000000"),
		16);
	for (size_t i = 0; i < sizeof(many); i++)
		many[i] = empty[i % 16];
	while (rc == ERR_OK && p.events < 10000000)
		rc = feed(&p, many, sizeof(many));
	must_fail(rc, ERR_AGAIN, &p.err, "does not read");
	/* The kernel's buffers were full before ours was. */
	assert_true(p.events > 1000);
	pair_fini(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_packets),
		cmocka_unit_test(recorded_3x),
		cmocka_unit_test(recorded_4x),
		cmocka_unit_test(never_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
